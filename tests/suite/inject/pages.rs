//! Which pages get it.

use super::{PAGE, TAG, WAYS, answer, before, encode, sent, visit, with_script};
use crate::support::{
    client::{FETCH, IMAGE, Request},
    origin::{self, Origin},
    process::run,
};

/// Answers that go on byte for byte: what is said in their heads, and how they begin.
fn untouched() -> Vec<(&'static str, Vec<u8>)> {
    let page = sent(PAGE);
    let typed = |kind: &str| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\netag: \"a\"\r\ncontent-length: {}\r\n\r\n",
            page.len()
        );
        [head.as_bytes(), page.as_bytes()].concat()
    };
    let status = |line: &str| {
        let text = String::from_utf8(answer("etag: \"a\"\r\n", page.as_bytes())).unwrap();
        text.replacen("200 OK", line, 1).into_bytes()
    };
    vec![
        (
            "no-transform",
            answer(
                "etag: \"a\"\r\ncache-control: public, no-transform\r\n",
                page.as_bytes(),
            ),
        ),
        (
            "two codings",
            answer("etag: \"a\"\r\ncontent-encoding: gzip, br\r\n", b"x"),
        ),
        (
            "an unknown coding",
            answer("etag: \"a\"\r\ncontent-encoding: dcb\r\n", b"x"),
        ),
        ("plain text", typed("text/plain")),
        ("XHTML", typed("application/xhtml+xml")),
        ("UTF-16", typed("text/html; charset=utf-16")),
        ("a charset of fancy", typed("text/html; charset=fancy")),
        ("not found", status("404 Not Found")),
        (
            "taken out by the app",
            answer("etag: \"a\"\r\ngatecount-page: Off\r\n", page.as_bytes()),
        ),
        ("created", status("201 Created")),
        ("an error", status("500 Internal Server Error")),
        (
            "an attachment",
            answer(
                "etag: \"a\"\r\ncontent-disposition: attachment\r\n",
                page.as_bytes(),
            ),
        ),
    ]
}

#[test]
fn what_is_no_page_to_be_rewritten_goes_on_byte_for_byte() {
    for (what, said) in untouched() {
        let app = Origin::start(origin::says_and_stays(said.clone()));
        let sidecar = before(&app).start();
        for way in WAYS {
            let response = way.ask(&sidecar, &visit("/"));
            assert!(
                said.ends_with(&response.body),
                "{what} over {way:?}: {}",
                response.text()
            );
            assert_eq!(response.head.get("etag"), Some("\"a\""), "{what} over {way:?}");
            assert!(response.head.has("content-length"), "{what} over {way:?}");
        }
    }
}

#[test]
fn only_page_views_get_it() {
    let said = answer("", sent(PAGE).as_bytes());
    let app = Origin::start(origin::says_and_stays(said));
    let sidecar = before(&app).start();
    let gets = |request: Request| {
        let [one, two] = WAYS.map(|way| way.ask(&sidecar, &request).text().contains(TAG));
        assert_eq!(one, two, "{request:?}");
        one
    };
    assert!(gets(visit("/")));
    assert!(gets(visit("/a?b=c")));
    // The script waits until a page that is fetched ahead is shown.
    assert!(gets(visit("/").with("Sec-Purpose", "prefetch;prerender")));
    for request in [
        visit("/admin/x"),
        visit("/").with("Cache-Control", "no-transform"),
        Request::get("/").as_(FETCH).from("203.0.113.7"),
        Request::get("/").as_(IMAGE).from("203.0.113.7"),
        Request::get("/")
            .with("User-Agent", "curl/8.1")
            .with("Accept", "text/html"),
        Request::get("/").as_(&[
            (
                "User-Agent",
                "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            ),
            ("Accept", "text/html"),
        ]),
    ] {
        assert!(!gets(request.clone()), "{request:?}");
    }
}

#[test]
fn the_domain_is_the_sites_and_nothing_is_counted_where_nothing_is_to_be() {
    let app = Origin::start(origin::says_and_stays(answer("", sent(PAGE).as_bytes())));
    let sidecar = before(&app)
        .site(&["shop.test"], &["shop.example", "all.example"])
        .set("pages.count", "never")
        .start();
    for way in WAYS {
        let text = way.ask(&sidecar, &visit("/").host("shop.test")).text();
        assert!(
            text.contains("<script defer data-domain=\"shop.example,all.example\""),
            "{text}"
        );
        assert_eq!(
            way.ask(&sidecar, &visit("/").host("other.test")).text(),
            sent(PAGE)
        );
    }
}

#[test]
fn a_policy_is_obeyed_and_said() {
    for (lines, meta, expected) in [
        ("content-security-policy: script-src 'self'\r\n", "", Ok("")),
        (
            "content-security-policy-report-only: script-src 'none'\r\n",
            "",
            Ok(""),
        ),
        (
            "content-security-policy: default-src 'none'; script-src 'nonce-r4nd/+m=' 'strict-dynamic'; \
             connect-src 'self'\r\n",
            "",
            Ok(" nonce=\"r4nd/+m=\""),
        ),
        (
            "content-security-policy: script-src https://cdn.test\r\n",
            "",
            Err("script-src 'self'"),
        ),
        (
            "content-security-policy: script-src 'self'; connect-src https://api.test\r\n",
            "",
            Err("connect-src 'self'"),
        ),
        (
            "",
            "<meta http-equiv='Content-Security-Policy' content=\"script-src https://cdn.test\">",
            Err("script-src 'self'"),
        ),
    ] {
        let page = PAGE.replace("<title>", &format!("{meta}<title>"));
        for coding in ["identity", "gzip"] {
            let lines = format!("{lines}content-encoding: {coding}\r\n");
            let body = encode(coding, sent(&page).as_bytes());
            let app = Origin::start(origin::says_and_stays(answer(&lines, &body)));
            let sidecar = before(&app).start();
            for way in WAYS {
                let response = way.ask(&sidecar, &visit("/"));
                match expected {
                    Ok(nonce) => {
                        let tag = TAG.replace("></script>", &format!("{nonce}></script>"));
                        let text = super::decode(coding, &response.body);
                        assert_eq!(String::from_utf8(text).unwrap(), page.replace('▼', &tag));
                    }
                    Err(missing) => {
                        assert!(response.body == body, "{lines}");
                        let line = sidecar.await_log("without the tracker script");
                        assert!(line.contains(&format!("it lacks {missing}")), "{line}");
                        let warnings = sidecar.status()["delivery"]["warnings"].to_string();
                        assert!(warnings.contains(&format!("it lacks {missing}")), "{warnings}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_page_that_has_the_script_gets_no_second() {
    for own in [
        "<script defer src=\"/js/script.js\"></script>",
        "<script async src=https://plausible.io/js/pa-AbC.js></script>",
        "<script data-domain=\"example.com\" src=\"/stats.js\"></script>",
    ] {
        for page in [
            PAGE.replace('▼', own),
            PAGE.replace("Hello", own).replace('▼', ""),
        ] {
            let app = Origin::start(origin::says_and_stays(answer("", page.as_bytes())));
            let sidecar = before(&app).start();
            for way in WAYS {
                assert_eq!(way.ask(&sidecar, &visit("/")).text(), page, "over {way:?}");
            }
        }
    }
}

#[test]
fn without_inject_nothing_is_changed() {
    let said = answer("etag: \"a\"\r\naccept-ranges: bytes\r\n", sent(PAGE).as_bytes());
    let app = Origin::start(origin::says_and_stays(said));
    let sidecar = before(&app).set("tracker.inject", false).start();
    for way in WAYS {
        let response = way.ask(&sidecar, &visit("/"));
        assert_eq!(response.text(), sent(PAGE));
        assert_eq!(response.head.get("etag"), Some("\"a\""));
        assert_eq!(response.head.get("accept-ranges"), Some("bytes"));
    }
    assert_eq!(with_script(PAGE).len(), sent(PAGE).len() + TAG.len());
}

#[test]
fn inject_without_what_it_needs_is_a_mistake() {
    let common = [
        "check",
        "--app",
        "http://127.0.0.1:3000",
        "--domain",
        "example.com",
    ];
    let check = |lines: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gatecount.toml");
        std::fs::write(&file, format!("[tracker]\ninject = true\n{lines}\n")).unwrap();
        let file = file.to_str().unwrap();
        let output = run(&[&common[..], &["--config", file]].concat(), "");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let (code, text) = check("");
    assert_eq!(code, Some(2), "{text}");
    assert!(
        text.contains("say where it comes from by tracker.source"),
        "{text}"
    );
    let (code, text) = check("source = \"/js/script.js\"\nevent = \"\"");
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("without tracker.event"), "{text}");
    let (code, text) = check("source = \"/js/script.js\"");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("inject = true"), "{text}");
}
