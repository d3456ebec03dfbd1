//! The tracker's own paths: events are taken as Plausible takes them and lost by nothing, the script is
//! served whatever Plausible does, and the pixel is a page view.

mod browser;
mod events;
mod floods;
mod pixel;
mod receiver;
mod refusals;
mod script;
mod survival;

use std::net::TcpStream;

use crate::support::{
    client::{CHROME, Client, Request},
    http2::Http2,
    message::Response,
    origin::{self, Origin},
    process::{Builder, Sidecar},
    receiver::Receiver,
};

/// What Chrome sends with the tracker's `fetch`.
const TRACKER: &[(&str, &str)] = &[
    ("User-Agent", CHROME),
    ("Accept", "*/*"),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Cookie", "session=secret"),
    ("Origin", "https://example.com"),
    ("Referer", "https://example.com/secret?token=1"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
];

/// An app, a Plausible, and a sidecar between them that takes events, over both protocols.
struct Stage {
    app: Origin,
    plausible: Receiver,
    sidecar: Sidecar,
}

impl Stage {
    #[track_caller]
    fn new() -> Stage {
        Stage::with(|builder| builder)
    }

    #[track_caller]
    fn with(change: impl FnOnce(Builder) -> Builder) -> Stage {
        let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
        let builder = Builder::before(&app)
            .telling(&plausible)
            .set("listen.http2", true)
            .set("tracker.event", "/api/event")
            .set("pages.tracker_wait", "100ms");
        let sidecar = change(builder).start();
        Stage {
            app,
            plausible,
            sidecar,
        }
    }

    /// The response over HTTP/1.1 and over HTTP/2.
    #[track_caller]
    fn ask(&self, request: &Request) -> [Response; 2] {
        [self.ask_http1(request), self.http2().ask(request)]
    }

    #[track_caller]
    fn ask_http1(&self, request: &Request) -> Response {
        Client::to(self.sidecar.address).ask(request)
    }

    #[track_caller]
    fn http2(&self) -> Http2 {
        let stream = TcpStream::connect(self.sidecar.address).unwrap();
        Http2::over(stream).unwrap()
    }

    fn events(&self, result: &str) -> u64 {
        let metrics = self.sidecar.metrics();
        metrics
            .metric("gatecount_tracker_events_total")
            .label("result", result)
            .value()
    }
}

/// The tracker's post of this body, from a visitor.
fn post(body: &str) -> Request {
    Request::post("/api/event", body.as_bytes())
        .as_(TRACKER)
        .with("Content-Type", "text/plain;charset=UTF-8")
        .from("203.0.113.7")
}

/// A custom event with a number.
fn numbered(n: usize) -> String {
    format!("{{\"n\":\"e{n}\",\"v\":36,\"u\":\"https://example.com/{n}\",\"d\":\"example.com\"}}")
}
