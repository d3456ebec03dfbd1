//! Requests and responses as browsers and servers send them, each with what is to be decided.

use httparse::Header;

use crate::facts::{RequestFacts, ResponseFacts};
use crate::page::bots::BotKind;
use crate::page::{
    Bots, CountMode, DOWNLOADS, Decision, Doubt, EventKind, Known, PageRules, PrefetchMode, RequestVerdict,
    ServiceWorker, SoftOutcome, Verdict, doubt, is_refused_prefetch, judge_request, judge_response,
    may_activate, may_be_held, soft_outcome,
};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/129.0.0.0 Safari/537.36";
const UPGRADE: (&str, &str) = ("Upgrade-Insecure-Requests", "1");
const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// One case: what differs from a GET of `/` by a browser that is answered with a page.
struct Case<'a> {
    rules: PageRules,
    method: &'a str,
    target: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    agent: Option<&'a str>,
    known_site: bool,
    has_client: bool,
    status: u16,
    answer: Vec<(&'a str, &'a str)>,
    /// What settles a doubt.
    known: Known<'a>,
}

fn case<'a>(fields: &[(&'a str, &'a str)]) -> Case<'a> {
    Case {
        rules: PageRules::default(),
        method: "GET",
        target: "/",
        fields: fields.to_vec(),
        agent: Some(CHROME),
        known_site: true,
        has_client: true,
        status: 200,
        answer: vec![("content-type", "text/html; charset=utf-8")],
        known: Known::Nothing,
    }
}

/// A navigation of today's browsers.
fn page<'a>() -> Case<'a> {
    case(&[
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Accept", HTML),
    ])
}

/// A link with `download`.
fn saved<'a>() -> Case<'a> {
    case(&[
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Accept", "*/*"),
    ])
}

fn headers<'a>(pairs: &'a [(&'a str, &'a str)]) -> Vec<Header<'a>> {
    pairs
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect()
}

impl<'a> Case<'a> {
    fn decide(&self) -> Verdict {
        let mut fields = self.fields.clone();
        fields.extend(self.agent.map(|a| ("User-Agent", a)));
        let (fields, answer) = (headers(&fields), headers(&self.answer));
        let request = RequestFacts::read(self.method, self.target, &fields);
        let client = self.has_client.then(|| [203, 0, 113, 7].into());
        let response = ResponseFacts::read(self.status, &answer);
        let reading = judge_request(&self.rules, &request, self.known_site, client);
        let doubt = doubt(&reading, &response);
        let is_asked_for = match self.known {
            Known::Nothing => true,
            Known::LastType(_) => doubt == Some(Doubt::LastType),
            Known::BodyStart(_) => doubt == Some(Doubt::BodyStart),
            Known::Announced => doubt == Some(Doubt::Announcement),
        };
        let known = if is_asked_for { self.known } else { Known::Nothing };
        match reading {
            RequestVerdict::Settled(verdict) => verdict,
            RequestVerdict::Open(candidate) => judge_response(&self.rules, &candidate, &response, known),
            RequestVerdict::Soft(soft) => match soft_outcome(soft, &response, known) {
                SoftOutcome::Settled(verdict) => verdict,
                shown => panic!("a soft navigation: {shown:?}"),
            },
        }
    }

    fn knowing(mut self, known: Known<'a>) -> Self {
        self.known = known;
        self
    }

    #[track_caller]
    fn is(self, decision: Decision, event: Option<EventKind<'static>>) {
        let verdict = self.decide();
        assert_eq!(
            (verdict.decision, verdict.event),
            (decision, event),
            "{}",
            verdict.why
        );
        assert!(verdict.why.ends_with('.'), "{}", verdict.why);
    }

    #[track_caller]
    fn counts(self) {
        self.is(Decision::Counted, Some(EventKind::PageView));
    }

    fn answered(mut self, status: u16, answer: &[(&'a str, &'a str)]) -> Self {
        self.status = status;
        self.answer = answer.to_vec();
        self
    }

    fn at(mut self, target: &'a str) -> Self {
        self.target = target;
        self
    }

    fn by(mut self, method: &'a str) -> Self {
        self.method = method;
        self
    }

    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.push((name, value));
        self
    }

    fn ruled(mut self, change: impl FnOnce(&mut PageRules)) -> Self {
        change(&mut self.rules);
        self
    }
}

#[test]
fn a_navigation_answered_with_a_document_counts() {
    page().counts();
    page().with("Sec-Fetch-User", "?1").counts();
    case(&[("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")]).counts();
    page()
        .answered(200, &[("Content-Type", "application/xhtml+xml")])
        .counts();
    page().answered(203, &[("Content-Type", "TEXT/HTML")]).counts();
}

#[test]
fn an_older_browser_is_known_by_its_accept() {
    case(&[("Accept", HTML), UPGRADE]).counts();
    case(&[("Accept", "application/xhtml+xml"), UPGRADE]).counts();
    case(&[("Accept", HTML)]).counts();
    let old = Case {
        agent: Some(
            "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/43.0.2357.124 \
             Safari/537.36",
        ),
        ..case(&[("Accept", "text/html")])
    };
    old.counts();
    case(&[
        ("Accept", HTML),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-User", "?1"),
    ])
    .counts();
    for fields in [
        &[("Accept", "*/*")][..],
        &[],
        &[("Accept", "image/webp,*/*")],
        &[("Accept", "text/html;q=0, */*")],
        // Such a browser asks for a secure page with each navigation, and for more types than a script.
        &[("Accept", "text/html")],
        &[("Accept", "text/html, application/xhtml+xml")],
        &[("Accept", HTML), ("X-Requested-With", "XMLHttpRequest")],
        &[("Accept", HTML), ("Sec-Fetch-Mode", "nested-navigate")],
        &[("Accept", HTML), ("Sec-Fetch-Mode", "cors")],
    ] {
        case(fields).is(Decision::NotPage, None);
    }
}

#[test]
fn what_is_no_main_frame_is_no_page_whatever_comes_back() {
    for dest in [
        "iframe", "frame", "embed", "object", "image", "script", "style", "font", "audio", "worker",
        "rubbish",
    ] {
        case(&[
            ("Sec-Fetch-Dest", dest),
            ("Sec-Fetch-Mode", "navigate"),
            ("Accept", HTML),
        ])
        .is(Decision::NotPage, None);
        case(&[
            ("Sec-Fetch-Dest", dest),
            ("Sec-Fetch-Mode", "no-cors"),
            ("Purpose", "prefetch"),
        ])
        .is(Decision::NotPage, None);
    }
    for mode in ["no-cors", "cors", "same-origin"] {
        case(&[
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-Mode", mode),
            ("Accept", HTML),
        ])
        .is(Decision::NotPage, None);
        case(&[
            ("Sec-Fetch-Dest", "empty"),
            ("Sec-Fetch-Mode", mode),
            ("Accept", HTML),
        ])
        .is(Decision::NotPage, None);
    }
}

#[test]
fn the_method_is_get_or_a_post_that_a_page_answers() {
    page().by("POST").counts();
    page()
        .by("POST")
        .answered(303, &[("Location", "/thanks")])
        .is(Decision::Redirect, None);
    page().by("POST").answered(304, &[]).is(Decision::NotHtml, None);
    page()
        .by("POST")
        .answered(422, &[("Content-Type", "text/html")])
        .is(Decision::ErrorStatus, None);
    for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "get"] {
        page().by(method).is(Decision::NotPage, None);
    }
    page()
        .with("Range", "bytes=0-")
        .answered(206, &[("Content-Type", "text/html")])
        .is(Decision::NotPage, None);
}

#[test]
fn a_service_workers_fetch_counts_and_is_told_from_a_saved_link_by_its_accept() {
    let fetch = [
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Accept", HTML),
    ];
    case(&fetch).counts();
    saved().is(Decision::Download, None);
    page().with("Service-Worker-Navigation-Preload", "true").counts();
    let worker = |fields: &[(&str, &str)]| {
        let fields = headers(fields);
        match judge_request(
            &PageRules {
                bots: Bots::Count,
                ..PageRules::default()
            },
            &RequestFacts::read("GET", "/", &fields),
            true,
            Some([203, 0, 113, 7].into()),
        ) {
            RequestVerdict::Open(candidate) => candidate.service_worker(),
            reading => panic!("{reading:?}"),
        }
    };
    assert_eq!(worker(&fetch), Some(ServiceWorker::Fetch));
    let firefox = [
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "same-origin"),
        ("Accept", HTML),
        UPGRADE,
    ];
    case(&firefox).counts();
    assert_eq!(worker(&firefox), Some(ServiceWorker::Fetch));
    case(&firefox[..3]).is(Decision::NotPage, None);
    let preload = [
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Service-Worker-Navigation-Preload", "true"),
    ];
    assert_eq!(worker(&preload), Some(ServiceWorker::Preload));
    assert_eq!(worker(&preload[..2]), None);
}

#[test]
fn a_prefetch_is_not_counted() {
    for (name, value) in [
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
        ("X-Purpose", "preview"),
        ("X-Moz", "prefetch"),
    ] {
        page().with(name, value).is(Decision::Prefetch, None);
        case(&[
            ("Sec-Fetch-Dest", "empty"),
            ("Sec-Fetch-Mode", "no-cors"),
            (name, value),
        ])
        .is(Decision::Prefetch, None);
        case(&[("Accept", "*/*"), (name, value)]).is(Decision::Prefetch, None);
    }
}

#[test]
fn the_response_decides_what_the_request_left_open() {
    let html = ("Content-Type", "text/html");
    for (status, answer, decision) in [
        (
            200,
            &[("Content-Type", "application/json")][..],
            Decision::NotHtml,
        ),
        (200, &[], Decision::NotHtml),
        (204, &[], Decision::NotPage),
        (205, &[html], Decision::NotPage),
        (206, &[html], Decision::NotPage),
        (301, &[html], Decision::Redirect),
        (302, &[], Decision::Redirect),
        (308, &[], Decision::Redirect),
        (400, &[html], Decision::ErrorStatus),
        (404, &[html], Decision::NotFound),
        (410, &[html], Decision::ErrorStatus),
        (500, &[html], Decision::ErrorStatus),
        (503, &[], Decision::ErrorStatus),
    ] {
        page().answered(status, answer).is(decision, None);
    }
}

#[test]
fn a_page_from_the_browsers_cache_counts_on_the_requests_signs() {
    page().answered(304, &[]).counts();
    page().at("/wiki/Node.js").answered(304, &[]).counts();
    page().at("/a.pdf").answered(304, &[]).counts();
    page()
        .answered(304, &[("Content-Type", "application/json")])
        .is(Decision::NotHtml, None);
    page()
        .at("/photo.jpg")
        .answered(304, &[("Content-Type", "text/html")])
        .counts();
    page().answered(304, &[]).knowing(Known::LastType(true)).counts();
    page()
        .answered(304, &[])
        .knowing(Known::LastType(false))
        .is(Decision::NotHtml, None);
    // Its own type comes first.
    page()
        .answered(304, &[("Content-Type", "text/html")])
        .knowing(Known::LastType(false))
        .counts();
    case(&[("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Mode", "no-cors")])
        .answered(304, &[])
        .is(Decision::NotPage, None);
}

#[test]
fn a_404_page_becomes_an_event_where_asked_for() {
    let asked = |c: Case<'static>| c.ruled(|r| r.not_found = true);
    asked(page().answered(404, &[("Content-Type", "text/html")]))
        .is(Decision::NotFound, Some(EventKind::NotFound));
    asked(page().answered(404, &[("Content-Type", "text/plain")])).is(Decision::NotFound, None);
    asked(page().answered(410, &[("Content-Type", "text/html")])).is(Decision::ErrorStatus, None);
    asked(
        case(&[("Sec-Fetch-Dest", "image"), ("Sec-Fetch-Mode", "no-cors")])
            .answered(404, &[("Content-Type", "text/html")]),
    )
    .is(Decision::NotPage, None);
}

#[test]
fn a_download_becomes_an_event_where_its_extension_is_asked_for() {
    let asked = |c: Case<'static>| c.ruled(|r| r.downloads = Some(DOWNLOADS.map(str::to_owned).to_vec()));
    let pdf = [("Content-Type", "application/pdf")];
    let attachment = [
        ("Content-Type", "text/html"),
        ("Content-Disposition", "attachment; filename=a.html"),
    ];
    page().answered(200, &attachment).is(Decision::Download, None);
    page()
        .at("/a.pdf")
        .answered(200, &pdf)
        .is(Decision::NotHtml, None);
    asked(page().at("/a.pdf").answered(200, &pdf)).is(Decision::Download, Some(EventKind::Download));
    asked(page().at("/x/A.PDF?v=1").answered(200, &pdf)).is(Decision::Download, Some(EventKind::Download));
    asked(saved().at("/a.zip").answered(200, &[])).is(Decision::Download, Some(EventKind::Download));
    asked(saved().at("/export").answered(200, &[])).is(Decision::Download, None);
    asked(page().at("/export").answered(200, &attachment)).is(Decision::Download, None);
    asked(page().at("/a.pdf").answered(304, &[])).is(Decision::Download, None);
    asked(page().at("/a.pdf").with("Range", "bytes=9-").answered(206, &pdf)).is(Decision::NotPage, None);
    asked(
        page()
            .at("/a.txt")
            .answered(200, &[("Content-Type", "text/html")]),
    )
    .counts();
    asked(page().by("POST").at("/a.pdf").answered(200, &pdf)).is(Decision::Download, None);
    asked(
        case(&[("Sec-Fetch-Dest", "embed"), ("Sec-Fetch-Mode", "navigate")])
            .at("/a.pdf")
            .answered(200, &pdf),
    )
    .is(Decision::NotPage, None);
}

fn fetched_by(name: &'static str, kind: BotKind) -> EventKind<'static> {
    EventKind::Bot { name, kind }
}

#[test]
fn bots_are_skipped_counted_or_sent_to_a_domain_of_their_own() {
    let bot = || Case {
        agent: Some("Mozilla/5.0 (compatible; Googlebot/2.1)"),
        ..page()
    };
    let apart = |c: Case<'static>| c.ruled(|r| r.bots = Bots::Domain("bots.example.com".to_owned()));
    bot().is(Decision::Bot, None);
    Case {
        agent: None,
        ..page()
    }
    .is(Decision::Bot, None);
    bot().ruled(|r| r.bots = Bots::Count).counts();
    apart(bot()).is(Decision::Bot, Some(fetched_by("Googlebot", BotKind::Search)));
    apart(Case {
        agent: None,
        ..page()
    })
    .is(Decision::Bot, Some(fetched_by("No user agent", BotKind::Other)));
    apart(bot().answered(302, &[])).is(Decision::Bot, None);
    apart(bot().answered(404, &[("Content-Type", "text/html")]))
        .ruled(|r| r.not_found = true)
        .is(Decision::Bot, None);
    apart(Case {
        has_client: false,
        ..bot()
    })
    .is(Decision::Bot, None);
    apart(page()).counts();
}

#[test]
fn who_says_to_be_a_bot_is_one_whatever_the_user_agent() {
    for (name, value) in [
        ("Signature-Agent", "\"https://chatgpt.com\""),
        ("From", "crawler@example.com"),
        (
            "Sec-CH-UA",
            "\"HeadlessChrome\";v=\"129\", \"Chromium\";v=\"129\"",
        ),
    ] {
        page().with(name, value).is(Decision::Bot, None);
        page().with(name, value).ruled(|r| r.bots = Bots::Count).counts();
    }
    page().with("From", "").counts();
    page().with("Sec-CH-UA", "\"Google Chrome\";v=\"129\"").counts();
    let apart = |r: &mut PageRules| r.bots = Bots::Domain("bots.example.com".to_owned());
    page()
        .with("Sec-CH-UA", "\"HeadlessChrome\";v=\"129\"")
        .ruled(apart)
        .is(Decision::Bot, Some(fetched_by("Headless Chrome", BotKind::Tool)));
}

#[test]
fn the_configuration_leaves_out_paths_and_signs() {
    page()
        .ruled(|r| r.count = CountMode::Never)
        .is(Decision::Excluded, None);
    let admin = |c: Case<'static>| c.ruled(|r| r.exclude = vec!["/admin/**".parse().unwrap()]);
    admin(page().at("/admin?x=1")).is(Decision::Excluded, None);
    admin(page().at("/administrator")).counts();
    let blog = |c: Case<'static>| c.ruled(|r| r.include = vec!["/blog/*".parse().unwrap()]);
    blog(page().at("/blog/a?x=/y")).counts();
    blog(page().at("/about")).is(Decision::Excluded, None);
    let signed = |c: Case<'static>| c.ruled(|r| r.exclude_when = vec!["cookie:staff".parse().unwrap()]);
    signed(page().with("Cookie", "a=1; staff=1")).is(Decision::Excluded, None);
    signed(page().with("Cookie", "a=staff")).counts();
    page().with("Sec-GPC", "1").counts();
    page()
        .with("Sec-GPC", "1")
        .ruled(|r| r.respect_gpc = true)
        .is(Decision::OptedOut, None);
    page()
        .with("DNT", "1")
        .ruled(|r| r.respect_gpc = true)
        .is(Decision::OptedOut, None);
    page().with("DNT", "0").ruled(|r| r.respect_gpc = true).counts();
}

#[test]
fn the_first_reason_in_order_is_the_one_given() {
    // Each step takes the reason above away.
    let mut c = Case {
        agent: Some("curl/8.5.0"),
        known_site: false,
        has_client: false,
        ..page()
            .at("/admin")
            .by("HEAD")
            .with("Purpose", "prefetch")
            .with("DNT", "1")
            .answered(500, &[])
    };
    c.rules = PageRules {
        count: CountMode::Never,
        exclude: vec!["/admin/**".parse().unwrap()],
        respect_gpc: true,
        ..PageRules::default()
    };
    let mut expect = |decision, change: &dyn Fn(&mut Case<'static>)| {
        assert_eq!(c.decide().decision, decision);
        change(&mut c);
    };
    expect(Decision::NotPage, &|c| c.method = "GET");
    expect(Decision::UnknownSite, &|c| c.known_site = true);
    expect(Decision::Excluded, &|c| c.rules.count = CountMode::Always);
    expect(Decision::Excluded, &|c| c.rules.exclude.clear());
    expect(Decision::OptedOut, &|c| c.rules.respect_gpc = false);
    expect(Decision::Prefetch, &|c| {
        c.fields.retain(|(name, _)| *name != "Purpose");
    });
    expect(Decision::Bot, &|c| c.agent = Some(CHROME));
    expect(Decision::NoClient, &|c| c.has_client = true);
    expect(Decision::ErrorStatus, &|c| c.status = 200);
    expect(Decision::NotHtml, &|_| {});
}

#[test]
fn a_response_without_a_type_is_what_its_first_bytes_are() {
    let html = Known::BodyStart(b"<!doctype html><title>a");
    page().answered(200, &[]).knowing(html).counts();
    page().answered(200, &[]).is(Decision::NotHtml, None);
    page()
        .answered(200, &[])
        .knowing(Known::BodyStart(b"{\"a\": 1}"))
        .is(Decision::NotHtml, None);
    page()
        .answered(200, &[("X-Content-Type-Options", "nosniff")])
        .knowing(html)
        .is(Decision::NotHtml, None);
    page()
        .answered(200, &[("Content-Type", "text/plain")])
        .knowing(html)
        .is(Decision::NotHtml, None);
    saved()
        .answered(200, &[])
        .knowing(html)
        .is(Decision::Download, None);
}

#[test]
fn webkits_link_with_download_is_told_by_what_it_leaves_out() {
    const OLD: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                       Version/16.1 Safari/605.1.15";
    const NEW: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                       Version/26.0 Safari/605.1.15";
    let accept = (
        "Accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    );
    let safari = |agent, fields: &[(&'static str, &'static str)]| {
        let ours = [("Host", "a.test"), accept];
        Case {
            agent: Some(agent),
            ..case(&[&ours[..], fields].concat())
        }
    };
    for agent in [OLD, NEW] {
        let plain = ("Referer", "http://a.test/");
        safari(agent, &[plain]).is(Decision::Download, None);
        safari(agent, &[plain, UPGRADE]).counts();
        safari(agent, &[]).counts();
        // A link with download to another site is a link, and https has no sign of a page before Safari 16.4.
        safari(agent, &[("Referer", "http://a.test.b.test/")]).counts();
    }
    let secure = ("Referer", "https://a.test/");
    safari(OLD, &[secure]).counts();
    safari(NEW, &[secure]).is(Decision::Download, None);
    safari(
        NEW,
        &[
            secure,
            ("Sec-Fetch-Dest", "document"),
            ("Sec-Fetch-Mode", "navigate"),
        ],
    )
    .counts();
    Case {
        agent: Some(OLD),
        ..case(&[("Accept", "text/html"), secure])
    }
    .is(Decision::NotPage, None);
}

#[test]
fn a_page_fetched_ahead_counts_as_it_is_asked_for() {
    let ahead = || page().with("Sec-Purpose", "prefetch");
    for (mode, decision, event) in [
        (PrefetchMode::Activation, Decision::Prefetch, None),
        (PrefetchMode::Skip, Decision::Prefetch, None),
        (PrefetchMode::Refuse, Decision::Prefetch, None),
        (PrefetchMode::Count, Decision::Counted, Some(EventKind::PageView)),
    ] {
        ahead().ruled(|r| r.prefetch = mode).is(decision, event);
    }
    ahead()
        .ruled(|r| r.prefetch = PrefetchMode::Count)
        .answered(404, &[])
        .is(Decision::NotFound, None);
}

#[test]
fn what_is_held_is_another_page_of_a_person_that_counts() {
    let fields = |extra: &[(&'static str, &'static str)]| {
        let mut fields = vec![("User-Agent", CHROME), ("Sec-Purpose", "prefetch")];
        fields.extend_from_slice(extra);
        fields
    };
    let held = |rules: &PageRules, fields: &[(&str, &str)]| {
        let fields = headers(fields);
        let request = RequestFacts::read("GET", "/a", &fields);
        let client = Some([203, 0, 113, 7].into());
        assert!(!may_be_held(rules, &request, "/a", false, client));
        assert!(!may_be_held(rules, &request, "/a", true, None));
        may_be_held(rules, &request, "/a", true, client)
    };
    let rules = PageRules::default();
    assert!(held(&rules, &fields(&[])));
    assert!(held(&rules, &fields(&[("Referer", "https://a.test/b")])));
    assert!(!held(&rules, &fields(&[("Referer", "https://a.test/a?b")])));
    assert!(!held(&rules, &[("User-Agent", "curl/8.5.0")]));
    for change in [
        (|r| r.prefetch = PrefetchMode::Skip) as fn(&mut PageRules),
        |r| r.count = CountMode::Never,
        |r| r.exclude = vec!["/a".parse().unwrap()],
        |r| r.ignore_clients = vec!["203.0.113.0/24".parse().unwrap()],
    ] {
        let mut rules = PageRules::default();
        change(&mut rules);
        assert!(!held(&rules, &fields(&[])));
    }
    let fields = headers(&[("User-Agent", CHROME), ("Referer", "https://a.test/a")]);
    let sign = RequestFacts::read("GET", "/style.css", &fields);
    assert!(may_activate(
        &rules,
        &sign,
        "/a",
        true,
        Some([203, 0, 113, 7].into())
    ));
}

#[test]
fn only_a_browsers_request_for_a_page_is_refused() {
    let refused = |target: &str, fields: &[(&str, &str)]| {
        let fields = headers(fields);
        let rules = PageRules {
            prefetch: PrefetchMode::Refuse,
            ..PageRules::default()
        };
        is_refused_prefetch(&rules, &RequestFacts::read("GET", target, &fields))
    };
    let document = [("Sec-Fetch-Dest", "document"), ("Sec-Fetch-Mode", "navigate")];
    let [dest, mode] = document;
    assert!(refused(
        "/a",
        &[dest, mode, ("Sec-Purpose", "prefetch;prerender")]
    ));
    let empty = [("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "no-cors")];
    assert!(refused("/a", &[empty[0], empty[1], ("Sec-Purpose", "prefetch")]));
    assert!(!refused(
        "/a.js",
        &[empty[0], empty[1], ("Sec-Purpose", "prefetch")]
    ));
    assert!(!refused("/a", &document));
    let script = ("Sec-Fetch-Dest", "script");
    assert!(!refused("/a", &[script, ("Sec-Purpose", "prefetch;prerender")]));
    let turbo = [("X-Turbo-Request-Id", "1"), ("X-Sec-Purpose", "prefetch")];
    assert!(!refused(
        "/a",
        &[empty[0], ("Sec-Fetch-Mode", "cors"), turbo[0], turbo[1]]
    ));
}

#[test]
fn visits_from_ignored_addresses_are_left_out() {
    let from = |ranges: &[&str]| {
        let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
        page().ruled(|r| r.ignore_clients = ranges)
    };
    from(&["203.0.113.0/24"]).is(Decision::Excluded, None);
    from(&["2001:db8::/32", "203.0.113.7/32"]).is(Decision::Excluded, None);
    from(&["203.0.114.0/24"]).counts();
}
