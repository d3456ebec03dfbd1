//! A story in words.

use super::{
    super::{AppResponse, Case, Story, peer, words},
    SIGNUP, SITE, form, page, rules,
};

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
    let nowhere = super::rules("");
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

const SHARED: &str = "[stream]\nurl = \"nats://a\"\nname = \"shared\"\n\
                      [[sites]]\nhosts = [\"example.com\"]\ndomain = \"example.com\"\n";

#[test]
fn events_that_go_through_a_stream_are_said_to() {
    let told = |file| {
        let rules = rules(file);
        let case = Case::from_json(page().to_string().as_bytes()).unwrap();
        let story = Story::tell(&rules, &case).unwrap();
        words::tell(&rules, &case, &story)
    };
    let said = "goes through the stream shared, from which a gateway delivers it";
    assert!(told(SHARED).contains(said));
    assert!(!told(SITE).contains("stream"));
}
