//! Whatever an app says, nothing panics and Plausible takes what is sent.

use proptest::prelude::*;

use super::*;

/// Whether Plausible takes an event with this body.
fn is_accepted(body: &Value) -> bool {
    let line = |name, value: &'static str| Header {
        name,
        value: value.as_bytes(),
    };
    let lines = [line("user-agent", "x"), line("content-type", "application/json")];
    let peer = [203, 0, 113, 7].into();
    crate::plausible::accept(&lines, peer, body.to_string().as_bytes()).is_ok()
}

#[test]
fn what_is_just_beyond_the_limits_passes_plausibles_own_rules() {
    for value in [
        r#"{"name": "\u0000\ud83d\ude80"}"#.to_owned(),
        format!(r#"{{"name": "{}"}}"#, "ü".repeat(120)),
        format!(r#"{{"name": "x", "url": "/{}"}}"#, "a".repeat(5_000)),
        r#"{"name": "x", "props": {"a": -0.0, "": 1, "b": true, "c": {"d": 1}}}"#.to_owned(),
        format!(
            r#"{{"name": "x", "props": {{"{}": "{}"}}}}"#,
            "k".repeat(301),
            "v".repeat(2_001)
        ),
        r#"{"name": "x", "revenue": {"currency": "euro", "amount": "NaN"}}"#.to_owned(),
    ] {
        let told = api("/a").answered("Gatecount-Event", &value).told();
        assert_eq!(told.events.len(), 1, "{value:.60}");
        assert!(is_accepted(&told.events[0].1), "{value:.60}");
    }
}

/// Texts of any characters, some of them long.
fn texts(longest: usize) -> impl Strategy<Value = String> {
    let long = (any::<char>(), 0..longest).prop_map(|(c, n)| c.to_string().repeat(n));
    prop_oneof![any::<String>(), long]
}

/// JSON of any kind.
fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        texts(2_100).prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(json!(null)),
        Just(json!([1, {"a": 2}])),
    ]
}

proptest! {
    #[test]
    fn every_event_passes_plausibles_own_rules(
        name in prop_oneof![texts(130).prop_map(Value::from), scalars()],
        props in proptest::collection::vec((texts(310), scalars()), 0..40),
        url in prop_oneof!["(/|https?://example.com)?\\PC{0,20}".prop_map(Value::from), scalars()],
        revenue in prop_oneof![
            ("EUR|eur|XYZ|", scalars()).prop_map(|(c, a)| json!({"currency": c, "amount": a})),
            scalars(),
        ],
        interactive in scalars(),
    ) {
        let props: serde_json::Map<String, Value> = props.into_iter().collect();
        let mut event = json!({"name": name, "props": props, "revenue": revenue});
        let page = json!({"url": &url, "props": &props}).to_string();
        event["url"] = url;
        if interactive.is_boolean() {
            event["interactive"] = interactive;
        }
        let told = page_and_event(&page, &event.to_string());
        prop_assert!(told.events.iter().all(|(_, body)| is_accepted(body)), "{:?}", told.events);
    }

    #[test]
    fn no_words_make_it_panic(page in "\\PC{0,40}", event in "[\\[\\]{}\",:a-z0-9 \\\\]{0,60}") {
        page_and_event(&page, &event);
    }
}

fn page_and_event(words: &str, event: &str) -> Told {
    page("/a?b=c")
        .answered("Gatecount-Page", words)
        .answered("Gatecount-Event", event)
        .told()
}
