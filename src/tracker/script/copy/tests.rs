use std::io::Read;

use super::*;

fn fetched(status: u16, fields: &[(&'static str, &str)], body: &[u8]) -> Fetched {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(*name, value.parse().unwrap());
    }
    Fetched {
        status: StatusCode::from_u16(status).unwrap(),
        fields: map,
        body: Bytes::copy_from_slice(body),
        certificate: None,
    }
}

fn script() -> ScriptCopy {
    let body = "!function(){window.plausible=1}();".repeat(100);
    let fields = [
        ("content-type", "application/javascript"),
        ("cache-control", "public, max-age=60, no-transform"),
    ];
    ScriptCopy::of(&fetched(200, &fields, body.as_bytes())).unwrap()
}

fn field<'a>(answer: &'a DedicatedAnswer, name: &str) -> Option<&'a str> {
    let found = answer.fields.iter().find(|(n, _)| *n == name);
    found.map(|(_, value)| value.as_ref())
}

fn ask(copy: &ScriptCopy, fields: &[(&str, &str)]) -> DedicatedAnswer {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
    copy.answer(&fields)
}

#[test]
fn nothing_but_a_script_is_taken_for_one() {
    let js = ("content-type", "application/javascript; charset=utf-8");
    let html = ("content-type", "text/html");
    for (answer, taken) in [
        (fetched(200, &[js], b"f()"), true),
        (fetched(200, &[("content-type", "text/JavaScript")], b"f()"), true),
        (fetched(200, &[("content-type", "text/plain")], b"f()"), true),
        (fetched(200, &[], b"f()"), true),
        (fetched(404, &[js], b"f()"), false),
        (fetched(302, &[js], b"f()"), false),
        (fetched(206, &[js], b"f()"), false),
        (fetched(200, &[html], b"f()"), false),
        (
            fetched(200, &[("content-type", "application/json")], b"{}"),
            false,
        ),
        (fetched(200, &[js], b"<!doctype html>"), false),
        (fetched(200, &[], b"\xef\xbb\xbf\n <html>"), false),
        (fetched(200, &[js], b""), false),
        (fetched(200, &[js], b" \n"), false),
        (
            fetched(200, &[js, ("content-encoding", "gzip")], b"\x1f\x8b"),
            false,
        ),
    ] {
        assert_eq!(ScriptCopy::of(&answer).is_ok(), taken, "{answer:?}");
    }
}

#[test]
fn it_is_compressed_for_whoever_accepts_that() {
    let copy = script();
    for (accept, gzip) in [
        ("gzip, deflate, br, zstd", true),
        ("GZIP;q=0.5", true),
        ("*", true),
        ("br", false),
        ("gzip;q=0, *", false),
        ("*;q=0.0", false),
        ("", false),
    ] {
        let answer = ask(&copy, &[("Accept-Encoding", accept)]);
        assert_eq!(field(&answer, "Content-Encoding").is_some(), gzip, "{accept}");
        assert_eq!(field(&answer, "Vary"), Some("Accept-Encoding"));
        let mut plain = Vec::new();
        if gzip {
            flate2::read::GzDecoder::new(&answer.body[..])
                .read_to_end(&mut plain)
                .unwrap();
            assert!(answer.body.len() < plain.len() / 10);
        } else {
            plain = answer.body.to_vec();
        }
        assert_eq!(plain, copy.plain.body, "{accept}");
    }
    let tiny = ScriptCopy::of(&fetched(200, &[], b"f()")).unwrap();
    assert_eq!(
        field(&ask(&tiny, &[("Accept-Encoding", "gzip")]), "Content-Encoding"),
        None
    );
}

#[test]
fn each_coding_has_a_strong_validator_and_a_browser_that_has_one_gets_304() {
    let copy = script();
    let plain = ask(&copy, &[]);
    let gzip = ask(&copy, &[("Accept-Encoding", "gzip")]);
    let etags = [&plain, &gzip].map(|answer| field(answer, "ETag").unwrap().to_owned());
    assert_ne!(etags[0], etags[1]);
    for sent in [
        &etags[0],
        &etags[1],
        &format!("\"x\", W/{}", etags[0]),
        &"*".to_owned(),
    ] {
        let answer = ask(&copy, &[("If-None-Match", sent)]);
        assert_eq!(
            (answer.status, answer.body.len(), answer.length()),
            (304, 0, None)
        );
        assert_eq!(field(&answer, "ETag"), Some(etags[0].as_str()));
        assert_eq!(
            field(&answer, "Cache-Control"),
            Some("public, max-age=60, no-transform")
        );
    }
    assert_eq!(ask(&copy, &[("If-None-Match", "\"x\"")]).status, 200);
}

#[test]
fn a_304_brings_another_lifetime_and_leaves_the_rest() {
    let copy = script();
    let with = |value: &str| {
        let refreshed = copy.refreshed(&fetched(304, &[("cache-control", value)], b"").fields);
        field(&ask(&refreshed, &[]), "Cache-Control").map(str::to_owned)
    };
    assert_eq!(with("max-age=5").as_deref(), Some("max-age=5"));
    let refreshed = copy.refreshed(&HeaderMap::new());
    assert_eq!(ask(&refreshed, &[]), ask(&copy, &[]));
}
