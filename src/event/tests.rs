use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::page::What;

fn sighting<'a>() -> Sighting<'a> {
    Sighting {
        at_ns: 1,
        at_ms: 2,
        what: What::PageView,
        client: "203.0.113.7".parse().unwrap(),
        user_agent: b"UA/1 \xff",
        https: true,
        host: "Example.com:443",
        target: "/a?b=c&utm_source=x&ref=y%20z",
        referrer: Some(b"https://u:p@other.example/path?secret=1#x"),
        domain: "example.com",
    }
}

fn body(sighting: &Sighting<'_>, query: Query) -> Value {
    let rules = Rules {
        sites: Sites::default(),
        query,
    };
    serde_json::from_slice(&Event::build(&rules, sighting).body).unwrap()
}

#[test]
fn an_event_says_where_and_from_where_and_no_more() {
    let expected = json!({
        "name": "pageview",
        "url": "https://example.com/a?utm_source=x&ref=y%20z",
        "domain": "example.com",
        "referrer": "https://other.example/path",
    });
    assert_eq!(body(&sighting(), Query::default()), expected);
    let bare = Sighting {
        referrer: None,
        https: false,
        host: "",
        target: "/#x",
        ..sighting()
    };
    let expected = json!({ "name": "pageview", "url": "http://example.com/", "domain": "example.com" });
    assert_eq!(body(&bare, Query::All), expected);
}

#[test]
fn other_events_have_their_names_and_props() {
    let of = |what| body(&Sighting { what, ..sighting() }, Query::default());
    assert_eq!(of(What::NotFound)["name"], "404");
    assert_eq!(of(What::NotFound)["props"], json!({ "path": "/a" }));
    assert_eq!(of(What::Download)["name"], "File Download");
    assert_eq!(
        of(What::Download)["props"],
        json!({ "url": "https://example.com/a" })
    );
    assert_eq!(of(What::Bot("Googlebot"))["name"], "pageview");
    assert_eq!(of(What::Bot("Googlebot"))["props"], json!({ "bot": "Googlebot" }));
}

#[test]
fn a_long_url_loses_its_parameters_first_and_then_the_end_of_its_path() {
    let url = |target: &str| {
        let value = body(&Sighting { target, ..sighting() }, Query::All);
        value["url"].as_str().unwrap().to_owned()
    };
    let long = format!("/a?x={}&y=1", "b".repeat(1950));
    assert_eq!(
        url(&format!("{long}&z={}", "c".repeat(100))),
        format!("https://example.com{long}")
    );
    assert_eq!(url(&format!("/{}?a=b", "p".repeat(3000))).len(), 2000);
    // 19 bytes of origin: the path's room of 1981 ends within an escape, or within a sequence of escapes.
    for (fill, tail, kept) in [
        (1979, "%20", ""),
        (1978, "%20", "%20"),
        (1978, "%C3%A9x", ""),
        (1975, "%E2%82%ACx", ""),
        (1974, "%E2%82%ACx", ""),
        (1972, "%E2%82%ACx", "%E2%82%AC"),
        (1980, "é", ""),
        (1979, "é", "é"),
    ] {
        let path = format!("{:a<fill$}{tail}{}", "/", "z".repeat(20));
        let end = &url(&path)[19 + fill..];
        assert!(
            end.starts_with(kept) && !end[kept.len()..].contains(['%', 'é']),
            "{fill} {tail}: {end}"
        );
    }
}

#[test]
fn a_referrer_that_is_empty_or_nonsense_is_handled() {
    let of = |sent: &[u8]| url::referrer(sent);
    assert_eq!(of(b""), None);
    assert_eq!(of(b"?x"), None);
    assert_eq!(
        of(b"android-app://com.example/"),
        Some("android-app://com.example/".into())
    );
    assert_eq!(of(b"about:blank"), Some("about:blank".into()));
    assert_eq!(
        of("https://é.example/ü".repeat(1000).as_bytes())
            .unwrap()
            .chars()
            .count(),
        2000
    );
    assert!(of(b"\xff\xfe").is_some());
}

#[test]
fn a_visitor_is_an_address_and_a_user_agent() {
    let rules = Rules::default();
    let of = |s: &Sighting<'_>| Event::build(&rules, s).visitor();
    let one = of(&sighting());
    assert_eq!(
        one,
        of(&Sighting {
            target: "/other",
            host: "other",
            at_ms: 9,
            ..sighting()
        })
    );
    assert_ne!(
        one,
        of(&Sighting {
            user_agent: b"UA/2",
            ..sighting()
        })
    );
    assert_ne!(
        one,
        of(&Sighting {
            client: "203.0.113.8".parse().unwrap(),
            ..sighting()
        })
    );
}

proptest! {
    #[test]
    fn any_sighting_survives_its_encoding_and_makes_an_event_that_is_accepted(
        target in "/[ -~é€]{0,2500}",
        host in "[a-zA-Z0-9.-]{0,300}",
        referrer in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..2500)),
        agent in proptest::collection::vec(32u8..127, 1..200),
        kind in 0..4,
        https: bool,
        v6: bool,
    ) {
        let what = [What::PageView, What::NotFound, What::Download, What::Bot("a \"bot\"")][kind as usize];
        let client = if v6 { "2001:db8::1" } else { "198.51.100.1" }.parse().unwrap();
        let target = target.replace(' ', "+");
        let s = Sighting {
            what, client, https, host: &host, target: &target, user_agent: &agent, referrer: referrer.as_deref(), ..sighting()
        };
        let mut bytes = vec![];
        s.encode(&mut bytes);
        prop_assert_eq!(Sighting::decode(&bytes), Some(s));
        for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            prop_assert_eq!(Sighting::decode(&bytes[..cut]), None);
        }
        let event = Event::build(&Rules { query: Query::All, ..Rules::default() }, &s);
        let value: Value = serde_json::from_slice(&event.body).unwrap();
        let url = value["url"].as_str().unwrap();
        prop_assert!(url.len() <= 2000);
        prop_assert!(url.starts_with(if https { "https://" } else { "http://" }));
        let mut stored = vec![];
        event.encode(&mut stored);
        prop_assert_eq!(Event::decode(&stored), Some(event));
    }

    #[test]
    fn any_bytes_at_all_are_decoded_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Sighting::decode(&bytes);
        let _ = Event::decode(&bytes);
    }
}
