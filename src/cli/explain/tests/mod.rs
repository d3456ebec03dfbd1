//! Requests in, stories out, as a program that uses `--batch` would see it.

mod flags;
mod lines;
mod stories;
mod told;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::config::Flags;

fn rules(file: &'static str) -> config::DecisionRules {
    let sources = Sources {
        flags: Flags {
            config: Some("gatecount.toml".into()),
            ..Flags::default()
        },
        environment: BTreeMap::new(),
        directory: "/etc/gatecount".into(),
        read: Box::new(move |_| Ok(file.as_bytes().to_vec())),
        writable: Box::new(|_| false),
        cpus: 1,
    };
    config::load_rules(&sources).unwrap()
}

const SITE: &str = "[[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n";

fn batch(file: &'static str, input: &[u8]) -> Vec<Value> {
    let mut out = Vec::new();
    batch::run(&rules(file), input, &mut out).unwrap();
    let out = String::from_utf8(out).unwrap();
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The documentation's request, with what a browser would say beside it.
fn page() -> Value {
    json!({
        "peer": "10.0.0.9:4711", "method": "GET", "url": "/a?b=c",
        "headers": [
            ["host", "example.com"],
            ["x-forwarded-for", "203.0.113.7"],
            ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"],
            ["accept", "text/html,*/*;q=0.8"],
            ["upgrade-insecure-requests", "1"],
        ],
        "response": {"status": 200, "headers": [["content-type", "text/html"]]},
    })
}

const SIGNUP: &str = "[[events]]\nname = \"Signup\"\nmethod = \"POST\"\npath = \"/signup/{plan}\"\n\
     props = { plan = \"{capture.plan}\" }\n[[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n";

/// A form's request, and what the app says to it.
fn form(words: &[(&str, &str)]) -> Value {
    let mut form = page();
    form["method"] = json!("POST");
    form["url"] = json!("/signup/pro?token=1");
    form["headers"][3] = json!(["sec-fetch-dest", "empty"]);
    form["response"] = json!({"status": 303, "headers": words});
    form
}
