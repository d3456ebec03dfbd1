//! What becomes of heads: tags, lengths, ranges, HEAD, 304.

use super::{PAGE, WAYS, answer, before, sent, visit, with_script};
use crate::support::{
    client::{CHROME, Request},
    message::Head,
    origin::{Origin, Then, Visit},
};

const LINES: &str = "etag: \"v1\"\r\naccept-ranges: bytes\r\ncontent-md5: x\r\ndigest: x\r\nrepr-digest: x\r\n\
                     content-digest: x\r\nlast-modified: Tue, 24 Nov 2026 12:00:00 GMT\r\n";

/// An app that compares `If-None-Match` with its tag as a text, as many do.
fn compares(etag: &'static str) -> impl Fn(&mut Visit) -> std::io::Result<Then> + Send + Sync {
    move |visit| {
        let lines = LINES.replace("\"v1\"", etag);
        if visit.head.get("if-none-match") == Some(etag) {
            visit.send(format!("HTTP/1.1 304 Not Modified\r\n{lines}\r\n"))?;
        } else if visit.head.method() == "HEAD" {
            let page = answer(&lines, sent(PAGE).as_bytes());
            let head = page.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
            visit.send(&page[..head])?;
        } else {
            visit.send(answer(&lines, sent(PAGE).as_bytes()))?;
        }
        Ok(Then::Keep)
    }
}

#[track_caller]
fn assert_changed(head: &Head, etag: &str) {
    assert_eq!(head.get("etag"), Some(etag), "{head:?}");
    for gone in [
        "content-length",
        "accept-ranges",
        "content-md5",
        "digest",
        "repr-digest",
        "content-digest",
    ] {
        assert_eq!(head.get(gone), None, "{head:?}");
    }
    assert!(head.has("last-modified"), "{head:?}");
}

#[test]
fn what_speaks_of_the_bytes_is_changed_and_a_revalidation_still_matches() {
    for (etag, weak) in [("\"v1\"", "W/\"v1\""), ("W/\"v1\"", "W/\"v1\"")] {
        let app = Origin::start(compares(etag));
        let sidecar = before(&app).start();
        for way in WAYS {
            let first = way.ask(&sidecar, &visit("/"));
            assert_eq!(first.text(), with_script(PAGE));
            assert_changed(&first.head, weak);
            let again = way.ask(&sidecar, &visit("/").with("If-None-Match", weak));
            assert_eq!(again.status(), 304, "{etag} over {way:?}");
            assert_changed(&again.head, weak);
            let seen = app.seen();
            assert_eq!(seen.last().unwrap().head.get("if-none-match"), Some(etag));
        }
    }
}

#[test]
fn a_304_keeps_a_strong_tag_that_the_client_has() {
    let app = Origin::start(compares("\"v1\""));
    let sidecar = before(&app).start();
    for way in WAYS {
        // From before the script was put in, say.
        let again = way.ask(&sidecar, &visit("/").with("If-None-Match", "\"v1\""));
        assert_eq!((again.status(), again.head.get("etag")), (304, Some("\"v1\"")));
    }
}

#[test]
fn a_head_says_what_the_page_would() {
    let app = Origin::start(compares("\"v1\""));
    let sidecar = before(&app).start();
    for way in WAYS {
        let mut head = Request::new("HEAD", "/").from("203.0.113.7");
        for (name, value) in visit("/").fields().iter().filter(|(name, _)| name != "Host") {
            head = head.with(name, value);
        }
        let response = way.ask(&sidecar, &head);
        assert_eq!(response.status(), 200);
        assert!(response.body.is_empty());
        assert_changed(&response.head, "W/\"v1\"");
        // Of what is no visitor's, nothing is changed.
        let plain = way.ask(&sidecar, &Request::new("HEAD", "/").from("203.0.113.7"));
        assert_eq!(plain.head.get("etag"), Some("\"v1\""));
        assert!(plain.head.has("content-length"));
    }
}

#[test]
fn a_cut_page_is_not_continued_with_the_apps_bytes() {
    let app = Origin::start(compares("\"v1\""));
    let sidecar = before(&app).start();
    let date = "Tue, 24 Nov 2026 12:00:00 GMT";
    for way in WAYS {
        for (validator, passes) in [
            (Some(date), false),
            (Some("W/\"v1\""), false),
            (Some("\"v1\""), true),
            (None, true),
        ] {
            let mut request = visit("/").with("Range", "bytes=20-");
            if let Some(validator) = validator {
                request = request.with("If-Range", validator);
            }
            way.ask(&sidecar, &request);
            let seen = app.seen().pop().unwrap().head;
            assert_eq!(seen.has("range"), passes, "{validator:?}");
            assert_eq!(
                seen.has("if-range"),
                passes && validator.is_some(),
                "{validator:?}"
            );
        }
        // A download's is none of our business.
        let download = Request::get("/film")
            .with("User-Agent", CHROME)
            .with("Accept", "*/*");
        way.ask(
            &sidecar,
            &download.with("Range", "bytes=20-").with("If-Range", date),
        );
        assert!(app.seen().pop().unwrap().head.has("if-range"));
    }
}
