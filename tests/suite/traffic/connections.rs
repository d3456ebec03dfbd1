//! Connections: kept and used again on both sides, given up where that is right, never used for a request
//! that they could lose.

use std::{
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{assert_short, before};
use crate::support::{
    DEADLINE,
    client::{Client, FETCH, NAVIGATION, Request, curl},
    eventually,
    origin::{self, Origin, Then, starts},
    process::Builder,
    site,
};

#[test]
fn connections_are_kept_on_both_sides() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app).set("listen.workers", 1).start();
    let mut client = sidecar.client();
    for n in 0..20 {
        assert_eq!(client.ask(&Request::get(&format!("/{n}"))).status(), 200);
    }
    let seen = app.seen();
    assert_eq!(seen.len(), 20);
    assert!(
        seen.iter().all(|s| s.connection == 0),
        "the connection to the app was not used again"
    );
}

#[test]
fn connections_that_pile_up_on_one_worker_are_shown() {
    let app = Origin::start(origin::pages);
    let sidecar = before(&app);
    let on = |worker: &str| {
        let metrics = sidecar.metrics();
        let here = metrics
            .metric("gatecount_worker_connections")
            .label("worker", worker)
            .value();
        (here, metrics.metric("gatecount_connections").value())
    };
    sidecar.await_metrics("a worker without connections is shown too", |metrics| {
        let mut workers = metrics.values("gatecount_worker_connections", "worker");
        workers.sort_unstable();
        workers == ["0", "1"]
    });

    // The kernel chooses the worker; each comes to have some.
    let (mut first, mut second) = (Vec::new(), Vec::new());
    while first.is_empty() || second.len() < 5 {
        let (before, _) = on("0");
        let mut client = sidecar.client();
        client.ask(&Request::get("/"));
        let (after, _) = on("0");
        if after > before { &mut first } else { &mut second }.push(client);
        assert_eq!(on("0"), (first.len() as u64, (first.len() + second.len()) as u64));
    }
    drop(first);
    let all = second.len() as u64;
    eventually("all that are open are the second worker's", || {
        match (on("0"), on("1")) {
            ((0, _), (here, open)) if (here, open) == (all, all) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let app = site::start();
    let sidecar = before(&app);
    let requests: Vec<Request> = (0..10).map(|n| Request::get(&format!("/api/{n}"))).collect();
    let mut client = sidecar.client();
    client.send(&requests.iter().flat_map(Request::bytes).collect::<Vec<_>>());
    for request in &requests {
        site::compare(request, &client.response()).unwrap();
    }
}

#[test]
fn an_app_on_a_unix_socket_is_reached() {
    let directory = TempDir::new().unwrap();
    let app = Origin::on_unix(&directory.path().join("app.sock"), origin::pages);
    let sidecar = before(&app);
    assert_eq!(sidecar.client().ask(&Request::get("/")).status(), 200);
    assert_eq!(app.only().head.get("host"), Some("example.com"));
}

#[test]
fn a_unix_socket_is_listened_on_and_an_old_file_is_replaced() {
    let app = Origin::start(origin::pages);
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("front.sock");
    std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let listen = format!("unix:{}", socket.display());
    let _sidecar = Builder::before(&app).set("listen.address", listen).start();
    let output = curl(&[
        "--unix-socket",
        socket.to_str().unwrap(),
        "http://example.com/over-a-socket",
    ]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(app.only().head.target(), "/over-a-socket");
}

#[test]
fn a_dead_pooled_connection_is_retried_where_that_is_safe() {
    let app = Origin::start(origin::closes_on_the_second_request);
    let sidecar = Builder::before(&app).set("listen.workers", 1).start();
    let mut client = sidecar.client();
    for n in 0..6 {
        assert_eq!(
            client.ask(&Request::get(&format!("/{n}"))).status(),
            200,
            "request {n}"
        );
    }
    sidecar.await_metrics("no app error", |m| {
        m.metric("gatecount_app_errors_total").value() == 0
    });
}

#[test]
fn a_request_that_may_have_been_acted_on_is_not_sent_twice() {
    let app = Origin::start(origin::closes_on_the_second_request);
    let sidecar = Builder::before(&app).set("listen.workers", 1).start();
    let mut client = sidecar.client();
    assert_eq!(client.ask(&Request::get("/first")).status(), 200);
    assert_short(&client.ask(&Request::post("/pay", b"100 euro")), 502);
    let paid = app.seen().iter().filter(|s| s.head.target() == "/pay").count();
    assert_eq!(paid, 1, "{:?}", starts(&app.seen()));
}

#[test]
fn an_app_that_closes_idle_connections_is_never_met_by_a_request() {
    let app = Origin::start(origin::closes_idle_connections);
    let sidecar = Builder::before(&app).set("listen.workers", 1).start();
    let mut client = sidecar.client();
    for n in 0..50 {
        assert_eq!(
            client.ask(&Request::get(&format!("/{n}"))).status(),
            200,
            "request {n}"
        );
    }
}

#[test]
fn a_client_that_leaves_takes_the_apps_request_with_it() {
    let (left, told) = std::sync::mpsc::channel();
    let left = std::sync::Mutex::new(left);
    let app = Origin::start(move |visit| {
        visit.until_left()?;
        // The test is over where nobody listens any more.
        let _ = left.lock().unwrap().send(());
        Ok(Then::Close)
    });
    let sidecar = before(&app);
    let mut client = sidecar.client();
    client.send(&Request::get("/slow").as_(NAVIGATION).bytes());
    eventually("the app is asked", || {
        if app.seen().is_empty() {
            Err("not yet".into())
        } else {
            Ok(())
        }
    });
    client.reset();
    told.recv_timeout(DEADLINE)
        .expect("the app is told that nobody waits");
    sidecar.await_metrics("an aborted request", |m| m.decisions("aborted") == 1);
}

#[test]
fn slow_heads_and_idle_connections_end_within_their_limits() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app)
        .set("listen.header_timeout", "300ms")
        .set("listen.idle_timeout", "300ms")
        .start();
    let begun = Instant::now();
    let mut slow = sidecar.client();
    slow.send(b"GET / HTTP/1.1\r\nHo");
    let mut silent = sidecar.client();
    let mut idle = sidecar.client();
    assert_eq!(idle.ask(&Request::get("/")).status(), 200);
    slow.until_closed();
    silent.until_closed();
    idle.until_closed();
    assert!(
        begun.elapsed() < Duration::from_secs(6),
        "took {:?}",
        begun.elapsed()
    );
}

#[test]
fn many_clients_at_once_each_get_their_own_answers() {
    let app = site::start();
    let sidecar = before(&app);
    let address = sidecar.address;
    let clients: Vec<_> = (0..16)
        .map(|c| {
            thread::spawn(move || {
                let mut client = Client::to(address);
                for n in 0..40 {
                    let request = Request::get(&format!("/image/{}", c * 100 + n)).as_(FETCH);
                    site::compare(&request, &client.ask(&request)).unwrap();
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
}
