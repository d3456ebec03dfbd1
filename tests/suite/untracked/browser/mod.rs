//! A crowd of real browsers with the real tracker: with the script in the page, with the script put into it by
//! gatecount, with the script blocked, and with JavaScript off. Whoever shows a page counts once.

mod devtools;

use std::{collections::BTreeMap, io};

use self::devtools::{Browser, Tab};
use super::counted;
use crate::support::{
    chromium::{self, Chromium},
    client::CHROME,
    full,
    origin::{Origin, Then, Visit},
    process::{Builder, Sidecar},
    receiver::Receiver,
    skip,
};

/// The script of the npm package `@plausible-analytics/tracker`, an ES module.
const MODULE: &str = include_str!("../../../corpus/tracker/tracker-0.4.6.js");

/// Why no page has the script, if none has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scripting {
    /// It runs.
    Runs,
    /// The browser does not fetch it, as with a blocker.
    Blocked,
    /// There is no JavaScript.
    Off,
}

/// The script as a classic one that reads its tag, as the older ones do.
fn classic() -> String {
    let module = MODULE.rsplit_once("export {").expect("the module's exports").0;
    format!(
        "(function(){{const own=document.currentScript.dataset;{module};\
         init({{domain:own.domain,endpoint:own.api,captureOnLocalhost:true}})}})();"
    )
}

/// A site whose pages link to each other; with the script's tag in them or without.
fn app(has_script: bool) -> Origin {
    let tag = if has_script {
        "<script defer data-domain=\"example.com\" data-api=\"/api/event\" src=\"/js/script.js\"></script>"
    } else {
        ""
    };
    Origin::start(move |visit: &mut Visit| -> io::Result<Then> {
        let page = format!(
            "<!doctype html><html><head><title>A page</title>{tag}</head><body><p>Hello</p>\
             <noscript><img src=\"/p.gif\"></noscript></body></html>"
        );
        match visit.head.target() {
            "/favicon.ico" => visit.answer("image/png", b"")?,
            _ => visit.answer("text/html; charset=utf-8", page.as_bytes())?,
        }
        Ok(Then::Keep)
    })
}

/// A site, its sidecar, and how often each page of it was shown.
struct Site {
    name: &'static str,
    sidecar: Sidecar,
    shown: BTreeMap<String, usize>,
    _app: Origin,
}

impl Site {
    fn start(name: &'static str, inject: bool, plausible: &Receiver, source: &str) -> Site {
        let app = app(!inject);
        let sidecar = Builder::before(&app)
            .telling(plausible)
            .set("client.trusted_proxies", vec!["127.0.0.2"])
            .set("tracker.source", source)
            .set("tracker.inject", inject)
            .set("tracker.pixel", "/p.gif")
            // However busy the machine is, the script comes before that.
            .set("pages.tracker_wait", "20s")
            .start();
        Site {
            name,
            sidecar,
            shown: BTreeMap::new(),
            _app: app,
        }
    }

    fn go(&mut self, tab: &mut Tab<'_>, path: &str) {
        tab.navigate(&format!(
            "http://{}:{}{path}",
            chromium::HOST,
            self.sidecar.address.port()
        ));
        *self.shown.entry(path.to_owned()).or_default() += 1;
    }
}

#[test]
fn in_a_mixed_crowd_every_page_is_counted_once() {
    let Some(chromium) = Chromium::installed() else {
        return skip("Chromium is not installed");
    };
    let visits = if full() { 300 } else { 24 };
    let upstream = Origin::start(|visit: &mut Visit| -> io::Result<Then> {
        visit.answer("application/javascript", classic().as_bytes())?;
        Ok(Then::Keep)
    });
    let plausible = Receiver::start();
    let source = format!("{}/js/script.js", upstream.url());
    let mut sites = [
        Site::start("scripted", false, &plausible, &source),
        Site::start("injected", true, &plausible, &source),
    ];
    let browser = Browser::start(chromium);
    let mut by_server = BTreeMap::new();
    for visit in 0..visits {
        let site = &mut sites[visit % 2];
        let scripting = [
            Scripting::Runs,
            Scripting::Blocked,
            Scripting::Runs,
            Scripting::Off,
        ][visit / 2 % 4];
        let name = site.name;
        let path = |page: &str| format!("/{name}/{visit}/{page}");
        // Each visit is a browser of its own, by its user agent.
        let agent = CHROME.replace("138.0.0.0", &format!("138.0.{visit}.0"));
        let mut tab = browser.tab(&agent);
        match scripting {
            Scripting::Runs => {}
            Scripting::Blocked => tab.block("*/js/script.js*"),
            Scripting::Off => tab.without_javascript(),
        }
        let mut walk = vec![path("home"), path("a")];
        match visit % 3 {
            // A reload, and the way back.
            0 => walk.extend([path("a"), path("home")]),
            1 => walk.push(path("b?utm_source=x")),
            _ => {}
        }
        for page in &walk {
            site.go(&mut tab, page);
            by_server.insert(page.clone(), scripting != Scripting::Runs);
        }
        // Another tab of the same page, which stays open while the first one goes.
        let mut second = browser.tab(&agent);
        match scripting {
            Scripting::Runs => {}
            Scripting::Blocked => second.block("*/js/script.js*"),
            Scripting::Off => second.without_javascript(),
        }
        site.go(&mut second, &path("home"));
        tab.close();
        second.close();
    }
    let mut metrics = Vec::new();
    for site in &sites {
        metrics.push(site.sidecar.drained());
    }
    plausible.assert_strict();
    let counted = counted(&plausible);
    let mut wrong = Vec::new();
    for (page, shown) in sites.iter().flat_map(|site| &site.shown) {
        let (server, script) = counted.get(page).copied().unwrap_or_default();
        if server + script != *shown || (by_server[page] && script > 0) {
            wrong.push(format!(
                "{page}: shown {shown}, by the server {server}, by the script {script}"
            ));
        }
    }
    let shown: usize = sites.iter().flat_map(|site| site.shown.values()).sum();
    let by: (usize, usize) = counted.values().fold((0, 0), |(a, b), (x, y)| (a + x, b + y));
    println!(
        "{visits} visits, {shown} pages: {} by the server, {} by the script",
        by.0, by.1
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(by.0 + by.1, shown);
    assert!(by.0 > visits && by.1 > visits, "both count: {by:?}");
    for metrics in metrics {
        metrics.assert_account();
        assert_eq!(metrics.metric("gatecount_held_views").value(), 0);
    }
}
