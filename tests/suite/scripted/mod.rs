//! Pages that scripts show and pages that are fetched ahead, over HTTP/1.1 and HTTP/2: what the rules make of
//! more than one request.

mod ahead;
mod bodies;
mod navigations;
mod workers;

use crate::support::{
    client::{self, CHROME, Client, FETCH, NAVIGATION, Request},
    http2::{Http2, Upload},
    metrics::Metrics,
    origin::{Origin, Then, Visit},
    process::{Builder, Sidecar},
    receiver::Receiver,
};

/// Who all the visits are by, unless a test says otherwise.
const VISITOR: &str = "203.0.113.7";

/// App, Plausible and the sidecar between them.
struct Stage {
    app: Origin,
    plausible: Receiver,
    sidecar: Sidecar,
}

/// What came of some requests.
struct Outcome {
    /// Name and url of each event, in their order.
    events: Vec<(String, String)>,
    /// The bodies of the events.
    bodies: Vec<serde_json::Value>,
    statuses: Vec<u16>,
    metrics: Metrics,
}

/// The protocols towards the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Http1,
    Http2,
}

const BOTH: [Way; 2] = [Way::Http1, Way::Http2];

/// An app that answers each path as this list has it: path, status, fields, body. Anything else is a page.
type Answers = &'static [(&'static str, &'static str, &'static str, &'static str)];

fn stage(answers: Answers, settings: impl FnOnce(Builder) -> Builder) -> Stage {
    stage_of(settings, move |visit| {
        visit.body();
        let target = visit.head.target().to_owned();
        let path = target.split('?').next().unwrap_or_default();
        let answer = answers.iter().find(|(answered, ..)| *answered == path);
        let page = ("", "200 OK", "content-type: text/html\r\n", "<!doctype html><p>");
        let (_, status, fields, body) = answer.copied().unwrap_or(page);
        let length = if status.starts_with("304") { 0 } else { body.len() };
        visit.send(format!(
            "HTTP/1.1 {status}\r\n{fields}content-length: {length}\r\n\r\n{body}"
        ))?;
        Ok(Then::Keep)
    })
}

fn stage_of(
    settings: impl FnOnce(Builder) -> Builder,
    manner: impl Fn(&mut Visit) -> std::io::Result<Then> + Send + Sync + 'static,
) -> Stage {
    let app = Origin::start(manner);
    let plausible = Receiver::start();
    let builder = Builder::before(&app)
        .telling(&plausible)
        .set("listen.http2", true);
    let sidecar = settings(builder).start();
    Stage {
        app,
        plausible,
        sidecar,
    }
}

impl Stage {
    /// Sends the requests, one after the other, and gives the events once no more can come.
    fn visit(&self, way: Way, requests: &[Request]) -> Outcome {
        let statuses = match way {
            Way::Http1 => {
                let mut client: Client = self.sidecar.client();
                requests
                    .iter()
                    .map(|request| client.ask(request).status())
                    .collect()
            }
            Way::Http2 => {
                let stream = client::connection_from("127.0.0.1", self.sidecar.address);
                let connection = Http2::over(stream).expect("HTTP/2");
                let ask = |request: &Request| {
                    let upload = Upload::of(request.body());
                    connection.try_ask(request, upload).expect("a response").status()
                };
                requests.iter().map(ask).collect()
            }
        };
        let metrics = self.sidecar.settled(requests.len());
        self.plausible.assert_strict();
        let recorded = self.plausible.recorded();
        let named =
            |e: &crate::support::receiver::Arrival| (e.text("name").to_owned(), e.text("url").to_owned());
        Outcome {
            events: recorded.iter().map(named).collect(),
            bodies: recorded.iter().map(|e| e.body.clone()).collect(),
            statuses,
            metrics,
        }
    }
}

impl Outcome {
    /// The paths and queries of the page views, in their order.
    fn pages(&self) -> Vec<&str> {
        let of = |(name, url): &'_ (String, String)| {
            assert_eq!(name, "pageview");
            url.find("example.com").expect("the site's host") + "example.com".len()
        };
        self.events.iter().map(|event| &event.1[of(event)..]).collect()
    }
}

/// A page by a navigation.
fn page(path: &str) -> Request {
    Request::get(path).as_(NAVIGATION).from(VISITOR)
}

/// A script's fetch, from a page of the site.
fn fetch(target: &str, from: &str) -> Request {
    Request::get(target)
        .as_(FETCH)
        .from(VISITOR)
        .with("Referer", &url(from))
}

/// A stylesheet of a page.
fn style(from: &str) -> Request {
    Request::get("/style.css")
        .with("User-Agent", CHROME)
        .with("Accept", "text/css,*/*;q=0.1")
        .with("Sec-Fetch-Dest", "style")
        .with("Sec-Fetch-Mode", "no-cors")
        .with("Referer", &url(from))
        .from(VISITOR)
}

fn url(path: &str) -> String {
    format!("http://example.com{path}")
}
