use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::QueryRule;
use crate::page::bots::BotKind;

const GOOGLEBOT: EventKind<'static> = EventKind::Bot {
    name: "Googlebot",
    kind: BotKind::Search,
};

fn seen() -> Sighting<'static> {
    Sighting {
        at_ns: 1,
        at_ms: 2,
        kind: EventKind::PageView,
        client: [203, 0, 113, 7].into(),
        user_agent: b"Mozilla/5.0 (X11)",
        https: true,
        host: b"example.com",
        target: b"/a?ref=x&token=1",
        referrer: Some(b"https://news.example/b?c"),
        domain: b"example.com,all.example",
        members: b"",
    }
}

fn body(seen: &Sighting<'_>) -> Value {
    serde_json::from_slice(&Event::build(&EventRules::default(), seen).body).unwrap()
}

#[test]
fn each_kind_has_plausibles_name_and_props() {
    let event = Event::build(&EventRules::default(), &seen());
    assert_eq!(
        std::str::from_utf8(&event.body).unwrap(),
        "{\"name\":\"pageview\",\"url\":\"https://example.com/a?ref=x\",\"domain\":\"example.com,all.example\",\
         \"referrer\":\"https://news.example/b\"}"
    );
    assert_eq!(
        (event.client, &*event.user_agent),
        (seen().client, &b"Mozilla/5.0 (X11)"[..])
    );

    let page = json!({"name": "pageview", "url": "https://example.com/a?ref=x", "domain": "example.com,all.example"});
    let with = |name: &str, props: Value| {
        let mut page = page.clone();
        page["name"] = name.into();
        page["props"] = props;
        page
    };
    let plain = Sighting {
        referrer: None,
        ..seen()
    };
    assert_eq!(body(&plain), page);
    assert_eq!(
        body(&Sighting {
            kind: EventKind::NotFound,
            ..plain
        }),
        with("404", json!({"path": "/a"}))
    );
    assert_eq!(
        body(&Sighting {
            kind: EventKind::Download,
            ..plain
        }),
        with("File Download", json!({"url": "https://example.com/a"}))
    );
    assert_eq!(
        body(&Sighting {
            kind: GOOGLEBOT,
            ..plain
        }),
        with("Bot", json!({"bot": "Googlebot", "kind": "search", "path": "/a"}))
    );
}

/// Plausible would drop the event by the bot's own user agent.
#[test]
fn a_bots_event_has_the_bots_address_and_a_user_agent_that_is_no_bots() {
    let bot = Sighting {
        kind: GOOGLEBOT,
        user_agent: b"Mozilla/5.0 (compatible; Googlebot/2.1)",
        ..seen()
    };
    let built = Event::build(&EventRules::default(), &bot);
    assert_eq!(&*built.user_agent, b"Mozilla/5.0 (gatecount)");
    assert_eq!(built.client, bot.client);
    let mut stored = Vec::new();
    let key = Event::record(&EventRules::default(), &bot, &mut stored);
    assert_eq!(
        (Event::decode(&stored), key),
        (Some(built.clone()), built.visitor())
    );
}

#[test]
fn a_host_nobody_sent_is_the_first_domain() {
    assert_eq!(
        body(&Sighting { host: b"", ..seen() })["url"],
        "https://example.com/a?ref=x"
    );
}

#[test]
fn a_body_holds_no_raw_control_character() {
    let odd = Sighting {
        target: "/\u{1}\"\\\u{7f}\u{1f}é".as_bytes(),
        referrer: Some(b"https://a.test/\r\n\0\xff"),
        ..seen()
    };
    let event = Event::build(&EventRules::default(), &odd);
    assert!(event.body.iter().all(|b| *b >= b' ' && *b != 0x7f));
    assert_eq!(body(&odd)["url"], "https://example.com/\u{1}\"\\\u{7f}\u{1f}é");
    assert_eq!(body(&odd)["referrer"], "https://a.test/\r\n\0\u{fffd}");
}

#[test]
fn a_custom_event_has_its_name_and_what_else_it_says() {
    let sale = Sighting {
        kind: EventKind::Custom("Bought \"a\" thing"),
        members: br#","props":{"plan":"pro"},"revenue":{"currency":"EUR","amount":"9.90"}"#,
        referrer: None,
        ..seen()
    };
    assert_eq!(
        body(&sale),
        json!({
            "name": "Bought \"a\" thing",
            "url": "https://example.com/a?ref=x",
            "domain": "example.com,all.example",
            "props": {"plan": "pro"},
            "revenue": {"currency": "EUR", "amount": "9.90"},
        })
    );
}

/// Queues on disk have records of versions that knew fewer kinds.
#[test]
fn a_record_of_the_first_version_is_read() {
    let mut record = vec![1, 4, 203, 0, 113, 7];
    for bytes in [&b"Mozilla/5.0"[..], br#"{"name":"pageview"}"#] {
        record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        record.extend_from_slice(bytes);
    }
    let event = Event::decode(&record).unwrap();
    assert_eq!(event.client, IpAddr::from([203, 0, 113, 7]));
    assert_eq!(&*event.user_agent, b"Mozilla/5.0");
    assert_eq!(&*event.body, br#"{"name":"pageview"}"#);
}

#[test]
fn what_is_escaped_is_found_wherever_it_stands() {
    for length in 1..50 {
        for at in 0..length {
            for odd in ['"', '\\', '\u{1f}', '\u{7f}', 'é'] {
                let mut name = vec!['x'; length];
                name[at] = odd;
                let name: String = name.into_iter().collect();
                let bot = Sighting {
                    kind: EventKind::Bot {
                        name: &name,
                        kind: BotKind::Tool,
                    },
                    ..seen()
                };
                assert_eq!(
                    body(&bot)["props"],
                    json!({ "bot": name, "kind": "tool", "path": "/a" }),
                    "{odd:?} at {at} of {length}"
                );
            }
        }
    }
}

#[test]
fn a_long_user_agent_is_cut_between_two_characters() {
    let kept = |user_agent: &[u8]| {
        let seen = Sighting { user_agent, ..seen() };
        let (built, mut stored) = (Event::build(&EventRules::default(), &seen), Vec::new());
        let key = Event::record(&EventRules::default(), &seen, &mut stored);
        let recorded = Event::decode(&stored).unwrap();
        assert_eq!((&built, built.visitor()), (&recorded, key));
        built.user_agent.to_vec()
    };
    let plain = [b'a'; 6_000];
    assert_eq!(kept(&plain[..1_024]).len(), 1_024);
    assert_eq!(kept(&plain).len(), 1_024);
    let odd = "a".to_owned() + &"\u{1f680}".repeat(2_000);
    assert_eq!(kept(odd.as_bytes()), odd.as_bytes()[..1_021]);
    assert_eq!(kept(&[0x80; 6_000]).len(), 1_024);
}

#[test]
fn a_visitor_is_address_and_user_agent() {
    let key = |seen: Sighting<'_>| Event::build(&EventRules::default(), &seen).visitor();
    assert_eq!(key(seen()), 0x3cc3_24c6_527f_4fdf, "it is kept in queues on disk");
    assert_eq!(
        key(seen()),
        key(Sighting {
            target: b"/other",
            at_ms: 9,
            domain: b"b",
            ..seen()
        })
    );
    assert_eq!(
        key(seen()),
        key(Sighting {
            client: "::ffff:203.0.113.7".parse().unwrap(),
            ..seen()
        })
    );
    assert_ne!(
        key(seen()),
        key(Sighting {
            client: [203, 0, 113, 8].into(),
            ..seen()
        })
    );
    assert_ne!(
        key(seen()),
        key(Sighting {
            user_agent: b"Mozilla/5.0 (X12)",
            ..seen()
        })
    );
}

fn kinds() -> impl Strategy<Value = EventKind<'static>> {
    prop_oneof![
        Just(EventKind::PageView),
        Just(EventKind::NotFound),
        Just(EventKind::Download),
        Just(GOOGLEBOT),
        Just(EventKind::Bot {
            name: "",
            kind: BotKind::Other
        }),
        Just(EventKind::Custom("Sign \"up\"")),
    ]
}

fn addresses() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from)
    ]
}

/// A text whose every `%` starts an escape.
fn with_whole_escapes(text: &str) -> String {
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        out.push(c);
        let is_escape = |t: &[u8]| t.len() >= 2 && t[..2].iter().all(u8::is_ascii_hexdigit);
        if c == '%' && !is_escape(&text.as_bytes()[at + 1..]) {
            out.push_str("25");
        }
    }
    out
}

/// Targets of all lengths, with many escapes and characters of several bytes in them.
fn targets() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("/".to_owned()),
        Just("%C3%A4".to_owned()),
        Just("%F0%9F%98%80".to_owned()),
        Just("%".to_owned()),
        Just("?ref=".to_owned()),
        Just("&utm_source=".to_owned()),
        Just("&".to_owned()),
        "\\PC{0,40}",
        "[a-z]{0,80}",
    ];
    proptest::collection::vec(piece, 0..120).prop_map(|p| format!("/{}", p.concat()))
}

proptest! {
    #[test]
    fn every_body_is_json_that_says_what_was_seen_within_the_limits(
        kind in kinds(),
        client in addresses(),
        agent in proptest::collection::vec(any::<u8>(), 0..60),
        https: bool,
        host in "\\PC{0,30}|[a-z.]{1,40}(:[0-9]{1,5})?",
        target in targets(),
        referrer in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..80)),
        all: bool,
    ) {
        let seen = Sighting {
            at_ns: 0, at_ms: 0, kind, client, user_agent: &agent, https, host: host.as_bytes(), target: target.as_bytes(),
            referrer: referrer.as_deref(), domain: b"example.com", members: b",\"interactive\":false",
        };
        let query = if all { QueryRule::All } else { QueryRule::default() };
        let rules = EventRules { query, ..EventRules::default() };
        let event = Event::build(&rules, &seen);
        let body: Value = serde_json::from_slice(&event.body).unwrap();
        let url = body["url"].as_str().unwrap();
        prop_assert!(url.len() <= url::MAX_URL);
        let rest = url.strip_prefix(if https { "https://" } else { "http://" }).unwrap();
        let (host, shown) = rest.split_at(rest.find('/').unwrap());
        prop_assert!(!host.is_empty() && !host.contains(['@', '?', '#', ' ']));
        prop_assert!(!shown.contains('#'));
        let path = shown.split('?').next().unwrap();
        prop_assert!(with_whole_escapes(&target).starts_with(path), "{path}");
        if let Some(referrer) = body["referrer"].as_str() {
            prop_assert!(referrer.chars().count() <= url::MAX_URL && !referrer.contains(['?', '#']));
        }
        match kind {
            EventKind::NotFound => prop_assert_eq!(&body["props"], &json!({ "path": path })),
            EventKind::Download => prop_assert_eq!(&body["props"], &json!({"url": url.split('?').next()})),
            EventKind::Bot { name, kind } => prop_assert_eq!(
                &body["props"],
                &json!({ "bot": name, "kind": kind.label(), "path": path })
            ),
            EventKind::PageView => prop_assert!(body.get("props").is_none()),
            EventKind::Custom(name) => prop_assert_eq!(&body["name"], name),
        }
        prop_assert_eq!(&body["interactive"], &json!(false));

        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        prop_assert_eq!(Event::decode(&bytes), Some(event.clone()));
        let mut recorded = b"before".to_vec();
        prop_assert_eq!(Event::record(&rules, &seen, &mut recorded), event.visitor());
        prop_assert_eq!(&recorded[6..], &bytes[..]);
        let mut bytes = Vec::new();
        seen.encode(&mut bytes);
        prop_assert_eq!(Sighting::decode(&bytes), Some(seen));
        let mut stamped = bytes.clone();
        Sighting::stamp(&mut stamped, 7, 8);
        prop_assert_eq!(Sighting::decode(&stamped), Some(Sighting { at_ns: 7, at_ms: 8, ..seen }));
        for short in 0..bytes.len() {
            prop_assert!(Sighting::decode(&bytes[..short]).is_none());
        }
    }

    #[test]
    fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Sighting::decode(&bytes);
        let _ = Event::decode(&bytes);
    }
}
