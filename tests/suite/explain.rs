//! What `explain` names: the pattern, the sign, the bot, the rule, what is cut; a pasted curl command line; a
//! request that is refused.

use std::process::Output;

use serde_json::Value;
use tempfile::NamedTempFile;

use crate::support::{client::CHROME, process::run};

const FILE: &str = "[pages]\ninclude = [\"/**\"]\nexclude_when = [\"cookie:staff\"]\n\
    [[events]]\nname = \"Signup\"\nmethod = \"POST\"\npath = \"/signup/{plan}\"\nstatus = [\"303\"]\n\
    [[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n";

fn explain(arguments: &[&str]) -> Output {
    let file = NamedTempFile::with_suffix(".toml").unwrap();
    std::fs::write(file.path(), FILE).unwrap();
    let config = file.path().to_str().unwrap();
    run(&[&["explain", "-c", config], arguments].concat(), "")
}

/// The story in words.
#[track_caller]
fn told(arguments: &[&str]) -> String {
    let output = explain(arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// A browser asks for this.
fn browser<'a>(rest: &[&'a str]) -> Vec<&'a str> {
    let fields = [
        "-H",
        "accept: text/html",
        "-H",
        "upgrade-insecure-requests: 1",
        "-H",
    ];
    [&fields[..], rest].concat()
}

#[test]
fn what_a_decision_came_from_is_named() {
    let agent = format!("user-agent: {CHROME}");
    for (rest, parts) in [
        (
            &[agent.as_str(), "http://example.com/admin/x"][..],
            &[
                "Decision: excluded",
                "exclude has \"/admin/**\".",
                "That is the default",
            ][..],
        ),
        (
            &[&agent, "-H", "cookie: staff=1", "http://example.com/"],
            &["Decision: excluded", "exclude_when has \"cookie:staff\"."],
        ),
        (
            &[
                "user-agent: Mozilla/5.0 (compatible; Googlebot/2.1)",
                "http://example.com/",
            ],
            &["Decision: bot", "it is Googlebot, of the kind search"],
        ),
        (
            &[&agent, "http://example.com/a?ref=x&sid=secret&page=2"],
            &[
                "Decision: counted",
                "Not sent, as query of [pages] has them not: sid, page",
            ],
        ),
        (
            &[
                &agent,
                "-X",
                "POST",
                "--status",
                "303",
                "http://example.com/signup/pro",
            ],
            &["by a rule of [[events]], \"Signup\" (POST /signup/{plan}, 303):"],
        ),
    ] {
        let story = told(&browser(rest));
        for part in parts {
            assert!(story.contains(part), "no {part:?} in {story}");
        }
    }
    let json = told(&browser(&[&agent, "--json", "http://example.com/admin/x"]));
    let story: Value = serde_json::from_str(&json).unwrap();
    assert!(
        story["why"].as_str().unwrap().contains("\"/admin/**\""),
        "{story}"
    );
}

#[test]
fn what_plausible_will_probably_drop_is_told() {
    let agent = format!("user-agent: {CHROME}");
    let story = told(&browser(&[
        &agent,
        "-H",
        "referer: http://semalt.com/",
        "http://example.com/",
    ]));
    assert!(
        story.contains("probably drop it: its referrer semalt.com is known for spam"),
        "{story}"
    );
    let story = told(&browser(&[
        &agent,
        "-H",
        "referer: http://news.example/",
        "http://example.com/",
    ]));
    assert!(!story.contains("probably drop"), "{story}");
}

#[test]
fn a_curl_command_line_is_explained_as_it_was_pasted() {
    let agent = format!("user-agent: {CHROME}");
    let pasted = [
        "curl",
        "https://example.com/a?ref=x",
        "-H",
        "accept: text/html",
        "-H",
        "sec-fetch-dest: document",
        "-H",
        "sec-fetch-mode: navigate",
        "-b",
        "sid=secret",
        "-H",
        &agent,
        "--compressed",
        "--insecure",
    ];
    let before = ["--peer", "203.0.113.7", "--json"];
    let story: Value = serde_json::from_str(&told(&[&before, &pasted[..]].concat())).unwrap();
    assert_eq!(story["decision"], "counted", "{story}");
    assert_eq!(story["client"], "203.0.113.7");
    assert_eq!(
        story["events"][0]["body"]["url"], "https://example.com/a?ref=x",
        "https stays https"
    );
    let line = |name: &str, value: &str| serde_json::json!([name, value]);
    let to_app = story["to_app"].as_array().unwrap();
    for expected in [line("cookie", "sid=secret"), line("x-forwarded-proto", "https")] {
        assert!(to_app.contains(&expected), "no {expected} in {story}");
    }
    let story = told(&["curl", "https://example.com/"]);
    assert!(
        story.contains("Decision: ") && !story.contains("Decision: counted"),
        "curl is no browser: {story}"
    );
    let form = told(&["curl", "https://example.com/signup/pro", "--data-raw", "a=b"]);
    assert!(
        form.starts_with("Request: POST https://example.com/signup/pro"),
        "{form}"
    );
    for wrong in [
        &["curl"][..],
        &["curl", "-H", "a: b"],
        &["-X", "PUT", "curl", "http://example.com/"],
    ] {
        assert_eq!(explain(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_refused_request_is_a_story_and_not_bad_usage() {
    let framing = [
        "-X",
        "POST",
        "-H",
        "content-length: 3",
        "-H",
        "transfer-encoding: chunked",
        "http://example.com/",
    ];
    let story = told(&framing);
    assert!(story.contains("Decision: refused with 400: "), "{story}");
    assert!(
        story.contains("The app gets: nothing") && story.contains("Plausible gets: nothing"),
        "{story}"
    );
    let json = told(&[&["--json"], &framing[..]].concat());
    let refused: Value = serde_json::from_str(&json).unwrap();
    assert!(
        refused["error"].as_str().unwrap().starts_with("refused with 400"),
        "{refused}"
    );
    assert_eq!(
        explain(&["nonsense"]).status.code(),
        Some(2),
        "what is no request is bad usage"
    );
}
