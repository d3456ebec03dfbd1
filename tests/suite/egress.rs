//! Events that leave through an HTTP proxy.

use crate::support::{
    client::{NAVIGATION, Request},
    eventually,
    forward_proxy::ForwardProxy,
    origin::{self, Origin},
    process::{Builder, Sidecar, run},
    receiver::{Arrival, Receiver},
    tls::Authority,
};

fn before(app: &Origin, plausible: &Receiver, authority: &Authority) -> Builder {
    Builder::before(app)
        .telling(plausible)
        .set("plausible.ca_file", authority.file().to_str().unwrap())
}

/// One page view each of these visitors.
fn visits(sidecar: &Sidecar, visitors: std::ops::Range<u8>) {
    let mut client = sidecar.client();
    for n in visitors {
        let visitor = format!("203.0.113.{n}");
        let request = Request::get(&format!("/{n}")).as_(NAVIGATION).from(&visitor);
        assert_eq!(client.ask(&request).status(), 200);
    }
}

/// Every event came, and none came twice.
#[track_caller]
fn assert_each_once(events: &[Arrival], count: usize) {
    let mut urls: Vec<&str> = events.iter().map(|event| event.text("url")).collect();
    urls.sort_unstable();
    urls.dedup();
    assert_eq!((events.len(), urls.len()), (count, count));
}

/// What `/status` tells of the last failure, once it tells it.
fn last_error(sidecar: &Sidecar) -> String {
    eventually("an error in /status", || {
        let status = sidecar.status();
        let error = status["delivery"]["last_error"].as_str().map(str::to_owned);
        error.ok_or_else(|| status.to_string())
    })
}

#[test]
fn https_goes_through_a_tunnel_of_the_environments_proxy() {
    let (app, authority, proxy) = (
        Origin::start(origin::pages),
        Authority::new(),
        ForwardProxy::start(),
    );
    let plausible = Receiver::tls(&authority);
    proxy.want("gate:s3cr:t");
    let sidecar = before(&app, &plausible, &authority)
        .environment("HTTPS_PROXY", &proxy.url("gate:s3cr%3At"))
        .environment("HTTP_PROXY", "http://127.0.0.1:9")
        .start();
    visits(&sidecar, 1..41);
    sidecar.settled(40);
    assert_each_once(&plausible.recorded(), 40);
    assert_eq!(plausible.recorded()[0].version, "HTTP/2.0");
    let host = plausible.url().replace("https://", "");
    assert_eq!(proxy.requests(), [format!("CONNECT {host}")]);
    assert_eq!(plausible.connections(), 1);
    proxy.assert_strict();
    plausible.assert_strict();
}

#[test]
fn http_goes_in_absolute_form_to_the_configured_proxy() {
    let (app, plausible, proxy) = (
        Origin::start(origin::pages),
        Receiver::start(),
        ForwardProxy::start(),
    );
    proxy.want("gate:secret");
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("plausible.proxy", proxy.url("gate:secret"))
        // The key comes before the environment.
        .environment("http_proxy", "http://127.0.0.1:9")
        .environment("NO_PROXY", "*")
        .start();
    visits(&sidecar, 1..6);
    sidecar.settled(5);
    assert_each_once(&plausible.recorded(), 5);
    let expected = format!("POST {}/api/event", plausible.url());
    assert_eq!(proxy.requests(), vec![expected; 5]);
    proxy.assert_strict();
    plausible.assert_strict();
}

#[test]
fn hosts_of_no_proxy_are_reached_directly() {
    let (app, authority, proxy) = (
        Origin::start(origin::pages),
        Authority::new(),
        ForwardProxy::start(),
    );
    let plausible = Receiver::tls(&authority);
    let sidecar = before(&app, &plausible, &authority)
        .environment("HTTPS_PROXY", &format!("http://{}", proxy.address()))
        .environment("no_proxy", "example.net,localhost")
        .start();
    visits(&sidecar, 1..6);
    sidecar.settled(5);
    assert_each_once(&plausible.recorded(), 5);
    assert_eq!(proxy.requests(), Vec::<String>::new());
}

#[test]
fn a_proxys_refusal_is_told_in_words_without_the_password_and_events_wait() {
    let (app, authority, proxy) = (
        Origin::start(origin::pages),
        Authority::new(),
        ForwardProxy::start(),
    );
    let plausible = Receiver::tls_without_h2(&authority);
    proxy.want("gate:other");
    let sidecar = before(&app, &plausible, &authority)
        .set("plausible.proxy", proxy.url("gate:s3cret"))
        .start();
    visits(&sidecar, 1..11);
    let error = last_error(&sidecar);
    let expected = format!(
        "{}/api/event by the proxy http://{}: no connection: the proxy does not accept the user name and password (407)",
        plausible.url(),
        proxy.address()
    );
    assert_eq!(error, expected);
    eventually("a line in the log", || {
        let log = sidecar.log();
        let told = log
            .iter()
            .any(|line| line.contains("WARN") && line.contains("(407)"));
        told.then_some(()).ok_or(log.join("\n"))
    });
    assert_eq!(plausible.arrivals().len(), 0);
    proxy.want("gate:s3cret");
    sidecar.settled(10);
    assert_each_once(&plausible.recorded(), 10);
    let log = sidecar.log().join("\n");
    assert!(!log.contains("s3cret") && !log.contains("Basic"), "{log}");
}

#[test]
fn a_proxy_that_wants_credentials_for_http_is_told_from_a_wrong_address() {
    let (app, plausible, proxy) = (
        Origin::start(origin::pages),
        Receiver::start(),
        ForwardProxy::start(),
    );
    proxy.want("gate:secret");
    let sidecar = Builder::before(&app)
        .telling(&plausible)
        .environment("HTTP_PROXY", &proxy.address().to_string())
        .start();
    visits(&sidecar, 1..4);
    let error = last_error(&sidecar);
    assert!(
        error.ends_with(": the proxy wants a user name and password (407)"),
        "{error}"
    );
    assert_eq!(plausible.arrivals().len(), 0);
}

#[test]
fn each_refusal_has_its_words() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls(&authority);
    let host = plausible.url().replace("https://", "");
    for (status, words) in [
        (407, "the proxy wants a user name and password (407)".to_owned()),
        (
            403,
            format!("the proxy does not allow connections to {host} (403)"),
        ),
        (502, format!("the proxy can't connect to {host} (502)")),
        (
            404,
            format!("the proxy opened no connection to {host} (it answered 404)"),
        ),
    ] {
        let proxy = ForwardProxy::start();
        proxy.refuse(status);
        let sidecar = before(&app, &plausible, &authority)
            .set("plausible.proxy", format!("http://{}", proxy.address()))
            .start();
        visits(&sidecar, 1..2);
        let error = last_error(&sidecar);
        assert!(error.ends_with(&words), "{error}");
    }
    assert_eq!(plausible.arrivals().len(), 0);
}

#[test]
fn a_proxy_that_goes_down_and_comes_back_loses_nothing() {
    let (app, authority, proxy) = (
        Origin::start(origin::pages),
        Authority::new(),
        ForwardProxy::start(),
    );
    let plausible = Receiver::tls(&authority);
    let sidecar = before(&app, &plausible, &authority)
        .environment("https_proxy", &format!("http://{}", proxy.address()))
        .start();
    visits(&sidecar, 1..21);
    sidecar.settled(20);
    proxy.die();
    visits(&sidecar, 21..61);
    let error = last_error(&sidecar);
    assert!(
        error.contains(&format!("by the proxy http://{}: ", proxy.address())),
        "{error}"
    );
    assert_eq!(plausible.recorded().len(), 20);
    proxy.come_back();
    sidecar.settled(60);
    assert_each_once(&plausible.recorded(), 60);
    plausible.assert_strict();
}

#[test]
fn check_shows_the_proxy_and_never_a_password() {
    let check = |lines: &str| {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("gatecount.toml");
        let rest =
            "[app]\nurl = \"http://127.0.0.1:3000\"\n[[sites]]\nhosts = [\"*\"]\ndomain = \"example.com\"\n";
        std::fs::write(&file, format!("{rest}[plausible]\n{lines}\n")).unwrap();
        let output = run(&["check", "--config", file.to_str().unwrap()], "");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = check("proxy = \"http://gate:s3cret@proxy.example:3128\"");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("proxy = \"http://gate:***@proxy.example:3128\""),
        "{said}"
    );
    for wrong in [
        "proxy = \"https://gate:s3cret@proxy.example\"",
        "proxy = \"gate:s3cret@proxy.example\"",
        "proxy = \"socks5://gate:s3cret@proxy.example\"",
        "url = \"https://gate:s3cret@plausible.io\"",
        "url = \"gate:s3cret@plausible.io\"",
        "url = [\"https://gate:s3cret@plausible.io\"]",
    ] {
        let (code, said) = check(wrong);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("gate:***@") && !said.contains("s3cret"), "{said}");
    }
}
