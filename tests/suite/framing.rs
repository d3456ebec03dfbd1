//! Response framing (RELIABILITY.md P7): what could be read in two ways is passed in the one right way or
//! answered 502, and never cuts a body or makes one response into two.

use crate::support::{
    client::Request,
    origin::{self, Origin},
    process::Builder,
};

/// What the client may get: the body in full, or a 502.
#[derive(Debug, Clone, Copy)]
enum Right {
    /// This body and nothing else.
    Body(&'static str),
    /// This body, or 502.
    BodyOr502(&'static str),
    /// 502 alone: no reading is safe.
    Refused,
    /// The head passes and the body ends as cut off, or 502.
    CutOr502,
}

const CASES: &[(&str, &str, Right)] = &[
    // RFC 9112 §6.3: Transfer-Encoding overrides Content-Length.
    (
        "TE then CL",
        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::BodyOr502("hello"),
    ),
    (
        "CL then TE",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::BodyOr502("hello"),
    ),
    (
        "TE and CL 0",
        "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::BodyOr502("hello"),
    ),
    (
        "two equal lengths",
        "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        Right::BodyOr502("hello"),
    ),
    (
        "two equal lengths on a line",
        "Content-Length: 5, 5\r\n\r\nhello",
        Right::BodyOr502("hello"),
    ),
    (
        "two lengths",
        "Content-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "two lengths the other way",
        "Content-Length: 5\r\nContent-Length: 3\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "two lengths on a line",
        "Content-Length: 3, 5\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "a signed length",
        "Content-Length: +5\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "a negative length",
        "Content-Length: -5\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "a hexadecimal length",
        "Content-Length: 0x5\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "a length with a space in it",
        "Content-Length: 5 5\r\n\r\nhello",
        Right::Refused,
    ),
    ("an empty length", "Content-Length:\r\n\r\nhello", Right::Refused),
    (
        "a length beyond 64 bits",
        "Content-Length: 18446744073709551621\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "a coding in capitals",
        "Transfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::Body("hello"),
    ),
    (
        "an unknown coding",
        "Transfer-Encoding: banana\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "chunked twice",
        "Transfer-Encoding: chunked, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::Refused,
    ),
    (
        "chunked on two lines",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::Refused,
    ),
    (
        "chunked and then another",
        "Transfer-Encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::Refused,
    ),
    (
        "a coding with a control",
        "Transfer-Encoding: \u{b}chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::Refused,
    ),
    // RFC 9112 §5.1: a proxy takes such a space out of a response.
    (
        "a space before the colon",
        "Transfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Right::BodyOr502("hello"),
    ),
    (
        "a folded field",
        "X-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello",
        Right::BodyOr502("hello"),
    ),
    (
        "a bare CR",
        "X-A: b\rContent-Length: 3\r\nContent-Length: 5\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "a NUL",
        "X-A: b\0c\r\nContent-Length: 5\r\n\r\nhello",
        Right::Refused,
    ),
    (
        "neither: until the close",
        "X-A: b\r\n\r\nhello",
        Right::Body("hello"),
    ),
    (
        "chunk sizes with zeros",
        "Transfer-Encoding: chunked\r\n\r\n0005\r\nhello\r\n000\r\n\r\n",
        Right::Body("hello"),
    ),
    (
        "chunk extensions",
        "Transfer-Encoding: chunked\r\n\r\n5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n",
        Right::Body("hello"),
    ),
    (
        "a chunk size with a sign",
        "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
        Right::CutOr502,
    ),
    (
        "a chunk size with 0x",
        "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
        Right::CutOr502,
    ),
    (
        "a chunk size beyond 64 bits",
        "Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
        Right::CutOr502,
    ),
    (
        "a chunk longer than its size",
        "Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        Right::CutOr502,
    ),
    (
        "a chunk ended by LF alone",
        "Transfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
        Right::CutOr502,
    ),
    (
        "an end without its empty line",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
        Right::CutOr502,
    ),
];

#[test]
fn every_framing_is_passed_right_or_refused() {
    let app = Origin::start(|visit| {
        let case: usize = visit.head.target()[1..].parse().expect("a case's number");
        origin::says(format!("HTTP/1.1 200 OK\r\n{}", CASES[case].1))(visit)
    });
    let sidecar = shared_settings(&app).start();
    let mut wrong = Vec::new();
    for (case, (name, _, right)) in CASES.iter().enumerate() {
        let got = sidecar.client().try_ask(&Request::get(&format!("/{case}")));
        let verdict = match &got {
            Err(e) => format!("no response: {e}"),
            Ok(r) if r.status() == 502 => "502".into(),
            Ok(r) if !r.complete => "cut off".into(),
            Ok(r) => r.text(),
        };
        let fine = match right {
            Right::Body(body) => verdict == *body,
            Right::BodyOr502(body) => verdict == *body || verdict == "502",
            Right::Refused => verdict == "502",
            // The head had gone when the fault was met.
            Right::CutOr502 => ["502", "cut off"].contains(&verdict.as_str()),
        };
        if !fine {
            wrong.push(format!("{name}: {verdict:?} is not {right:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn bytes_behind_a_response_are_not_the_next_response() {
    let smuggled = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
    for first in [
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngood",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
    ] {
        let app = Origin::start(origin::says_and_stays(format!("{first}{smuggled}")));
        let sidecar = shared_settings(&app).start();
        let mut client = sidecar.client();
        for _ in 0..3 {
            let response = client.ask(&Request::get("/"));
            assert_ne!(response.text(), "evil", "behind {first:?}");
        }
        assert_eq!(
            app.connections(),
            3,
            "a connection with bytes left over was used again: {first:?}"
        );
    }
}

#[test]
fn a_head_answer_with_a_body_is_not_the_next_response() {
    let app = Origin::start(origin::says_and_stays(
        "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    ));
    let sidecar = shared_settings(&app).start();
    let mut client = sidecar.client();
    for _ in 0..3 {
        let response = client.ask(&Request::new("HEAD", "/"));
        assert_eq!(
            (response.status(), response.head.get("content-length")),
            (200, Some("4"))
        );
    }
}

/// One worker, so that a pooled connection to the app would be used again.
fn shared_settings(app: &Origin) -> Builder {
    Builder::before(app)
        .set("listen.workers", 1)
        .set("queue.at", "memory")
}
