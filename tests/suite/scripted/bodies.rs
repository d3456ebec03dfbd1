//! What a response is, where its head does not say it.

use std::io::Write;

use super::*;

#[test]
fn a_response_without_a_type_is_a_page_if_a_browser_shows_it_as_one() {
    for way in BOTH {
        let stage = stage(
            &[
                ("/html", "200 OK", "", "  <!DOCTYPE html><title>a"),
                ("/json", "200 OK", "", "{\"a\": \"<html>\"}"),
                (
                    "/nosniff",
                    "200 OK",
                    "x-content-type-options: nosniff\r\n",
                    "<!doctype html>",
                ),
                ("/empty", "200 OK", "", ""),
            ],
            |b| b,
        );
        let paths = ["/html", "/json", "/nosniff", "/empty"];
        let seen = stage.visit(way, &paths.map(page));
        assert_eq!(seen.pages(), ["/html"], "{way:?}");
        assert_eq!(seen.metrics.decisions("not_html"), 3);
    }
}

#[test]
fn the_bodys_first_bytes_may_come_late_in_pieces_and_coded() {
    for way in BOTH {
        let stage = stage_of(
            |b| b,
            |visit| {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                gzip.write_all(b"<!doctype html><title>coded</title>")?;
                let gzip = gzip.finish()?;
                if visit.head.target() == "/pieces" {
                    visit.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
                    for piece in ["3\r\n<!d\r\n", "5\r\noctyp\r\n", "7\r\ne html>\r\n", "0\r\n\r\n"] {
                        visit.send(piece)?;
                    }
                } else {
                    let length = gzip.len();
                    visit.send(format!(
                        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {length}\r\n\r\n"
                    ))?;
                    visit.send(&gzip[..10])?;
                    visit.send(&gzip[10..])?;
                }
                Ok(Then::Keep)
            },
        );
        let seen = stage.visit(way, &["/pieces", "/gzip"].map(page));
        assert_eq!(seen.pages(), ["/pieces", "/gzip"], "{way:?}");
    }
}

#[test]
fn a_fetch_without_a_mark_is_a_page_if_a_whole_document_comes() {
    let stage = stage(
        &[
            ("/part", "200 OK", "content-type: text/html\r\n", "<div>"),
            (
                "/astro",
                "200 OK",
                "content-type: text/html\r\n",
                "<!DOCTYPE html><html><head><meta name=\"astro-view-transitions-enabled\" content=\"true\">",
            ),
            (
                "/data/__data.json",
                "200 OK",
                "content-type: application/json\r\n",
                "{\"type\":\"data\"}",
            ),
            (
                "/login/__data.json",
                "200 OK",
                "content-type: application/json\r\n",
                "{\"type\":\"redirect\",\"location\":\"/\"}",
            ),
            (
                "/moved",
                "200 OK",
                "content-type: text/x-component\r\n",
                "0:{}\na:E{\"digest\":\"NEXT_REDIRECT;replace;/next;307;\"}\n",
            ),
            ("/next", "200 OK", "content-type: text/x-component\r\n", "0:{}\n"),
            (
                "/built.data",
                "200 OK",
                "content-type: application/octet-stream\r\n",
                "[{\"_1\":2},\"routes/built\"]",
            ),
            (
                "/game.data",
                "200 OK",
                "content-type: application/octet-stream\r\n",
                "UnityWebData1.0",
            ),
        ],
        |b| b,
    );
    let kit = |path: &str| fetch(&format!("{path}/__data.json?x-sveltekit-invalidated=01"), "/");
    let next = |path: &str| fetch(path, "/").with("RSC", "1").with("Next-Url", "/");
    let requests = [
        fetch("/astro", "/"),
        fetch("/part", "/"),
        // Whether it is shown, only what follows tells.
        kit("/data"),
        kit("/login"),
        kit("/hovered"),
        style("/data"),
        style("/login"),
        next("/moved"),
        next("/next"),
        fetch("/built.data", "/"),
        fetch("/game.data", "/"),
        // Whole pages, of which one is shown after that.
        fetch("/card", "/"),
        fetch("/shown", "/"),
        style("/shown"),
    ];
    let seen = stage.visit(Way::Http1, &requests);
    assert_eq!(seen.pages(), ["/astro", "/data", "/next", "/built", "/shown"]);
    assert_eq!(seen.metrics.decisions("redirect"), 1);
}

#[test]
fn a_304_is_what_the_paths_last_200_was() {
    let stage = stage_of(
        |b| b,
        |visit| {
            let again = visit.head.has("if-none-match");
            let kind = match visit.head.target() {
                "/wiki/Node.js" => "text/html",
                "/photo" => "image/webp",
                _ => "application/json",
            };
            let answer = if again {
                "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n".to_owned()
            } else {
                format!("HTTP/1.1 200 OK\r\netag: \"1\"\r\ncontent-type: {kind}\r\ncontent-length: 0\r\n\r\n")
            };
            visit.send(answer)?;
            Ok(Then::Keep)
        },
    );
    let again = |path: &str| page(path).with("If-None-Match", "\"1\"");
    let photo = Request::get("/photo")
        .as_(crate::support::client::IMAGE)
        .from(VISITOR);
    let seen = stage.visit(
        Way::Http1,
        &[
            // Never seen: a page.
            again("/wiki/Node.js"),
            page("/wiki/Node.js"),
            again("/wiki/Node.js"),
            photo,
            again("/photo"),
            page("/api"),
            again("/api"),
            // A script's own form of the page is none of the browser's.
            fetch("/wiki/Node.js", "/"),
            again("/wiki/Node.js"),
        ],
    );
    assert_eq!(seen.pages(), ["/wiki/Node.js"; 4]);
    assert_eq!(seen.metrics.decisions("not_html"), 3);
}

#[test]
fn a_download_is_the_pages_that_links_to_it() {
    let stage = stage(
        &[(
            "/files/a.zip",
            "200 OK",
            "content-type: application/zip\r\n",
            "PK",
        )],
        |b| b.set("pages.downloads", true),
    );
    let zip = || page("/files/a.zip?v=1");
    let seen = stage.visit(
        Way::Http1,
        &[
            zip().with("Referer", &url("/hub?utm_source=x&y=z")),
            zip().with("Referer", "https://elsewhere.test/"),
            zip(),
        ],
    );
    let urls: Vec<&str> = seen.events.iter().map(|(_, url)| url.as_str()).collect();
    assert_eq!(
        urls,
        [
            "http://example.com/hub?utm_source=x",
            "http://example.com/files/a.zip",
            "http://example.com/files/a.zip"
        ]
    );
    for body in &seen.bodies {
        assert_eq!(body["props"]["url"], url("/files/a.zip"));
        assert!(body.get("referrer").is_none(), "{body}");
    }
}
