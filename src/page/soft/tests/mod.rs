//! For each library what it sends for a page, what for a part of one, and the url that follows.

mod frameworks;

use httparse::Header;

use crate::facts::{RequestFacts, ResponseFacts};
use crate::page::{
    Decision, Doubt, Known, PageRules, RequestVerdict, SoftOutcome, Verdict, doubt, fetched_ahead,
    judge_request, judge_soft, soft_outcome,
};

const HTML: (&str, &str) = ("content-type", "text/html; charset=utf-8");
const COMPONENT: (&str, &str) = ("content-type", "text/x-component");
const JSON: (&str, &str) = ("content-type", "application/json");
const FROM: &str = "https://example.com/from?q=1";

/// A script's GET in a browser, from the page `/from`.
struct Fetch<'a> {
    method: &'a str,
    target: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    status: u16,
    answer: Vec<(&'a str, &'a str)>,
    body: &'a str,
    announced: bool,
    fetched_ahead: bool,
    secure: bool,
}

fn fetch<'a>(target: &'a str, fields: &[(&'a str, &'a str)]) -> Fetch<'a> {
    Fetch {
        method: "GET",
        target,
        fields: fields.to_vec(),
        status: 200,
        answer: vec![HTML],
        body: "",
        announced: false,
        fetched_ahead: false,
        secure: true,
    }
}

impl<'a> Fetch<'a> {
    fn by(mut self, method: &'a str) -> Self {
        self.method = method;
        self
    }

    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.insert(0, (name, value));
        self
    }

    fn answered(mut self, status: u16, answer: &[(&'a str, &'a str)]) -> Self {
        self.status = status;
        self.answer = answer.to_vec();
        self
    }

    fn beginning(mut self, body: &'a str) -> Self {
        self.body = body;
        self
    }

    /// Verdict, target and referrer.
    fn decide(&self) -> (Verdict, Option<String>, Option<String>) {
        let mut fields = self.fields.clone();
        fields.push((
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        ));
        fields.push(("Referer", FROM));
        fields.push(("Accept", "*/*"));
        if self.secure {
            fields.extend([("Sec-Fetch-Dest", "empty"), ("Sec-Fetch-Mode", "cors")]);
        }
        let (fields, answer) = (headers(&fields), headers(&self.answer));
        let request = RequestFacts::read(self.method, self.target, &fields);
        let response = ResponseFacts::read(self.status, &answer);
        let (rules, client) = (PageRules::default(), Some([203, 0, 113, 7].into()));
        let reading = judge_request(&rules, &request, true, client);
        let known = match doubt(&reading, &response) {
            Some(Doubt::BodyStart) => Known::BodyStart(self.body.as_bytes()),
            Some(Doubt::Announcement) if self.announced => Known::Announced,
            Some(Doubt::FetchedAhead) if self.fetched_ahead => Known::FetchedAhead,
            _ => Known::Nothing,
        };
        match reading {
            RequestVerdict::Settled(verdict) => (verdict, None, None),
            RequestVerdict::Open(candidate) => panic!("a navigation: {candidate:?}"),
            RequestVerdict::Soft(soft) => match soft_outcome(soft, &response, known) {
                SoftOutcome::Settled(verdict) => (verdict, None, None),
                SoftOutcome::Ahead => (
                    fetched_ahead(soft),
                    Some(super::page_path(soft, &request).to_owned()),
                    None,
                ),
                SoftOutcome::Shown { at } => {
                    let (verdict, place) = judge_soft(&rules, &request, soft, at, true, client);
                    let referrer = place.as_ref().and_then(|place| place.referrer);
                    let referrer = referrer.map(|r| String::from_utf8(r.to_vec()).unwrap());
                    (verdict, place.map(|place| place.target.into_owned()), referrer)
                }
            },
        }
    }

    #[track_caller]
    fn is(&self, decision: Decision) {
        let (verdict, ..) = self.decide();
        assert_eq!(verdict.decision, decision, "{}", verdict.why);
        assert!(verdict.why.ends_with('.'), "{}", verdict.why);
    }

    #[track_caller]
    fn is_page(&self, target: &str) {
        let (verdict, found, _) = self.decide();
        assert_eq!(verdict.decision, Decision::SoftNavigation, "{}", verdict.why);
        assert_eq!(found.as_deref(), Some(target));
    }

    #[track_caller]
    fn is_held(&self, path: &str) {
        let (verdict, found, _) = self.decide();
        assert_eq!(verdict.decision, Decision::Prefetch, "{}", verdict.why);
        assert_eq!(found.as_deref(), Some(path), "{}", verdict.why);
    }

    #[track_caller]
    fn is_part(&self) {
        self.is(Decision::NotPage);
    }
}

fn headers<'a>(pairs: &'a [(&'a str, &'a str)]) -> Vec<Header<'a>> {
    let header = |(name, value): &'a (&str, &'a str)| Header {
        name,
        value: value.as_bytes(),
    };
    pairs.iter().map(header).collect()
}

#[test]
fn turbo_shows_what_is_html_and_no_frame() {
    let turbo = || fetch("/a?b=c", &[("X-Turbo-Request-Id", "1")]);
    turbo().is_page("/a?b=c");
    turbo()
        .with(
            "Accept",
            "text/vnd.turbo-stream.html, text/html, application/xhtml+xml",
        )
        .is_page("/a?b=c");
    turbo().answered(304, &[]).is_page("/a?b=c");
    turbo()
        .answered(200, &[("content-type", "text/vnd.turbo-stream.html")])
        .is_part();
    turbo().with("Turbo-Frame", "messages").is_part();
    turbo().by("POST").is_part();
    turbo().with("X-Sec-Purpose", "prefetch").is_held("/a");
    turbo()
        .answered(302, &[("location", "/b")])
        .is(Decision::Redirect);
    turbo().answered(404, &[HTML]).is(Decision::NotFound);
    turbo().answered(422, &[HTML]).is(Decision::ErrorStatus);
    turbo().answered(204, &[]).is_part();
}

#[test]
fn htmx_shows_what_is_boosted_and_what_the_app_pushes() {
    let part = || fetch("/a", &[("HX-Request", "true"), ("HX-Current-URL", FROM)]);
    let boosted = || part().with("HX-Boosted", "true");
    boosted().is_page("/a");
    boosted().by("POST").is_page("/a");
    assert_eq!(boosted().decide().2.as_deref(), Some(FROM));
    part().is_part();
    part().by("POST").is_part();
    part()
        .with("HX-History-Restore-Request", "true")
        .with("Referer", "https://example.com/a")
        .is_page("/a");
    for (pushed, target) in [
        ("/x?y=1", "/x?y=1"),
        ("https://example.com/x#top", "/x"),
        ("http://example.com", "/"),
    ] {
        part()
            .by("POST")
            .answered(200, &[HTML, ("HX-Push-Url", pushed)])
            .is_page(target);
    }
    for word in [
        ("HX-Push-Url", "false"),
        ("HX-Push-Url", "/from"),
        ("HX-Replace-Url", "/x"),
        ("HX-Location", "/x"),
        ("HX-Redirect", "/x"),
        ("HX-Refresh", "true"),
    ] {
        boosted().answered(200, &[HTML, word]).is_part();
        part().answered(200, &[HTML, word]).is_part();
    }
    part().answered(404, &[HTML, ("HX-Push-Url", "/x")]).is_part();
    // A part that is asked for again and again, and unchanged.
    part().answered(304, &[]).is_part();
    boosted().answered(304, &[]).is_page("/a");
    for answered in [part(), part().answered(304, &[])] {
        Fetch {
            announced: true,
            ..answered
        }
        .is_page("/a");
    }
}

#[test]
fn htmx_4_says_of_each_request_what_it_wants() {
    let of = |kind| fetch("/a", &[("HX-Request", "true"), ("HX-Request-Type", kind)]);
    of("full").is_page("/a");
    of("partial").is_part();
    of("partial").with("HX-Boosted", "true").is_part();
    of("full").answered(404, &[HTML]).is(Decision::NotFound);
}

#[test]
fn where_htmx_is_sent_is_read_in_either_form() {
    for (value, path) in [
        ("/x", Some("/x")),
        (r#"{"path": "/x?y", "target": "\#main"}"#, Some("/x?y")),
        (r#"{"target":"a","path" :"/x"}"#, Some("/x")),
        (r#"{"target":"a"}"#, None),
        ("//evil.test/x", None),
    ] {
        let fields = [Header {
            name: "HX-Location",
            value: value.as_bytes(),
        }];
        assert_eq!(
            super::announced(&ResponseFacts::read(200, &fields)),
            path,
            "{value}"
        );
    }
}

#[test]
fn inertia_shows_what_the_app_answers_as_a_whole() {
    let inertia = || {
        fetch(
            "/a",
            &[("X-Inertia", "true"), ("X-Requested-With", "XMLHttpRequest")],
        )
        .answered(200, &[JSON, ("X-Inertia", "true")])
    };
    inertia().is_page("/a");
    inertia().by("POST").is_page("/a");
    inertia().with("X-Inertia-Partial-Data", "users").is_part();
    inertia().with("Purpose", "prefetch").is_held("/a");
    inertia().answered(409, &[("X-Inertia-Location", "/a")]).is_part();
    inertia().answered(200, &[JSON]).is_part();
}

#[test]
fn unpoly_shows_what_replaces_the_main_element() {
    let of = |mode, target| {
        let unpoly = [
            ("X-Up-Version", "3.14.3"),
            ("X-Up-Mode", mode),
            ("X-Up-Target", target),
        ];
        fetch("/a", &unpoly)
    };
    for (mode, target) in [
        ("root", "main"),
        ("root", ".flash, body"),
        ("modal", "[up-main~=modal]"),
    ] {
        of(mode, target).is_page("/a");
    }
    for (mode, target) in [("root", ".list"), ("popup", "main"), ("root", ""), ("", "main")] {
        of(mode, target).is_part();
    }
    // Whether such an overlay has a url is told by what it asks for next.
    of("modal", "#part").is_held("/a");
    let again = || of("root", "main").with("Referer", "https://example.com/a");
    again().is_part();
    let back = of("root", "body").with("Referer", "https://example.com/a");
    back.is_page("/a");
    of("root", "main").with("X-Up-Validate", "email").is_part();
    of("root", "main").by("POST").is_part();
    of("root", "main")
        .answered(200, &[HTML, ("X-Up-Location", "/b")])
        .is_page("/b");
}

#[test]
fn libraries_with_one_mark_are_known_by_it() {
    fetch("/a", &[("X-PJAX", "true")]).by("POST").is_page("/a");
    for (name, value) in [
        ("X-Requested-With", "swup"),
        ("X-PJAX", "true"),
        ("X-Livewire-Navigate", "1"),
    ] {
        fetch("/a?b=c&_x=1", &[(name, value)]).is_page("/a?b=c&_x=1");
        fetch("/from?q=2", &[(name, value)]).is_part();
        fetch("/a", &[(name, value)])
            .answered(500, &[HTML])
            .is(Decision::ErrorStatus);
    }
    fetch("/a?_pjax=%23main&b=c", &[("X-PJAX", "true")]).is_page("/a?b=c");
    let links = fetch("/a", &[("Turbolinks-Referrer", "https://example.com/before")]);
    links.is_page("/a");
    assert_eq!(links.decide().2.as_deref(), Some("https://example.com/before"));
}

#[test]
fn barba_has_the_url_before_it_fetches() {
    let barba = || fetch("/a", &[("X-Barba", "yes")]);
    barba().is_held("/a");
    let shown = barba().with("Referer", "https://example.com/a");
    shown.is_page("/a");
    assert_eq!(shown.decide().2, None);
}

#[test]
fn a_fetch_without_a_mark_is_a_page_if_a_whole_document_comes() {
    let plain = |body| fetch("/a", &[]).beginning(body);
    let astro = r#"<!DOCTYPE html><html><head><meta name="astro-view-transitions-enabled" content="true">"#;
    plain(astro).is_page("/a");
    // A card that shows a page, or more of a list.
    let whole = plain("<!DOCTYPE html><html><head><title>");
    whole.is_part();
    assert_eq!(whole.decide().1.as_deref(), Some("/a"), "it is held");
    plain("<div>a part</div>").is_part();
    plain("").is_part();
    plain("<!doctype html>").answered(200, &[JSON]).is_part();
    plain("<!doctype html>").answered(404, &[HTML]).is_part();
    plain("<!doctype html>").answered(304, &[]).is_part();
    Fetch {
        fetched_ahead: true,
        ..plain("").answered(304, &[])
    }
    .is_page("/a");
    plain("<!doctype html>").by("POST").is_part();
    fetch("/from?q=2", &[]).beginning("<!doctype html>").is_part();
    fetch("/a", &[("Accept", "application/json")]).is_part();
    fetch("/a", &[("X-Requested-With", "XMLHttpRequest")])
        .beginning("<!doctype html>")
        .is_part();
}

#[test]
fn all_of_it_holds_without_sec_fetch_too() {
    let plain = |fetch: Fetch<'static>| Fetch {
        secure: false,
        ..fetch
    };
    let html = ("Accept", "text/html, application/xhtml+xml");
    plain(fetch("/a", &[html, ("X-Turbo-Request-Id", "1")])).is_page("/a");
    plain(fetch(
        "/a",
        &[html, ("X-Turbo-Request-Id", "1"), ("Turbo-Frame", "f")],
    ))
    .is_part();
    plain(fetch("/a", &[html, ("X-Requested-With", "swup")])).is_page("/a");
    plain(fetch("/a", &[html, ("X-Barba", "yes")])).is_held("/a");
    plain(fetch("/a", &[("Accept", "text/html")])).is_part();
    plain(fetch("/a/_payload.json", &[]).answered(200, &[JSON])).is_held("/a");
}

#[test]
fn the_rules_hold_for_the_page_and_not_for_its_data() {
    let fields = headers(&[("Accept", "*/*"), ("User-Agent", "Mozilla/5.0 Firefox/140.0")]);
    let request = RequestFacts::read("GET", "/admin/a.data", &fields);
    let rules = PageRules {
        exclude: vec!["/admin/a".parse().unwrap()],
        ..PageRules::default()
    };
    let client = Some([203, 0, 113, 7].into());
    let RequestVerdict::Soft(soft) = judge_request(&rules, &request, true, client) else {
        panic!("no script's request");
    };
    assert_eq!(
        judge_soft(&rules, &request, soft, None, true, client).0.decision,
        Decision::Excluded
    );
    let off = PageRules {
        soft_navigations: false,
        ..PageRules::default()
    };
    let RequestVerdict::Settled(verdict) = judge_request(&off, &request, true, client) else {
        panic!("soft navigations are off");
    };
    assert_eq!(verdict.decision, Decision::NotPage);
}
