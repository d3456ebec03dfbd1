//! Our reading of an app's responses beside another one's: hyper's client is shown the same bytes, and what
//! the proxy delivers must be what hyper understood. Where the two differ the corpus names it, with the
//! section of the standard that has us read otherwise; a difference that nobody named fails, and so does a
//! named one that is none any more.

mod corpus;
mod hyper;

use std::collections::BTreeSet;

use crate::support::{
    client::Request,
    message::Response,
    origin::{Origin, Then, Visit},
    process::{Builder, Sidecar},
};
use corpus::{Ask, Case, Corpus, Difference};

/// What a client's next request is answered with.
const BEHIND: &[u8] = b"the next response";

/// Names in lower case and values, of one name in the order that they came.
type Fields = Vec<(String, String)>;

/// What became of an app's bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Outcome {
    /// The responses before the final one.
    interim: Vec<(u16, Fields)>,
    end: End,
    status: u16,
    reason: String,
    /// Those that are not for the connection.
    fields: Fields,
    /// As far as it came.
    body: Vec<u8>,
    trailers: Fields,
}

/// How far a response came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum End {
    /// There is no response in these bytes; the proxy answered 502 in its place.
    #[default]
    Refused,
    /// The head, and a body that is known not to be all of it.
    Cut,
    /// All of it.
    Whole,
}

#[test]
fn what_is_delivered_is_what_hyper_understands() {
    let corpus = Corpus::read();
    let readers = corpus.cases.clone();
    let app = Origin::start(move |visit| answer(visit, &readers));
    let sidecar = Builder::before(&app)
        .set("listen.workers", 1)
        .set("queue.at", "memory")
        // Each case has a connection to itself.
        .set("app.keep_alive", "0s")
        // An upload whose response came early goes on until the client pauses for so long.
        .set("listen.body_timeout", "300ms")
        .start();
    let outcomes = hyper::outcomes(&corpus.cases);
    let mut wrong = Vec::new();
    for (n, (case, theirs)) in corpus.cases.iter().zip(&outcomes).enumerate() {
        let ours = ours(&sidecar, n, case.ask, corpus.cases.len());
        let differing = differing(&ours, theirs);
        let named: Vec<&Difference> = corpus.differences.iter().filter(|d| d.names(&case.id)).collect();
        let fine = match named.as_slice() {
            [] => differing.is_empty(),
            [one] => one.is(ours.end, theirs.end, &differing),
            _ => false,
        };
        if !fine {
            wrong.push(format!(
                "{}: {differing:?} differ, named: {named:?}\n  ours {}\n  hyper's {}",
                case.id,
                ours.shown(),
                theirs.shown()
            ));
        }
    }
    for pattern in corpus.unused_patterns() {
        wrong.push(format!("the difference at {pattern:?} is of no case"));
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        outcomes.len(),
        wrong.join("\n")
    );
}

/// The app: says the bytes of the case whose number is asked for, or, behind the last, what the next one is
/// asked.
fn answer(visit: &mut Visit, cases: &[Case]) -> std::io::Result<Then> {
    let n: usize = visit.head.target()[1..].parse().expect("a case's number");
    if n == cases.len() {
        visit.answer("text/plain", BEHIND)?;
        return Ok(Then::Close);
    }
    if cases[n].ask == Ask::Early {
        visit.send(&cases[n].bytes)?;
        // A close with bytes unread would reset the connection.
        visit.until_left()?;
    } else {
        visit.body();
        visit.send(&cases[n].bytes)?;
    }
    Ok(Then::Close)
}

/// What a client gets of a case; behind it, the connection goes on with the next response and nothing before
/// that, or ends.
#[track_caller]
fn ours(sidecar: &Sidecar, n: usize, ask: Ask, next: usize) -> Outcome {
    let mut request = Request::new(ask.method(), &format!("/{n}"));
    for (name, value) in ask.fields() {
        request = request.with(name, value);
    }
    let mut client = sidecar.client();
    client.send(&[request.bytes().as_slice(), ask.body()].concat());
    let response = client.response_to(ask.method());
    assert!(response.head.framing().is_ok(), "ambiguous: {response:?}");
    if response.head.get("connection") == Some("close") || response.status() == 101 {
        assert_eq!(client.until_closed(), b"", "behind {response:?}");
    } else if response.complete {
        let next = client.ask(&Request::get(&format!("/{next}")));
        assert_eq!(next.body, BEHIND, "behind {response:?}");
    }
    Outcome::from(response)
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        let interim = response.informational.iter();
        let interim = interim.map(|h| (h.status(), end_to_end(&h.fields))).collect();
        // No case of the corpus has this status of its own.
        if response.status() == 502 {
            return Outcome {
                interim,
                ..Outcome::default()
            };
        }
        let mut start = response.head.start.splitn(3, ' ');
        Outcome {
            interim,
            end: if response.complete { End::Whole } else { End::Cut },
            status: response.status(),
            reason: start.nth(2).unwrap_or_default().to_owned(),
            fields: end_to_end(&response.head.fields),
            body: response.body,
            trailers: in_order(&response.trailers),
        }
    }
}

impl Outcome {
    /// For a message: without what is long.
    fn shown(&self) -> String {
        let mut text = format!("{self:?}");
        if let Some((end, _)) = text.char_indices().nth(600) {
            text.truncate(end);
            text.push('…');
        }
        text
    }
}

/// In which respects two outcomes differ. Of one that was refused there is nothing to compare but what came
/// before.
fn differing(ours: &Outcome, theirs: &Outcome) -> BTreeSet<&'static str> {
    let mut differing = BTreeSet::new();
    let mut note = |what, same: bool| {
        if !same {
            differing.insert(what);
        }
    };
    note("interim", ours.interim == theirs.interim);
    note("end", ours.end == theirs.end);
    if ours.end != End::Refused && theirs.end != End::Refused {
        note("status", ours.status == theirs.status);
        note("reason", ours.reason == theirs.reason);
        note("fields", ours.fields == theirs.fields);
        note("body", ours.body == theirs.body);
        note("trailers", ours.trailers == theirs.trailers);
    }
    differing
}

/// The fields that are not for the connection (RFC 9110 §7.6.1), by what the standard names and what
/// `Connection` does.
fn end_to_end(fields: &[(String, String)]) -> Fields {
    const HOP_BY_HOP: [&str; 8] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    let mut fields = in_order(fields);
    let connection = fields.iter().filter(|(name, _)| name == "connection");
    let named: BTreeSet<String> = connection
        .flat_map(|(_, value)| value.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .collect();
    fields.retain(|(name, _)| !HOP_BY_HOP.contains(&name.as_str()) && !named.contains(name));
    fields
}

fn in_order(fields: &[(String, String)]) -> Fields {
    let lower = |(name, value): &(String, String)| (name.to_ascii_lowercase(), value.clone());
    let mut fields: Fields = fields.iter().map(lower).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}
