//! What becomes of an event, by what the server does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{
    account::EventEnd,
    server::{Reply, Server},
    *,
};

/// Offers one event to a server that answers the first attempt so and the next with 202; waits for its end.
fn one_after(first: Reply, settings: impl FnOnce(&mut Settings)) -> (Server, Rig) {
    let server = Server::start(move |number, _| {
        if number == 0 {
            first.clone()
        } else {
            Reply::accepted()
        }
    });
    let mut chosen = super::settings(server.address);
    settings(&mut chosen);
    let mut rig = Rig::new(chosen);
    rig.offer(1, "/a");
    rig.settle();
    (server, rig)
}

#[test]
fn plausible_gets_exactly_the_headers_asked_for() {
    let (server, rig) = one_after(Reply::accepted(), |settings| {
        "/some/base".clone_into(&mut settings.base.path);
        settings.address_headers = vec![AddressHeader::XForwardedFor, AddressHeader::XPlausibleIp];
    });
    assert_eq!(rig.finished(EventEnd::Delivered), 1);
    let [seen] = &server.seen()[..] else {
        panic!("{:?}", server.seen())
    };
    let length = seen.body.len();
    let expected = format!(
        "POST /some/base/api/event HTTP/1.1\r\n\
         Host: {}\r\n\
         User-Agent: Mozilla/5.0 (tester)\r\n\
         X-Forwarded-For: 203.0.113.1\r\n\
         X-Plausible-IP: 203.0.113.1\r\n\
         Content-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n",
        server.address
    );
    assert_eq!(seen.head, expected);
    let body: serde_json::Value = serde_json::from_str(&seen.body).unwrap();
    assert_eq!(body["name"], "pageview");
    assert_eq!(body["domain"], "example.com");
}

#[test]
fn a_server_error_is_tried_again() {
    let (server, rig) = one_after(Reply::status(503, &[]), |_| ());
    assert_eq!(server.seen().len(), 2);
    assert_eq!(rig.finished(EventEnd::Delivered), 1);
    assert_eq!((rig.attempts("server_error"), rig.attempts("delivered")), (1, 1));
    let status = rig.delivery.status();
    let error = status.delivery.last_error.unwrap();
    assert!(
        error.contains("answered 503") && error.contains(&server.address.to_string()),
        "{error}"
    );
    assert_eq!(status.delivery.in_flight, 0);
}

#[test]
fn retry_after_is_obeyed() {
    let (server, _rig) = one_after(Reply::status(503, &["Retry-After: 1"]), |_| ());
    let [first, second] = &server.seen()[..] else {
        panic!()
    };
    let waited = second.arrived - first.arrived;
    assert!(waited >= Duration::from_secs(1), "{waited:?}");
}

#[test]
fn final_answers_end_an_event_at_once() {
    for (reply, end) in [
        (
            Reply::status(202, &["x-plausible-dropped: 1"]),
            EventEnd::DroppedByPlausible,
        ),
        (Reply::status(400, &[]), EventEnd::Rejected),
        (Reply::status(200, &[]), EventEnd::Delivered),
    ] {
        let (server, rig) = one_after(reply, |_| ());
        assert_eq!(rig.finished(end), 1, "{end:?}");
        assert_eq!(server.seen().len(), 1, "{end:?} is never sent again");
    }
}

#[test]
fn a_slow_answer_is_given_up() {
    let (server, rig) = one_after(Reply::accepted().after(1_000), |settings| {
        settings.timeout = Duration::from_millis(100);
    });
    assert_eq!((rig.attempts("timeout"), rig.attempts("delivered")), (1, 1));
    let [first, second] = &server.seen()[..] else {
        panic!()
    };
    assert_ne!(
        first.connection, second.connection,
        "an answer may still come over the first"
    );
}

#[test]
fn a_broken_answer_is_tried_again() {
    for broken in [
        "",
        "SSH-2.0-OpenSSH_9.2\r\n",
        "HTTP/1.1 2",
        "HTTP/1.1 202 Accepted\r\nContent-Le",
        "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    ] {
        let (server, rig) = one_after(Reply::raw(broken).and_close(), |_| ());
        assert_eq!(rig.attempts("broken"), 1, "{broken:?}");
        assert_eq!(rig.finished(EventEnd::Delivered), 1);
        assert_eq!(server.seen().len(), 2);
    }
}

/// Whoever has sent the head of a 202 has the event: that the body breaks off, or never ends, is no reason to
/// send twice.
#[test]
fn a_broken_body_does_not_count_twice() {
    let babble = format!(
        "HTTP/1.1 202 Accepted\r\nContent-Length: 1000000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    for body in ["HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nok", &babble] {
        let (server, rig) = one_after(Reply::raw(body).and_close(), |_| ());
        assert_eq!(rig.finished(EventEnd::Delivered), 1);
        assert_eq!(server.seen().len(), 1);
    }
    let endless = Reply::raw("HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\nok");
    let (server, rig) = one_after(endless, |settings| settings.timeout = Duration::from_millis(100));
    assert_eq!(rig.finished(EventEnd::Delivered), 1);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn chunked_and_bodiless_answers_keep_the_connection() {
    let server = Server::start(|number, _| match number % 3 {
        0 => Reply::raw("HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        1 => Reply::raw("HTTP/1.1 204 No Content\r\n\r\n"),
        _ => Reply::raw("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"),
    });
    let mut rig = Rig::new(settings(server.address));
    for _ in 0..6 {
        rig.offer(1, "/a");
        rig.settle();
    }
    assert_eq!(rig.finished(EventEnd::Delivered), 6);
    assert!(server.seen().iter().all(|seen| seen.connection == 0));
}

#[test]
fn a_server_that_closes_between_requests_costs_no_attempt() {
    for reply in [
        Reply::status(202, &["Http1Connection: close"]).and_close(),
        Reply::accepted().and_close(),
    ] {
        let server = Server::start(move |_, _| reply.clone());
        let mut rig = Rig::new(settings(server.address));
        for number in 1..=5 {
            rig.offer(1, "/a");
            rig.settle();
            // The close is on its way when the answer is in.
            thread::sleep(Duration::from_millis(30));
            assert_eq!(rig.attempts("delivered"), number);
        }
        assert_eq!((rig.attempts("broken"), server.seen().len()), (0, 5));
    }
}

#[test]
fn a_wrong_address_throws_nothing_away() {
    for status in [301, 401, 404] {
        let right = Arc::new(AtomicBool::new(false));
        let answer = right.clone();
        let server = Server::start(move |_, _| {
            if answer.load(Ordering::SeqCst) {
                return Reply::accepted();
            }
            Reply::status(status, &["Location: https://elsewhere.example/"])
        });
        let mut settings = settings(server.address);
        settings.max_tries = 1;
        let mut rig = Rig::new(settings);
        for visitor in 1..=20 {
            rig.offer(visitor, "/a");
        }
        rig.wait_for("the breaker to trip", |rig| {
            rig.delivery.status().delivery.state == DeliveryState::Tripped
        });
        let error = rig.delivery.status().delivery.last_error.unwrap();
        assert!(
            error.contains("[plausible] url") && error.contains(&status.to_string()),
            "{error}"
        );
        rig.wait_for("a few probes", |rig| rig.attempts("misconfigured") > 4);
        assert_eq!(rig.balance().pending, 20);
        right.store(true, Ordering::SeqCst);
        rig.settle();
        assert_eq!(rig.finished(EventEnd::Delivered), 20);
        rig.wait_for("the state to be shown", |rig| {
            rig.delivery.status().delivery.state == DeliveryState::Passing
        });
    }
}

#[test]
fn a_poison_event_ends_after_its_tries_and_delays_nobody() {
    let poison = address(66).to_string();
    let server = Server::start(move |_, seen| {
        if seen.visitor() == poison {
            return Reply::status(500, &[]);
        }
        Reply::accepted()
    });
    let mut settings = settings(server.address);
    settings.max_tries = 4;
    let mut rig = Rig::new(settings);
    rig.offer(1, "/a");
    rig.settle();
    rig.offer(66, "/poison");
    rig.wait_for("the first failure", |rig| rig.attempts("server_error") > 0);
    let mut others = 1;
    while rig.finished(EventEnd::Rejected) == 0 {
        let offered = Instant::now();
        rig.offer(1, "/a");
        others += 1;
        rig.wait_for("another visitor's event", |rig| {
            rig.finished(EventEnd::Delivered) == others
        });
        let took = offered.elapsed();
        assert!(took < Duration::from_secs(1), "another visitor waited {took:?}");
    }
    // A try that follows the last one with nobody in between does not count.
    let mut counted = 0;
    let mut others_between = true;
    for seen in server.seen() {
        let poisoned = seen.visitor() == address(66).to_string();
        counted += u32::from(poisoned && others_between);
        others_between = !poisoned;
    }
    assert_eq!(rig.finished(EventEnd::Rejected), 1);
    // The server may see somebody between two whose answers come in together.
    assert!((4..=6).contains(&counted), "{counted} tries");
    rig.settle();
}

#[test]
fn of_one_try_there_is_no_second() {
    let poison = address(66).to_string();
    let server = Server::start(move |_, seen| {
        if seen.visitor() == poison {
            return Reply::status(500, &[]);
        }
        Reply::accepted()
    });
    let mut settings = settings(server.address);
    settings.max_tries = 1;
    settings.retry_initial = Duration::from_millis(200);
    let mut rig = Rig::new(settings);
    rig.offer(1, "/a");
    rig.settle();
    rig.offer(66, "/poison");
    rig.wait_for("the first failure", |rig| rig.attempts("server_error") > 0);
    while rig.finished(EventEnd::Rejected) == 0 {
        let before = rig.finished(EventEnd::Delivered);
        rig.offer(1, "/a");
        rig.wait_for("another visitor's event", |rig| {
            rig.finished(EventEnd::Delivered) > before
        });
    }
    let seen = server.seen();
    let poisoned: Vec<bool> = seen
        .iter()
        .map(|seen| seen.visitor() != address(1).to_string())
        .collect();
    let first_run = poisoned.iter().skip(1).take_while(|poisoned| **poisoned).count();
    let attempts = poisoned.iter().filter(|poisoned| **poisoned).count();
    // By its jitter it may have come again before anybody else did: then nobody got through beside it.
    assert!(
        attempts == 1 || first_run > 1,
        "{attempts} attempts: {poisoned:?}"
    );
    rig.settle();
}

#[test]
fn an_outage_uses_no_tries_up() {
    for (max_tries, visitors) in [(1, 24), (2, 24), (1, 1)] {
        let up = Arc::new(AtomicBool::new(true));
        let answer = up.clone();
        let server = Server::start(move |_, _| {
            if answer.load(Ordering::SeqCst) {
                return Reply::accepted();
            }
            Reply::status(502, &[])
        });
        let mut settings = settings(server.address);
        settings.max_tries = max_tries;
        settings.retry_max = Duration::from_millis(20);
        let mut rig = Rig::new(settings);
        rig.offer(100, "/before");
        rig.settle();
        up.store(false, Ordering::SeqCst);
        for visitor in 1..=visitors {
            rig.offer(visitor, "/a");
        }
        rig.wait_for("many failures", |rig| rig.attempts("server_error") > 5);
        if visitors > 1 {
            rig.wait_for("the trip", |rig| {
                rig.delivery.status().delivery.state == DeliveryState::Tripped
            });
            // Those in flight at the trip come first.
            let before = server.seen().len() + 16;
            rig.wait_for("probes", |_| server.seen().len() > before + 20);
            let tripped = server.seen().iter().skip(before).map(|seen| seen.at_once).max();
            assert_eq!(tripped, Some(1), "probes go one at a time");
        }
        assert_eq!(rig.balance().pending, u64::from(visitors));
        up.store(true, Ordering::SeqCst);
        rig.offer(101, "/after");
        rig.settle();
        assert_eq!(
            rig.finished(EventEnd::Delivered),
            u64::from(visitors) + 2,
            "{max_tries} of {visitors}"
        );
    }
}

#[test]
fn late_events_expire_and_are_never_sent() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut settings = settings(nobody);
    settings.max_age = Duration::from_millis(300);
    settings.retry_initial = Duration::from_mins(1);
    settings.retry_max = Duration::from_mins(1);
    let mut rig = Rig::new(settings);
    for visitor in 1..=10 {
        rig.offer(visitor, "/a");
        rig.offer(visitor, "/b");
    }
    rig.wait_for("the breaker to trip", |rig| {
        rig.delivery.status().delivery.state == DeliveryState::Tripped
    });
    rig.wait_for("the events to expire", |rig| {
        rig.finished(EventEnd::Expired) == 20
    });
    assert_eq!(rig.attempts("delivered"), 0);
    rig.settle();
    let error = rig.delivery.status().delivery.last_error.unwrap();
    assert!(
        error.contains("no connection") && error.contains("refused"),
        "{error}"
    );
}
