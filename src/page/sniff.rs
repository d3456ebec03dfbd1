//! What a body is, by its first bytes.

use memchr::memmem;

/// As many bytes as are looked at, at most.
pub const BODY_START: usize = 16 * 1024;
/// Blanks may come before what is looked for, and no more than this.
const BLANKS: usize = 512;

/// The tags and the start of a comment by which browsers know HTML that has no type (WHATWG MIME Sniffing
/// §7.1). All are compared without case, and all but the last must end there.
const HTML: [&[u8]; 17] = [
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<script",
    b"<iframe",
    b"<h1",
    b"<div",
    b"<font",
    b"<table",
    b"<a",
    b"<style",
    b"<title",
    b"<b",
    b"<body",
    b"<br",
    b"<p",
    b"<!--",
];

const REDIRECT: &[u8] = b"{\"type\":\"redirect\"";
/// How a stream of React Router's begins.
const STREAM: &[u8] = b"[{\"_";
/// In a stream of Next.js: what takes a page's place if the page redirects.
const NEXTS_REDIRECT: &[u8] = b":E{\"digest\":\"NEXT_REDIRECT;";
const DOCTYPE: &[u8] = b"<!doctype";
/// The name of a `<meta>` of each page that Astro's client router takes part in.
const ASTRO: &[u8] = b"astro-view-transitions-enabled";

/// Whether a browser takes a body without a type for HTML.
pub(super) fn is_html(body: &[u8]) -> bool {
    let text = without_blanks(body);
    HTML.iter().any(|tag| {
        text.split_at_checked(tag.len()).is_some_and(|(start, rest)| {
            start.eq_ignore_ascii_case(tag)
                && (*tag == b"<!--" || rest.first().is_some_and(|b| matches!(b, b' ' | b'>')))
        })
    })
}

/// Whether it is a whole document, and no piece of one.
pub(super) fn begins_with_doctype(body: &[u8]) -> bool {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = without_blanks(body);
    text.split_at_checked(DOCTYPE.len())
        .is_some_and(|(start, _)| start.eq_ignore_ascii_case(DOCTYPE))
}

/// Whether it is a page of Astro's client router, which shows no other one without loading it anew.
pub(super) fn is_astros(body: &[u8]) -> bool {
    memmem::find(body, ASTRO).is_some()
}

/// Whether the document's head is over.
pub(super) fn has_head(body: &[u8]) -> bool {
    [&b"</head"[..], b"<body"]
        .iter()
        .any(|tag| memmem::find(body, tag).is_some())
}

/// Whether `SvelteKit` answers a request for a page's data with a redirect.
pub(super) fn is_redirect(body: &[u8]) -> bool {
    body.starts_with(REDIRECT)
}

/// Whether `Next.js` answers a request for a page with a redirect.
pub(super) fn is_nexts_redirect(body: &[u8]) -> bool {
    memmem::find(body, NEXTS_REDIRECT).is_some()
}

/// Whether it is a page's data, as React Router streams it.
pub(super) fn is_react_routers(body: &[u8]) -> bool {
    body.starts_with(STREAM)
}

/// Whether more bytes of the body could change what it is: so far it begins as what is looked for does.
pub(super) fn needs_more(body: &[u8]) -> bool {
    let text = without_blanks(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
    let begins = |wanted: &&[u8]| {
        wanted
            .get(..text.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(text))
    };
    body.len() < BLANKS && HTML.iter().chain([&DOCTYPE, &REDIRECT, &STREAM]).any(begins)
}

fn without_blanks(mut body: &[u8]) -> &[u8] {
    while let [b'\t' | b'\n' | 0x0c | b'\r' | b' ', rest @ ..] = body {
        body = rest;
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_known_as_browsers_know_it() {
        for (body, html) in [
            ("<!DOCTYPE html>", true),
            ("\n \t<!doctype HTML >", true),
            ("<html lang=en>", true),
            ("<!-- a page", true),
            ("<p>", true),
            ("<body>", true),
            ("<pre>", false),
            ("<htmlx>", false),
            ("<html", false),
            ("{\"a\": \"<html>\"}", false),
            ("<?xml version=\"1.0\"?>", false),
            ("", false),
        ] {
            assert_eq!(is_html(body.as_bytes()), html, "{body}");
        }
    }

    #[test]
    fn a_whole_document_begins_with_a_doctype() {
        assert!(begins_with_doctype(b"\xef\xbb\xbf\r\n<!DocType html>"));
        assert!(!begins_with_doctype(b"<div>"));
        assert!(!begins_with_doctype(b""));
    }

    #[test]
    fn a_start_that_is_too_short_is_waited_for() {
        assert!(needs_more(b""));
        assert!(needs_more(b"   \n<!doc"));
        assert!(!needs_more(b"<!doctype html><html>"));
        assert!(!needs_more(b"<i>"));
        assert!(!needs_more(b"{}"));
        assert!(!needs_more(&[b' '; BLANKS]));
    }
}
