//! The live page in a real browser: it fits, everybody can use it, and it keeps what its reader does.

use serde_json::{Value, json};

use crate::cli::Demo;
use crate::support::{
    chromium::Chromium,
    client::{Client, GOOGLEBOT, IMAGE, NAVIGATION, Request},
    devtools::{Tab, axe},
    eventually,
    origin::{self, Origin, Then},
    process::{Builder, Sidecar},
    receiver::{Receiver, Reply},
    skip,
};

const WIDTHS: [u32; 3] = [1440, 800, 390];

/// A sidecar with a page view, a picture, a redirect and an address that leads nowhere behind it.
struct Stage {
    _app: Origin,
    plausible: Receiver,
    sidecar: Sidecar,
}

fn stage() -> Stage {
    let app = Origin::start(|visit| {
        match visit.head.target() {
            "/old" => visit.send("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n")?,
            target if target.starts_with("/missing") => {
                visit.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?;
            }
            "/picture.png" => visit.answer("image/png", b"")?,
            _ => visit.answer("text/html", b"<p>Hello</p>")?,
        }
        Ok(Then::Keep)
    });
    let plausible = Receiver::start();
    let sidecar = Builder::before(&app).telling(&plausible).start();
    Stage {
        _app: app,
        plausible,
        sidecar,
    }
}

impl Stage {
    fn ask(&self, request: &Request) {
        self.sidecar.client().ask(&request.clone().from("203.0.113.77"));
    }

    fn visit(&self, path: &str) {
        self.ask(&Request::get(path).as_(NAVIGATION));
    }

    /// One of each.
    fn visits(&self) {
        for path in ["/", "/old", "/missing"] {
            self.visit(path);
        }
        let long = "a-very-long-name-without-a-space-".repeat(20);
        self.visit(&format!("/missing/{long}"));
        self.ask(&Request::get("/picture.png").as_(IMAGE));
        self.ask(&Request::get("/").as_(GOOGLEBOT));
        self.sidecar.settled(6);
    }

    fn url(&self) -> String {
        format!("http://{}/", self.sidecar.admin)
    }
}

/// Shows a page in every width and scheme; axe-core finds nothing, nothing sticks out, and its policy has
/// forbidden nothing.
#[track_caller]
fn assert_fits(tab: &mut Tab, axe: &str, what: &str) {
    for width in WIDTHS {
        for dark in [false, true] {
            tab.show(width, dark);
            let at = format!("{what} at {width}, {}", if dark { "dark" } else { "light" });
            let over = tab.value(
                "[...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1 \
                 && !e.closest('svg, legend')).map((e) => e.outerHTML.slice(0, 200))",
            );
            assert_eq!(over, json!([]), "{at}");
            let wide = tab.value("document.documentElement.scrollWidth - innerWidth");
            assert_eq!(wide, 0, "{at}");
            assert_eq!(tab.findings(axe), Vec::<String>::new(), "{at}");
        }
    }
    assert_eq!(tab.forbidden(), json!([]), "{what}");
}

#[test]
fn it_fits_and_everybody_can_use_it_calm_and_in_trouble() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let Some(axe) = axe() else {
        return skip("axe-core is not installed");
    };
    let stage = stage();
    let mut tab = Tab::open(chromium);
    tab.go(&stage.url());
    assert_fits(&mut tab, &axe, "without a request");
    stage.visits();
    tab.go(&stage.url());
    tab.until("document.querySelectorAll('.log li').length === 5");
    assert_eq!(tab.value("document.title"), "gatecount");
    assert_fits(&mut tab, &axe, "calm");

    stage.plausible.die();
    stage.visit("/");
    tab.until("document.title === '1 thing needs attention · gatecount'");
    let banner = tab.value("document.querySelector('.banner').innerText");
    let banner = banner.as_str().unwrap();
    assert!(
        banner.contains("can't be reached") && banner.contains("What may help"),
        "{banner}"
    );
    assert!(
        tab.value("document.querySelector('link[rel=icon]').href")
            .as_str()
            .unwrap()
            .contains("b45309"),
        "the icon is still calm"
    );
    explain(&mut tab, "GET / HTTP/1.1\nHost: example.com");
    assert_fits(&mut tab, &axe, "in trouble");

    stage.plausible.come_back();
    tab.until("document.title === 'gatecount' && !document.querySelector('.banner')");
    assert_fits(&mut tab, &axe, "after trouble");
}

#[test]
fn the_demos_pages_fit_and_everybody_can_use_them() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let Some(axe) = axe() else {
        return skip("axe-core is not installed");
    };
    let demo = Demo::start(&["--ports", "0,0,0", "--quiet"]);
    let [site, receiver, _] = demo.addresses;
    for n in 0..3 {
        let visitor = format!("203.0.113.{n}");
        let visit = Request::get("/books?ref=a-friend").as_(NAVIGATION).from(&visitor);
        assert_eq!(Client::to(site).ask(&visit).status(), 200);
    }
    let mut tab = Tab::open(chromium);
    tab.go(&format!("http://{receiver}/"));
    tab.until("document.querySelectorAll('.log li').length === 3");
    assert_fits(&mut tab, &axe, "the receiver");
    let told = tab.value("document.body.innerText");
    let told = told.as_str().unwrap();
    for words in [
        "Sources, by arrivals from elsewhere",
        "Top pages, by page views",
        " on ",
    ] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("Mozilla"), "{told}");
    for page in ["", "books/night-ferry", "search?q=ferry", "newsletter"] {
        tab.go(&format!("http://{site}/{page}"));
        assert_fits(&mut tab, &axe, &format!("the site's /{page}"));
    }
    // The way to the other pages is seen without scrolling, and the books fill their row.
    tab.go(&format!("http://{site}/"));
    tab.show(1440, false);
    assert_eq!(
        tab.value(
            "[...document.querySelectorAll('.strip a')].every((a) => a.getBoundingClientRect().bottom < 900)"
        ),
        true
    );
    let columns = "getComputedStyle(document.querySelector('.books')).gridTemplateColumns.split(' ').length";
    assert_eq!(tab.value(columns), 3);
    tab.show(390, false);
    assert_eq!(tab.value(columns), 2);
}

/// Fills the box and sends it.
fn explain(tab: &mut Tab, request: &str) {
    tab.value(&format!(
        "document.querySelector('#request').value = {}; document.querySelector('[data-explain]').requestSubmit()",
        json!(request)
    ));
    tab.until("document.querySelector('#explained').childNodes.length > 0");
}

#[test]
fn it_shows_decisions_as_they_happen_and_keeps_the_focus() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let stage = stage();
    stage.visits();
    let mut tab = Tab::open(chromium);
    tab.move_to("Asia/Tokyo");
    tab.show(1440, false);
    tab.go(&stage.url());
    tab.until("document.querySelector('[data-zone]').textContent === 'Asia/Tokyo (UTC+9)'");
    tab.until("document.querySelector('#live').textContent === 'live'");
    // The keyboard is at a link of the footer, and a part of a row is looked at.
    tab.value("window.link = document.querySelector('footer a'); link.focus(); window.row = document.querySelector('.log li')");
    stage.visit("/first-shown");
    tab.until("document.querySelector('.log li').innerText.includes('/first-shown')");
    assert_eq!(tab.value("document.activeElement === link"), true);
    assert_eq!(
        tab.value("row.isConnected && row === document.querySelectorAll('.log li')[1]"),
        true
    );
    let text = tab.value("document.querySelector('.log li').innerText");
    let text = text.as_str().unwrap();
    assert!(text.contains("Page view") && text.contains("counted"), "{text}");
    assert!(
        text.contains("203.0.113.0/24 by x-forwarded-for") && !text.contains("203.0.113.77"),
        "{text}"
    );
    // Tokyo's clock, and not UTC's.
    let hours = tab.value(
        "const time = document.querySelector('.log time'); \
         (24 + Number(time.textContent.slice(0, 2)) - Number(time.dateTime.slice(11, 13))) % 24",
    );
    assert_eq!(hours, 9);
    assert_eq!(tab.forbidden(), json!([]));
}

#[test]
fn its_list_can_be_filtered_and_paused() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let stage = stage();
    stage.visits();
    let mut tab = Tab::open(chromium);
    tab.show(1440, false);
    tab.go(&stage.url());
    let rows = |n: usize| format!("document.querySelectorAll('.log li').length === {n}");
    tab.until(&rows(5));
    assert!(!list(&mut tab).contains("picture.png"));
    tab.value("document.querySelector('input[value=all]').click()");
    tab.until(&rows(6));
    assert!(list(&mut tab).contains("picture.png"));
    tab.value("document.querySelector('input[value=counted]').click()");
    tab.until(&rows(1));
    assert_eq!(tab.value("location.search"), "?show=counted");
    tab.value(
        "const host = document.querySelector('input[name=host]'); host.value = 'nowhere'; \
         host.dispatchEvent(new Event('input', {bubbles: true}))",
    );
    tab.until(&rows(0));
    // The filter is in the address: who opens it sees the same, also without a script.
    tab.go(&format!("{}?show=all&host=EXAMPLE.com", stage.url()));
    tab.until(&rows(6));
    assert_eq!(
        tab.value("document.querySelector('input[name=show]:checked').value"),
        "all"
    );

    tab.value("document.querySelector('[data-pause]').click()");
    assert_eq!(tab.value("document.querySelector('#live').textContent"), "paused");
    stage.visit("/while-paused");
    eventually("the decision", || {
        let told = stage.sidecar.admin("/decisions").text();
        told.contains("/while-paused").then_some(()).ok_or(told)
    });
    // Longer than from one refresh to the next.
    tab.value("new Promise((done) => setTimeout(done, 2600))");
    tab.until(&rows(6));
    tab.value("document.querySelector('[data-pause]').click()");
    tab.until(&rows(7));
    assert!(list(&mut tab).contains("/while-paused"));
    assert_eq!(tab.forbidden(), json!([]));
}

fn list(tab: &mut Tab) -> String {
    let text = tab.value("document.querySelector('#decisions').innerText");
    text.as_str().unwrap_or_default().to_owned()
}

#[test]
fn its_box_explains_a_pasted_request() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let stage = stage();
    let mut tab = Tab::open(chromium);
    tab.go(&stage.url());
    let explained = |tab: &mut Tab, request: &str| {
        tab.value("document.querySelector('#explained').replaceChildren()");
        explain(tab, request);
        let text = tab.value("document.querySelector('#explained').innerText");
        text.as_str().unwrap_or_default().to_owned()
    };
    let curl = "curl 'https://example.com/a?b=c' -H 'user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 \
                Firefox/140.0' -H 'accept: text/html' -H 'sec-fetch-dest: document' -H 'sec-fetch-mode: navigate'";
    let text = explained(&mut tab, curl);
    assert!(text.starts_with("Page view counted"), "{text}");
    assert!(
        text.contains("Request: GET https://example.com/a?b=c")
            && text.contains("\"domain\":\"example.com\""),
        "{text}"
    );
    let text = explained(&mut tab, "curl https://example.com/a");
    assert!(text.starts_with("Not a page not_page"), "{text}");
    let text = explained(&mut tab, "Host: example.com\nAccept: text/html");
    assert!(text.contains("that is no request"), "{text}");
    // What was pasted and told stays when the page refreshes.
    stage.visit("/later");
    tab.until("document.querySelector('.log li')?.innerText.includes('/later')");
    assert_eq!(
        tab.value("document.querySelector('#request').value"),
        "Host: example.com\nAccept: text/html"
    );
    assert!(
        tab.value("document.querySelector('#explained').innerText")
            .as_str()
            .unwrap()
            .contains("no request")
    );
    assert_eq!(tab.forbidden(), json!([]));
}

/// `/explain` without a script, and what it is asked by another site's page.
#[test]
fn a_pasted_request_is_explained_by_the_rules_that_hold() {
    let stage = stage();
    let page = stage
        .sidecar
        .admin("/explain?request=GET+%2Fa+HTTP%2F1.1%0D%0AHost%3A+example.com")
        .text();
    assert!(
        page.contains("example.com as example.com") || page.contains("the host belongs to example.com"),
        "{page}"
    );
    stage
        .sidecar
        .builder()
        .set("pages.exclude", vec!["/secret/**"])
        .write();
    stage.sidecar.signal("HUP");
    stage.sidecar.await_log("configuration reloaded");
    let asked = "/explain?request=http%3A%2F%2Fexample.com%2Fsecret%2F1";
    let page = stage.sidecar.admin(asked).text();
    assert!(
        page.contains(">Excluded by a rule</span> <small class=code>excluded</small>"),
        "{page}"
    );
    let page = stage.sidecar.admin("/explain?request=curl&peer=").text();
    assert!(page.contains("has no URL"), "{page}");
    let page = stage
        .sidecar
        .admin("/explain?request=http%3A%2F%2Fexample.com%2F&peer=nobody")
        .text();
    assert!(page.contains("class=error>peer"), "{page}");
}

/// One model: what `/status` has, the metrics and the page have too.
#[test]
fn trouble_is_the_same_in_status_metrics_page_and_log() {
    let stage = stage();
    stage.plausible.always(Reply::Drop);
    for n in 0..3 {
        stage.visit(&format!("/{n}"));
    }
    let trouble = eventually("the trouble", || {
        let status = stage.sidecar.status();
        let found = status["troubles"].as_array().and_then(|all| all.first().cloned());
        found.ok_or_else(|| status.to_string())
    });
    assert_eq!(trouble["kind"], "domain_dropped");
    assert_eq!(trouble["over_since"], Value::Null);
    assert!(
        trouble["seconds"].is_u64() && trouble["since"].as_str().unwrap().ends_with('Z'),
        "{trouble}"
    );
    let (what, cure) = (
        trouble["what"].as_str().unwrap(),
        trouble["cure"].as_str().unwrap(),
    );
    let page = stage.sidecar.admin("/").text();
    assert!(page.contains(what) && page.contains(cure), "{page}");
    let line = stage.sidecar.await_log(what);
    assert!(
        line.contains("\"trouble\":\"domain_dropped\"") && line.contains(cure),
        "{line}"
    );
    let gauge = |kind: &str| {
        let metrics = stage.sidecar.metrics();
        metrics.metric("gatecount_trouble").label("kind", kind).value()
    };
    assert_eq!((gauge("domain_dropped"), gauge("app_down")), (1, 0));
    let metrics = stage.sidecar.admin("/metrics").text();
    assert!(!metrics.contains("example.com"), "a domain in a label");

    stage.plausible.always(Reply::Accept);
    stage.visit("/recorded");
    stage
        .sidecar
        .await_log("Plausible records events for example.com again");
    let status = stage.sidecar.status();
    assert!(status["troubles"][0]["over_since"].is_string(), "{status}");
    assert_eq!(gauge("domain_dropped"), 0);
    let page = stage.sidecar.admin("/").text();
    assert!(
        page.contains("Over for") && !page.contains("class=banner"),
        "{page}"
    );
}

/// An app that goes and comes: a line each, though many requests fail, and the end is noticed without a
/// request.
#[test]
fn an_app_that_is_down_is_one_trouble() {
    let gone = Origin::start(origin::pages);
    let address = gone.address();
    let sidecar = Builder::before(&gone).start();
    drop(gone);
    let ask = |path: &str| {
        let request = Request::get(path).as_(NAVIGATION).from("203.0.113.77");
        sidecar.client().ask(&request).status()
    };
    for n in 0..40 {
        assert_eq!(ask(&format!("/{n}")), 502);
    }
    let lines = |text: &str| sidecar.log().iter().filter(|line| line.contains(text)).count();
    let line = sidecar.await_log("the app can't be reached");
    assert!(
        line.contains("WARN") && line.contains("Connection refused") && line.contains("[app] url"),
        "{line}"
    );
    assert_eq!(
        (lines("the app can't be reached"), lines("Connection refused")),
        (1, 1)
    );
    // The last one is counted right after its answer.
    let status = eventually("forty errors", || {
        let status = sidecar.status();
        if status["app"]["errors"] == 40 {
            Ok(status)
        } else {
            Err(status.to_string())
        }
    });
    assert_eq!(status["app"]["state"], "down");
    assert_eq!(status["troubles"][0]["kind"], "app_down");
    let decisions = sidecar.admin("/decisions").json();
    assert_eq!(
        decisions[0]["why"],
        "gatecount answered 502: no connection to the app."
    );
    assert_eq!(decisions[0]["in_words"], "Error");

    let back = std::net::TcpListener::bind(address).unwrap();
    sidecar.await_log("the app can be reached again");
    assert_eq!(sidecar.status()["app"]["state"], "up");
    assert_eq!(lines("the app can't be reached"), 1);
    drop(back);
}
