//! Copies of requests: answered 204 at once, whatever happens, and counted by their own signs.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::support::{
    client::{Client, FETCH, IMAGE, NAVIGATION, PREFETCH, Request},
    eventually,
    nginx::{self, Nginx},
    origin::Origin,
    process::{Builder, Sidecar, free_port},
    receiver::{Receiver, Reply},
    site, skip,
};

fn mirror_of(sidecar: &Sidecar) -> SocketAddr {
    let status = sidecar.status();
    status["observe"]["mirror"].as_str().unwrap().parse().unwrap()
}

fn mirrored() -> (Receiver, Builder) {
    let plausible = Receiver::start();
    let builder = Builder::aside()
        .telling(&plausible)
        .set("observe.mirror", "127.0.0.1:0");
    (plausible, builder)
}

#[test]
fn a_copy_counts_by_its_own_signs() {
    let (plausible, builder) = mirrored();
    let sidecar = builder.start();
    let mut client = Client::to(mirror_of(&sidecar));
    let copies = [
        Request::get("/a?utm_source=x&y=z")
            .as_(NAVIGATION)
            .from("203.0.113.7"),
        Request::get("/b.png").as_(IMAGE).from("203.0.113.7"),
        Request::get("/c").as_(FETCH).from("203.0.113.7"),
        Request::get("/d").as_(PREFETCH).from("203.0.113.7"),
        Request::post("/e", b"a form").as_(NAVIGATION).from("203.0.113.7"),
        Request::new("DELETE", "/f").as_(NAVIGATION).from("203.0.113.7"),
        Request::get("/g")
            .host("example.com-shadow:8080")
            .as_(NAVIGATION)
            .from("203.0.113.8"),
        Request::get("/h")
            .as_(NAVIGATION)
            .from("203.0.113.7")
            .with("X-Forwarded-Proto", "https")
            .with("X-Forwarded-Host", "www.example.com"),
    ];
    for copy in &copies {
        let answer = client.ask(copy);
        assert_eq!((answer.status(), answer.text().as_str()), (204, ""));
    }
    let metrics = sidecar.settled(copies.len());
    assert_eq!(
        (metrics.decisions("counted"), metrics.decisions("prefetch")),
        (3, 1)
    );
    let mut urls: Vec<_> = plausible
        .recorded()
        .iter()
        .map(|e| e.text("url").to_owned())
        .collect();
    urls.sort();
    assert_eq!(
        urls,
        [
            "http://example.com/a?utm_source=x",
            "http://example.com:8080/g",
            "https://www.example.com/h",
        ]
    );
    assert_eq!(plausible.recorded()[0].visitor().0, "203.0.113.7");
    plausible.assert_strict();
}

/// A copier that nobody trusts says nothing of who the client is.
#[test]
fn an_untrusted_copier_is_the_client_itself() {
    let (plausible, builder) = mirrored();
    let sidecar = builder.set("client.trusted_proxies", vec!["192.0.2.1"]).start();
    let copy = Request::get("/a").as_(NAVIGATION).from("203.0.113.7");
    assert_eq!(Client::to(mirror_of(&sidecar)).ask(&copy).status(), 204);
    let events = plausible.await_recorded(1);
    assert_eq!(events[0].visitor().0, "127.0.0.1");
}

#[test]
fn a_copy_is_answered_before_its_body_is_there_and_whatever_it_is() {
    let (plausible, builder) = mirrored();
    plausible.die();
    let sidecar = builder.start();
    let mut client = Client::to(mirror_of(&sidecar));
    client.send(b"POST /upload HTTP/1.1\r\nHost: example.com\r\nContent-Length: 3000000\r\n\r\n");
    assert_eq!(client.response().status(), 204);
    for _ in 0..3 {
        client.send(&vec![b'x'; 1_000_000]);
    }
    // The connection serves the next copy.
    assert_eq!(client.ask(&Request::get("/a").as_(NAVIGATION)).status(), 204);
    assert_eq!(
        client
            .ask(&Request::get("/\u{e9}\u{ff}").with("X-A", "\u{fe}"))
            .status(),
        204
    );
    sidecar.await_metrics("three are decided", |metrics| metrics.decided() == 3);
}

/// More connections than are granted: those that have been idle longest make room.
#[test]
fn idle_copiers_make_room_for_new_ones() {
    let (_plausible, builder) = mirrored();
    let sidecar = builder.start();
    let address = mirror_of(&sidecar);
    let mut idle = Vec::new();
    for _ in 0..600 {
        let mut client = Client::to(address);
        assert_eq!(client.ask(&Request::get("/a")).status(), 204);
        idle.push(client);
    }
    assert!(sidecar.descriptors() < 600 + 64);
    assert_eq!(idle.last_mut().unwrap().ask(&Request::get("/b")).status(), 204);
}

/// nginx as it is deployed, with gatecount stopped and started under it: no page waits, and every copy that
/// gatecount was there for counts.
#[test]
fn behind_nginx_no_page_is_delayed_though_gatecount_comes_and_goes() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let (app, plausible): (Origin, Receiver) = (site::start(), Receiver::start());
    plausible.always(Reply::Status(503));
    let mirror = free_port();
    let builder = Builder::aside()
        .telling(&plausible)
        .set("observe.mirror", mirror.to_string());
    let nginx = Nginx::deployed_as(
        "mirror.conf",
        &[
            ("server 127.0.0.1:8081 ", format!("server {mirror} ")),
            ("http://127.0.0.1:3000", app.url()),
            // The visitors come by way of another proxy.
            ("$remote_addr", "$proxy_add_x_forwarded_for".to_owned()),
        ],
    );
    let ask = |numbers: std::ops::Range<usize>| {
        let mut slowest = Duration::ZERO;
        for n in numbers {
            let begun = Instant::now();
            let page = Request::get(&format!("/page/{n}"))
                .as_(NAVIGATION)
                .from(&super::visitor(n));
            let answer = Client::to(nginx.address).ask(&page);
            assert_eq!(answer.status(), 200);
            slowest = slowest.max(begun.elapsed());
        }
        slowest
    };
    // Not there at all.
    let mut slowest = ask(0..20);
    let mut sidecar = builder.start();
    slowest = slowest.max(ask(20..40));
    eventually("twenty copies are decided", || {
        match sidecar.metrics().decided() {
            20 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    sidecar.stop();
    slowest = slowest.max(ask(40..60));
    let sidecar = sidecar.again();
    slowest = slowest.max(ask(60..80));
    plausible.always(Reply::Accept);
    plausible.await_recorded(40);
    sidecar.drained();
    let times = super::recorded(&plausible);
    assert_eq!(
        times.keys().copied().collect::<Vec<_>>(),
        (20..40).chain(60..80).collect::<Vec<_>>()
    );
    assert!(times.values().all(|times| *times == 1));
    let event = &plausible.recorded()[0];
    assert!(
        event.text("url").starts_with("http://example.com/page/"),
        "{event:?}"
    );
    assert!(slowest < Duration::from_secs(2), "a page took {slowest:?}");
}

/// A gatecount that hangs holds up nothing but copies.
#[test]
fn behind_nginx_no_page_is_delayed_though_gatecount_hangs() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let app = site::start();
    let mirror = free_port();
    let sidecar = Builder::aside().set("observe.mirror", mirror.to_string()).start();
    let nginx = Nginx::deployed_as(
        "mirror.conf",
        &[
            ("server 127.0.0.1:8081 ", format!("server {mirror} ")),
            ("http://127.0.0.1:3000", app.url()),
            // The visitors come by way of another proxy.
            ("$remote_addr", "$proxy_add_x_forwarded_for".to_owned()),
        ],
    );
    sidecar.signal("STOP");
    for n in 0..5 {
        let begun = Instant::now();
        let page = Request::get(&format!("/page/{n}")).as_(NAVIGATION);
        assert_eq!(Client::to(nginx.address).ask(&page).status(), 200);
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }
    sidecar.signal("CONT");
}
