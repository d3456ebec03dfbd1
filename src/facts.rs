//! What a request head and a response head say: the few values that the rules of [`crate::page`] and the
//! event need, collected in one pass over the fields. No I/O, no allocation.

use httparse::Header;

use crate::field;

/// The facts of one request head. Values are as sent. Of a field with several lines the first counts, unless
/// its comment says otherwise.
#[derive(Debug, Default, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // facts that are independent of each other
pub struct RequestFacts<'a> {
    /// The method, case-sensitive (RFC 9110 §9.1).
    pub method: &'a str,
    /// Path and query as the client sent them, never empty. Of an absolute-form target, the part after the
    /// authority.
    pub target: &'a str,
    /// Every field line, for the rare rule that needs one by its name.
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
    /// A purpose header says prefetch, prerender or preview, or `Next-Router-Prefetch` or its kin was sent.
    pub prefetch: bool,
    /// It is `Sec-Purpose` that says so, which a browser sends and no script can. With prerender, all that the
    /// page asks for before it is shown has it too.
    pub sec_purpose: bool,
    /// `Upgrade-Insecure-Requests: 1`.
    pub upgrade_insecure: bool,
    /// `X-Requested-With: XMLHttpRequest` or a similar header, or that of a library: a script made the request.
    pub script: bool,
    /// Whose script, if it is one that replaces pages. The first such header decides.
    pub library: Option<Library>,
    /// `Range` was sent.
    pub range: bool,
    /// `Sec-GPC: 1` or `DNT: 1`.
    pub opt_out: bool,
    /// `Signature-Agent` or `From` was sent: the client says itself that it is a bot (RFC 9110 §10.1.2).
    pub declared_bot: bool,
    /// `Sec-CH-UA`, the browser's brands, raw.
    pub brands: Option<&'a [u8]>,
    /// `Cookie` was sent. A rule that needs a cookie looks it up in `fields`.
    pub cookies: bool,
}

/// A library that fetches a page and puts it in the place of the one that is shown, by a header that only it
/// sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// `X-Turbo-Request-Id`, `Turbo-Frame`.
    Turbo,
    /// `Turbolinks-Referrer`.
    Turbolinks,
    /// `HX-Request`, `HX-History-Restore-Request`.
    Htmx,
    /// `X-Inertia`.
    Inertia,
    /// `X-Up-Version`.
    Unpoly,
    /// `RSC`, `Next-Action`, `Next-Router-Prefetch`, `Next-Router-Segment-Prefetch`.
    Next,
    /// `X-Requested-With: swup`.
    Swup,
    /// `X-PJAX`.
    Pjax,
    /// `X-Barba`.
    Barba,
    /// `X-Livewire-Navigate`.
    Livewire,
}

impl<'a> RequestFacts<'a> {
    /// Collects the facts of a head's fields.
    pub fn read(method: &'a str, target: &'a str, fields: &'a [Header<'a>]) -> Self {
        let mut r = RequestFacts {
            method,
            target,
            fields,
            ..RequestFacts::default()
        };
        for f in fields {
            let name = f.name;
            let value = || field::trim(f.value);
            match name.len() {
                3 if name.eq_ignore_ascii_case("dnt") => r.opt_out |= value() == b"1",
                3 if name.eq_ignore_ascii_case("rsc") => first(&mut r.library, Library::Next),
                4 if name.eq_ignore_ascii_case("from") => r.declared_bot |= !value().is_empty(),
                5 if name.eq_ignore_ascii_case("range") => r.range = true,
                5 if name.eq_ignore_ascii_case("x-moz") => r.prefetch |= says_prefetch(value()),
                6 if name.eq_ignore_ascii_case("accept") => r.accept = Some(better_accept(r.accept, value())),
                6 if name.eq_ignore_ascii_case("cookie") => r.cookies = true,
                6 if name.eq_ignore_ascii_case("x-pjax") => first(&mut r.library, Library::Pjax),
                7 if name.eq_ignore_ascii_case("referer") => first(&mut r.referer, value()),
                7 if name.eq_ignore_ascii_case("sec-gpc") => r.opt_out |= value() == b"1",
                7 if name.eq_ignore_ascii_case("purpose") => r.prefetch |= says_prefetch(value()),
                7 if name.eq_ignore_ascii_case("x-barba") => first(&mut r.library, Library::Barba),
                9 if name.eq_ignore_ascii_case("x-purpose") => r.prefetch |= says_prefetch(value()),
                9 if name.eq_ignore_ascii_case("sec-ch-ua") => first(&mut r.brands, value()),
                9 if name.eq_ignore_ascii_case("x-inertia") => first(&mut r.library, Library::Inertia),
                10 if name.eq_ignore_ascii_case("user-agent") => first(&mut r.user_agent, value()),
                10 if name.eq_ignore_ascii_case("hx-request") => first(&mut r.library, Library::Htmx),
                11 if name.eq_ignore_ascii_case("sec-purpose") => r.sec_purpose |= says_prefetch(value()),
                11 if name.eq_ignore_ascii_case("turbo-frame") => first(&mut r.library, Library::Turbo),
                11 if name.eq_ignore_ascii_case("next-action") => first(&mut r.library, Library::Next),
                12 if name.eq_ignore_ascii_case("x-up-version") => first(&mut r.library, Library::Unpoly),
                13 if name.eq_ignore_ascii_case("x-sec-purpose") => r.prefetch |= says_prefetch(value()),
                14 if name.eq_ignore_ascii_case("sec-fetch-dest") => first(&mut r.fetch_dest, value()),
                14 if name.eq_ignore_ascii_case("sec-fetch-mode") => first(&mut r.fetch_mode, value()),
                15 if name.eq_ignore_ascii_case("signature-agent") => r.declared_bot |= !value().is_empty(),
                16 if name.eq_ignore_ascii_case("x-requested-with") => r.read_requested_with(value()),
                18 if name.eq_ignore_ascii_case("x-turbo-request-id") => {
                    first(&mut r.library, Library::Turbo);
                }
                18 if name.eq_ignore_ascii_case("x-sveltekit-action") => r.script = true,
                19 if name.eq_ignore_ascii_case("turbolinks-referrer") => {
                    first(&mut r.library, Library::Turbolinks);
                }
                19 if name.eq_ignore_ascii_case("x-livewire-navigate") => {
                    first(&mut r.library, Library::Livewire);
                }
                20 if name.eq_ignore_ascii_case("next-router-prefetch") => r.read_next_prefetch(),
                25 if name.eq_ignore_ascii_case("upgrade-insecure-requests") => {
                    r.upgrade_insecure = value() == b"1";
                }
                26 if name.eq_ignore_ascii_case("hx-history-restore-request") => {
                    first(&mut r.library, Library::Htmx);
                }
                28 if name.eq_ignore_ascii_case("next-router-segment-prefetch") => r.read_next_prefetch(),
                33 if name.eq_ignore_ascii_case("service-worker-navigation-preload") => {
                    r.navigation_preload = value().eq_ignore_ascii_case(b"true");
                }
                _ => {}
            }
        }
        r.prefetch |= r.sec_purpose;
        r.script |= r.library.is_some();
        r
    }

    fn read_requested_with(&mut self, value: &[u8]) {
        // Android's web views put the app's name here, with every navigation.
        if value.eq_ignore_ascii_case(b"swup") {
            first(&mut self.library, Library::Swup);
        }
        self.script |= value.eq_ignore_ascii_case(b"xmlhttprequest") || value.eq_ignore_ascii_case(b"fetch");
    }

    fn read_next_prefetch(&mut self) {
        self.prefetch = true;
        first(&mut self.library, Library::Next);
    }

    /// Whether a page that is shown may have made the request. A browser marks what it fetches ahead, and what
    /// a page asks for that is not shown yet. A script that fetches ahead runs in a page that is shown.
    pub fn is_of_a_shown_page(&self) -> bool {
        !self.sec_purpose && (!self.prefetch || self.library.is_some())
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

fn first<T>(slot: &mut Option<T>, value: T) {
    if slot.is_none() {
        *slot = Some(value);
    }
}

/// Whether a purpose header says that the page is fetched before it is shown. Its value is a list of tokens
/// with parameters (`prefetch;prerender`), compared without case.
fn says_prefetch(value: &[u8]) -> bool {
    value.split(|b| matches!(b, b';' | b',' | b' ' | b'\t')).any(|t| {
        ["prefetch", "prerender", "preview"]
            .iter()
            .any(|w| t.eq_ignore_ascii_case(w.as_bytes()))
    })
}

/// Whether an `Accept` value names `text/html` or `application/xhtml+xml` itself, with a weight above zero
/// (RFC 9110 §12.5.1). `*/*` alone does not.
pub fn names_document(accept: &[u8]) -> bool {
    field::members(accept).any(|range| {
        // Most ranges are no document's, so the type is compared before its end is looked for.
        DOCUMENTS
            .iter()
            .filter_map(|kind| {
                range
                    .split_at_checked(kind.len())
                    .filter(|(start, _)| start.eq_ignore_ascii_case(kind))
            })
            .any(|(_, rest)| {
                let mut parts = rest.split(|b| *b == b';').map(field::trim);
                parts.next().is_some_and(<[u8]>::is_empty) && !parts.any(is_zero_weight)
            })
    })
}

/// The media types of documents.
const DOCUMENTS: [&[u8]; 2] = [b"text/html", b"application/xhtml+xml"];

/// Whether a media type without parameters is a document's.
fn is_document(kind: &[u8]) -> bool {
    DOCUMENTS
        .iter()
        .any(|document| kind.eq_ignore_ascii_case(document))
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
    let value = field::trim(&value[1..]);
    field::trim(name).eq_ignore_ascii_case(b"q")
        && !value.is_empty()
        && value.iter().all(|b| matches!(b, b'0' | b'.'))
}

/// The facts of one final response head.
#[derive(Debug, Default, Clone, Copy)]
pub struct ResponseFacts<'a> {
    /// The status code, 200–999.
    pub status: u16,
    /// `Content-Type`, raw, first line.
    pub content_type: Option<&'a [u8]>,
    /// `Content-Disposition` says `attachment` (RFC 6266 §4.2).
    pub attachment: bool,
    /// `Critical-CH`: hints without which a browser drops the response and asks again.
    pub critical_hints: Option<&'a [u8]>,
    /// A browser can ask whether what it has is still good: `ETag` or `Last-Modified` was sent.
    pub has_validator: bool,
    /// Every field line, for the rare rule that needs one by its name.
    pub fields: &'a [Header<'a>],
    /// All field lines if one of them is the app's word to gatecount (`Gatecount-*`), else none.
    pub words: &'a [Header<'a>],
}

impl<'a> ResponseFacts<'a> {
    /// The facts of a head with no field that tells anything, as of an answer of gatecount's own.
    pub fn of_status(status: u16) -> Self {
        ResponseFacts {
            status,
            ..ResponseFacts::default()
        }
    }

    /// Reads the facts out of a head's fields.
    pub fn read(status: u16, fields: &'a [Header<'a>]) -> Self {
        let mut r = ResponseFacts {
            status,
            fields,
            ..ResponseFacts::default()
        };
        for f in fields {
            match f.name.len() {
                4 if f.name.eq_ignore_ascii_case("etag") => r.has_validator = true,
                13 if f.name.eq_ignore_ascii_case("last-modified") => r.has_validator = true,
                11 if f.name.eq_ignore_ascii_case("critical-ch") => {
                    first(&mut r.critical_hints, field::trim(f.value));
                }
                12 if f.name.eq_ignore_ascii_case("content-type") => {
                    first(&mut r.content_type, field::trim(f.value));
                }
                19 if f.name.eq_ignore_ascii_case("content-disposition") => {
                    let kind = field::without_parameters(f.value);
                    r.attachment |= kind.eq_ignore_ascii_case(b"attachment");
                }
                // `Gatecount-Page`, `Gatecount-Event`, and slips such as `Gatecount-Events`.
                14..=17 if field::folds_to_prefix(f.name, "gatecount-") => r.words = fields,
                _ => {}
            }
        }
        r
    }

    /// Whether the body is a document that a browser shows as a page: `text/html` or `application/xhtml+xml`.
    pub fn is_document(&self) -> bool {
        self.content_type
            .is_some_and(|t| is_document(field::without_parameters(t)))
    }

    /// Whether the body is a picture, a film or a sound.
    pub fn is_media(&self) -> bool {
        self.content_type.is_some_and(|kind| {
            [&b"image/"[..], b"video/", b"audio/"].iter().any(|start| {
                kind.get(..start.len())
                    .is_some_and(|found| found.eq_ignore_ascii_case(start))
            })
        })
    }

    /// Whether the body's type is this one, which is in lower case.
    pub fn is_of_type(&self, kind: &str) -> bool {
        self.content_type
            .is_some_and(|t| field::without_parameters(t).eq_ignore_ascii_case(kind.as_bytes()))
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
        assert_eq!(RequestFacts::read("GET", "/", &f).accept, Some(&b"text/html"[..]));
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
            assert!(
                RequestFacts::read("GET", "/", &[h(name, value)]).prefetch,
                "{name}"
            );
        }
        assert!(!RequestFacts::read("GET", "/", &[h("Purpose", "prefetching")]).prefetch);
    }

    #[test]
    fn who_says_to_be_a_bot_is_heard() {
        for (name, value, bot) in [
            ("Signature-Agent", "\"https://chatgpt.com\"", true),
            ("From", "crawler@example.com", true),
            ("from", "", false),
            ("Form", "x", false),
        ] {
            let fields = [h(name, value)];
            assert_eq!(
                RequestFacts::read("GET", "/", &fields).declared_bot,
                bot,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn the_apps_words_are_noticed_and_nothing_else_is_taken_for_one() {
        for (name, noticed) in [
            ("Gatecount-Page", true),
            ("gatecount-event", true),
            ("GATECOUNT_EVENT", true),
            ("Gatecount-Events", true),
            ("X-Frame-Options", false),
            ("Transfer-Encoding", false),
            ("Content-Length", false),
        ] {
            let fields = [h("content-type", "text/html"), h(name, "x")];
            let words = ResponseFacts::read(200, &fields).words;
            assert_eq!(words.len(), if noticed { 2 } else { 0 }, "{name}");
        }
    }

    #[test]
    fn a_response_type_is_compared_without_parameters_and_case() {
        for (value, page) in [
            ("Text/HTML; charset=utf-8", true),
            ("application/xhtml+xml", true),
            ("text/htmlx", false),
        ] {
            assert_eq!(
                ResponseFacts::read(200, &[h("content-type", value)]).is_document(),
                page,
                "{value}"
            );
        }
        assert!(ResponseFacts::read(200, &[h("Content-Disposition", "ATTACHMENT; filename=a")]).attachment);
        assert!(
            !ResponseFacts::read(200, &[h("Content-Disposition", "inline; filename=attachment")]).attachment
        );
    }
}
