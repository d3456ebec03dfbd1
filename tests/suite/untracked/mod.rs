//! `[pages] count = "untracked"`: each view of a page counts once, by the tracker script or by the server.

mod aside;
mod browser;
mod kills;
mod mouths;
mod races;

use std::{
    collections::BTreeMap,
    net::TcpStream,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::support::{
    client::{CHROME, Client, IMAGE, NAVIGATION, Request},
    http2::Http2,
    message::Response,
    origin::{Origin, Then, Visit},
    process::{Builder, Sidecar},
    receiver::Receiver,
};

/// How long a view waits where the script does not come.
const WAIT: Duration = Duration::from_millis(800);
/// How long it waits where the script does, however busy the machine is.
const LONG: &str = "60s";

/// An app whose pages say by their path what the app says of them; a Plausible; and a sidecar between them.
struct Stage {
    plausible: Receiver,
    sidecar: Sidecar,
    /// Requests that were made, and so are decided about sooner or later.
    asked: AtomicUsize,
    _app: Origin,
}

fn app() -> Origin {
    Origin::start(|visit: &mut Visit| {
        let word = match visit.head.target() {
            "/off" => "gatecount-page: off\r\n",
            "/amended" => "gatecount-page: {\"url\": \"/other\", \"props\": {\"a\": \"b\"}}\r\n",
            _ => "",
        };
        let kind = match visit.head.target() {
            "/declared" => "application/json\r\ngatecount-page: {}",
            _ => "text/html",
        };
        visit.send(format!(
            "HTTP/1.1 200 OK\r\n{word}content-type: {kind}\r\ncontent-length: 15\r\n\r\n<!doctype html>"
        ))?;
        Ok(Then::Keep)
    })
}

impl Stage {
    /// With a wait that is over soon.
    #[track_caller]
    fn short() -> Stage {
        Stage::with(|builder| builder.set("pages.tracker_wait", format!("{}ms", WAIT.as_millis())))
    }

    /// With a wait that is never over.
    #[track_caller]
    fn long() -> Stage {
        Stage::with(|builder| builder)
    }

    #[track_caller]
    fn with(change: impl FnOnce(Builder) -> Builder) -> Stage {
        let (app, plausible) = (app(), Receiver::start());
        let builder = Builder::before(&app)
            .telling(&plausible)
            .set("listen.http2", true)
            .set("tracker.event", "/api/event")
            .set("tracker.pixel", "/p.gif")
            .set("pages.tracker_wait", LONG);
        Stage {
            plausible,
            sidecar: change(builder).start(),
            asked: AtomicUsize::new(0),
            _app: app,
        }
    }

    #[track_caller]
    fn client(&self) -> Client {
        Client::to(self.sidecar.address)
    }

    #[track_caller]
    fn http2(&self) -> Http2 {
        Http2::over(TcpStream::connect(self.sidecar.address).unwrap()).unwrap()
    }

    /// The visitor's request for a page, over one of the protocols.
    #[track_caller]
    fn views(&self, path: &str, visitor: usize) {
        let response = self.ask(&page(path, visitor), visitor);
        assert_eq!(response.status(), 200);
    }

    /// The script's page view.
    #[track_caller]
    fn reports(&self, path: &str, visitor: usize) {
        let response = self.ask(&report(path, visitor), visitor);
        assert_eq!(response.status(), 202, "{}", response.text());
    }

    /// The pixel that a page shows.
    #[track_caller]
    fn shows_pixel(&self, path: &str, visitor: usize) {
        let pixel = Request::get("/p.gif")
            .as_(IMAGE)
            .with("Referer", &format!("https://example.com{path}"))
            .from(&address(visitor));
        assert_eq!(self.ask(&pixel, visitor).status(), 200);
    }

    fn ask(&self, request: &Request, visitor: usize) -> Response {
        self.expect(1);
        if visitor.is_multiple_of(2) {
            self.http2().ask(request)
        } else {
            self.client().ask(request)
        }
    }

    /// Waits until so many views are held.
    #[track_caller]
    fn await_held(&self, views: u64) {
        self.sidecar
            .await_metrics(&format!("{views} views held"), |metrics| {
                metrics.metric("gatecount_held_views").value() == views
            });
    }

    /// So many more requests are decided about than were made by this stage.
    fn expect(&self, requests: usize) {
        self.asked.fetch_add(requests, Ordering::Relaxed);
    }

    /// Once every request is decided about and nothing is pending: how often each page was recorded, by the
    /// server and by the script.
    #[track_caller]
    fn counted(&self) -> BTreeMap<String, (usize, usize)> {
        let asked = self.asked.load(Ordering::Relaxed);
        self.sidecar.settled(asked).assert_account();
        self.plausible.assert_strict();
        counted(&self.plausible)
    }
}

/// How often each page was recorded, by the server and by the script.
fn counted(plausible: &Receiver) -> BTreeMap<String, (usize, usize)> {
    let mut times: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for event in plausible.recorded() {
        let by_script = event.body.get("n").is_some();
        let (name, url) = if by_script { ("n", "u") } else { ("name", "url") };
        if event.text(name) != "pageview" {
            continue;
        }
        let url = event.text(url);
        let path = url
            .find("://")
            .and_then(|at| url[at + 3..].find('/').map(|slash| at + 3 + slash));
        let path = url[path.unwrap_or_default()..].to_owned();
        let times = times.entry(path).or_default();
        if by_script {
            times.1 += 1;
        } else {
            times.0 += 1;
        }
    }
    times
}

fn times<const N: usize>(expected: [(&str, usize, usize); N]) -> BTreeMap<String, (usize, usize)> {
    expected
        .into_iter()
        .map(|(path, server, script)| (path.to_owned(), (server, script)))
        .collect()
}

fn address(visitor: usize) -> String {
    format!("203.0.{}.{}", visitor / 250, visitor % 250 + 1)
}

fn page(path: &str, visitor: usize) -> Request {
    Request::get(path).as_(NAVIGATION).from(&address(visitor))
}

/// The tracker's post of a page view.
fn report(path: &str, visitor: usize) -> Request {
    named("pageview", path, visitor)
}

/// The tracker's post of any event.
fn named(name: &str, path: &str, visitor: usize) -> Request {
    let body =
        format!("{{\"n\":\"{name}\",\"v\":36,\"u\":\"https://example.com{path}\",\"d\":\"example.com\"}}");
    Request::post("/api/event", body.as_bytes())
        .with("User-Agent", CHROME)
        .with("Accept", "*/*")
        .with("Content-Type", "text/plain")
        .with("Sec-Fetch-Dest", "empty")
        .with("Sec-Fetch-Mode", "cors")
        .from(&address(visitor))
}
