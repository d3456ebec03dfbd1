//! Events of `[[events]]`, and the app's own words in its responses, over HTTP/1.1 and HTTP/2. Plausible is
//! strict: it refuses whatever is beyond its limits, and a test ends with nothing refused.

mod app;
mod limits;
mod reloads;
mod rules;

use serde_json::Value;

use crate::support::{
    client::{self, Client, Request},
    http2::{Http2, Upload},
    message::Response,
    metrics::Metrics,
    origin::{Origin, Then},
    process::{Builder, Sidecar},
    receiver::{Arrival, Receiver},
};

/// Who all the visits are by.
const VISITOR: &str = "203.0.113.7";

/// The protocols towards the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Http1,
    Http2,
}

const BOTH: [Way; 2] = [Way::Http1, Way::Http2];

/// App, Plausible and the sidecar between them.
struct Stage {
    app: Origin,
    plausible: Receiver,
    sidecar: Sidecar,
}

/// What came of some requests.
struct Outcome {
    responses: Vec<Response>,
    events: Vec<Arrival>,
    metrics: Metrics,
}

/// An app that answers each path as this list has it, status and fields; anything else is a page.
fn stage(answers: &'static [(&str, &str, &str)], settings: impl FnOnce(Builder) -> Builder) -> Stage {
    let app = Origin::start(move |visit| {
        visit.body();
        let target = visit.head.target().to_owned();
        let path = target.split('?').next().unwrap_or_default();
        let answer = answers.iter().find(|(answered, ..)| *answered == path);
        let (status, fields) = answer.map_or(("200 OK", ""), |(_, status, fields)| (*status, *fields));
        let page = "content-type: text/html\r\ncontent-length: 0\r\n";
        visit.send(format!("HTTP/1.1 {status}\r\n{page}{fields}\r\n"))?;
        Ok(Then::Keep)
    });
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

/// One `[[events]]` table, as TOML.
fn event(toml: &str) -> toml::Value {
    let table: toml::Table = toml.parse().expect("a table");
    table.into()
}

impl Stage {
    /// Sends the requests, one after the other, and gives the events once no more can come.
    fn visit(&self, way: Way, requests: &[Request]) -> Outcome {
        let responses = match way {
            Way::Http1 => {
                let mut client: Client = self.sidecar.client();
                requests.iter().map(|request| client.ask(request)).collect()
            }
            Way::Http2 => {
                let stream = client::connection_from("127.0.0.1", self.sidecar.address);
                let connection = Http2::over(stream).expect("HTTP/2");
                let ask = |request: &Request| {
                    let upload = Upload::of(request.body());
                    connection.try_ask(request, upload).expect("a response")
                };
                requests.iter().map(ask).collect()
            }
        };
        let metrics = self.sidecar.settled(requests.len());
        self.plausible.assert_strict();
        assert_eq!(metrics.finished("rejected"), 0);
        Outcome {
            responses,
            events: self.plausible.recorded(),
            metrics,
        }
    }
}

impl Outcome {
    /// Name and url of each event.
    fn named(&self) -> Vec<(&str, &str)> {
        self.events
            .iter()
            .map(|e| (e.text("name"), e.text("url")))
            .collect()
    }

    fn body(&self, nth: usize) -> &Value {
        &self.events[nth].body
    }

    fn offered(&self, source: &str) -> u64 {
        let metric = self.metrics.metric("gatecount_events_offered_total");
        metric.label("source", source).value()
    }

    fn faults(&self, fault: &str) -> u64 {
        let metric = self.metrics.metric("gatecount_custom_event_faults_total");
        metric.label("fault", fault).value()
    }
}
