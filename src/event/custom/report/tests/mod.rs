mod limits;

use httparse::Header;
use serde_json::{Value, json};

use super::*;
use crate::event::custom::{RevenueTemplate, Template};
use crate::event::{Event, EventRules, HostPattern, Site};
use crate::facts::{RequestFacts, ResponseFacts};
use crate::page::{Bots, Decision, Known, RequestVerdict, Sign, judge_request, judge_response};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// One request with its response, as a test varies them.
struct Asked<'a> {
    method: &'a str,
    target: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    status: u16,
    answer: Vec<(&'a str, &'a str)>,
}

/// What became of it.
#[derive(Debug)]
struct Told {
    decision: Decision,
    /// Who asked for each event, and its body.
    events: Vec<(ReportedBy, Value)>,
    complaints: Vec<String>,
}

/// A page in Firefox.
fn page(target: &str) -> Asked<'_> {
    Asked {
        method: "GET",
        target,
        fields: vec![
            ("user-agent", FIREFOX),
            ("accept", "text/html"),
            ("upgrade-insecure-requests", "1"),
        ],
        status: 200,
        answer: vec![("content-type", "text/html")],
    }
}

/// A form that a script sends.
fn api(target: &str) -> Asked<'_> {
    Asked {
        method: "POST",
        fields: vec![("user-agent", FIREFOX), ("sec-fetch-dest", "empty")],
        status: 303,
        answer: Vec::new(),
        ..page(target)
    }
}

impl<'a> Asked<'a> {
    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.push((name, value));
        self
    }

    fn answered(mut self, name: &'a str, value: &'a str) -> Self {
        self.answer.push((name, value));
        self
    }

    fn told(&self) -> Told {
        self.told_by(&PageRules::default(), &[])
    }

    fn told_by(&self, pages: &PageRules, rules: &[CustomRule]) -> Told {
        let fields: Vec<Header<'_>> = self.fields.iter().map(field).collect();
        let answer: Vec<Header<'_>> = self.answer.iter().map(field).collect();
        let sites = sites();
        let response = ResponseFacts::read(self.status, &answer);
        let occasion = Occasion {
            mask: &[],
            request: RequestFacts::read(self.method, self.target, &fields),
            https: true,
            host: Some("example.com"),
            client: Some([203, 0, 113, 7].into()),
            domain: sites.find(Some("example.com")),
            response: &response,
        };
        let verdict = match judge_request(pages, &occasion.request, true, occasion.client) {
            RequestVerdict::Settled(verdict) => verdict,
            RequestVerdict::Open(candidate) => judge_response(pages, &candidate, &response, Known::Nothing),
            RequestVerdict::Soft(soft) => panic!("a script's request: {soft:?}"),
        };
        let by = Reporting {
            pages,
            sites: &sites,
            rules,
        };
        let found = report(&by, &occasion, verdict);
        let body = |report: &Report| {
            let sighting = report.sighting(pages, &occasion).unwrap();
            let event = Event::build(&EventRules::default(), &sighting);
            serde_json::from_slice(&event.body).unwrap()
        };
        Told {
            decision: found.verdict.decision,
            events: found.reports.iter().map(|r| (r.by, body(r))).collect(),
            complaints: found.complaints.iter().map(ToString::to_string).collect(),
        }
    }
}

fn field<'a>((name, value): &(&'a str, &'a str)) -> Header<'a> {
    Header {
        name,
        value: value.as_bytes(),
    }
}

fn sites() -> Sites {
    let site = |host: &str| Site {
        hosts: vec![host.parse::<HostPattern>().unwrap()],
        domains: vec![host.to_owned()],
    };
    Sites::new(vec![site("example.com"), site("other.example")])
}

fn rule(name: &str, path: &str) -> CustomRule {
    CustomRule {
        name: name.to_owned(),
        methods: Vec::new(),
        path: path.parse().unwrap(),
        statuses: ["2xx", "3xx"].map(|s| s.parse().unwrap()).to_vec(),
        props: Vec::new(),
        revenue: None,
        interactive: true,
    }
}

fn event(name: &str, url: &str) -> Value {
    json!({"name": name, "url": url, "domain": "example.com"})
}

#[test]
fn a_rules_event_is_besides_the_page_view() {
    let template = |text: &str| Template::parse(text, &["slug"]).unwrap();
    let read = CustomRule {
        props: vec![
            ("slug".to_owned(), template("{capture.slug}")),
            ("none".to_owned(), template("{query.none}")),
        ],
        revenue: Some(RevenueTemplate {
            currency: template("eur"),
            amount: template("{query.worth}"),
        }),
        interactive: false,
        ..rule("Read", "/posts/{slug}")
    };
    let told = page("/posts/caf%C3%A9?worth=1.5").told_by(&PageRules::default(), &[read]);
    let url = "https://example.com/posts/caf%C3%A9";
    let mut custom = event("Read", url);
    custom["props"] = json!({"slug": "café"});
    custom["revenue"] = json!({"currency": "EUR", "amount": "1.5"});
    custom["interactive"] = json!(false);
    assert_eq!(told.decision, Decision::Counted);
    assert_eq!(
        told.events,
        [
            (ReportedBy::Pages, event("pageview", url)),
            (ReportedBy::Rule, custom)
        ]
    );
    assert!(told.complaints.is_empty());
}

#[test]
fn an_event_needs_no_page() {
    let told = api("/signup")
        .answered("Gatecount-Event", r#"{"name": "Signup"}"#)
        .told_by(
            &PageRules::default(),
            &[rule("Any", "/sign*"), rule("Other", "/other")],
        );
    let url = "https://example.com/signup";
    assert_eq!(told.decision, Decision::NotPage);
    assert_eq!(
        told.events,
        [
            (ReportedBy::Rule, event("Any", url)),
            (ReportedBy::App, event("Signup", url))
        ]
    );
}

#[test]
fn the_app_can_uncount_a_page_and_with_it_the_rules() {
    let off = page("/a")
        .answered("Gatecount-Page", "off")
        .answered("Gatecount-Event", r#"{"name": "Signup"}"#);
    let told = off.told_by(&PageRules::default(), &[rule("Any", "/**")]);
    assert_eq!(told.decision, Decision::Suppressed);
    assert_eq!(
        told.events,
        [(ReportedBy::App, event("Signup", "https://example.com/a"))]
    );
    // Nothing was to be sent, so the decision tells why.
    let told = api("/a").answered("Gatecount-Page", "off").told();
    assert_eq!((told.decision, told.events), (Decision::NotPage, Vec::new()));
}

#[test]
fn the_app_amends_a_page_view_that_the_rules_count() {
    let told = page("/a?utm_source=x")
        .answered("Gatecount-Page", r#"{"url": "/b", "props": {"author": "Ann"}}"#)
        .answered("Gatecount-Event", r#"{"name": "Signup"}"#)
        .answered(
            "Gatecount-Event",
            r#"{"name": "Signin", "url": "http://example.com:80/c"}"#,
        )
        .told();
    let url = "https://example.com/b?utm_source=x";
    let mut view = event("pageview", url);
    view["props"] = json!({"author": "Ann"});
    assert_eq!(told.decision, Decision::Counted);
    assert_eq!(
        told.events,
        [
            (ReportedBy::Pages, view),
            (ReportedBy::App, event("Signup", url)),
            (
                ReportedBy::App,
                event("Signin", "http://example.com/c?utm_source=x")
            ),
        ]
    );
}

#[test]
fn the_app_declares_a_page_where_the_rules_find_none() {
    let declared = |asked: Asked<'_>, pages: &PageRules| {
        let told = asked.answered("Gatecount-Page", "{}").told_by(pages, &[]);
        assert_eq!(told.decision, Decision::Declared);
        assert_eq!(
            told.events,
            [(ReportedBy::App, event("pageview", "https://example.com/a"))]
        );
    };
    let pages = PageRules::default();
    declared(api("/a"), &pages);
    declared(
        Asked {
            status: 500,
            ..page("/a")
        },
        &pages,
    );
    let never = PageRules {
        count: crate::page::CountMode::Never,
        ..pages.clone()
    };
    declared(page("/a"), &never);
    let excluded = PageRules {
        exclude: vec!["/**".parse().unwrap()],
        ..pages.clone()
    };
    declared(page("/a"), &excluded);
    let not_found = PageRules {
        not_found: true,
        ..pages
    };
    declared(
        Asked {
            status: 404,
            ..page("/a")
        },
        &not_found,
    );
}

#[test]
fn whoever_is_not_counted_has_no_events() {
    let pages = PageRules {
        respect_gpc: true,
        exclude_when: vec![Sign::Cookie("staff".to_owned())],
        ..PageRules::default()
    };
    let asked = |name, value| page("/a").with(name, value);
    for (asked, decision) in [
        (asked("sec-gpc", "1"), Decision::OptedOut),
        (asked("cookie", "staff=1"), Decision::Excluded),
        (asked("sec-purpose", "prefetch"), Decision::Prefetch),
        (asked("signature-agent", "x"), Decision::Bot),
        (
            Asked {
                method: "HEAD",
                ..page("/a")
            },
            Decision::NotPage,
        ),
    ] {
        let told = asked
            .answered("Gatecount-Page", r#"{"url": "/b"}"#)
            .answered("Gatecount-Event", r#"{"name": "Signup"}"#)
            .told_by(&pages, &[rule("Any", "/**")]);
        assert_eq!((told.decision, told.events), (decision, Vec::new()));
    }
}

#[test]
fn the_bots_domain_gets_pages_as_the_app_names_them_and_no_event() {
    let pages = PageRules {
        bots: Bots::Domain("bots".to_owned()),
        ..PageRules::default()
    };
    let bot = || page("/a/secret").with("signature-agent", "x");
    let told = bot()
        .answered("Gatecount-Page", r#"{"url": "/a", "props": {"x": "y"}}"#)
        .answered("Gatecount-Event", r#"{"name": "Signup"}"#)
        .told_by(&pages, &[rule("Any", "/**")]);
    assert_eq!((told.decision, told.events.len()), (Decision::Bot, 1));
    let body = &told.events[0].1;
    assert_eq!(
        (&body["url"], &body["domain"]),
        (&json!("https://example.com/a"), &json!("bots"))
    );
    assert_eq!(
        body["props"],
        json!({"bot": "Other", "kind": "other", "path": "/a"})
    );
    let told = bot().answered("Gatecount-Page", "off").told_by(&pages, &[]);
    assert_eq!((told.decision, told.events), (Decision::Suppressed, Vec::new()));
}

#[test]
fn what_is_malformed_changes_nothing() {
    let told = page("/a")
        .answered("Gatecount-Page", r#"{"url": "https://other.example/a"}"#)
        .answered("Gatecount-Event", r#"{"name": "Signup", "url": "nonsense"}"#)
        .answered("Gatecount-Event", "nonsense")
        .told();
    assert_eq!(told.decision, Decision::Counted);
    assert_eq!(
        told.events,
        [(ReportedBy::Pages, event("pageview", "https://example.com/a"))]
    );
    assert_eq!(told.complaints.len(), 3, "{:?}", told.complaints);
    assert!(told.complaints.iter().all(|c| c.contains(" is not used: ")));
}

#[test]
fn what_was_cut_is_complained_of_once_an_event() {
    let long = "x".repeat(3_000);
    let cut = CustomRule {
        props: vec![
            ("q".to_owned(), Template::parse("{query.q}", &[]).unwrap()),
            ("r".to_owned(), Template::parse("{query.q}", &[]).unwrap()),
        ],
        ..rule("Search", "/search")
    };
    let target = format!("/search?q={long}");
    let declared = format!(r#"{{"name": "Signup", "props": {{"a": "{long}", "b": [1]}}}}"#);
    let told = page(&target)
        .answered("Gatecount-Event", &declared)
        .told_by(&PageRules::default(), &[cut]);
    let value = |nth: usize, key: &str| told.events[nth].1["props"][key].as_str().map(str::len);
    assert_eq!(
        (value(1, "q"), value(1, "r"), value(2, "a")),
        (Some(2_000), Some(2_000), Some(2_000))
    );
    let cut = "is sent with less: the value of a prop is cut at 2000 bytes";
    assert_eq!(
        told.complaints,
        [
            format!("the event \"Search\" of [[events]] {cut}"),
            format!("the app's Gatecount-Event {cut}")
        ]
    );
}
