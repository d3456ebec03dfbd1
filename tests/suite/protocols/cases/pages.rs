//! What is a page view, and what is none.

use super::{Case, PAGE, case, path, response};
use crate::support::client::{
    FETCH, FIREFOX, GOOGLEBOT, IFRAME, IMAGE, NAVIGATION, OLD_NAVIGATION, PREFETCH, Request,
};

/// Requests of browsers and others for what is a page, or is none.
pub(super) fn navigations() -> Vec<Case> {
    let html = PAGE;
    let soft = |extra: &[(&'static str, &'static str)]| [FETCH, extra].concat();
    let navigation = |extra: &[(&'static str, &'static str)]| [NAVIGATION, extra].concat();
    let askers: Vec<(&str, Vec<(&str, &str)>)> = vec![
        ("a click", NAVIGATION.to_vec()),
        ("an old browser", OLD_NAVIGATION.to_vec()),
        (
            "Firefox",
            vec![
                ("User-Agent", FIREFOX),
                ("Accept", "text/html"),
                ("Sec-Fetch-Mode", "navigate"),
                ("Sec-Fetch-Dest", "document"),
            ],
        ),
        ("a picture", IMAGE.to_vec()),
        ("a frame", IFRAME.to_vec()),
        ("a fetch", FETCH.to_vec()),
        ("a prefetch", PREFETCH.to_vec()),
        ("a crawler", GOOGLEBOT.to_vec()),
        ("no user agent", vec![("Accept", "text/html")]),
        ("curl", vec![("User-Agent", "curl/8.5.0"), ("Accept", "*/*")]),
        (
            "Turbo",
            soft(&[("Turbo-Frame", "main"), ("X-Turbo-Request-Id", "1")]),
        ),
        ("htmx", soft(&[("HX-Request", "true"), ("HX-Boosted", "true")])),
        (
            "Inertia",
            soft(&[("X-Inertia", "true"), ("X-Requested-With", "XMLHttpRequest")]),
        ),
        ("Next.js", soft(&[("RSC", "1"), ("Next-Url", "/a")])),
        (
            "a referrer",
            navigation(&[("Referer", "https://news.example.org/item?id=7")]),
        ),
        (
            "a reload",
            navigation(&[("Cache-Control", "max-age=0"), ("If-None-Match", "\"a\"")]),
        ),
        ("an objection", navigation(&[("Sec-GPC", "1"), ("DNT", "1")])),
        (
            "a preview",
            navigation(&[("Purpose", "preview"), ("X-Purpose", "preview")]),
        ),
        ("a range", navigation(&[("Range", "bytes=0-99")])),
    ];
    let answers = [
        ("a page", html.to_owned()),
        (
            "JSON",
            response("GET", "200 OK", "Content-Type: application/json\r\n", "{}"),
        ),
        (
            "a page in JSON",
            response(
                "GET",
                "200 OK",
                "X-Inertia: true\r\nVary: X-Inertia\r\nContent-Type: application/json\r\n",
                "{\"component\":\"a\"}",
            ),
        ),
        (
            "a download",
            response(
                "GET",
                "200 OK",
                "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n",
                "%PDF",
            ),
        ),
    ];
    let mut cases = Vec::new();
    for (asker, fields) in &askers {
        for (kind, answer) in &answers {
            let id = format!("{asker} gets {kind}");
            let request = Request::get(&path(&id)).as_(fields);
            cases.push(case(id, request).answered(answer.clone()));
        }
    }
    cases
}

pub(super) fn ranges() -> Vec<Case> {
    let ranged = |id: &str, range: &str, answer: String| {
        let request = Request::get("/file.zip").as_(IMAGE).with("Range", range);
        case(format!("range: {id}"), request).answered(answer)
    };
    let parts = "--b\r\nContent-Range: bytes 0-0/5\r\n\r\na\r\n--b--\r\n";
    vec![
        ranged(
            "a part",
            "bytes=1-3",
            response(
                "GET",
                "206 Partial Content",
                "Content-Range: bytes 1-3/5\r\nAccept-Ranges: bytes\r\n",
                "bcd",
            ),
        ),
        ranged(
            "several",
            "bytes=0-0,4-",
            response(
                "GET",
                "206 Partial Content",
                "Content-Type: multipart/byteranges; boundary=b\r\n",
                parts,
            ),
        ),
        ranged(
            "none",
            "bytes=9-",
            response(
                "GET",
                "416 Range Not Satisfiable",
                "Content-Range: bytes */5\r\n",
                "",
            ),
        ),
        ranged(
            "ignored",
            "lines=1-2",
            response("GET", "200 OK", "Content-Type: application/zip\r\n", "abcde"),
        ),
        case(
            "a conditional range",
            Request::get("/file.zip")
                .as_(IMAGE)
                .with("Range", "bytes=1-")
                .with("If-Range", "\"a\""),
        )
        .answered(response(
            "GET",
            "200 OK",
            "ETag: \"b\"\r\nContent-Type: application/zip\r\n",
            "abcde",
        )),
    ]
}
