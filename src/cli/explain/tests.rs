//! Requests in, stories out, as a program that uses `--batch` would see it.

use std::{collections::BTreeMap, io};

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

#[test]
fn the_url_is_the_one_that_the_visitor_used() {
    let mut request = page();
    let headers = request["headers"].as_array_mut().unwrap();
    headers.push(json!(["X-Forwarded-Prefix", "/shop"]));
    let story = &batch(SITE, request.to_string().as_bytes())[0];
    assert_eq!(story["events"][0]["body"]["url"], "http://example.com/shop/a");

    request["url"] = json!("https://example.com/a");
    let story = &batch(SITE, request.to_string().as_bytes())[0];
    assert_eq!(story["events"][0]["body"]["url"], "https://example.com/shop/a");
    let to_app = story["to_app"].as_array().unwrap();
    assert!(
        to_app.contains(&json!(["x-forwarded-proto", "https"])),
        "{to_app:?}"
    );

    // A stranger could say anything.
    request["peer"] = json!("203.0.113.9");
    let story = &batch(SITE, request.to_string().as_bytes())[0];
    assert_eq!(story["events"][0]["body"]["url"], "https://example.com/a");
}

#[test]
fn a_path_of_the_tracker_is_dedicated_and_the_pixel_a_view_of_its_page() {
    const FILE: &str = "[tracker]\nevent = \"/api/event\"\npixel = \"/p.gif\"\n\
                        [[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n";
    for (method, url, referer, viewed) in [
        ("POST", "/api/event", "https://example.com/x", None),
        (
            "GET",
            "/p.gif",
            "https://example.com/x",
            Some("https://example.com/x"),
        ),
        (
            "GET",
            "/p.gif?url=http://example.com/y",
            "https://example.com/x",
            Some("http://example.com/y"),
        ),
        ("HEAD", "/p.gif", "https://example.com/x", None),
        ("GET", "/p.gif", "https://elsewhere.example/x", None),
    ] {
        let mut request = page();
        request["method"] = json!(method);
        request["url"] = json!(url);
        let headers = request["headers"].as_array_mut().unwrap();
        headers.push(json!(["referer", referer]));
        let story = &batch(FILE, request.to_string().as_bytes())[0];
        assert_eq!(
            (&story["decision"], &story["to_app"]),
            (&json!("dedicated"), &json!([]))
        );
        let events = story["events"].as_array().unwrap();
        assert_eq!(
            events.first().map(|event| &event["body"]["url"]),
            viewed.map(|url| json!(url)).as_ref(),
            "{method} {url} {referer}"
        );
    }
}

#[test]
fn the_documented_request_has_the_documented_story() {
    let story = &batch(SITE, page().to_string().as_bytes())[0];
    assert_eq!(story["client"], "203.0.113.7");
    assert_eq!(story["client_from"], "x-forwarded-for");
    assert_eq!(story["decision"], "counted");
    assert!(!story["why"].as_str().unwrap().is_empty());
    assert_eq!(
        story["to_app"][0],
        json!(["x-forwarded-for", "203.0.113.7, 10.0.0.9"])
    );
    let agent = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
    let to_app = story["to_app"].as_array().unwrap();
    for line in [
        json!(["x-real-ip", "203.0.113.7"]),
        json!(["host", "example.com"]),
        json!(["user-agent", agent]),
        json!(["accept", "text/html,*/*;q=0.8"]),
    ] {
        assert!(to_app.contains(&line), "{line} in {to_app:?}");
    }
    assert_eq!(
        story["events"],
        json!([{
            "headers": [["user-agent", agent], ["x-forwarded-for", "203.0.113.7"]],
            "body": {"name": "pageview", "url": "http://example.com/a", "domain": "example.com"},
        }])
    );
    let members: Vec<&String> = story.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        ["client", "client_from", "decision", "why", "to_app", "events"]
    );
}

#[test]
fn a_page_that_waits_for_the_script_is_counted_as_far_as_is_known() {
    let file = "[tracker]\nevent = \"/e\"\n[[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n";
    let story = &batch(file, page().to_string().as_bytes())[0];
    assert_eq!(story["decision"], "counted");
    let why = story["why"].as_str().unwrap();
    assert!(why.contains("unless the tracker script reports it"), "{why}");
    assert_eq!(story["events"][0]["body"]["name"], "pageview");
}

#[test]
fn a_bot_is_told_with_its_name_its_kind_and_the_line_that_matched() {
    let asked_by = |agent: &str, file| {
        let mut request = page();
        request["headers"][2] = json!(["user-agent", agent]);
        batch(file, request.to_string().as_bytes())[0].clone()
    };
    let agent = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)";
    let story = asked_by(agent, SITE);
    assert_eq!(
        (&story["decision"], &story["events"]),
        (&json!("bot"), &json!([]))
    );
    assert_eq!(
        (&story["bot"]["name"], &story["bot"]["kind"]),
        (&json!("GPTBot"), &json!("ai_training"))
    );
    let line = story["bot"]["line"].as_str().unwrap();
    assert!(line.starts_with("known.txt: GPTBot | ai_training | "), "{line}");

    let story = asked_by("unheard-of/1", SITE);
    assert_eq!(story["bot"], json!({"name": "Other", "kind": "tool"}));

    let apart =
        "[[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n[pages]\nbots = \"bots.example\"\n";
    let story = asked_by(agent, apart);
    assert_eq!(
        story["events"],
        json!([{
            "headers": [["user-agent", "Mozilla/5.0 (gatecount)"], ["x-forwarded-for", "203.0.113.7"]],
            "body": {
                "name": "Bot", "url": "http://example.com/a", "domain": "bots.example",
                "props": {"bot": "GPTBot", "kind": "ai_training", "path": "/a"},
            },
        }])
    );
}

#[test]
fn a_request_that_is_not_counted_has_no_event() {
    let mut image = page();
    image["headers"][3] = json!(["accept", "image/*"]);
    let story = &batch(SITE, image.to_string().as_bytes())[0];
    assert_eq!(
        (&story["decision"], &story["events"]),
        (&json!("not_page"), &json!([]))
    );
}

#[test]
fn every_line_gets_its_answer_in_its_place() {
    let good = page().to_string();
    let wrong = [
        "",
        "   ",
        "nonsense",
        "[]",
        "{}",
        r#"{"url": 7}"#,
        r#"{"url": "/", "header": []}"#,
        r#"{"url": "/", "headers": [["a"]]}"#,
        r#"{"url": "/", "headers": [["a", "b\r\nc: d"]]}"#,
        r#"{"url": "/", "headers": [["a: b", "c"]]}"#,
        r#"{"url": "/", "headers": [["host", "a"], ["host", "b"]]}"#,
        r#"{"url": "/a b"}"#,
        r#"{"url": "example.com"}"#,
        r#"{"url": "/", "method": "GET /x HTTP/1.1\r\nA: b\r\n\r\nGET"}"#,
        r#"{"url": "/", "peer": "nobody"}"#,
        r#"{"url": "/", "response": {"status": 100}}"#,
        r#"{"url": "/", "response": {}}"#,
        "{\"url\": \"/\u{0}\"}",
    ];
    let mut input = Vec::new();
    for line in wrong {
        input.extend_from_slice(format!("{line}\n{good}\n").as_bytes());
    }
    input.extend_from_slice(b"\"\xff\xfe\"\n");
    input.extend_from_slice(good.as_bytes());
    let answers = batch(SITE, &input);
    assert_eq!(answers.len(), 2 * (wrong.len() + 1));
    for (index, pair) in answers.chunks(2).enumerate() {
        let told = pair[0].as_object().unwrap();
        assert!(
            told.len() == 1 && told["error"].is_string(),
            "{:?}: {told:?}",
            wrong.get(index)
        );
        assert_eq!(pair[1]["decision"], "counted");
    }
}

#[test]
fn a_line_without_an_end_is_bounded() {
    let mut input = vec![b'x'; (16 << 20) + 10];
    input.extend_from_slice(format!("\n{}", page()).as_bytes());
    let answers = batch(SITE, &input);
    assert_eq!(answers[0], json!({"error": "a line of more than 16777216 bytes"}));
    assert_eq!((answers.len(), &answers[1]["decision"]), (2, &json!("counted")));
}

/// Gives its lines one by one, and asks of each that the answers to those before it were written.
struct Conversation<'a> {
    lines: Vec<String>,
    asked: usize,
    heard: &'a std::cell::Cell<usize>,
}

impl io::Read for Conversation<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert_eq!(self.heard.get(), self.asked, "an answer was held back");
        let Some(line) = self.lines.get(self.asked) else {
            return Ok(0);
        };
        self.asked += 1;
        buffer[..line.len()].copy_from_slice(line.as_bytes());
        Ok(line.len())
    }
}

/// Counts the lines that were flushed.
struct Listener<'a> {
    lines: usize,
    heard: &'a std::cell::Cell<usize>,
}

impl io::Write for Listener<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.lines += memchr::memchr_iter(b'\n', bytes).count();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.heard.set(self.lines);
        Ok(())
    }
}

#[test]
fn answers_are_written_before_more_is_waited_for() {
    let heard = std::cell::Cell::new(0);
    let input = Conversation {
        lines: vec![format!("{}\n", page()), "wrong\n".to_owned()],
        asked: 0,
        heard: &heard,
    };
    let mut out = Listener {
        lines: 0,
        heard: &heard,
    };
    batch::run(&rules(SITE), input, &mut out).unwrap();
    assert_eq!(heard.get(), 2);
}

#[test]
fn what_is_not_said_is_a_page_for_a_proxy_on_this_machine() {
    let line = r#"{"url": "http://example.com/a", "headers": [["x-forwarded-for", "203.0.113.7"]]}"#;
    let story = &batch(SITE, line.as_bytes())[0];
    assert_eq!(story["client"], "203.0.113.7");
    assert_eq!(story["to_app"][0][1], "203.0.113.7, 127.0.0.1");
    assert!(
        story["to_app"]
            .as_array()
            .unwrap()
            .contains(&json!(["host", "example.com"]))
    );
}

#[test]
fn without_an_address_the_client_is_null() {
    let mut request = page();
    request["peer"] = json!("unix:");
    request["headers"].as_array_mut().unwrap().remove(1);
    let story = &batch(SITE, request.to_string().as_bytes())[0];
    assert_eq!(
        (&story["client"], &story["client_from"]),
        (&Value::Null, &json!("none"))
    );
    assert_eq!(story["decision"], "no_client");
}

#[test]
fn plausible_is_told_the_address_in_every_configured_header() {
    let file = "[plausible]\naddress_header = [\"x-plausible-ip\", \"x-forwarded-for\"]\n[[sites]]\nhosts = [\"example.com\"]\ndomain = [\"a.example\", \"b.example\"]\n";
    let story = &batch(file, page().to_string().as_bytes())[0];
    let event = &story["events"][0];
    assert_eq!(event["headers"][1], json!(["x-plausible-ip", "203.0.113.7"]));
    assert_eq!(event["headers"][2], json!(["x-forwarded-for", "203.0.113.7"]));
    assert_eq!(event["body"]["domain"], "a.example,b.example");
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

#[test]
fn the_events_of_rules_and_of_the_app_are_among_what_plausible_gets() {
    let words = [
        ("Gatecount-Event", r#"{"name": "Lead", "props": {"a": 1}}"#),
        ("Gatecount-Page", r#"{"url": "/thanks"}"#),
    ];
    let story = &batch(SIGNUP, form(&words).to_string().as_bytes())[0];
    assert_eq!(story["decision"], "declared");
    let bodies: Vec<&Value> = story["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| &event["body"])
        .collect();
    let event =
        |name: &str| json!({"name": name, "url": "http://example.com/thanks", "domain": "example.com"});
    let with = |name: &str, props: Value| {
        let mut event = event(name);
        event["props"] = props;
        event
    };
    assert_eq!(
        bodies,
        [
            &event("pageview"),
            &with("Signup", json!({"plan": "pro"})),
            &with("Lead", json!({"a": 1})),
        ]
    );
    let off = [("gatecount-page", "off")];
    let mut suppressed = page();
    suppressed["response"]["headers"] = json!([["content-type", "text/html"], off[0]]);
    let story = &batch(SIGNUP, suppressed.to_string().as_bytes())[0];
    assert_eq!(
        (&story["decision"], &story["events"]),
        (&json!("suppressed"), &json!([]))
    );
}

#[test]
fn the_words_tell_who_asked_for_an_event_and_what_was_not_used() {
    let words = [
        ("Gatecount-Event", r#"{"name": "Lead"}"#),
        ("Gatecount-Event", "nonsense"),
    ];
    let rules = rules(SIGNUP);
    let case = Case::from_json(form(&words).to_string().as_bytes()).unwrap();
    let told = words::tell(&rules, &case, &Story::tell(&rules, &case).unwrap());
    for part in [
        "\nDecision: not_page\n",
        "\n  - the app's Gatecount-Event is not used: it is no JSON object\n",
        "\nPlausible gets, by a rule of [[events]], \"Signup\" (POST /signup/{plan}, 2xx, 3xx):\n",
        "\nPlausible gets, besides, by the app's word:\n",
    ] {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
}

fn arguments(words: &[&str]) -> Arguments {
    use clap::{Args as _, FromArgMatches};
    let command = Arguments::augment_args(clap::Command::new("explain"));
    let matches = command
        .try_get_matches_from(["explain"].iter().chain(words))
        .unwrap();
    Arguments::from_arg_matches(&matches).unwrap()
}

#[test]
fn flags_are_curls() {
    let case = case(arguments(&[
        "-X",
        "POST",
        "-H",
        "Host: example.com",
        "-H",
        "X-Empty;",
        "--peer",
        "[2001:db8::1]:80",
        "--status",
        "404",
        "--response-header",
        "Content-Type: text/plain",
        "/a",
    ]))
    .unwrap();
    assert_eq!((case.method.as_str(), case.url.as_str()), ("POST", "/a"));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        case.headers,
        [header("Host", "example.com"), header("X-Empty", "")]
    );
    assert_eq!(case.peer.ip(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(case.response.status, 404);
    assert_eq!(case.response.headers, [header("Content-Type", "text/plain")]);
    let plain = super::case(arguments(&["/", "--response-header", "x-a: b"])).unwrap();
    assert_eq!(plain.response.headers.len(), 2, "a page unless a type is said");
    assert!(
        super::case(arguments(&["/", "-H", "nothing"]))
            .unwrap_err()
            .contains("NAME: VALUE")
    );
}

#[test]
fn the_words_tell_client_decision_app_and_plausible() {
    let rules = rules(SITE);
    let case = Case::from_json(page().to_string().as_bytes()).unwrap();
    let told = words::tell(&rules, &case, &Story::tell(&rules, &case).unwrap());
    for part in [
        "Request: GET http://example.com/a?b=c, answered 200\n",
        "\nClient: 203.0.113.7, told by x-forwarded-for\n  - ",
        "\nDecision: counted\n  - ",
        "\n  - the host belongs to example.com\n",
        "\nThe app gets:\n  x-forwarded-for: 203.0.113.7, 10.0.0.9\n",
        "\nPlausible gets:\n  user-agent: Mozilla/5.0",
        "\n  x-forwarded-for: 203.0.113.7\n  {\"name\":\"pageview\",",
    ] {
        assert!(told.contains(part), "{part:?} in\n{told}");
    }
    let nowhere = super::tests::rules("");
    let told = words::tell(&nowhere, &case, &Story::tell(&nowhere, &case).unwrap());
    assert!(told.contains("Decision: unknown_site\n"), "{told}");
    assert!(
        told.contains("no site is configured: --domain, or [[sites]] in the file\n"),
        "{told}"
    );
    assert!(told.ends_with("\nPlausible gets: nothing\n"), "{told}");
}

#[test]
fn whether_the_page_gets_the_script_is_told_where_pages_do() {
    const INJECT: &str = "[[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n\
                          [tracker]\nsource = \"/js/script.js\"\ninject = true\n";
    let tell = |file: &'static str, policy: &str| {
        let mut response = AppResponse::page();
        if !policy.is_empty() {
            response
                .headers
                .push(("content-security-policy".to_owned(), policy.to_owned()));
        }
        let request = page();
        let headers = request["headers"].as_array().unwrap().iter().map(|pair| {
            let text = |at: usize| pair[at].as_str().unwrap().to_owned();
            (text(0), text(1))
        });
        let case = Case {
            peer: peer(Some("10.0.0.9:4711")).unwrap(),
            method: "GET".to_owned(),
            url: "/a".to_owned(),
            headers: headers.collect(),
            response,
        };
        let rules = rules(file);
        let story = Story::tell(&rules, &case).unwrap();
        words::tell(&rules, &case, &story)
    };
    assert!(tell(INJECT, "").contains("\nThe page gets the tracker script"));
    let blocked = tell(INJECT, "script-src https://cdn.test");
    assert!(
        blocked.contains("\nThe page goes on without the tracker script: its Content-Security-Policy would block it, as it lacks script-src 'self'\n"),
        "{blocked}"
    );
    assert!(!tell(SITE, "").contains("tracker script"));
}
