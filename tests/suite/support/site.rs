//! A whole site whose every answer is known beforehand, so that a load through the proxy can be compared byte
//! for byte: pages, pictures, redirects, errors, JSON, echoes, big bodies, in all framings.

use std::io;

use super::{
    client::{FETCH, IMAGE, NAVIGATION, Request},
    message::Response,
    origin::{Origin, Then, Visit},
};

/// What the site says to one request.
struct Answer {
    status: &'static str,
    fields: Vec<(&'static str, String)>,
    body: Vec<u8>,
    framing: Framing,
}

#[derive(PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    UntilClose,
    None,
}

/// The running site.
pub(crate) fn start() -> Origin {
    Origin::start(visit_site)
}

/// The nth request of a load: kinds take turns, each with a body of its own.
pub(crate) fn request(n: usize) -> Request {
    let path = |kind: &str| format!("/{kind}/{n}");
    match n % 12 {
        0 | 6 => Request::get(&path("page")).as_(NAVIGATION),
        1 => Request::get(&path("image")).as_(IMAGE),
        2 => Request::get(&path("chunked")).as_(NAVIGATION),
        3 => Request::get(&path("redirect")).as_(NAVIGATION),
        4 => Request::get(&path("missing")).as_(NAVIGATION),
        5 => Request::get(&path("api")).as_(FETCH),
        7 => Request::post(&path("echo"), &pattern(n, n % 3000)).as_(FETCH),
        8 if n.is_multiple_of(5) => Request::get(&path("big")).as_(IMAGE),
        8 => Request::new("HEAD", &path("page")).as_(FETCH),
        9 => Request::get(&path("empty")).as_(FETCH),
        10 => Request::get(&path("unmodified")).as_(NAVIGATION),
        _ if n.is_multiple_of(3) => Request::get(&path("until-close")).as_(FETCH),
        _ => Request::get(&path("broken")).as_(FETCH),
    }
}

/// Whether a request of [`request`] is a page view.
pub(crate) fn is_page(request: &Request) -> bool {
    request.method() == "GET"
        && ["/page/", "/chunked/", "/unmodified/"]
            .iter()
            .any(|kind| request.target().starts_with(kind))
}

/// Holds a response against what the site says to this request.
pub(crate) fn compare(request: &Request, response: &Response) -> Result<(), String> {
    let expected = answer(request.method(), request.target(), request.body());
    let is_http2 = response.head.start.starts_with("HTTP/2 ");
    let start = match expected.status.split_once(' ') {
        Some((code, _)) if is_http2 => format!("HTTP/2 {code}"),
        _ => format!("HTTP/1.1 {}", expected.status),
    };
    let mut came = response.head.end_to_end();
    came.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
    let mut fields = expected.fields();
    if is_http2 {
        // Names have no upper case there (RFC 9113 §8.2.1).
        for (name, _) in &mut fields {
            name.make_ascii_lowercase();
        }
    }
    let length = (expected.framing == Framing::Length).then(|| expected.body.len().to_string());
    let body: &[u8] = if request.method() == "HEAD" {
        b""
    } else {
        &expected.body
    };
    if response.head.start != start {
        return Err(format!(
            "status line {:?} instead of {start:?}",
            response.head.start
        ));
    }
    if came != fields {
        return Err(format!("fields {came:?} instead of {fields:?}"));
    }
    if length.is_some() && response.head.get("content-length") != length.as_deref() {
        return Err(format!(
            "length {:?} instead of {length:?}",
            response.head.get("content-length")
        ));
    }
    if response.body != body || !response.complete {
        return Err(format!(
            "body of {} bytes instead of {}, complete: {}",
            response.body.len(),
            body.len(),
            response.complete
        ));
    }
    Ok(())
}

fn visit_site(visit: &mut Visit) -> io::Result<Then> {
    let body = visit.body();
    let answer = answer(visit.head.method(), visit.head.target(), &body);
    let mut out = format!("HTTP/1.1 {}\r\n", answer.status).into_bytes();
    for (name, value) in answer.fields() {
        out.extend(format!("{name}: {value}\r\n").bytes());
    }
    match answer.framing {
        Framing::Chunked => out.extend(b"transfer-encoding: chunked\r\n"),
        Framing::UntilClose => out.extend(b"connection: close\r\n"),
        Framing::Length => out.extend(format!("Content-Length: {}\r\n", answer.body.len()).bytes()),
        Framing::None => {}
    }
    out.extend(b"\r\n");
    if visit.head.method() != "HEAD" {
        if answer.framing == Framing::Chunked {
            for piece in answer.body.chunks(700) {
                out.extend(format!("{:X}\r\n", piece.len()).bytes());
                out.extend(piece);
                out.extend(b"\r\n");
            }
            out.extend(b"0\r\n\r\n");
        } else {
            out.extend(&answer.body);
        }
    }
    visit.send(out)?;
    Ok(if answer.framing == Framing::UntilClose {
        Then::Close
    } else {
        Then::Keep
    })
}

impl Answer {
    /// The end-to-end fields, but for the length.
    fn fields(&self) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
        self.fields.iter().map(owned).collect()
    }
}

fn answer(method: &str, target: &str, sent: &[u8]) -> Answer {
    let mut parts = target.trim_start_matches('/').split('/');
    let kind = parts.next().unwrap_or_default();
    let n: usize = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let html = |title: &str| {
        format!(
            "<!doctype html><title>{title} {n}</title>{}",
            "text ".repeat(n % 200)
        )
    };
    let typed = |status, kind: &str, body: Vec<u8>, framing| Answer {
        status,
        fields: vec![
            ("Server", "site".to_owned()),
            ("content-type", kind.to_owned()),
            ("Set-Cookie", format!("a={n}")),
            ("Set-Cookie", format!("b={n}; Path=/")),
        ],
        body,
        framing,
    };
    match (method, kind) {
        (_, "image") => typed("200 OK", "image/png", pattern(n, 3000), Framing::Length),
        (_, "chunked") => typed(
            "200 OK",
            "text/html",
            html("Chunked").into_bytes(),
            Framing::Chunked,
        ),
        (_, "redirect") => Answer {
            status: "302 Found",
            fields: vec![("Location", format!("/page/{n}?from=redirect"))],
            body: Vec::new(),
            framing: Framing::Length,
        },
        (_, "missing") => typed(
            "404 Not Found",
            "text/html",
            html("Missing").into_bytes(),
            Framing::Length,
        ),
        (_, "broken") => typed("500 Oh Dear", "text/plain", b"broken".to_vec(), Framing::Length),
        (_, "api") => typed(
            "200 OK",
            "application/json",
            format!("{{\"n\":{n}}}").into_bytes(),
            Framing::Length,
        ),
        ("POST", "echo") => typed(
            "200 OK",
            "application/octet-stream",
            sent.to_vec(),
            Framing::Length,
        ),
        (_, "big") => typed(
            "200 OK",
            "application/octet-stream",
            pattern(n, 256 * 1024),
            Framing::Length,
        ),
        (_, "empty") => Answer {
            status: "204 No Content",
            fields: vec![("X-Empty", n.to_string())],
            body: Vec::new(),
            framing: Framing::None,
        },
        (_, "unmodified") => Answer {
            status: "304 Not Modified",
            fields: vec![("ETag", format!("\"{n}\""))],
            body: Vec::new(),
            framing: Framing::None,
        },
        (_, "until-close") => typed("200 OK", "text/plain", pattern(n, 5000), Framing::UntilClose),
        _ => typed(
            "200 OK",
            "text/html; charset=utf-8",
            html("Page").into_bytes(),
            Framing::Length,
        ),
    }
}

/// Bytes that differ by their number, so that a mix-up of two bodies shows.
fn pattern(n: usize, length: usize) -> Vec<u8> {
    (0..length)
        .map(|i| (i.wrapping_mul(31).wrapping_add(n * 7)) as u8)
        .collect()
}
