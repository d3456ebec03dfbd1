//! What one request head and one response head told us: the few values that the rules of [`crate::page`] and the
//! event need, picked out in one pass over the fields. No I/O, no allocation.

use httparse::Header;

/// The facts of one request head. Values are as sent; where a field came several times the first line counts, unless
/// said otherwise.
#[derive(Debug, Default, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // facts that are independent of each other
pub struct Request<'a> {
    /// The method, case-sensitive (RFC 9110 §9.1).
    pub method: &'a str,
    /// Path and query as the client sent them, never empty; of an absolute-form target the part after the authority.
    pub target: &'a str,
    /// Every field line, for the rare rule that asks for one by name.
    pub fields: &'a [Header<'a>],
    /// `User-Agent`, raw.
    pub user_agent: Option<&'a [u8]>,
    /// `Referer`, raw.
    pub referer: Option<&'a [u8]>,
    /// `Accept`; of several lines the first that names a document type, else the first.
    pub accept: Option<&'a [u8]>,
    /// `Sec-Fetch-Dest`.
    pub fetch_dest: Option<&'a [u8]>,
    /// `Sec-Fetch-Mode`.
    pub fetch_mode: Option<&'a [u8]>,
    /// `Service-Worker-Navigation-Preload: true`.
    pub navigation_preload: bool,
    /// A purpose header says prefetch, prerender or preview, or `Next-Router-Prefetch` is there.
    pub ahead: bool,
    /// `X-Requested-With: XMLHttpRequest`, `HX-Request`, `X-PJAX` or their kin: a script asked, not the browser.
    pub script: bool,
    /// `Range` is there.
    pub range: bool,
    /// `Sec-GPC: 1` or `DNT: 1`.
    pub opt_out: bool,
    /// `Cookie` lines are there (their names are looked up in `fields` where a rule asks).
    pub cookies: bool,
}

impl<'a> Request<'a> {
    /// Reads the facts out of a head's fields.
    pub fn read(method: &'a str, target: &'a str, fields: &'a [Header<'a>]) -> Self {
        let mut r = Request {
            method,
            target,
            fields,
            ..Request::default()
        };
        for f in fields {
            let name = f.name;
            let value = f.value.trim_ascii();
            match name.len() {
                3 if name.eq_ignore_ascii_case("dnt") => r.opt_out |= value == b"1",
                5 if name.eq_ignore_ascii_case("range") => r.range = true,
                5 if name.eq_ignore_ascii_case("x-moz") => r.ahead |= names_ahead(value),
                6 if name.eq_ignore_ascii_case("accept") => r.accept = Some(better_accept(r.accept, value)),
                6 if name.eq_ignore_ascii_case("cookie") => r.cookies = true,
                6 if name.eq_ignore_ascii_case("x-pjax") => r.script = true,
                7 if name.eq_ignore_ascii_case("referer") => first(&mut r.referer, value),
                7 if name.eq_ignore_ascii_case("sec-gpc") => r.opt_out |= value == b"1",
                7 if name.eq_ignore_ascii_case("purpose") => r.ahead |= names_ahead(value),
                9 if name.eq_ignore_ascii_case("x-purpose") => r.ahead |= names_ahead(value),
                10 if name.eq_ignore_ascii_case("user-agent") => first(&mut r.user_agent, value),
                10 if name.eq_ignore_ascii_case("hx-request") => r.script = true,
                11 if name.eq_ignore_ascii_case("sec-purpose") => r.ahead |= names_ahead(value),
                13 if name.eq_ignore_ascii_case("x-sec-purpose") => r.ahead |= names_ahead(value),
                14 if name.eq_ignore_ascii_case("sec-fetch-dest") => first(&mut r.fetch_dest, value),
                14 if name.eq_ignore_ascii_case("sec-fetch-mode") => first(&mut r.fetch_mode, value),
                16 if name.eq_ignore_ascii_case("x-requested-with") => {
                    r.script |=
                        value.eq_ignore_ascii_case(b"xmlhttprequest") || value.eq_ignore_ascii_case(b"fetch");
                }
                20 if name.eq_ignore_ascii_case("next-router-prefetch") => r.ahead = true,
                33 if name.eq_ignore_ascii_case("service-worker-navigation-preload") => {
                    r.navigation_preload = value.eq_ignore_ascii_case(b"true");
                }
                _ => {}
            }
        }
        r
    }

    /// The path alone, without the query.
    pub fn path(&self) -> &'a str {
        memchr::memchr(b'?', self.target.as_bytes()).map_or(self.target, |end| &self.target[..end])
    }
}

/// Of several `Accept` lines the first that names a document type, else the first.
fn better_accept<'a>(before: Option<&'a [u8]>, line: &'a [u8]) -> &'a [u8] {
    match before {
        Some(before) if names_document(before) || !names_document(line) => before,
        _ => line,
    }
}

fn first<'a>(slot: &mut Option<&'a [u8]>, value: &'a [u8]) {
    if slot.is_none() {
        *slot = Some(value);
    }
}

/// Whether a purpose header's value says that the page is fetched before it is shown. The value is a list of tokens
/// with parameters (`prefetch;prerender`), compared without case.
fn names_ahead(value: &[u8]) -> bool {
    value.split(|b| matches!(b, b';' | b',' | b' ' | b'\t')).any(|t| {
        ["prefetch", "prerender", "preview"]
            .iter()
            .any(|w| t.eq_ignore_ascii_case(w.as_bytes()))
    })
}

/// Whether an `Accept` value names `text/html` or `application/xhtml+xml` itself, with a weight above zero
/// (RFC 9110 §12.5.1); `*/*` alone names nothing.
pub fn names_document(accept: &[u8]) -> bool {
    accept.split(|b| *b == b',').any(|range| {
        let mut parts = range.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let kind = parts.next().unwrap_or_default();
        is_document(kind) && !parts.any(is_zero_weight)
    })
}

/// Whether a media type, parameters cut off, is a document's.
fn is_document(kind: &[u8]) -> bool {
    kind.eq_ignore_ascii_case(b"text/html") || kind.eq_ignore_ascii_case(b"application/xhtml+xml")
}

/// `q=0`, `q=0.0` and so on (RFC 9110 §12.4.2).
fn is_zero_weight(parameter: &[u8]) -> bool {
    let Some((name, value)) = parameter
        .iter()
        .position(|b| *b == b'=')
        .map(|i| parameter.split_at(i))
    else {
        return false;
    };
    let value = value[1..].trim_ascii();
    name.trim_ascii().eq_ignore_ascii_case(b"q")
        && !value.is_empty()
        && value.iter().all(|b| matches!(b, b'0' | b'.'))
}

/// The facts of one final response head.
#[derive(Debug, Default, Clone, Copy)]
pub struct Response<'a> {
    /// The status code, 200–999.
    pub status: u16,
    /// `Content-Type`, raw, first line.
    pub content_type: Option<&'a [u8]>,
    /// `Content-Disposition` says `attachment` (RFC 6266 §4.2).
    pub attachment: bool,
}

impl<'a> Response<'a> {
    /// The facts of a head with no field that tells anything, as of an answer of gatecount's own.
    pub fn of_status(status: u16) -> Self {
        Response {
            status,
            ..Response::default()
        }
    }

    /// Reads the facts out of a head's fields.
    pub fn read(status: u16, fields: &[Header<'a>]) -> Self {
        let mut r = Response {
            status,
            ..Response::default()
        };
        for f in fields {
            match f.name.len() {
                12 if f.name.eq_ignore_ascii_case("content-type") => {
                    first(&mut r.content_type, f.value.trim_ascii());
                }
                19 if f.name.eq_ignore_ascii_case("content-disposition") => {
                    let kind = f
                        .value
                        .split(|b| *b == b';')
                        .next()
                        .unwrap_or_default()
                        .trim_ascii();
                    r.attachment |= kind.eq_ignore_ascii_case(b"attachment");
                }
                _ => {}
            }
        }
        r
    }

    /// Whether the body is a document a browser shows as a page: `text/html` or `application/xhtml+xml`.
    pub fn is_document(&self) -> bool {
        self.content_type
            .is_some_and(|t| is_document(t.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn h<'a>(name: &'a str, value: &'a str) -> Header<'a> {
        Header {
            name,
            value: value.as_bytes(),
        }
    }

    #[test]
    fn accept_names_a_document_only_by_its_own_type() {
        assert!(names_document(b"text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(names_document(b"*/*, Application/XHTML+XML ; q=0.1"));
        assert!(!names_document(b"*/*"));
        assert!(!names_document(b"text/*"));
        assert!(!names_document(b"text/html;q=0"));
        assert!(!names_document(b"text/html;q=0.000, */*"));
        assert!(!names_document(b"text/html-partial"));
    }

    #[test]
    fn a_document_type_on_a_second_accept_line_is_seen() {
        let f = [h("accept", "*/*"), h("Accept", "text/html")];
        assert_eq!(Request::read("GET", "/", &f).accept, Some(&b"text/html"[..]));
    }

    #[test]
    fn every_purpose_header_is_read_as_tokens() {
        for (name, value) in [
            ("Sec-Purpose", "prefetch;prerender"),
            ("Purpose", "Prefetch"),
            ("X-Purpose", "preview"),
            ("X-Moz", "prefetch"),
            ("X-Sec-Purpose", "prefetch"),
            ("Next-Router-Prefetch", "1"),
        ] {
            assert!(Request::read("GET", "/", &[h(name, value)]).ahead, "{name}");
        }
        assert!(!Request::read("GET", "/", &[h("Purpose", "prefetching")]).ahead);
    }

    #[test]
    fn a_response_type_is_compared_without_parameters_and_case() {
        for (value, page) in [
            ("Text/HTML; charset=utf-8", true),
            ("application/xhtml+xml", true),
            ("text/htmlx", false),
        ] {
            assert_eq!(
                Response::read(200, &[h("content-type", value)]).is_document(),
                page,
                "{value}"
            );
        }
        assert!(Response::read(200, &[h("Content-Disposition", "ATTACHMENT; filename=a")]).attachment);
        assert!(!Response::read(200, &[h("Content-Disposition", "inline; filename=attachment")]).attachment);
    }
}
