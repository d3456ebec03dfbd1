//! What can go wrong between client and app; the one place that turns an error into a response, names whose fault it
//! was, and counts it.

use std::{
    cell::RefCell,
    io,
    time::{Duration, Instant},
};

use super::metrics::Metrics;
use crate::{
    http1::{BadResponse, ChunkedError, Refusal},
    telemetry::LogThrottle,
};

/// Who has to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Client,
    App,
}

/// Why a request did not get the app's answer.
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
    #[error("no connection to the app: {0}")]
    Connect(io::ErrorKind),
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
    #[error("the app's response was cut short")]
    Cut,
    #[error("the app's response has a malformed body: {0}")]
    ResponseBody(ChunkedError),
}

impl Fault {
    /// The status that tells the client.
    pub(super) fn status(&self) -> u16 {
        match self {
            Fault::Refused(refusal) => refusal.status(),
            Fault::RequestBody(_) | Fault::Preamble => 400,
            Fault::SlowHead | Fault::SlowBody => 408,
            Fault::ConnectTimeout | Fault::ResponseTimeout => 504,
            Fault::Connect(_)
            | Fault::Closed
            | Fault::Response(_)
            | Fault::Unasked
            | Fault::Cut
            | Fault::ResponseBody(_) => 502,
        }
    }

    pub(super) fn whose(&self) -> Whose {
        match self {
            Fault::Refused(_)
            | Fault::RequestBody(_)
            | Fault::SlowHead
            | Fault::SlowBody
            | Fault::Preamble => Whose::Client,
            _ => Whose::App,
        }
    }

    /// The label of `gatecount_app_errors_total`; none where the app had no part in it.
    pub(super) fn reason(&self) -> Option<Reason> {
        Some(match self {
            Fault::Connect(_) => Reason::Connect,
            Fault::ConnectTimeout => Reason::ConnectTimeout,
            Fault::ResponseTimeout => Reason::ResponseTimeout,
            Fault::Closed => Reason::Closed,
            Fault::Response(_) | Fault::Unasked | Fault::ResponseBody(_) => Reason::Malformed,
            Fault::Cut => Reason::Cut,
            _ => return None,
        })
    }

    /// The words for the client: whose side it is on, and no inside of ours.
    fn body(&self) -> &'static str {
        match self.status() {
            400 => "400 Bad Request: the request is malformed.\n",
            405 => "405 Method Not Allowed: CONNECT is not offered here.\n",
            408 => "408 Request Timeout: the request took too long to arrive.\n",
            417 => "417 Expectation Failed: only 100-continue is understood.\n",
            431 => "431 Request Header Fields Too Large.\n",
            501 => "501 Not Implemented: the transfer coding is not supported.\n",
            502 => "502 Bad Gateway: the app behind this proxy did not give a usable answer.\n",
            504 => "504 Gateway Timeout: the app behind this proxy took too long.\n",
            505 => "505 HTTP Version Not Supported.\n",
            _ => "500 Internal Server Error.\n",
        }
    }

    /// The whole response: short, plain, never cached.
    pub(super) fn response(&self, to_head: bool, close: bool) -> Vec<u8> {
        let body = self.body();
        let line = body
            .split([':', '\n'])
            .next()
            .unwrap_or_default()
            .trim_end_matches('.');
        let allow = if self.status() == 405 {
            "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"
        } else {
            ""
        };
        let connection = if close { "Connection: close\r\n" } else { "" };
        let length = body.len();
        let body = if to_head { "" } else { body };
        format!(
            "HTTP/1.1 {line}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n{allow}{connection}\r\n{body}"
        )
        .into_bytes()
    }
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

/// Logs and counts faults. A dead app must not fill the disk: five lines a second, by worker.
#[derive(Debug)]
pub(super) struct Reporter(RefCell<LogThrottle>);

impl Reporter {
    pub(super) fn new() -> Self {
        Reporter(RefCell::new(LogThrottle::new(5, Duration::from_secs(1))))
    }

    /// Logs and counts one fault. `sent`: the status that the client got, if any.
    pub(super) fn report(&self, fault: &Fault, sent: Option<u16>, metrics: &Metrics) {
        if let Some(reason) = fault.reason() {
            metrics.app_error(reason);
        }
        let Some(occurrences) = self.0.borrow_mut().pass(Instant::now(), 1) else {
            return;
        };
        match fault.whose() {
            Whose::App => tracing::warn!(fault = "app", status = sent, occurrences, "{fault}"),
            Whose::Client => tracing::info!(fault = "client", status = sent, occurrences, "{fault}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_response_is_whole_and_says_its_status() {
        for fault in [
            Fault::Refused(Refusal::Malformed),
            Fault::Refused(Refusal::TooLarge),
            Fault::Refused(Refusal::Connect),
            Fault::Refused(Refusal::Coding),
            Fault::Refused(Refusal::Version),
            Fault::Refused(Refusal::Expectation),
            Fault::SlowHead,
            Fault::Connect(io::ErrorKind::ConnectionRefused),
            Fault::ResponseTimeout,
        ] {
            let text = String::from_utf8(fault.response(false, true)).unwrap();
            let (head, body) = text.split_once("\r\n\r\n").unwrap();
            assert!(
                head.starts_with(&format!("HTTP/1.1 {} ", fault.status())),
                "{head}"
            );
            assert!(!head.lines().next().unwrap().ends_with('.'), "{head}");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
            assert!(head.contains("Connection: close"));
            assert!(body.starts_with(&fault.status().to_string()), "{body}");
            assert!(fault.response(true, false).ends_with(b"\r\n\r\n"));
        }
    }
}
