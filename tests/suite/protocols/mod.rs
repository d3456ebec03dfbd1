//! The same requests over HTTP/1.1, HTTP/1.1 over TLS, and HTTP/2 over TLS and in plain text: the app, the
//! client and Plausible see the same, apart from the differences that `differences` names, each with the
//! section that asks for it. A difference that nobody named fails, and so does a named one that is none any
//! more.

mod cases;
mod differences;
mod ways;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
};

use serde_json::Value;

use crate::support::{
    metrics::Metrics,
    origin::{self, Origin, Seen},
    process::Builder,
    receiver::{Arrival, Receiver},
    tls::{Authority, NAMES},
    wire::Fault,
};
use cases::{Cases, Visitor};
use differences::{Difference, Differences};
use ways::Way;

/// Names and values in the order that they came.
type Fields = Vec<(String, String)>;

/// What became of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Observed {
    /// What the app was asked: once, or not at all.
    app: Vec<Asked>,
    client: Answered,
}

/// A request as the app saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    start: String,
    fields: Fields,
    body: Vec<u8>,
    trailers: Fields,
    fault: Option<Fault>,
}

/// What the client got.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Answered {
    /// A response, as far as it came.
    Response {
        interim: Vec<(u16, Fields)>,
        status: u16,
        reason: String,
        fields: Fields,
        /// Of a tunnel, what came through it.
        body: Vec<u8>,
        trailers: Fields,
        complete: bool,
    },
    /// The connection's end, or the stream's.
    Broken(String),
}

/// What Plausible was told of one page: the event's fields, and its body.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    fields: Fields,
    body: Value,
}

/// All that one way came to.
struct Walked {
    observed: Vec<Observed>,
    told: Vec<Told>,
    counted: BTreeMap<String, u64>,
}

#[test]
fn app_client_and_plausible_see_the_same_over_every_protocol() {
    let (cases, authority) = (Cases::new(), Authority::new());
    let ids: BTreeSet<&str> = cases.all.iter().map(|case| case.id.as_str()).collect();
    assert!(
        ids.len() == cases.all.len() && ids.len() >= 300,
        "{} cases",
        ids.len()
    );
    let walked: Vec<Walked> = thread::scope(|scope| {
        let walks = Way::ALL.map(|way| {
            let (cases, authority) = (&cases, &authority);
            scope.spawn(move || walk(way, cases, authority))
        });
        walks.map(|walk| walk.join().expect("a walk")).into()
    });
    let (base, others) = walked.split_first().expect("four ways");
    let (mut differences, mut wrong) = (Differences::new(), Vec::new());
    for (way, other) in Way::ALL[1..].iter().zip(others) {
        for ((case, base), other) in cases.all.iter().zip(&base.observed).zip(&other.observed) {
            let (expected, seen) = differences.of_request(*way, case, base, other);
            wrong.extend(
                first_difference(&expected, &seen).map(|what| format!("{way:?} {}: {what}", case.id)),
            );
        }
        let expected: Vec<Told> = base
            .told
            .iter()
            .map(|told| differences.of_event(*way, told))
            .collect();
        for (expected, told) in expected.iter().zip(&other.told) {
            if expected != told {
                wrong.push(format!("{way:?} to Plausible: {told:?} instead of {expected:?}"));
            }
        }
        let events = (expected.len(), other.told.len());
        if events.0 != events.1 {
            wrong.push(format!(
                "{way:?} to Plausible: {} events instead of {}",
                events.1, events.0
            ));
        }
        let expected = differences.of_counts(*way, &base.counted);
        let names: BTreeSet<&String> = expected.keys().chain(other.counted.keys()).collect();
        for name in names {
            let (expected, counted) = (expected.get(name), other.counted.get(name));
            if expected != counted {
                wrong.push(format!("{way:?}: {name} is {counted:?} instead of {expected:?}"));
            }
        }
    }
    for Difference { name, section, .. } in differences.unused() {
        wrong.push(format!("{name:?} ({section}) is no difference"));
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Sends all requests one way, before an app and a Plausible of its own.
fn walk(way: Way, cases: &Cases, authority: &Authority) -> Walked {
    let (scripts, plausible) = (cases.clone(), Receiver::start());
    let app = Origin::start(move |visit| {
        let script = scripts.of(&visit.head);
        if visit.head.has("upgrade") && script.switches {
            return origin::upgrades_and_echoes(visit);
        }
        visit.body();
        visit.send(&script.answer)?;
        Ok(script.then)
    });
    let mut builder = Builder::before(&app)
        .telling(&plausible)
        .set("client.trusted_proxies", vec![Visitor::BehindProxy.address()]);
    builder = match way {
        Way::Http1Tls | Way::Http2Tls => builder.tls(&authority.pair(&format!("{way:?}"), &NAMES)),
        Way::Http1 | Way::Http2 => builder.set("listen.http2", true),
    };
    let sidecar = builder.start();
    let config = authority.client(&[if way == Way::Http2Tls { "h2" } else { "http/1.1" }]);
    let answered = way.walk(sidecar.address, &config, cases);
    let metrics = sidecar.drained();
    plausible.assert_strict();
    let mut seen: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
    for one in app.seen() {
        let id = one.head.get("x-case").unwrap_or_default().to_owned();
        seen.entry(id).or_default().push(one.into());
    }
    let observed = cases.all.iter().zip(answered);
    let observed = observed.map(|(case, client)| Observed {
        app: seen.remove(&case.id).unwrap_or_default(),
        client,
    });
    let mut told: Vec<Told> = plausible.recorded().into_iter().map(Told::from).collect();
    told.sort_by_key(|told| {
        told.body["url"]
            .as_str()
            .and_then(|url| url.split_once(':'))
            .map(|(_, rest)| rest.to_owned())
    });
    Walked {
        observed: observed.collect(),
        told,
        counted: counted(&metrics),
    }
}

/// What must come to the same: the metrics of requests that are counted one by one.
fn counted(metrics: &Metrics) -> BTreeMap<String, u64> {
    let mut counted = BTreeMap::new();
    for (name, label) in [
        ("gatecount_requests_total", "code"),
        ("gatecount_decisions_total", "decision"),
        ("gatecount_app_errors_total", "reason"),
        ("gatecount_client_address_total", "from"),
        ("gatecount_events_offered_total", "source"),
        ("gatecount_custom_event_faults_total", "fault"),
    ] {
        for value in metrics.values(name, label) {
            let count = metrics.metric(name).label(label, value).value();
            counted.insert(format!("{name} {value}"), count);
        }
    }
    for name in [
        "gatecount_forged_headers_total",
        "gatecount_malformed_addresses_total",
        "gatecount_http2_interim_dropped_total",
        "gatecount_http2_errors_total",
        "gatecount_faults_total",
    ] {
        counted.insert(name.to_owned(), metrics.metric(name).value());
    }
    counted.retain(|_, count| *count > 0);
    counted
}

impl From<Seen> for Asked {
    fn from(seen: Seen) -> Asked {
        Asked {
            start: seen.head.start,
            fields: seen.head.fields,
            body: seen.body,
            trailers: seen.trailers,
            fault: seen.fault,
        }
    }
}

impl From<Arrival> for Told {
    fn from(arrival: Arrival) -> Told {
        let mut fields = arrival.fields;
        // Its length follows from the body, and its port is the receiver's.
        fields.retain(|(name, _)| name != "content-length" && name != "host");
        Told {
            fields,
            body: arrival.body,
        }
    }
}

/// In what the two differ, told in short.
fn first_difference(expected: &Observed, seen: &Observed) -> Option<String> {
    if expected == seen {
        return None;
    }
    let (expected, seen) = (format!("{expected:?}"), format!("{seen:?}"));
    let same = expected
        .bytes()
        .zip(seen.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    let around = |text: &str| {
        let from = text.floor_char_boundary(same.saturating_sub(150));
        text[from..text.floor_char_boundary(text.len().min(from + 300))].to_owned()
    };
    Some(format!(
        "\n  expected …{}…\n  seen     …{}…",
        around(&expected),
        around(&seen)
    ))
}
