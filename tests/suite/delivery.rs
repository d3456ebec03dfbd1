//! From the offer to Plausible's answer: each event once in ordinary weather, in its visitor's order,
//! whatever the other side answers.

use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::support::{
    DEADLINE,
    client::{FETCH, NAVIGATION, Request},
    full,
    load::Steady,
    origin::{self, Origin},
    process::{Builder, Sidecar},
    receiver::{Arrival, Receiver, Reply},
    site, skip,
    tls::Authority,
    within,
};

fn before(app: &Origin, plausible: &Receiver) -> Builder {
    Builder::before(app).telling(plausible)
}

/// One page view of this visitor.
fn visit(sidecar: &Sidecar, visitor: &str, path: &str) {
    let request = Request::get(path).as_(NAVIGATION).from(visitor);
    assert_eq!(sidecar.client().ask(&request).status(), 200);
}

/// One page view each of so many visitors.
fn crowd(sidecar: &Sidecar, visitors: usize) {
    let mut client = sidecar.client();
    for n in 0..visitors {
        let visitor = format!("203.0.{}.{}", n / 250, n % 250 + 1);
        let request = Request::get(&format!("/{n}")).as_(NAVIGATION).from(&visitor);
        assert_eq!(client.ask(&request).status(), 200);
    }
}

fn paths(events: &[Arrival]) -> Vec<&str> {
    events
        .iter()
        .map(|e| e.text("url").trim_start_matches("http://example.com"))
        .collect()
}

#[test]
fn a_failed_event_is_tried_again_until_it_is_taken() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.next([Reply::Status(503), Reply::CutOff, Reply::Status(500)]);
    let sidecar = before(&app, &plausible).start();
    visit(&sidecar, "203.0.113.7", "/");
    let metrics = sidecar.settled(1);
    assert_eq!(plausible.arrivals().len(), 4);
    assert_eq!(plausible.recorded().len(), 1);
    assert_eq!(metrics.finished("delivered"), 1);
    assert_eq!(metrics.metric("gatecount_delivery_attempts_total").value(), 4);
    plausible.assert_strict();
}

#[test]
fn a_dropped_and_an_invalid_event_end_at_once() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.script(|event, _| match event.text("url") {
        "http://example.com/dropped" => Reply::Drop,
        "http://example.com/invalid" => Reply::Status(400),
        _ => Reply::Accept,
    });
    let sidecar = before(&app, &plausible).start();
    for path in ["/dropped", "/invalid", "/fine"] {
        visit(&sidecar, "203.0.113.7", path);
    }
    let metrics = sidecar.settled(3);
    assert_eq!(paths(&plausible.arrivals()), ["/dropped", "/invalid", "/fine"]);
    for outcome in ["dropped_by_plausible", "rejected", "delivered"] {
        assert_eq!(metrics.finished(outcome), 1, "{outcome}");
    }
}

/// Q15, of one event.
#[test]
fn retry_after_is_obeyed() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.next([Reply::RetryAfter(429, 2)]);
    let sidecar = before(&app, &plausible).start();
    visit(&sidecar, "203.0.113.7", "/");
    let tries = plausible.await_arrivals(2);
    let wait = tries[1].at - tries[0].at;
    assert!(
        wait >= Duration::from_millis(1990),
        "it came again after {wait:?}"
    );
}

#[test]
fn a_visitors_events_keep_their_order_whatever_fails() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let mut count = 0;
    plausible.script(move |_, _| {
        count += 1;
        match count % 7 {
            2 => Reply::Status(503),
            4 => Reply::CutOff,
            _ => Reply::Accept,
        }
    });
    let sidecar = before(&app, &plausible).set("plausible.max_tries", 1000).start();
    let mut client = sidecar.client();
    for n in 0..60 {
        let visitor = format!("203.0.113.{}", n % 5 + 1);
        client.ask(&Request::get(&format!("/{n}")).as_(NAVIGATION).from(&visitor));
    }
    sidecar.settled(60);
    let events = plausible.recorded();
    assert_eq!(events.len(), 60);
    for visitor in 1..=5 {
        let own: Vec<Arrival> = events
            .iter()
            .filter(|e| e.visitor().0 == format!("203.0.113.{visitor}"))
            .cloned()
            .collect();
        let numbers: Vec<usize> = paths(&own).iter().map(|p| p[1..].parse().unwrap()).collect();
        assert_eq!(numbers.len(), 12);
        assert!(numbers.is_sorted(), "visitor {visitor}: {numbers:?}");
    }
    plausible.assert_strict();
}

/// Q15: once it is everybody's trouble, nobody comes before that time.
#[test]
fn retry_after_holds_everybody_once_the_breaker_has_tripped() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.always(Reply::RetryAfter(503, 2));
    let sidecar = before(&app, &plausible).set("plausible.concurrency", 4).start();
    crowd(&sidecar, 40);
    let first = plausible.await_arrivals(6);
    let last = sidecar.await_metrics("the last of those is counted", |m| {
        m.metric("gatecount_delivery_attempts_total").value() >= 5
    });
    last.assert_account();
    plausible.await_arrivals(first.len() + 3);
    let at: Vec<Instant> = plausible.arrivals().iter().map(|a| a.at).collect();
    let waits: Vec<Duration> = at.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // Those before it tripped, and with them those that were under way; then one probe each time that was
    // asked for.
    let early = waits
        .iter()
        .take_while(|w| **w < Duration::from_millis(1990))
        .count();
    assert!(early < 5 + 4, "{early} came before their time: {waits:?}");
    assert!(
        waits[early..].iter().all(|w| *w >= Duration::from_millis(1990)),
        "{waits:?}"
    );
}

/// Q15.
#[test]
fn no_more_than_the_concurrency_is_in_flight_and_all_of_it_is_used() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.slow(Duration::from_millis(100));
    let sidecar = before(&app, &plausible).set("plausible.concurrency", 4).start();
    crowd(&sidecar, 40);
    sidecar.settled(40);
    assert_eq!(plausible.peaks(), (4, 1));
    assert!(
        plausible.connections() <= 8,
        "{} connections",
        plausible.connections()
    );
}

#[test]
fn throughput_is_concurrency_by_the_time_of_an_answer() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.slow(Duration::from_millis(50));
    let sidecar = before(&app, &plausible).set("plausible.concurrency", 8).start();
    crowd(&sidecar, 400);
    sidecar.settled(400);
    let events = plausible.recorded();
    // The middle of the run, where the queue is neither filling nor running dry.
    let (first, last) = (&events[100], &events[300]);
    let rate = 200.0 / (last.at - first.at).as_secs_f64();
    println!("throughput: {rate:.0} events/s of {} possible", 8.0 / 0.05);
    // Within a tenth; tests beside this one may take the CPU.
    let share = if full() { 0.9 } else { 0.7 };
    assert!(rate > 8.0 / 0.05 * share, "{rate:.0} events/s");
}

/// Q15: the breaker, and backoff.
#[test]
fn a_dead_plausible_is_not_hammered_and_nothing_is_lost() {
    let (app, plausible) = (site::start(), Receiver::start());
    plausible.always(Reply::Status(503));
    let sidecar = before(&app, &plausible)
        .set("plausible.retry_initial", "300ms")
        .set("plausible.retry_max", "600ms")
        .start();
    let steady = Steady::through(sidecar.address);
    crowd_of_pages(&sidecar, 100);
    within(Duration::from_secs(20), "the breaker trips", || {
        let state = sidecar.status()["delivery"]["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if state == "tripped" {
            Ok(())
        } else {
            Err(format!("it is {state:?}"))
        }
    });
    let tries = plausible.arrivals().len();
    assert!(tries < 100, "{tries} tries before the breaker tripped");
    let begun = Instant::now();
    crowd_of_pages(&sidecar, 100);
    sidecar.await_metrics("all pages are decided", |m| m.decisions("counted") == 200);
    let more = plausible.arrivals().len() - tries;
    // One probe per backoff, which has full jitter: far below one try per event in any case.
    assert!(
        more < 20,
        "{more} tries in {:?} of a tripped breaker",
        begun.elapsed()
    );
    plausible.always(Reply::Accept);
    let metrics = sidecar.await_metrics("all are delivered", |m| m.pending() == 0);
    assert_eq!(metrics.finished("delivered"), 200);
    assert_eq!(plausible.recorded().len(), 200);
    steady.finish();
}

fn crowd_of_pages(sidecar: &Sidecar, visitors: usize) {
    let mut client = sidecar.client();
    for n in 0..visitors {
        let visitor = format!("203.0.{}.{}", n / 250, n % 250 + 1);
        let request = Request::get(&format!("/page/{n}")).as_(NAVIGATION).from(&visitor);
        assert_eq!(client.ask(&request).status(), 200);
    }
}

#[test]
fn a_plausible_that_is_gone_and_comes_back_gets_everything() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = before(&app, &plausible).start();
    let steady = Steady::through(sidecar.address);
    crowd_of_pages(&sidecar, 10);
    plausible.await_recorded(10);
    plausible.die();
    crowd_of_pages(&sidecar, 20);
    plausible.babble();
    crowd_of_pages(&sidecar, 20);
    plausible.come_back();
    plausible.await_recorded(50);
    let metrics = sidecar.drained();
    metrics.assert_account();
    assert_eq!(metrics.finished("delivered"), 50);
    steady.finish();
}

#[test]
fn a_wrong_address_of_ours_throws_nothing_away_and_is_told_plainly() {
    for wrong in [404, 401, 301] {
        let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
        plausible.always(Reply::Status(wrong));
        let sidecar = before(&app, &plausible).set("plausible.max_tries", 2).start();
        crowd(&sidecar, 10);
        within(Duration::from_secs(20), "/status names the answer", || {
            let error = sidecar.status()["delivery"]["last_error"].to_string();
            if error.contains(&wrong.to_string()) {
                Ok(())
            } else {
                Err(error)
            }
        });
        plausible.await_arrivals(4);
        plausible.always(Reply::Accept);
        let metrics = sidecar.settled(10);
        assert_eq!(metrics.finished("delivered"), 10, "{wrong}");
    }
}

/// Q14. A try counts while others get through: what fails twice with nobody between is one, if it is not the
/// first.
#[test]
fn a_poison_event_ends_as_rejected_and_delays_nobody() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.script(|event, _| {
        if event.text("url").ends_with("/poison") {
            Reply::Status(500)
        } else {
            Reply::Accept
        }
    });
    let sidecar = before(&app, &plausible).set("plausible.max_tries", 3).start();
    visit(&sidecar, "203.0.113.100", "/first");
    plausible.await_recorded(1);
    visit(&sidecar, "203.0.113.200", "/poison");
    visit(&sidecar, "203.0.113.200", "/behind-it");
    plausible.await_arrivals(2);
    let mut client = sidecar.client();
    let (mut slowest, mut others) = (Duration::ZERO, 0);
    while sidecar.metrics().finished("rejected") == 0 {
        let path = format!("/{others}");
        let asked = Instant::now();
        let visitor = format!("203.0.113.{}", others % 50 + 1);
        client.ask(&Request::get(&path).as_(NAVIGATION).from(&visitor));
        within(DEADLINE, &path, || {
            let found = plausible
                .recorded()
                .iter()
                .any(|e| e.text("url").ends_with(&path));
            if found { Ok(()) } else { Err("not recorded".into()) }
        });
        slowest = slowest.max(asked.elapsed());
        others += 1;
    }
    assert!(
        slowest < Duration::from_secs(1),
        "an event of another visitor took {slowest:?}"
    );
    let metrics = sidecar.settled(3 + others);
    assert_eq!(metrics.finished("rejected"), 1);
    assert_eq!(metrics.finished("delivered"), 2 + others as u64);
    let poisoned: Vec<bool> = plausible
        .arrivals()
        .iter()
        .map(|e| e.text("url").ends_with("/poison"))
        .collect();
    let runs = poisoned.windows(2).filter(|pair| *pair == [false, true]).count();
    // Plausible may see somebody between two whose answers come in together.
    assert!((3..=6).contains(&runs), "{runs} runs of tries: {poisoned:?}");
}

#[test]
fn a_hanging_plausible_is_given_up_after_the_timeout() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.next([Reply::Hang]);
    let sidecar = before(&app, &plausible).set("plausible.timeout", "200ms").start();
    visit(&sidecar, "203.0.113.7", "/");
    sidecar.settled(1);
    assert_eq!(plausible.recorded().len(), 1);
}

/// Q11.
#[test]
fn a_late_event_expires_and_is_never_sent() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.always(Reply::Status(503));
    let sidecar = before(&app, &plausible).set("plausible.max_age", "1s").start();
    crowd(&sidecar, 5);
    let metrics = sidecar.await_metrics("five expired events", |m| m.finished("expired") == 5);
    metrics.assert_account();
    plausible.always(Reply::Accept);
    visit(&sidecar, "203.0.113.99", "/fresh");
    sidecar.settled(6);
    assert_eq!(paths(&plausible.recorded()), ["/fresh"]);
}

#[test]
fn http2_over_tls_is_one_connection_for_many_events() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls(&authority);
    plausible.slow(Duration::from_millis(20));
    let sidecar = before(&app, &plausible)
        .set("plausible.ca_file", authority.file().to_str().unwrap())
        .start();
    crowd(&sidecar, 100);
    sidecar.settled(100);
    let events = plausible.recorded();
    assert_eq!(events.len(), 100);
    assert!(
        events.iter().all(|e| e.version == "HTTP/2.0"),
        "{}",
        events[0].version
    );
    assert!(
        plausible.connections() <= 2,
        "{} connections",
        plausible.connections()
    );
    assert!(
        plausible.peaks().0 > 8,
        "not multiplexed: {:?}",
        plausible.peaks()
    );
    plausible.assert_strict();
}

#[test]
fn http1_over_tls_where_there_is_no_http2() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls_without_h2(&authority);
    let sidecar = before(&app, &plausible)
        .set("plausible.ca_file", authority.file().to_str().unwrap())
        .start();
    crowd(&sidecar, 10);
    sidecar.settled(10);
    assert!(plausible.recorded().iter().all(|e| e.version == "HTTP/1.1"));
    plausible.assert_strict();
}

#[test]
fn http2_that_fails_and_comes_back_loses_nothing() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls(&authority);
    plausible.next([Reply::CutOff, Reply::Status(503), Reply::Accept, Reply::CutOff]);
    let sidecar = before(&app, &plausible)
        .set("plausible.ca_file", authority.file().to_str().unwrap())
        .start();
    crowd(&sidecar, 20);
    plausible.die();
    crowd(&sidecar, 20);
    plausible.come_back();
    let metrics = sidecar.settled(40);
    // An answer lost on the way is tried again: at least once.
    assert!(plausible.recorded().len() >= 40);
    assert_eq!(metrics.finished("delivered"), 40);
}

#[test]
fn an_unknown_authority_is_refused_and_told() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls(&authority);
    let sidecar = before(&app, &plausible).start();
    visit(&sidecar, "203.0.113.7", "/");
    within(Duration::from_secs(20), "/status names the certificate", || {
        let error = sidecar.status()["delivery"]["last_error"]
            .to_string()
            .to_lowercase();
        if error.contains("certificate") {
            Ok(())
        } else {
            Err(error)
        }
    });
    assert_eq!(plausible.arrivals().len(), 0);
}

#[test]
fn the_account_holds_at_every_moment() {
    let (app, plausible) = (site::start(), Receiver::start());
    let mut count = 0;
    plausible.script(move |_, _| {
        count += 1;
        match count % 5 {
            0 => Reply::Status(503),
            1 => Reply::Drop,
            2 => Reply::Status(400),
            _ => Reply::Accept,
        }
    });
    let sidecar = before(&app, &plausible).set("plausible.max_tries", 4).start();
    let steady = Steady::through(sidecar.address);
    for _ in 0..10 {
        crowd_of_pages(&sidecar, 20);
        sidecar.metrics().assert_account();
    }
    let metrics = sidecar.drained();
    metrics.assert_account();
    assert_eq!(metrics.offered(), 200);
    steady.finish();
}

#[test]
fn requests_that_are_no_pages_are_never_told() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = before(&app, &plausible).start();
    let mut client = sidecar.client();
    for n in 0..50 {
        client.ask(
            &Request::get(&format!("/image/{n}"))
                .as_(FETCH)
                .from("203.0.113.7"),
        );
    }
    let metrics = sidecar.settled(50);
    assert_eq!(metrics.offered(), 0);
    assert_eq!(
        plausible.connections(),
        0,
        "Plausible was spoken to without an event"
    );
}

/// R9: answers that arrived while the process was stopped are read before anybody speaks of a time-out.
#[test]
fn a_process_that_was_stopped_sends_nothing_twice() {
    let authority = Authority::new();
    for plausible in [Receiver::start(), Receiver::tls(&authority)] {
        let app = Origin::start(origin::pages);
        plausible.slow(Duration::from_millis(400));
        let sidecar = before(&app, &plausible)
            .set("plausible.ca_file", authority.file().to_str().unwrap())
            .set("plausible.timeout", "1s")
            .set("plausible.concurrency", 16)
            .start();
        for round in 0..3 {
            crowd(&sidecar, 40);
            plausible.await_arrivals(round * 40 + 16);
            sidecar.signal("STOP");
            // Longer than the timeout.
            std::thread::sleep(Duration::from_secs(3));
            sidecar.signal("CONT");
            let metrics = sidecar.drained();
            assert_eq!(plausible.arrivals().len(), (round + 1) * 40, "{metrics:?}");
        }
        assert_eq!(plausible.recorded().len(), 120);
    }
}

/// T14: each address of Plausible's name has its share of the time, and the one that works comes first from
/// then on.
#[test]
fn an_address_that_swallows_connections_costs_its_share_once() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let swallows = swallowing();
    let port = swallows.0.local_addr().unwrap().as_socket().unwrap().port();
    forward(
        SocketAddr::from(([127, 0, 0, 2], port)),
        plausible.url().trim_start_matches("http://").to_owned(),
    );
    let builder = before(&app, &plausible)
        .set("plausible.url", format!("http://plausible.test:{port}"))
        .set("plausible.timeout", "2s");
    // The C library puts the first one first.
    let Some(builder) = builder.with_hosts("127.0.0.1 plausible.test\n127.0.0.2 plausible.test\n") else {
        return skip("names can't be given other addresses here (it needs root)");
    };
    let sidecar = builder.start();
    let asked = Instant::now();
    visit(&sidecar, "203.0.113.7", "/first");
    let metrics = sidecar.settled(1);
    let attempts = metrics.metric("gatecount_delivery_attempts_total").value();
    assert_eq!((plausible.recorded().len(), attempts), (1, 1), "{metrics:?}");
    assert!(
        asked.elapsed() > Duration::from_millis(900),
        "nothing was swallowed"
    );
    // New connections go where the last one went.
    plausible.die();
    plausible.come_back();
    let asked = Instant::now();
    visit(&sidecar, "203.0.113.8", "/second");
    plausible.await_recorded(2);
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(900), "{took:?}");
}

/// Passes connections on.
fn forward(from: SocketAddr, to: String) {
    let listener = TcpListener::bind(from).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else {
                continue;
            };
            let ways = [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            ];
            for (mut from, mut to) in ways {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
}

/// Takes a few connections, and answers no more: what is held keeps it so.
fn swallowing() -> (Socket, Vec<Socket>) {
    let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let listener = tcp();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let fill = || {
        let socket = tcp();
        socket.set_nonblocking(true).unwrap();
        // It is under way, for ever.
        let _ = socket.connect(&address);
        socket
    };
    (listener, (0..8).map(|_| fill()).collect())
}

/// R19: in words, and not ten times a second.
#[test]
fn a_name_that_cannot_be_resolved_is_said_in_words() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app)
        .set("plausible.url", "http://plausible.invalid")
        .start();
    crowd(&sidecar, 20);
    within(DEADLINE, "/status names the name", || {
        let error = sidecar.status()["delivery"]["last_error"].to_string();
        if error.contains("the name plausible.invalid can't be resolved") {
            Ok(())
        } else {
            Err(error)
        }
    });
    sidecar.await_log("the name plausible.invalid can't be resolved");
    std::thread::sleep(Duration::from_secs(2));
    let log = sidecar.log();
    let lines = log
        .iter()
        .filter(|line| line.contains("plausible.invalid"))
        .count();
    assert!(lines <= 3, "{lines} lines");
    assert!(!log.iter().any(|line| line.contains("uncategorized")), "{log:?}");
}
