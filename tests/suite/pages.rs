//! Journeys: a browser's requests come in, and exactly the right events reach Plausible, with exactly what it
//! asks for, and nothing else does.

use serde_json::json;

use crate::support::{
    client::{
        CHROME, FETCH, FIREFOX, GOOGLEBOT, IFRAME, IMAGE, NAVIGATION, OLD_NAVIGATION, OLD_SAFARI, PREFETCH,
        Request,
    },
    metrics::Metrics,
    origin::{self, Origin, Then, Visit},
    process::{Builder, Sidecar},
    receiver::{Arrival, Receiver},
    site,
};

/// App, Plausible and the sidecar between them.
struct Stage {
    app: Origin,
    plausible: Receiver,
    sidecar: Sidecar,
}

impl Stage {
    fn new(app: Origin, settings: impl FnOnce(Builder) -> Builder) -> Stage {
        let plausible = Receiver::start();
        let sidecar = settings(Builder::before(&app).telling(&plausible)).start();
        Stage {
            app,
            plausible,
            sidecar,
        }
    }

    /// Sends the requests, one after the other, and gives the events once no more can come.
    fn visit(&self, requests: &[Request]) -> (Vec<Arrival>, Metrics) {
        let mut client = self.sidecar.client();
        for request in requests {
            client.ask(request);
        }
        let metrics = self.sidecar.settled(requests.len());
        self.plausible.assert_strict();
        assert_eq!(
            self.app.seen().len(),
            requests.len(),
            "the app was not asked for everything"
        );
        (self.plausible.recorded(), metrics)
    }
}

#[test]
fn one_visit_of_a_site_gives_its_page_views_and_nothing_else() {
    let stage = Stage::new(site::start(), |b| b);
    let from = "203.0.113.7";
    let page = Request::get("/page/1?utm_source=news&secret=1&ref=a")
        .as_(NAVIGATION)
        .from(from)
        .with("Referer", "https://search.example/?q=shoes#x");
    let requests = [
        page,
        Request::get("/image/2").as_(IMAGE).from(from),
        Request::get("/api/3").as_(FETCH).from(from),
        Request::get("/redirect/4").as_(NAVIGATION).from(from),
        Request::get("/missing/5").as_(NAVIGATION).from(from),
        Request::get("/page/6").as_(IFRAME).from(from),
        Request::get("/page/7").as_(PREFETCH).from(from),
        Request::get("/page/8").as_(GOOGLEBOT).from("66.249.66.1"),
        Request::get("/broken/9").as_(NAVIGATION).from(from),
        Request::new("HEAD", "/page/10").as_(NAVIGATION).from(from),
        Request::get("/page/11")
            .as_(NAVIGATION)
            .with("Range", "bytes=0-")
            .from(from),
        Request::get("/empty/12").as_(NAVIGATION).from(from),
        Request::get("/image/13").as_(NAVIGATION).from(from),
        Request::get("/unmodified/14").as_(NAVIGATION).from(from),
        Request::get("/page/15").as_(OLD_NAVIGATION).from("2001:db8::9"),
        Request::get("/page/16")
            .with("User-Agent", "curl/8.5.0")
            .with("Accept", "*/*"),
    ];
    let (events, metrics) = stage.visit(&requests);
    let urls: Vec<&str> = events.iter().map(|e| e.text("url")).collect();
    assert_eq!(
        sorted(urls),
        [
            "http://example.com/page/15",
            "http://example.com/page/1?utm_source=news&ref=a",
            "http://example.com/unmodified/14",
        ]
    );
    for (decision, count) in [
        ("counted", 3),
        ("redirect", 1),
        ("prefetch", 1),
        ("not_html", 1),
        ("error_status", 1),
        ("not_found", 1),
    ] {
        assert_eq!(metrics.decisions(decision), count, "{decision}: {metrics:?}");
    }
    assert_eq!(metrics.offered(), 3);
    assert_eq!(metrics.finished("delivered"), 3);
}

#[test]
fn an_event_carries_exactly_what_plausible_asks_for() {
    let stage = Stage::new(Origin::start(origin::pages), |b| b);
    let request = Request::get("/prices?utm_campaign=x%20y&token=t")
        .as_(NAVIGATION)
        .with("X-Forwarded-For", "203.0.113.7")
        .with("Referer", "https://news.example/story?id=7#top")
        .with("Cookie", "session=secret")
        .with("Authorization", "Bearer secret")
        .with("X-Plausible-IP", "9.9.9.9")
        .with("X-Plausible-IP-Type", "dc_ip")
        .with("CF-Connecting-IP", "9.9.9.9")
        .with("B-Forwarded-For", "9.9.9.9")
        .with("Forwarded", "for=9.9.9.9")
        .with("X-Debug-Request", "true");
    let (events, _) = stage.visit(&[request]);
    let [event] = events.as_slice() else {
        panic!("{events:#?}")
    };
    assert_eq!(event.request, "POST /api/event");
    assert_eq!(event.field("user-agent"), Some(CHROME));
    assert_eq!(event.field("x-forwarded-for"), Some("203.0.113.7"));
    assert_eq!(event.field("content-type"), Some("application/json"));
    let mut names: Vec<&str> = event.fields.iter().map(|(name, _)| name.as_str()).collect();
    names.retain(|name| *name != "accept");
    assert_eq!(
        sorted(names),
        [
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "x-forwarded-for"
        ]
    );
    assert_eq!(
        event.body,
        json!({
            "name": "pageview",
            "url": "http://example.com/prices?utm_campaign=x%20y",
            "domain": "example.com",
            "referrer": "https://news.example/story",
        })
    );
}

#[test]
fn a_user_agent_arrives_byte_for_byte() {
    let stage = Stage::new(Origin::start(origin::pages), |b| b);
    let agent = format!("{FIREFOX} caf\u{e9} \t{}", "x".repeat(300));
    let request = Request::get("/")
        .with("User-Agent", &agent)
        .with("Accept", "text/html")
        .with("Upgrade-Insecure-Requests", "1")
        .from("203.0.113.7");
    let (events, _) = stage.visit(&[request]);
    assert_eq!(events[0].field("user-agent"), Some(agent.as_str()));
}

#[test]
fn a_request_that_is_sent_to_the_app_again_is_one_view() {
    let app = Origin::start(origin::closes_on_the_second_request);
    let plausible = Receiver::start();
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("listen.workers", 1)
        .start();
    let mut client = sidecar.client();
    for n in 0..6 {
        let page = Request::get(&format!("/{n}")).as_(NAVIGATION).from("203.0.113.7");
        assert_eq!(client.ask(&page).status(), 200);
    }
    sidecar.settled(6);
    assert!(app.seen().len() > 6, "nothing was sent again");
    let events = plausible.recorded();
    assert_eq!(events.len(), 6, "{events:#?}");
}

#[test]
fn a_page_that_is_asked_for_again_after_an_error_is_one_view() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let app = Origin::start(move |visit| {
        if asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 2 {
            visit.send(
                "HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/html\r\nretry-after: 1\r\n\
                 content-length: 4\r\n\r\nbusy",
            )?;
            return Ok(Then::Keep);
        }
        origin::pages(visit)
    });
    let stage = Stage::new(app, |b| b);
    let page = || Request::get("/a").as_(NAVIGATION).from("203.0.113.7");
    let (events, metrics) = stage.visit(&[page(), page(), page()]);
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(metrics.decisions("error_status"), 2);
}

#[test]
fn a_post_answered_with_a_page_is_one_and_one_that_redirects_is_not() {
    let stage = Stage::new(Origin::start(post_redirect_get), |b| b);
    let form = |path| Request::post(path, b"a=1").as_(NAVIGATION).from("203.0.113.7");
    let (events, _) = stage.visit(&[
        form("/form-with-errors"),
        form("/saved"),
        Request::get("/thanks").as_(NAVIGATION).from("203.0.113.7"),
        Request::post("/api", b"{}").as_(FETCH).from("203.0.113.7"),
    ]);
    let urls: Vec<&str> = events.iter().map(|e| e.text("url")).collect();
    assert_eq!(
        urls,
        ["http://example.com/form-with-errors", "http://example.com/thanks"]
    );
}

#[test]
fn a_site_is_found_by_its_host_and_may_have_several_dashboards() {
    let stage = Stage::new(Origin::start(origin::pages), |b| {
        b.site(&["shop.example"], &["shop.example", "all.example"])
            .site(&["*.blog.example"], &["blog.example"])
    });
    let visit = |host: &str| Request::get("/").host(host).as_(NAVIGATION).from("203.0.113.7");
    let (events, metrics) = stage.visit(&[
        visit("shop.example"),
        visit("SHOP.example:8443"),
        visit("ann.blog.example"),
        visit("elsewhere.example"),
    ]);
    let domains: Vec<&str> = events.iter().map(|e| e.text("domain")).collect();
    assert_eq!(
        domains,
        [
            "shop.example,all.example",
            "shop.example,all.example",
            "blog.example"
        ]
    );
    assert_eq!(metrics.decisions("unknown_site"), 1);
}

#[test]
fn rules_of_the_configuration_are_kept() {
    let stage = Stage::new(site::start(), |b| {
        b.set("pages.exclude", vec!["/page/1*"])
            .set("pages.not_found", true)
            .set("pages.respect_gpc", true)
            .set("pages.exclude_when", vec!["cookie:logged_in"])
            .set("pages.bots", "bots.example")
            .set("pages.query", vec!["*"])
    });
    let page = |path: &str| Request::get(path).as_(NAVIGATION).from("203.0.113.7");
    let (events, metrics) = stage.visit(&[
        page("/page/10"),
        page("/page/2?any=thing"),
        page("/missing/3"),
        page("/page/4").with("Sec-GPC", "1"),
        page("/page/5").with("Cookie", "a=b; logged_in=1"),
        Request::get("/page/6").as_(GOOGLEBOT).from("66.249.66.1"),
    ]);
    let told = |e: &Arrival| {
        (
            e.text("name").to_owned(),
            e.text("url").to_owned(),
            e.text("domain").to_owned(),
        )
    };
    let mut list: Vec<_> = events.iter().map(told).collect();
    list.sort();
    let expected = |name: &str, path: &str, domain: &str| {
        (
            name.to_owned(),
            format!("http://example.com{path}"),
            domain.to_owned(),
        )
    };
    assert_eq!(
        list,
        [
            expected("404", "/missing/3", "example.com"),
            expected("Bot", "/page/6", "bots.example"),
            expected("pageview", "/page/2?any=thing", "example.com"),
        ]
    );
    let not_found = events.iter().find(|e| e.text("name") == "404").unwrap();
    assert_eq!(not_found.body["props"], json!({"path": "/missing/3"}));
    assert_eq!(metrics.decisions("opted_out"), 1);
    assert_eq!(metrics.decisions("excluded"), 2);
}

#[test]
fn bots_go_to_their_own_site_with_their_kind_and_plausible_takes_them_for_none() {
    let stage = Stage::new(site::start(), |b| b.set("pages.bots", "bots.example"));
    let agent = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)";
    let asked = |path: &str, from: &str| Request::get(path).with("Accept", "text/html").from(from);
    let (events, metrics) = stage.visit(&[
        asked("/page/1?utm_source=x", "203.0.113.9").with("User-Agent", agent),
        asked("/page/2", "203.0.113.8").with("User-Agent", "curl/8.5.0"),
        asked("/missing/3", "203.0.113.9").with("User-Agent", agent),
        Request::get("/page/4").as_(NAVIGATION).from("203.0.113.7"),
    ]);
    let bots: Vec<_> = events
        .iter()
        .filter(|e| e.text("domain") == "bots.example")
        .collect();
    assert_eq!((bots.len(), events.len()), (2, 3), "{events:#?}");
    for (path, address, name, kind) in [
        ("/page/1", "203.0.113.9", "GPTBot", "ai_training"),
        ("/page/2", "203.0.113.8", "curl", "tool"),
    ] {
        let bot = bots.iter().find(|e| e.body["props"]["path"] == path).unwrap();
        assert_eq!(bot.text("name"), "Bot");
        assert_eq!(
            bot.body["props"],
            json!({"bot": name, "kind": kind, "path": path})
        );
        assert_eq!(bot.field("x-forwarded-for"), Some(address));
        assert_eq!(bot.field("user-agent"), Some("Mozilla/5.0 (gatecount)"));
    }
    assert_eq!(metrics.decisions("bot"), 3);
}

#[test]
fn never_counting_counts_nothing_and_serves_everything() {
    let stage = Stage::new(site::start(), |b| b.set("pages.count", "never"));
    let (events, metrics) = stage.visit(&[Request::get("/page/1").as_(NAVIGATION).from("203.0.113.7")]);
    assert_eq!(events.len(), 0);
    assert_eq!(metrics.decisions("excluded"), 1);
}

#[test]
fn the_address_goes_in_the_headers_that_were_asked_for() {
    let stage = Stage::new(Origin::start(origin::pages), |b| {
        b.set(
            "plausible.address_header",
            vec!["x-forwarded-for", "x-plausible-ip"],
        )
    });
    let (events, _) = stage.visit(&[Request::get("/").as_(NAVIGATION).from("2001:db8::7")]);
    for name in ["x-forwarded-for", "x-plausible-ip"] {
        assert_eq!(events[0].field(name), Some("2001:db8::7"), "{name}");
    }
}

#[test]
fn a_page_on_the_way_of_a_plausible_under_a_path_is_sent_there() {
    let app = Origin::start(origin::pages);
    let plausible = Receiver::start();
    let url = format!("{}/analytics/", plausible.url());
    let sidecar = Builder::before(&app).set("plausible.url", url).start();
    sidecar
        .client()
        .ask(&Request::get("/").as_(NAVIGATION).from("203.0.113.7"));
    assert_eq!(
        plausible.await_recorded(1)[0].request,
        "POST /analytics/api/event"
    );
}

#[test]
fn an_old_browser_beside_a_new_one_is_another_visitor_in_the_same_order() {
    let stage = Stage::new(Origin::start(origin::pages), |b| b);
    let from = "203.0.113.7";
    let requests: Vec<Request> = (0..30)
        .map(|n| {
            let browser = if n % 2 == 0 { NAVIGATION } else { OLD_NAVIGATION };
            Request::get(&format!("/{n}")).as_(browser).from(from)
        })
        .collect();
    let (events, _) = stage.visit(&requests);
    for agent in [CHROME, OLD_SAFARI] {
        let paths: Vec<usize> = events
            .iter()
            .filter(|e| e.field("user-agent") == Some(agent))
            .map(|e| e.text("url").rsplit('/').next().unwrap().parse().unwrap())
            .collect();
        assert_eq!(paths.len(), 15);
        assert!(paths.is_sorted(), "{agent}: {paths:?}");
    }
}

#[test]
fn nothing_about_a_visitor_is_logged() {
    let stage = Stage::new(Origin::start(origin::pages), |b| {
        b.environment("RUST_LOG", "trace")
    });
    let request = Request::get("/?email=ann")
        .as_(NAVIGATION)
        .from("203.0.113.77")
        .with("Cookie", "session=abc123");
    stage.visit(&[request]);
    for line in stage.sidecar.log() {
        for secret in ["203.0.113.77", "email=ann", "abc123", "AppleWebKit"] {
            assert!(!line.contains(secret), "{secret} in the log: {line}");
        }
    }
}

fn post_redirect_get(visit: &mut Visit) -> std::io::Result<Then> {
    if visit.head.target() == "/saved" {
        visit.body();
        visit.send("HTTP/1.1 303 See Other\r\nlocation: /thanks\r\ncontent-length: 0\r\n\r\n")?;
        return Ok(Then::Keep);
    }
    origin::pages(visit)
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}
