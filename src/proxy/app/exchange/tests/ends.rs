//! How an exchange ends, when its request may go over another connection, and when its connection is kept.

use super::*;

/// How far the request has come when the app's connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pushed {
    Nothing,
    Some,
    All,
}

#[test]
fn a_request_goes_again_only_where_it_is_idempotent_its_body_untouched_and_the_connection_reused() {
    let methods = [("GET", true), ("PUT", true), ("POST", false), ("PATCH", false)];
    let bodies = [
        (Framing::None, Pushed::Nothing),
        (Framing::Length(10), Pushed::Nothing),
        (Framing::Length(10), Pushed::Some),
        (Framing::Length(10), Pushed::All),
        (Framing::Chunked, Pushed::Nothing),
        (Framing::Chunked, Pushed::Some),
    ];
    for (method, idempotent) in methods {
        for (framing, pushed) in bodies {
            for (reused, answered) in [(false, ""), (true, ""), (true, "HTTP/1.1 2")] {
                let expected = if !answered.is_empty() {
                    fault(&Fault::Cut)
                } else if reused && idempotent && pushed == Pushed::Nothing {
                    Seen::Repeat
                } else {
                    fault(&Fault::Closed)
                };
                run(async {
                    let worker = Worker::new();
                    let (mut front, mut far) = Request(method, framing, false).begin(&worker, reused).await;
                    match pushed {
                        Pushed::Nothing => {}
                        Pushed::Some => front.exchange.push(b"01234"),
                        Pushed::All => {
                            front.exchange.push(b"0123456789");
                            front.exchange.end_request();
                        }
                    }
                    far.send(answered).await;
                    drop(far);
                    let (seen, _) = front.read_all().await;
                    let case = format!("{method} {framing:?} {pushed:?}, reused: {reused}, {answered:?}");
                    assert_eq!(seen, [expected], "{case}");
                });
            }
        }
    }
}

#[test]
fn a_dead_connection_that_took_nothing_is_no_attempt_of_any_method() {
    run(async {
        let worker = Worker::new();
        let far = give(&worker).0.into_std().unwrap();
        // Idle it seems alive, and a write fails.
        far.shutdown(std::net::Shutdown::Read).unwrap();
        see_sockets().await;
        let (context, plan) = (&worker.context, POST.plan(&worker));
        let exchange = open(&context.pool, &context.settings.app, &plan).await.unwrap();
        assert!(exchange.wants_body());
        let mut fresh = worker.accept().await;
        assert_eq!(fresh.head().await.as_bytes(), plan.record.head());
    });
}

#[test]
fn a_connection_that_the_app_has_closed_while_it_was_idle_is_passed_over() {
    run(async {
        let worker = Worker::new();
        let (mut alive, dead) = (give(&worker), give(&worker));
        drop(dead);
        see_sockets().await;
        let plan = GET.plan(&worker);
        let context = &worker.context;
        open(&context.pool, &context.settings.app, &plan).await.unwrap();
        assert_eq!(alive.head().await.as_bytes(), plan.record.head());
    });
}

#[test]
fn a_body_without_a_length_ends_with_the_connection_unless_that_is_reset() {
    run(async {
        let worker = Worker::new();
        for (reset, last) in [(false, end()), (true, fault(&Fault::Cut))] {
            let (mut front, mut far) = POST.begin(&worker, false).await;
            far.send("HTTP/1.1 200 OK\r\n\r\nabc").await;
            assert!(front.read().await);
            if reset {
                // A close with bytes unread resets a Unix socket.
                front.exchange.push(b"unread");
            }
            drop(far);
            let (seen, exchange) = front.read_all().await;
            assert_eq!(seen, [Seen::Head(200), data("abc"), last], "reset: {reset}");
            exchange.finish(&worker.context.pool, Instant::now());
            assert!(take(&worker).await.is_none());
        }
    });
}

#[test]
fn a_body_that_ends_before_its_framing_says_so_is_cut() {
    run(async {
        let worker = Worker::new();
        for (response, got) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd", "abcd"),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                "abc",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
                "abc",
            ),
        ] {
            let (mut front, mut far) = GET.begin(&worker, true).await;
            far.send(response).await;
            assert!(front.read().await);
            drop(far);
            let (seen, _) = front.read_all().await;
            assert_eq!(
                seen,
                [Seen::Head(200), data(got), fault(&Fault::Cut)],
                "{response:?}"
            );
        }
    });
}

#[test]
fn a_malformed_chunk_ends_the_exchange_behind_what_came_before_it() {
    run(async {
        let worker = Worker::new();
        let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nx\r\n";
        let (seen, exchange, _) = see(&worker, GET, response).await;
        let [Seen::Head(200), Seen::Data(got), Seen::Fault(fault)] = &seen[..] else {
            panic!("{seen:?}");
        };
        assert_eq!(got, "abc");
        assert!(
            fault.starts_with("the app's response has a malformed body"),
            "{fault}"
        );
        exchange.finish(&worker.context.pool, Instant::now());
        assert!(take(&worker).await.is_none());
    });
}

/// How long a connection is kept after a response, by the setting 30 s; 0: it is not.
#[test]
fn a_connection_is_kept_for_as_long_as_the_app_and_the_setting_allow() {
    for (head, seconds) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0", 30),
        ("HTTP/1.1 204 No Content", 30),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 7", 30),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=5, max=100",
            4,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=500",
            30,
        ),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: timeout=1", 0),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: max=3", 30),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close", 0),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: x\r\nconnection: Close",
            0,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 0", 0),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive",
            30,
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive, close",
            0,
        ),
        // P7: another parser might have found another end of it.
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0",
            0,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n0",
            0,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0", 30),
        // What the app says of an interim head is of that alone.
        (
            "HTTP/1.1 103 Early Hints\r\nConnection: close\r\n\r\nHTTP/1.1 204 No Content",
            30,
        ),
    ] {
        run(async {
            let worker = Worker::new();
            let second = Duration::from_secs(1);
            for (wait, kept) in [(seconds.max(1) - 1, seconds > 0), (seconds + 1, false)] {
                let (seen, exchange, _far) = see(&worker, GET, &format!("{head}\r\n\r\n")).await;
                assert_eq!(seen.last(), Some(&end()), "{head:?}");
                let at = Instant::now() + second * wait;
                exchange.finish(&worker.context.pool, Instant::now());
                see_sockets().await;
                let stream = pool::take(&worker.context.pool, at).await;
                assert_eq!(stream.is_some(), kept, "{head:?} after {wait} s");
            }
        });
    }
}

#[test]
fn an_app_that_speaks_out_of_turn_loses_its_connection() {
    run(async {
        let worker = Worker::new();
        let response = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
        // In one piece with the response, and after it.
        let (seen, exchange, _far) = see(&worker, GET, &format!("{response}HTTP/1.1 200 OK\r\n")).await;
        assert_eq!(seen, [Seen::Head(200), data("x"), end()]);
        exchange.finish(&worker.context.pool, Instant::now());
        assert!(take(&worker).await.is_none());
        let (_, exchange, mut far) = see(&worker, GET, response).await;
        exchange.finish(&worker.context.pool, Instant::now());
        far.send("HTTP/1.1 200 OK\r\n").await;
        assert!(take(&worker).await.is_none());
    });
}
