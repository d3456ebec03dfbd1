//! Events as they arrive, and what Plausible makes of them.

use std::net::Ipv4Addr;

use httparse::Header;
use serde_json::{Map, Value, json};

use super::*;

const UA: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn send(headers: &[(&str, &str)], body: &[u8]) -> Result<Accepted, FieldErrors> {
    let fields: Vec<_> = headers
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect();
    accept(&fields, Ipv4Addr::LOCALHOST.into(), body)
}

fn event(body: &Value) -> Result<Accepted, FieldErrors> {
    let headers = [
        ("User-Agent", UA),
        ("Content-Type", "application/json"),
        ("X-Forwarded-For", "203.0.113.7"),
    ];
    send(&headers, body.to_string().as_bytes())
}

/// A page view with these keys set or, with null, taken away.
fn view(changes: &Value) -> Result<Accepted, FieldErrors> {
    let mut body = json!({"name": "pageview", "url": "https://example.com/a", "domain": "example.com"});
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
    event(&body)
}

fn fields(result: Result<Accepted, FieldErrors>) -> Vec<&'static str> {
    result.unwrap_err().iter().map(|(field, _)| field).collect()
}

#[test]
fn a_page_view_with_long_keys_is_taken() {
    let got = view(&json!({
        "url": "https://www.example.com/a?utm_source=x&q=y",
        "domain": "www.example.com, b.example",
        "referrer": "https://search.example/",
        "props": {"path": "/a", "n": 3, "t": true, "none": null, "empty": "", "list": [1], "map": {}},
        "revenue": {"currency": "EUR", "amount": "12.50"},
        "interactive": false,
    }))
    .unwrap();
    assert_eq!(got.name, "pageview");
    assert_eq!((got.host.as_str(), got.path.as_str()), ("example.com", "/a"));
    assert_eq!(got.tag("utm_source"), Some("x"));
    assert_eq!(got.domains, ["example.com", "b.example"]);
    assert_eq!(got.referrer.as_deref(), Some("https://search.example/"));
    assert_eq!(
        got.props,
        [("path", "/a"), ("n", "3"), ("t", "true")].map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    assert_eq!(got.revenue.unwrap().amount, "12.50");
    assert!(!got.interactive && !got.data_centre);
    assert_eq!(
        (got.client.to_string().as_str(), got.client_from),
        ("203.0.113.7", "x-forwarded-for")
    );
    assert_eq!(got.user_agent, UA.as_bytes());
}

#[test]
fn the_trackers_short_keys_are_read_and_win() {
    let got = event(&json!({
        "n": "pageview", "name": "other", "v": 33, "u": "https://example.com/#/cart", "url": "nonsense", "h": 1,
        "d": "example.com", "domain": "other.example", "r": null, "p": "{\"plan\": \"pro\"}", "i": true,
        "sd": 40, "e": 1200, "$": "{\"currency\": \"USD\", \"amount\": 3}", "later": {"unknown": "key"},
    }))
    .unwrap();
    assert_eq!((got.name.as_str(), got.path.as_str()), ("pageview", "/#/cart"));
    assert_eq!(got.domains, ["example.com"]);
    assert_eq!(got.referrer, None);
    assert_eq!(got.props, [("plan".to_owned(), "pro".to_owned())]);
    assert_eq!(got.revenue.unwrap().currency, "USD");
    assert_eq!(
        (got.scroll_depth, got.engagement_ms, got.script_version),
        (Some(40), Some(1200), Some(33))
    );
}

#[test]
fn an_absent_domain_is_the_urls_host() {
    let domains = |changes| view(&changes).map(|a| a.domains);
    assert_eq!(
        domains(json!({"domain": null, "url": "https://www.a.example/"})).unwrap(),
        ["a.example"]
    );
    assert_eq!(
        domains(json!({"domain": null, "url": "file:///a"}))
            .unwrap_err()
            .of("domain"),
        ["can't be blank"]
    );
}

#[test]
fn each_wrong_field_is_named_in_the_400() {
    let long = "x".repeat(121);
    let many: Map<_, _> = (0..31).map(|i| (format!("k{i}"), json!(i))).collect();
    for (changes, field) in [
        (json!({"name": null}), "event_name"),
        (json!({"name": " "}), "event_name"),
        (json!({"name": 1.5}), "event_name"),
        (json!({"name": ["pageview"]}), "event_name"),
        (json!({"name": long}), "event_name"),
        (json!({"name": "engagement"}), "event_name"),
        (json!({"name": "engagement", "sd": "40"}), "event_name"),
        (json!({"url": null}), "url"),
        (json!({"url": 5}), "url"),
        (json!({"url": "/a"}), "url"),
        (json!({"url": "data:text/plain,x"}), "url"),
        (
            json!({"url": format!("https://example.com/{}", "a".repeat(1_981))}),
            "url",
        ),
        (json!({"domain": ""}), "domain"),
        (json!({"domain": "a.example,,b.example"}), "domain"),
        (json!({"domain": ["a.example"]}), "domain"),
        (json!({"referrer": 1}), "referrer"),
        (json!({"props": many}), "props"),
        (json!({"props": [1]}), "props"),
        (json!({"props": "no json"}), "props"),
        (json!({"props": {"k": "v".repeat(2_001)}}), "props"),
        (json!({"props": {"k".repeat(301): "v"}}), "props"),
        (json!({"interactive": "false"}), "interactive"),
        (json!({"v": "33"}), "v"),
    ] {
        assert_eq!(fields(view(&changes)), [field], "{changes}");
    }
}

#[test]
fn what_is_just_within_the_limits_is_taken() {
    let full: Map<_, _> = (0..30)
        .map(|i| (format!("{i:0300}"), json!("v".repeat(2_000))))
        .chain([("none".repeat(100), json!(null)), ("list".into(), json!([1]))])
        .collect();
    for changes in [
        json!({"name": "ü".repeat(120)}),
        json!({"name": 404}),
        json!({"name": "engagement", "sd": 0}),
        json!({"name": "engagement", "e": 0}),
        json!({"name": "engagement", "sd": 101}),
        json!({"url": format!("https://example.com/{}", "a".repeat(1_980))}),
        json!({"props": full}),
    ] {
        assert!(view(&changes).is_ok(), "{changes}");
    }
}

#[test]
fn a_long_referrer_is_cut_at_a_character() {
    let got = view(&json!({"referrer": "ü".repeat(2_001)})).unwrap();
    assert_eq!(got.referrer.unwrap().chars().count(), 2_000);
}

#[test]
fn an_invalid_revenue_is_discarded_and_the_event_counts() {
    for (revenue, kept) in [
        (json!({"currency": "EUR", "amount": 10}), true),
        (json!({"currency": "EUR", "amount": "-0.5"}), true),
        (json!({"currency": "eur", "amount": 10}), false),
        (json!({"currency": "XYZ", "amount": 10}), false),
        (json!({"currency": "EUR GBP", "amount": 10}), false),
        (json!({"currency": "EUR", "amount": "ten"}), false),
        (json!({"currency": "EUR", "amount": "1."}), false),
        (json!({"amount": 10}), false),
        (json!(10), false),
    ] {
        assert_eq!(
            view(&json!({"revenue": revenue})).unwrap().revenue.is_some(),
            kept,
            "{revenue}"
        );
    }
}

#[test]
fn every_mistake_is_told_at_once_in_plausibles_form() {
    let errors = event(&json!({"url": "/a", "domain": "", "props": 1})).unwrap_err();
    assert_eq!(
        errors.to_json(),
        json!({"errors": {
            "domain": ["can't be blank"],
            "event_name": ["can't be blank"],
            "props": ["must be an object, or an object as a JSON string"],
            "url": ["must be absolute"],
        }})
    );
}

#[test]
fn a_body_that_is_no_object_is_one_mistake() {
    let headers = [("user-agent", UA), ("content-type", "text/plain")];
    let huge = format!("{{\"name\": \"{}\"}}", "x".repeat(MAX_BODY));
    for body in ["", "{", "[]", "null", "\"pageview\"", "{} {}", &huge] {
        assert_eq!(fields(send(&headers, body.as_bytes())), ["request"], "{body:.20}");
    }
    assert_eq!(fields(send(&headers, b"{\"name\": \"\xff\"}")), ["request"]);
}

#[test]
fn the_headers_are_held_to_account_too() {
    let body = br#"{"n": "pageview", "u": "https://example.com/", "d": "example.com"}"#;
    for (kind, taken) in [
        ("application/json", true),
        ("Text/Plain; charset=utf-8", true),
        ("application/x-www-form-urlencoded", false),
        ("text/plainer", false),
        ("", false),
    ] {
        let result = send(&[("user-agent", UA), ("content-type", kind)], body);
        assert_eq!(result.is_ok(), taken, "{kind}");
    }
    assert_eq!(fields(send(&[("user-agent", UA)], body)), ["content-type"]);
    assert_eq!(
        fields(send(&[("content-type", "text/plain")], body)),
        ["user_agent"]
    );
    assert_eq!(
        fields(send(&[("content-type", "text/plain"), ("user-agent", " ")], body)),
        ["user_agent"]
    );
    let marked = [
        ("content-type", "text/plain"),
        ("user-agent", UA),
        ("X-Plausible-IP-Type", "dc_ip"),
    ];
    assert!(send(&marked, body).unwrap().data_centre);
}

#[test]
fn a_visitor_is_user_agent_address_site_and_registered_domain() {
    let base = view(&json!({})).unwrap();
    let visitor = |a: &Accepted| a.visitor("example.com", 1);
    assert_eq!(
        visitor(&base),
        visitor(&view(&json!({"url": "https://shop.example.com/b"})).unwrap())
    );
    assert_ne!(visitor(&base), base.visitor("b.example", 1));
    assert_ne!(visitor(&base), base.visitor("example.com", 2));
    assert_ne!(
        visitor(&base),
        visitor(&view(&json!({"url": "https://other.example/"})).unwrap())
    );
    let elsewhere = Accepted {
        client: Ipv4Addr::new(203, 0, 113, 8).into(),
        ..base.clone()
    };
    assert_ne!(visitor(&base), visitor(&elsewhere));
    let other_browser = Accepted {
        user_agent: b"Mozilla/5.0".to_vec(),
        ..base.clone()
    };
    assert_ne!(visitor(&base), visitor(&other_browser));
}

#[test]
fn a_source_is_the_links_tag_or_the_referring_host() {
    let named = |name: &str| TrafficSource::Named(name.to_owned());
    let at = "https://example.com/a";
    for (url, referrer, source) in [
        (at, json!(null), TrafficSource::Direct),
        (
            at,
            json!("https://www.Search.example/?q=x"),
            named("search.example"),
        ),
        (at, json!("https://www.example.com/b"), TrafficSource::Internal),
        (at, json!("http://localhost:3000/"), TrafficSource::Direct),
        (at, json!("nonsense"), TrafficSource::Direct),
        (at, json!("android-app://com.mail/"), named("com.mail")),
        (
            "https://example.com/a?ref=friend",
            json!("https://example.com/b"),
            named("friend"),
        ),
        ("https://example.com/?ref=a&utm_source=b", json!(null), named("b")),
        (
            "http://localhost/a",
            json!("http://localhost/b"),
            TrafficSource::Internal,
        ),
    ] {
        let got = view(&json!({"url": url, "referrer": referrer})).unwrap();
        assert_eq!(got.source(), source, "{url} from {referrer}");
    }
}
