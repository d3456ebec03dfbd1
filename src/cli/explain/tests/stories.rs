//! What a story has.

use serde_json::{Value, json};

use super::{SIGNUP, SITE, batch, form, page};

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
