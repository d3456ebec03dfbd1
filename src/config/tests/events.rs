//! `[[events]]`: what is accepted, and what is said of the rest.

use super::*;

/// An event with this line beside its name and path.
fn with(line: &str) -> String {
    format!("[[events]]\nname = \"Signup\"\npath = \"/signup/{{step}}\"\n{line}\n")
}

#[test]
fn each_wrong_value_is_told_with_its_line_and_what_would_be_right() {
    let braces = "a template is written {path}, and a brace itself {{ or }}";
    let words =
        "is unknown: there are {path}, {host}, {status}, {query.NAME}, {header.NAME} and {capture.NAME}";
    let number = "a decimal number is wanted, such as \"9.90\", or a template such as \"{query.total}\"";
    let revenue = "revenue is { currency = \"EUR\", amount = \"{query.total}\" }";
    for (line, problem) in [
        (
            "method = \"post\"",
            "method = \"post\": methods have capitals: did you mean \"POST\"?",
        ),
        (
            "method = [\"POST\", \"a b\"]",
            "method = \"a b\": a method is wanted, such as \"POST\"",
        ),
        (
            "method = \"HEAD\"",
            "method = \"HEAD\": HEAD shows nothing and does nothing, so it is never counted",
        ),
        ("method = []", "method = []: at least one is wanted"),
        ("status = [303]", "status = 303: a text in quotes is wanted"),
        (
            "status = 303",
            "status = 303: a text or a list of texts is wanted",
        ),
        ("status = []", "status = []: at least one is wanted"),
        (
            "status = [\"30x\"]",
            "status = \"30x\": a status from \"200\" to \"599\" or a class such as \"2xx\" is wanted",
        ),
        (
            "props = \"a\"",
            "props = \"a\": a table is wanted, such as { plan = \"{query.plan}\" }",
        ),
        ("props = { a = 1 }", "props.a = 1: a text in quotes is wanted"),
        (
            "props = { a = \"{path\" }",
            &format!("props.a = \"{{path\": {braces}"),
        ),
        (
            "props = { a = \"{url}\" }",
            &format!("props.a = \"{{url}}\": {{url}} {words}"),
        ),
        (
            "props = { a = \"{capture.slug}\" }",
            "props.a = \"{capture.slug}\": {capture.slug}: the path has {step}; a capture is written as in \
             \"/posts/{slug}\"",
        ),
        (
            "props = { a = \"{header.cookie}\" }",
            "props.a = \"{header.cookie}\": {header.cookie}: this header has secrets, which must not leave",
        ),
        (
            "props = { \"\" = \"a\" }",
            "props = \"a\": a key from 1 to 300 bytes is wanted",
        ),
        (
            "revenue = 5",
            "revenue = 5: a table is wanted, such as { currency = \"EUR\", amount = \"{query.total}\" }",
        ),
        (
            "revenue = { amount = 5 }",
            &format!("revenue.currency: missing: {revenue}"),
        ),
        (
            "revenue = { currency = \"EUR\" }",
            &format!("revenue.amount: missing: {revenue}"),
        ),
        (
            "revenue = { currency = \"eur\", amount = 5 }",
            "revenue.currency = \"eur\": a currency of ISO 4217 is wanted, such as \"EUR\"; did you mean \"EUR\"?",
        ),
        (
            "revenue = { currency = \"XYZ\", amount = 5 }",
            "revenue.currency = \"XYZ\": a currency of ISO 4217 is wanted, such as \"EUR\"",
        ),
        (
            "revenue = { currency = \"EUR\", amount = \"5,00\" }",
            &format!("revenue.amount = \"5,00\": {number}"),
        ),
        (
            "revenue = { currency = \"EUR\", amount = 5, tax = 1 }",
            &format!("revenue.tax: no such key; {revenue}"),
        ),
        (
            "interactive = \"no\"",
            "interactive = \"no\": true or false is wanted",
        ),
    ] {
        assert_eq!(
            told(from_file(&with(line))),
            [format!("gatecount.toml:4: events.{problem}")],
            "{line}"
        );
    }
}

#[test]
fn a_wrong_name_or_path_is_told_at_its_line() {
    let long = "x".repeat(121);
    for (name, path, problem) in [
        (
            "",
            "/a",
            "gatecount.toml:2: events.name = \"\": a name of at most 120 characters is wanted: its name is missing or blank",
        ),
        (
            "pageview",
            "/a",
            "gatecount.toml:2: events.name = \"pageview\": a name of at most 120 characters is wanted: \"pageview\" is a page view's name; the app declares one by Gatecount-Page",
        ),
        (
            "{path}",
            "/a",
            "gatecount.toml:2: events.name = \"{path}\": a name is the same for every request: what differs belongs into props",
        ),
        (
            "A",
            "a",
            "gatecount.toml:3: events.path = \"a\": a path pattern begins with \"/\", as in \"/admin/**\"",
        ),
        (
            "A",
            "/{a",
            "gatecount.toml:3: events.path = \"/{a\": a capture is written {name} or {**name}; a brace in a path is sent as %7B or %7D",
        ),
    ] {
        let file = format!("[[events]]\nname = \"{name}\"\npath = \"{path}\"\n");
        assert_eq!(told(from_file(&file)), [problem]);
    }
    let file = format!("[[events]]\nname = \"{long}\"\npath = \"/a\"\n");
    assert!(told(from_file(&file))[0].ends_with("its name has more than 120 characters"));
    assert_eq!(
        told(from_file("[[events]]\n[[events]]\nname = \"A\"\n")),
        [
            "gatecount.toml:1: events.name: missing: each event has name = \"Signup\"",
            "gatecount.toml:1: events.path: missing: each event has path = \"/signup\"",
            "gatecount.toml:2: events.path: missing: each event has path = \"/signup\"",
        ]
    );
}

#[test]
fn plausibles_limits_hold_when_the_file_is_read() {
    let props: Vec<String> = (0..31).map(|n| format!("k{n} = \"a\"")).collect();
    let told = |line: &str| told(from_file(&with(line)));
    assert_eq!(
        told(&format!("props = {{ {} }}", props.join(", "))),
        ["gatecount.toml:4: events.props = a table: 31 props; Plausible takes at most 30"]
    );
    assert!(told(&format!("props = {{ {} }}", props[..30].join(", "))).is_empty());
    let key = format!("props = {{ {} = \"a\" }}", "k".repeat(301));
    assert_eq!(
        told(&key),
        ["gatecount.toml:4: events.props = \"a\": a key from 1 to 300 bytes is wanted"]
    );
    let value = format!("props = {{ a = \"{}{{path}}\" }}", "v".repeat(2_001));
    assert!(told(&value)[0].ends_with(": 2001 bytes; Plausible takes at most 2000"));
}

#[test]
fn a_variable_cannot_have_events() {
    for name in ["GATECOUNT_EVENTS", "GATECOUNT_EVENTS_NAME"] {
        assert_eq!(
            told(load(&sources(&[], &[(name, "a")], enough()))),
            [format!(
                "{name}: events can't be given in the environment: [[events]] in the file has them"
            )]
        );
    }
}

#[test]
fn events_can_be_reloaded_and_are_named_as_a_whole() {
    let load = |line: &str| from_file(&with(line)).unwrap();
    let (old, new) = (load(""), load("method = \"POST\""));
    assert_eq!(old.needs_restart(&new), [""; 0]);
    assert_eq!(old.reloadable_changes(&new), ["events"]);
    assert_eq!(old.reloadable_changes(&load("")), [""; 0]);
    let mut running = old;
    running.adopt_reloadable(new);
    assert_eq!(running.custom[0].methods, ["POST"]);
    assert!(running.to_toml().contains("method = [\"POST\"]"));
}

#[test]
fn what_is_not_said_has_its_default() {
    let rule = &from_file(&with("")).unwrap().custom[0];
    for (method, status, takes) in [
        ("POST", 303, true),
        ("GET", 200, true),
        ("GET", 404, false),
        ("OPTIONS", 200, false),
    ] {
        assert_eq!(
            rule.takes(method, "/signup/1", status),
            takes,
            "{method} {status}"
        );
    }
    assert!(rule.interactive && rule.props.is_empty() && rule.revenue.is_none());
}
