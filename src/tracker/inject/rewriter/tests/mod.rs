//! Pages as apps send them, in pieces and in each coding, and what becomes of them.

mod damage;
mod late;

use std::sync::Arc;

use encoding_rs::{Encoding, SHIFT_JIS, UTF_8};
use httparse::Header;

use super::*;
use crate::{
    headers::Policies,
    tracker::inject::{InjectSettings, Injection, room::Rooms},
};

const TAG: &str =
    "<script defer data-domain=\"example.com\" data-api=\"/api/event\" src=\"/js/script.js\"></script>";

/// Where the script goes, in these pages marked by `▼`. A page without the mark stays as it is.
const PAGES: &[(&str, &str)] = &[
    (
        "a common page",
        "<!doctype html><html><head>▼<title>x</title></head><body>y</body></html>",
    ),
    (
        "upper case",
        "<!DOCTYPE HTML><HTML><HEAD>▼<TITLE>x</TITLE></HEAD><BODY>y</BODY></HTML>",
    ),
    (
        "attributes",
        "<html><head prefix='og: http://ogp.me/ns#' data-x=\"a>b\">▼<title>x</title></head></html>",
    ),
    (
        "lines within the tag",
        "<html>\n<head\n  lang=de\n>▼\n<title>x</title></head>",
    ),
    (
        "header is no head",
        "<html><body><header>x</header>▼</body></html>",
    ),
    (
        "a header before the head",
        "<html><!-- <header> --><head>▼</head><body><header>x</header></body>",
    ),
    (
        "a head within a comment",
        "<!-- <head> --><html><!-- <head> --><head>▼<title>x</title></head>",
    ),
    (
        "a mark at the start",
        "\u{feff}<html><head>▼<title>é</title></head>",
    ),
    ("no end of the head", "<head>▼<title>x</title><body><p>y"),
    ("neither end nor body", "<head>▼<title>x</title><p>y"),
    ("a head that never ends", "<head>▼<title>x</title>"),
    ("an empty head", "<head>▼</head>"),
    (
        "a body without a head",
        "<!doctype html><body><p>x</p>▼</body></html>",
    ),
    (
        "a title without a head",
        "<!doctype html><title>x</title><body>y▼</body>",
    ),
    (
        "a head that comes too late",
        "<body><p>x</p><head></head>▼</body>",
    ),
    (
        "no head and no end of the body",
        "<!doctype html><title>x</title><p>y",
    ),
    (
        "a body's end within a script",
        "<body><script>'</body>'</script>x▼</body>",
    ),
    (
        "a body's end within a comment",
        "<body><!-- </body> -->x▼</body >",
    ),
    ("a head within a text", "<textarea><head></textarea>"),
    ("a head within a script", "<script>'<head>'</script>"),
    ("text alone", "hello"),
    ("nothing", ""),
    ("a tag that is cut", "<html><head"),
    (
        "the script is there",
        "<head><script defer src=\"/js/script.js\"></script></head>",
    ),
    (
        "the script with a query",
        "<head><title>x</title><SCRIPT SRC=/js/script.js?v=1></SCRIPT></head>",
    ),
    (
        "Plausible's own is there",
        "<head><script src='https://plausible.io/js/pa-x.js'></script></head>",
    ),
    (
        "it is there under another path",
        "<head><script src=/s.js data-domain=example.com></script></head>",
    ),
    (
        "it is in the body",
        "<head><title>x</title></head><body><script src=\"/js/script.js\"></script></body>",
    ),
    (
        "it is in a body without a head",
        "<body><script src=\"/js/script.js\"></script></body>",
    ),
    (
        "it is in a comment",
        "<head>▼<!-- <script src=\"/js/script.js\"></script> --></head>",
    ),
    (
        "it is without scripts",
        "<head>▼<noscript><script src=\"/js/script.js\"></script></noscript></head>",
    ),
    (
        "other scripts",
        "<head>▼<script src=/app.js></script><script>x</script></head><body></body>",
    ),
    (
        "a policy that allows",
        "<head>▼<meta http-equiv=content-security-policy content=\"script-src 'self'\"></head>",
    ),
    (
        "a policy that does not",
        "<head><meta http-equiv=Content-Security-Policy content=\"script-src 'none'\"></head>",
    ),
    (
        "an element of no head",
        "<head>▼<title>x</title><div><meta http-equiv=content-security-policy content=\"script-src 'none'\"></div></head>",
    ),
    (
        "text of other tongues",
        "<html><head>▼<title>日本語 — ελληνικά</title></head><body>🙂</body></html>",
    ),
    (
        "line ends of all kinds",
        "<html>\r\n<head>▼\r\n<title>x</title>\r</head>\n",
    ),
];

const CODINGS: [(ContentCoding, Wire); 5] = [
    (ContentCoding::Gzip, Wire::Gzip),
    (ContentCoding::Deflate, Wire::Zlib),
    (ContentCoding::Deflate, Wire::RawDeflate),
    (ContentCoding::Brotli, Wire::Brotli),
    (ContentCoding::Zstd, Wire::Zstd),
];

fn page(policy: &str, charset: &'static Encoding) -> Rc<Page> {
    Rc::new(Page {
        shared: Arc::new(Injection::new(InjectSettings {
            script: "/js/script.js".to_owned(),
            event: "/api/event".to_owned(),
            needs_init: false,
            plausible: "plausible.io".to_owned(),
        })),
        domain: "example.com".to_owned(),
        https: false,
        host: "example.com".to_owned(),
        charset,
        policies: Policies::read(&[Header {
            name: "content-security-policy",
            value: policy.as_bytes(),
        }]),
    })
}

fn rewriter(coding: ContentCoding) -> Rewriter {
    Rewriter::new(page("", UTF_8), coding, Rooms::default().take(0).unwrap())
}

fn expected(marked: &str) -> (Vec<u8>, Vec<u8>) {
    (
        marked.replace('▼', "").into_bytes(),
        marked.replace('▼', TAG).into_bytes(),
    )
}

/// Passes pieces through, each flushed as if the app paused after it.
fn pass<'b>(mut rewriter: Rewriter, pieces: impl IntoIterator<Item = &'b [u8]>) -> Result<Vec<u8>, Vec<u8>> {
    let mut out = Vec::new();
    for piece in pieces {
        let pushed = rewriter
            .push(piece, &mut out)
            .and_then(|()| rewriter.flush(&mut out));
        if pushed.is_err() {
            return Err(out);
        }
    }
    match rewriter.finish(&mut out) {
        Ok(()) => Ok(out),
        Err(DamagedBody) => Err(out),
    }
}

/// As an app that flushes now and then.
fn encode(wire: Wire, text: &[u8]) -> Vec<u8> {
    let (mut encoder, mut out) = (Encoder::new(wire).unwrap(), Vec::new());
    for piece in text.chunks(10_000) {
        encoder.write(piece, &mut out).unwrap();
        encoder.flush(&mut out).unwrap();
    }
    encoder.finish(&mut out).unwrap();
    out
}

/// What is decoded, and whether it is complete.
fn decode(wire: Wire, coded: &[u8]) -> (Vec<u8>, bool) {
    let mut decoder = Decoder::new(wire).unwrap();
    let (mut text, mut at, mut complete, mut room) = (Vec::new(), 0, false, [0; 4096]);
    loop {
        let step = decoder.step(&coded[at..], &mut room).expect("a sound body");
        if step.read == 0 && step.written == 0 {
            return (text, complete);
        }
        text.extend_from_slice(&room[..step.written]);
        at += step.read;
        complete = step.complete;
        if complete && (at == coded.len() || !decoder.goes_on()) {
            return (text, complete);
        }
    }
}

#[track_caller]
fn assert_page(name: &str, got: &[u8], expected: &[u8]) {
    let cut = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]).into_owned();
    assert!(
        got == expected,
        "{name}:\n{}\ninstead of\n{}",
        cut(got),
        cut(expected)
    );
}

#[test]
fn the_script_goes_where_it_belongs_wherever_a_page_is_cut() {
    for (name, marked) in PAGES {
        let (sent, right) = expected(marked);
        for cut in 0..=sent.len() {
            let (first, second) = sent.split_at(cut);
            let got = pass(rewriter(ContentCoding::Identity), [first, second]).unwrap();
            // In the first piece the whole head has come, in the second the body with a script of its own:
            // that is too late.
            if *name == "it is in the body" && cut < sent.len() {
                continue;
            }
            assert_page(&format!("{name}, cut at {cut}"), &got, &right);
        }
        if *name != "it is in the body" {
            let got = pass(rewriter(ContentCoding::Identity), sent.chunks(1)).unwrap();
            assert_page(name, &got, &right);
        }
    }
}

#[test]
fn a_coded_page_gets_it_too_and_stays_in_its_coding() {
    for (coding, wire) in CODINGS {
        for (name, marked) in PAGES {
            let (sent, right) = expected(marked);
            let coded = encode(wire, &sent);
            for size in [1, 2, 7, coded.len()] {
                let got = pass(rewriter(coding), coded.chunks(size)).unwrap();
                if *name == "it is in the body" && size < coded.len() {
                    continue;
                }
                let what = format!("{name}, {wire:?}, by {size}");
                assert_page(&what, &decode(wire, &got).0, &right);
                assert!(decode(wire, &got).1, "{what}");
                if sent == right && marked.starts_with("<head>") {
                    assert!(got == coded, "{what}: it is encoded anew for nothing");
                }
            }
        }
    }
}

#[test]
fn what_has_come_goes_on_before_the_rest_comes() {
    let start = b"<html><head><title>x</title></head><body><p>first</p>";
    for (coding, wire) in CODINGS {
        let mut encoder = Encoder::new(wire).unwrap();
        let (mut coded, mut rewriter, mut got) = (Vec::new(), rewriter(coding), Vec::new());
        encoder.write(start, &mut coded).unwrap();
        encoder.flush(&mut coded).unwrap();
        rewriter.push(&coded, &mut got).unwrap();
        rewriter.flush(&mut got).unwrap();
        let text = String::from_utf8(decode(wire, &got).0).unwrap();
        assert!(
            text.contains(TAG) && text.ends_with("<p>first</p>"),
            "{wire:?}: {text}"
        );
    }
    let (mut plain, mut got) = (rewriter(ContentCoding::Identity), Vec::new());
    plain.push(b"<html><head><title>x</title>", &mut got).unwrap();
    assert!(got.is_empty(), "the head is waited for");
    plain.push(b"</head>", &mut got).unwrap();
    assert!(got.ends_with(b"</head>"));
    let (mut headless, mut got) = (rewriter(ContentCoding::Identity), Vec::new());
    headless.push(b"<body><p>first</p><b", &mut got).unwrap();
    assert_page("a page without a head", &got, b"<body><p>first</p>");
}

#[test]
fn long_heads_are_not_waited_for_and_long_texts_not_held() {
    let style = format!("<style>{}</style>", "a{b:c}".repeat(20_000));
    let long = format!("<head>{style}</head><body></body>");
    let mut got = Vec::new();
    let mut early = rewriter(ContentCoding::Identity);
    for piece in long.as_bytes().chunks(16 * 1024).take(5) {
        early.push(piece, &mut got).unwrap();
    }
    assert!(got.starts_with(format!("<head>{TAG}<style>").as_bytes()) && got.len() > 64 * 1024);

    let comment = format!("<!-- {} --><head></head>", "x".repeat(300_000));
    let got = pass(
        rewriter(ContentCoding::Identity),
        comment.as_bytes().chunks(10_000),
    )
    .unwrap();
    assert_page("a comment before the head", &got, comment.as_bytes());
    let attribute = format!("<head><link href='{}'></head>", "x".repeat(300_000));
    let got = pass(
        rewriter(ContentCoding::Identity),
        attribute.as_bytes().chunks(10_000),
    )
    .unwrap();
    assert_page(
        "a long attribute",
        &got,
        attribute.replace("<head>", &format!("<head>{TAG}")).as_bytes(),
    );
}

#[test]
fn the_charset_stays_where_browsers_look_for_it() {
    let page = |before: usize| {
        let comment = "x".repeat(before);
        let head = format!("<!--{comment}--><head>");
        (head, "<meta charset=utf-8><title>x</title></head>")
    };
    let (head, rest) = page(700);
    let got = pass(
        rewriter(ContentCoding::Identity),
        [format!("{head}{rest}").as_bytes()],
    )
    .unwrap();
    assert_page("near the start", &got, format!("{head}{TAG}{rest}").as_bytes());
    let (head, rest) = page(960);
    let got = pass(
        rewriter(ContentCoding::Identity),
        [format!("{head}{rest}").as_bytes()],
    )
    .unwrap();
    let (meta, rest) = rest.split_once("<title>").unwrap();
    assert_page(
        "it would be pushed out",
        &got,
        format!("{head}{meta}{TAG}<title>{rest}").as_bytes(),
    );
}

#[test]
fn utf_16_is_left_alone_whatever_its_type_says() {
    for big in [true, false] {
        let text = "\u{feff}<html><head></head></html>".encode_utf16();
        let bytes: Vec<u8> = text
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect();
        for size in [1, bytes.len()] {
            let got = pass(rewriter(ContentCoding::Identity), bytes.chunks(size)).unwrap();
            assert_page("UTF-16", &got, &bytes);
        }
        let got = pass(rewriter(ContentCoding::Identity), [&bytes[2..]]).unwrap();
        assert_page("UTF-16 without a mark", &got, &bytes[2..]);
    }
}

#[test]
fn another_charset_is_passed_on_byte_by_byte() {
    let shift_jis = b"<html><head>\x95\x5c</head><body>\x83\x5c</body></html>";
    let page = page("", SHIFT_JIS);
    let rewriter = Rewriter::new(page, ContentCoding::Identity, Rooms::default().take(0).unwrap());
    let got = pass(rewriter, shift_jis.chunks(3)).unwrap();
    let right = [b"<html><head>", TAG.as_bytes(), &shift_jis[12..]].concat();
    assert_page("Shift_JIS", &got, &right);
}

#[test]
fn a_nonce_of_the_policy_is_used_and_a_policy_of_the_page_can_block() {
    let with = |policy: &str, body: &str| {
        let room = Rooms::default().take(0).unwrap();
        let mut rewriter = Rewriter::new(page(policy, UTF_8), ContentCoding::Identity, room);
        let mut got = Vec::new();
        rewriter.push(body.as_bytes(), &mut got).unwrap();
        (
            String::from_utf8(got).unwrap(),
            rewriter.blocked().map(ToString::to_string),
        )
    };
    let (got, blocked) = with("script-src 'nonce-abc' 'strict-dynamic'", "<head></head>");
    let tag = TAG.replace("></script>", " nonce=\"abc\"></script>");
    assert_eq!((got, blocked), (format!("<head>{tag}</head>"), None));
    let meta = "<head><meta http-equiv=content-security-policy content=\"default-src 'none'\"></head>";
    let (got, blocked) = with("script-src 'self'", meta);
    assert_eq!(
        (got.as_str(), blocked.as_deref()),
        (meta, Some("default-src 'self'"))
    );
}
