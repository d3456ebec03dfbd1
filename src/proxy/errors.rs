//! What can go wrong between client and app, in one table: for each fault its status, whose fault it is, its
//! metric and its words.

use std::io;

use crate::{
    http1::{BadResponse, ChunkedError, Refusal},
    tracker::inject::DamagedBody,
};

/// Whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Client,
    App,
}

/// Why a request did not get the app's answer. The text is for the log; [`Fault::words`] are for the client.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("{0}")]
    Refused(#[from] Refusal),
    #[error("the request's body is malformed: {0}")]
    RequestBody(ChunkedError),
    #[error("the request's head took too long")]
    SlowHead,
    #[error("the request's body stopped arriving")]
    SlowBody,
    #[error("the PROXY protocol header is missing or malformed")]
    Preamble,
    #[error("the client speaks plain HTTP to a TLS port")]
    PlainHttp,
    #[error("there is no app, and this is none of the tracker's paths")]
    NoApp,
    #[error("no connection to the app: {0}")]
    Connect(io::Error),
    #[error("the app's name {name:?} can't be resolved: {reason}")]
    Unresolved { name: String, reason: String },
    #[error("as many connections to the app are open as the limit of open files allows")]
    NoPlace,
    #[error("the app took too long to accept a connection")]
    ConnectTimeout,
    #[error("the app took too long to respond")]
    ResponseTimeout,
    #[error("the app closed the connection before it responded")]
    Closed,
    #[error("the app's response can't be passed on: {0}")]
    Response(#[from] BadResponse),
    #[error("the app switched protocols unasked")]
    Unasked,
    #[error("the app answered a WebSocket over HTTP/2 as an ordinary request")]
    NotSwitched,
    #[error("the app's response was cut short")]
    Cut,
    #[error("the app's response has a malformed body: {0}")]
    ResponseBody(ChunkedError),
    #[error("the app's page can't be passed on: {0}")]
    DamagedPage(#[from] DamagedBody),
}

/// One row of the table.
struct Row {
    status: u16,
    whose: Whose,
    /// The label of `gatecount_app_errors_total`. `None` if the app had no part in it.
    reason: Option<Reason>,
    /// The sentence for the client, after the status and its standard phrase. It reveals nothing of our
    /// inside.
    words: &'static str,
}

const BAD_GATEWAY: &str = "the app behind this proxy did not give a usable answer";
const GATEWAY_TIMEOUT: &str = "the app behind this proxy took too long";
const MALFORMED: &str = "the request is malformed";
const SLOW: &str = "the request took too long to arrive";

const fn of_client(status: u16, words: &'static str) -> Row {
    Row {
        status,
        whose: Whose::Client,
        reason: None,
        words,
    }
}

const fn of_app(status: u16, reason: Reason, words: &'static str) -> Row {
    Row {
        status,
        whose: Whose::App,
        reason: Some(reason),
        words,
    }
}

impl Fault {
    /// The table.
    fn row(&self) -> Row {
        match self {
            Fault::Refused(refusal) => of_client(refusal.status(), refusal_words(*refusal)),
            Fault::RequestBody(_) | Fault::Preamble => of_client(400, MALFORMED),
            Fault::PlainHttp => of_client(400, "this port speaks TLS: use https://"),
            Fault::NoApp => of_client(404, "there is nothing here"),
            Fault::SlowHead | Fault::SlowBody => of_client(408, SLOW),
            Fault::Connect(_) | Fault::Unresolved { .. } => of_app(502, Reason::Connect, BAD_GATEWAY),
            Fault::NoPlace => of_app(503, Reason::Connect, "this proxy has no room for the request now"),
            Fault::ConnectTimeout => of_app(504, Reason::ConnectTimeout, GATEWAY_TIMEOUT),
            Fault::ResponseTimeout => of_app(504, Reason::ResponseTimeout, GATEWAY_TIMEOUT),
            Fault::Closed => of_app(502, Reason::Closed, BAD_GATEWAY),
            Fault::Response(_)
            | Fault::Unasked
            | Fault::NotSwitched
            | Fault::ResponseBody(_)
            | Fault::DamagedPage(_) => of_app(502, Reason::Malformed, BAD_GATEWAY),
            Fault::Cut => of_app(502, Reason::Cut, BAD_GATEWAY),
        }
    }

    /// The status that tells the client.
    pub(super) fn status(&self) -> u16 {
        self.row().status
    }

    /// Whether there is no connection to the app.
    pub(super) fn is_app_down(&self) -> bool {
        matches!(
            self,
            Fault::Connect(_) | Fault::Unresolved { .. } | Fault::ConnectTimeout
        )
    }

    /// Why the client got this answer, for the operator who reads the decisions. It has nothing of the
    /// request in it.
    pub(super) fn why(&self) -> &'static str {
        match self {
            Fault::Refused(Refusal::TooLarge) => "gatecount answered 431: the request's head is too large.",
            Fault::Refused(Refusal::Version) => "gatecount answered 505: it speaks no such version of HTTP.",
            Fault::Refused(Refusal::Coding) => "gatecount answered 501: it knows no such transfer coding.",
            Fault::Refused(Refusal::Connect) => "gatecount answered 405: CONNECT is not offered.",
            Fault::Refused(Refusal::Expectation) => {
                "gatecount answered 417: only 100-continue is understood."
            }
            Fault::Refused(Refusal::Malformed | Refusal::Host | Refusal::Target | Refusal::Framing)
            | Fault::RequestBody(_)
            | Fault::Preamble => "gatecount answered 400: the request is malformed.",
            Fault::PlainHttp => "gatecount answered 400: plain HTTP on a port that speaks TLS.",
            Fault::SlowHead | Fault::SlowBody => {
                "gatecount answered 408: the request took too long to arrive."
            }
            Fault::Connect(_) => "gatecount answered 502: no connection to the app.",
            Fault::Unresolved { .. } => "gatecount answered 502: the app's name can't be resolved.",
            Fault::NoApp => "gatecount answered 404: only the tracker's paths are answered here.",
            Fault::NoPlace => "gatecount answered 503: as many connections to the app are open as may be.",
            Fault::ConnectTimeout => "gatecount answered 504: the app accepted no connection in time.",
            Fault::ResponseTimeout => "gatecount answered 504: the app took too long to respond.",
            Fault::Closed => "gatecount answered 502: the app closed the connection before it responded.",
            Fault::Response(_)
            | Fault::Unasked
            | Fault::NotSwitched
            | Fault::ResponseBody(_)
            | Fault::DamagedPage(_) => "gatecount answered 502: the app's response can't be passed on.",
            Fault::Cut => "gatecount answered 502: the app's response was cut short.",
        }
    }

    pub(super) fn whose(&self) -> Whose {
        self.row().whose
    }

    /// The label of `gatecount_app_errors_total`. `None` if the app had no part in it.
    pub(super) fn reason(&self) -> Option<Reason> {
        self.row().reason
    }

    /// The answer's fields, in place of the app's: short, plain, never cached. The framing is the protocol's.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let allow =
            (self.status() == 405).then_some(("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Cache-Control", "no-store"),
        ]
        .into_iter()
        .chain(allow)
    }

    /// The answer's body: the status and what is wrong, in a line.
    pub(super) fn body(&self) -> String {
        let row = self.row();
        format!("{} {}: {}.\n", row.status, reason_phrase(row.status), row.words)
    }

    /// The whole answer as HTTP/1.1.
    pub(super) fn response(&self, to_head: bool, close: bool) -> Vec<u8> {
        let (status, body) = (self.status(), self.body());
        let mut head = format!(
            "HTTP/1.1 {status} {}\r\nContent-Length: {}\r\n",
            reason_phrase(status),
            body.len()
        );
        let connection = close.then_some(("Connection", "close"));
        for (name, value) in self.fields().chain(connection) {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        }
        head.push_str("\r\n");
        if !to_head {
            head.push_str(&body);
        }
        head.into_bytes()
    }
}

fn refusal_words(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::TooLarge => "the request's head is too large",
        Refusal::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
        Refusal::Coding => "the transfer coding is not supported",
        Refusal::Connect => "CONNECT is not offered here",
        Refusal::Expectation => "only 100-continue is understood",
        Refusal::Malformed | Refusal::Host | Refusal::Target | Refusal::Framing => MALFORMED,
    }
}

/// The words of a status line (RFC 9110 §15).
pub(super) fn reason_phrase(status: u16) -> &'static str {
    http::StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason())
        .unwrap_or_default()
}

/// The closed list of `gatecount_app_errors_total{reason}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    Connect,
    ConnectTimeout,
    ResponseTimeout,
    Closed,
    Malformed,
    Cut,
}

impl Reason {
    pub(super) const ALL: [Reason; 6] = [
        Reason::Connect,
        Reason::ConnectTimeout,
        Reason::ResponseTimeout,
        Reason::Closed,
        Reason::Malformed,
        Reason::Cut,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Reason::Connect => "connect",
            Reason::ConnectTimeout => "connect_timeout",
            Reason::ResponseTimeout => "response_timeout",
            Reason::Closed => "closed",
            Reason::Malformed => "malformed",
            Reason::Cut => "cut",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_response_is_complete_and_says_its_status() {
        for fault in [
            Fault::Refused(Refusal::Malformed),
            Fault::Refused(Refusal::TooLarge),
            Fault::Refused(Refusal::Connect),
            Fault::Refused(Refusal::Coding),
            Fault::Refused(Refusal::Version),
            Fault::Refused(Refusal::Expectation),
            Fault::SlowHead,
            Fault::Connect(io::ErrorKind::ConnectionRefused.into()),
            Fault::NoPlace,
            Fault::ResponseTimeout,
        ] {
            let text = String::from_utf8(fault.response(false, true)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            let line = head.lines().next().unwrap();
            let phrase = line
                .strip_prefix(&format!("HTTP/1.1 {} ", fault.status()))
                .unwrap();
            assert!(phrase.len() > 4 && !phrase.ends_with('.'), "{head}");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
            assert!(head.ends_with("\r\nConnection: close"), "{head}");
            assert!(
                body.starts_with(&format!("{} {phrase}: ", fault.status())),
                "{body}"
            );
            assert!(fault.response(true, false).ends_with(b"\r\n\r\n"));
            assert_eq!(head.contains("\r\nAllow: "), fault.status() == 405, "{head}");
            let why = format!("gatecount answered {}: ", fault.status());
            assert!(fault.why().starts_with(&why), "{}", fault.why());
        }
    }
}
