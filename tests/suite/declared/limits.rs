//! Whatever an app or a request brings, Plausible takes what is sent.

use super::{BOTH, VISITOR, event, stage};
use crate::support::{
    client::{FETCH, Request},
    origin::{Origin, Then},
    process::Builder,
    receiver::Receiver,
};

#[test]
fn what_is_beyond_plausibles_limits_is_cut_and_counted() {
    for way in BOTH {
        let stage = stage(&[], |b| {
            b.set(
                "events",
                vec![event(
                    r#"
                    name = "Search"
                    path = "/search"
                    props = { q = "{query.q}" }
                    revenue = { currency = "{query.in}", amount = "{query.worth}" }
                    "#,
                )],
            )
        });
        let target = format!("/search?q={}&in=euro&worth=much", "ü".repeat(2_000));
        let outcome = stage.visit(way, &[Request::get(&target).as_(FETCH).from(VISITOR)]);
        let body = outcome.body(0);
        assert_eq!(body["props"]["q"].as_str().map(str::len), Some(2_000), "{way:?}");
        assert!(body.get("revenue").is_none());
        assert_eq!((outcome.faults("cut"), outcome.faults("malformed")), (1, 0));
        let line = stage.sidecar.await_log("is sent with less");
        assert!(line.contains("Search") && !line.contains("üü"), "{line}");
    }
}

/// The receiver answers 400 to whatever Plausible would, and `assert_strict` sees that.
#[test]
fn no_word_of_the_app_makes_an_event_that_plausible_refuses() {
    let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\": {n}, ")).collect();
    let many = many.concat();
    let words = [
        format!("{{\"name\": \"{}\"}}", "n".repeat(120)),
        format!("{{\"name\": \"{}\"}}", "n".repeat(121)),
        "{\"name\": \"engagement\"}".to_owned(),
        "{\"name\": \"\\u0000\\u001f\\u007f\"}".to_owned(),
        format!("{{\"name\": \"many\", \"props\": {{{many}\"last\": \"\"}}}}"),
        format!(
            "{{\"name\": \"long\", \"props\": {{\"{}\": 1, \"v\": \"{}\"}}}}",
            "k".repeat(301),
            "v".repeat(2_001)
        ),
        "{\"name\": \"odd\", \"props\": {\"a\": [1], \"b\": {}, \"c\": null, \"d\": \" \", \"e\": 1e300}}"
            .to_owned(),
        "{\"name\": \"sale\", \"revenue\": {\"currency\": \"???\", \"amount\": \"free\"}}".to_owned(),
        format!("{{\"name\": \"far\", \"url\": \"/{}\"}}", "p".repeat(3_000)),
        "{\"name\": \"data\", \"url\": \"data:,x\"}".to_owned(),
        "{\"name\": \"umlaut\", \"url\": \"/ä\", \"props\": {\"ö\": \"ü\"}}".to_owned(),
    ];
    let fields: Vec<String> = words
        .iter()
        .map(|word| format!("Gatecount-Event: {word}\r\n"))
        .collect();
    let head = format!("HTTP/1.1 204 No Content\r\n{}\r\n", fields.concat());
    let app = Origin::start(move |visit| {
        visit.send(&head)?;
        Ok(Then::Keep)
    });
    let plausible = Receiver::start();
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let request = Request::get("/api").as_(FETCH).from(VISITOR);
    assert_eq!(sidecar.client().ask(&request).status(), 204);
    let metrics = sidecar.settled(1);
    plausible.assert_strict();
    let names: Vec<String> = plausible
        .recorded()
        .iter()
        .map(|e| e.text("name").chars().take(6).collect())
        .collect();
    let odd = "\u{0}\u{1f}\u{7f}";
    assert_eq!(
        names,
        ["nnnnnn", odd, "many", "long", "odd", "sale", "far", "umlaut"]
    );
    assert_eq!(metrics.finished("delivered"), 8);
    let faults = metrics.metric("gatecount_custom_event_faults_total");
    assert_eq!(faults.label("fault", "malformed").value(), 3);
}
