//! Request smuggling (RELIABILITY.md P6): streams that try to make proxy and app read different requests.
//! Whatever the answer, the app sees no request that the proxy did not, each head it sees can be read in one
//! way alone, and the next visitor's request is untouched.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::support::{
    client::{Client, Request},
    eventually,
    origin::{Origin, Then, Visit, starts},
    process::{Builder, Sidecar},
    skip,
    wire::Fault,
};

/// One stream of bytes.
struct Case {
    id: String,
    stream: Vec<u8>,
    /// The statuses it may be answered with, in order, where the case says so.
    statuses: Option<Vec<u16>>,
}

#[test]
fn the_app_sees_no_request_that_the_proxy_did_not() {
    let Some(file) = vectors("request_streams.json") else {
        skip("the shared vectors are not here (GATECOUNT_VECTORS says where they are)");
        return;
    };
    hold(&cases(&file));
}

#[test]
fn our_own_streams_are_answered_as_they_say() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/request_streams.json");
    hold(&cases(&file));
}

/// Sends each case on a connection of its own, and a visitor's request behind it.
fn hold(cases: &[Case]) {
    assert!(!cases.is_empty());
    let app = Origin::start(numbered);
    // One worker, so that the next request meets the connection to the app that the case may have poisoned.
    let sidecar = Builder::before(&app)
        .set("listen.workers", 1)
        .set("listen.header_timeout", "150ms")
        .set("listen.idle_timeout", "150ms")
        .set("queue.at", "memory")
        .start();
    let mut wrong = Vec::new();
    for (n, case) in cases.iter().enumerate() {
        let before = app.seen().len();
        let counted = requests(&sidecar);
        let statuses = send(&sidecar, &case.stream);
        if case
            .statuses
            .as_ref()
            .is_some_and(|expected| *expected != statuses)
        {
            wrong.push(format!(
                "{}: answered {statuses:?} instead of {:?}",
                case.id, case.statuses
            ));
        }
        let probe = format!("/probe/{n}");
        let response = sidecar.client().ask(&Request::get(&probe));
        if response.text() != probe {
            wrong.push(format!("{}: the next visitor got {:?}", case.id, response.text()));
        }
        let seen = app.seen().split_off(before);
        if seen.iter().filter(|s| s.head.target() == probe).count() != 1 {
            wrong.push(format!("{}: the app saw {:?}", case.id, starts(&seen)));
        }
        let faults = seen.iter().filter_map(|s| match &s.fault {
            Some(Fault::Malformed(reason)) => Some(format!("{}: the app could misread: {reason}", case.id)),
            _ => None,
        });
        wrong.extend(faults);
        // The count of a request whose client has gone may come a moment later.
        let all = seen.len();
        eventually(
            &format!(
                "{}: the proxy counts the {all} requests that the app saw",
                case.id
            ),
            || {
                let more = requests(&sidecar) - counted;
                if more >= all as u64 {
                    Ok(())
                } else {
                    Err(format!("{more}, app: {:?}", starts(&seen)))
                }
            },
        );
    }
    assert!(
        wrong.is_empty(),
        "{} of {} cases: {wrong:#?}",
        wrong.len(),
        cases.len()
    );
}

/// Answers with the target it read, so that an answer tells which request it belongs to.
fn numbered(visit: &mut Visit) -> std::io::Result<Then> {
    visit.body();
    let target = visit.head.target().to_owned();
    visit.answer("text/plain", target.as_bytes())?;
    Ok(Then::Keep)
}

/// Sends a stream and reads statuses until the proxy closes, which it does at the latest when the head of a
/// further request does not come.
fn send(sidecar: &Sidecar, stream: &[u8]) -> Vec<u16> {
    let mut client = Client::to(sidecar.address);
    client.patience(Duration::from_secs(10));
    // It may close at the first bad byte.
    let _ = client.try_send(stream);
    let mut statuses = Vec::new();
    while let Ok(response) = client.try_response_to("GET") {
        statuses.push(response.status());
        if statuses.len() > 50 {
            break;
        }
    }
    statuses
}

/// The requests that the proxy understood: each is decided, also one whose client left.
fn requests(sidecar: &Sidecar) -> u64 {
    sidecar.metrics().decided()
}

fn vectors(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("GATECOUNT_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"),
        PathBuf::from,
    );
    Some(folder.join(name)).filter(|file| file.exists())
}

fn cases(file: &Path) -> Vec<Case> {
    let text = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let document: Value = serde_json::from_str(&text).expect("JSON");
    let cases = document["cases"].as_array().expect("a list of cases");
    cases.iter().map(case).collect()
}

/// `b64` has the bytes; in cases of our own `text` does, each character a byte.
fn case(case: &Value) -> Case {
    let stream = match (&case["b64"], &case["text"]) {
        (Value::String(encoded), _) => STANDARD.decode(encoded).expect("base64"),
        (_, Value::String(text)) => text.chars().map(|c| u8::try_from(c).expect("a byte")).collect(),
        _ => panic!("a case without bytes: {case}"),
    };
    let status = |s: &Value| u16::try_from(s.as_u64().expect("a status")).expect("a status");
    Case {
        id: case["id"].as_str().expect("an id").to_owned(),
        stream,
        statuses: case["statuses"]
            .as_array()
            .map(|list| list.iter().map(status).collect()),
    }
}
