//! Connections that hold on to what they have: windows that never open, bodies that never come, silence.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::{
    app::App,
    connection::{Connection, End, Over, Target},
    frames::{
        DATA, END_HEADERS, HEADERS, INITIAL_WINDOW_SIZE, NO_ERROR, PREFACE, PROTOCOL_ERROR, REFUSED_STREAM,
        RST_STREAM, field, frame, frame_of_length, get, goaway, headers, post, request, settings, window,
    },
    siege::{CONNECTIONS, HEADER_TIMEOUT, IDLE_TIMEOUT, lay, target, target_with, withstands},
};
use crate::support::eventually;

const BOTH: [Over; 2] = [Over::Plain, Over::Tls];

/// Streams with a response that the client's window lets nothing of through, or no more than its start.
#[test]
fn windows_that_stay_shut_hold_little_and_not_for_long() {
    for (what, size) in [("windows of 0", 0), ("windows of 65,535", 65_535)] {
        withstands(what, move |connection| {
            connection.send(&settings(&[(INITIAL_WINDOW_SIZE, size)]));
            for n in 0..128 {
                connection.send(&request(2 * n + 1, &get("/big")));
            }
            // Answers come as far as they may, and then the streams' time passes.
            thread::sleep(IDLE_TIMEOUT + Duration::from_secs(1));
            None
        });
    }
}

/// A window that opens by a byte at a time keeps its stream, and costs no more.
#[test]
fn windows_that_open_by_a_byte_hold_little() {
    withstands("windows by a byte", |connection| {
        connection.send(&settings(&[(INITIAL_WINDOW_SIZE, 0)]));
        for n in 0..100 {
            connection.send(&request(2 * n + 1, &get("/big")));
        }
        for _ in 0..20 {
            let updates: Vec<u8> = (0..100).flat_map(|n| window(2 * n + 1, 1)).collect();
            connection.send(&updates);
            connection.pings();
        }
        None
    });
}

/// A client whose window is open, and that reads nothing from its socket.
#[test]
fn responses_that_nobody_reads_hold_little_and_not_for_long() {
    withstands("unread responses", |connection| {
        connection.send(
            &[
                settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]),
                window(0, 0x7fff_0000),
            ]
            .concat(),
        );
        for n in 0..128 {
            connection.send(&request(2 * n + 1, &get("/big")));
        }
        thread::sleep(IDLE_TIMEOUT + Duration::from_secs(1));
        None
    });
}

/// How many descriptors are open once those that the start and its probes needed are closed: as many for a
/// second.
fn descriptors_at_rest(target: &Target) -> usize {
    let (mut open, mut since) = (target.sidecar.descriptors(), Instant::now());
    while since.elapsed() < Duration::from_secs(1) {
        thread::sleep(Duration::from_millis(20));
        let now = target.sidecar.descriptors();
        if now != open {
            (open, since) = (now, Instant::now());
        }
    }
    open
}

/// The streams whose window stays shut lose their connections to the app, though the client stays.
#[test]
fn a_stream_whose_window_stays_shut_gives_its_connection_to_the_app_back() {
    let app = App::start();
    let target = target(&app, Over::Plain);
    let before = descriptors_at_rest(&target);
    let mut connection = target.connect_with(&[(INITIAL_WINDOW_SIZE, 0)]);
    let idle = before + 1;
    for n in 0..50 {
        connection.send(&request(2 * n + 1, &get("/big")));
    }
    eventually("the app is asked", || match target.sidecar.descriptors() {
        open if open >= idle + 50 => Ok(()),
        open => Err(format!("{open} descriptors, {idle} before")),
    });
    eventually("its connections are given back", || {
        match target.sidecar.descriptors() {
            open if open <= idle + 2 => Ok(()),
            open => Err(format!("{open} descriptors, {idle} before")),
        }
    });
    drop(connection);
    target.await_rest();
}

/// A stream whose window is open goes on though others have used up what may wait for the client.
#[test]
fn a_stream_is_not_held_up_by_others_whose_windows_stay_shut() {
    for over in BOTH {
        let app = App::start();
        let target = target(&app, over);
        let mut connection = target.connect();
        connection.send(&window(0, 0x7fff_0000));
        for n in 0..100 {
            connection.send(&request(2 * n + 1, &get("/big")));
        }
        // Each stream has got what its window takes, and more waits for it.
        let mut got = 0;
        while got < 100 * 65_535 {
            let frame = connection.frame().expect("the connection stays");
            got += if frame.kind == DATA {
                frame.payload.len()
            } else {
                0
            };
        }
        let mut more = 0;
        connection.send(&window(1, 1 << 20));
        while more < 1 << 20 {
            let frame = connection.frame().expect("the connection stays");
            assert_eq!((frame.kind, frame.stream), (DATA, 1), "{over:?}, after {more}");
            more += frame.payload.len();
        }
    }
}

/// Uploads to an app that reads nothing.
#[test]
fn uploads_that_the_app_does_not_read_hold_the_connections_window() {
    withstands("unread uploads", |connection| {
        let piece = frame(DATA, 0, 1, &[b'x'; 16_384]);
        connection.send(&headers(1, &post("/deaf")));
        connection.write_patience(Duration::from_millis(500));
        // As much as the windows allow.
        for _ in 0..15 {
            if connection.try_send(&piece).is_err() {
                break;
            }
        }
        thread::sleep(Duration::from_millis(500));
        None
    });
}

/// Requests whose bodies never come.
#[test]
fn bodies_that_never_come_are_given_up() {
    for over in BOTH {
        let app = App::start();
        let target = target_with(&app, over, |builder| builder.set("listen.body_timeout", "5s"));
        let mut connection = target.connect();
        for n in 0..100 {
            connection.send(&headers(2 * n + 1, &post("/")));
        }
        eventually("all are under way", || match target.under_way().0 {
            100 => Ok(()),
            other => Err(format!("{other}")),
        });
        assert_eq!(connection.answers(100), [(Ok(408), 100)].into(), "{over:?}");
        eventually("all are given up", || match target.under_way() {
            (0, 0) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        drop(connection);
        target.await_rest();
    }
}

/// RFC 9113 §5.1.2.
#[test]
fn streams_beyond_the_limit_are_refused_and_the_others_go_on() {
    for over in BOTH {
        let app = App::start();
        let target = target_with(&app, over, |builder| builder.set("listen.max_streams", 10));
        let mut connection = target.connect();
        // What the limit is has to be known before it binds.
        connection.pings();
        for n in 0..20 {
            connection.send(&request(2 * n + 1, &get("/hang")));
        }
        let mut refused = Vec::new();
        while refused.len() < 10 {
            let frame = connection.frame().expect("the connection stays");
            if frame.kind == RST_STREAM {
                assert_eq!(frame.number(0), REFUSED_STREAM);
                refused.push(frame.stream);
            }
        }
        assert_eq!(
            refused,
            (10..20).map(|n| 2 * n + 1).collect::<Vec<u32>>(),
            "{over:?}"
        );
        eventually("the others are under way", || match target.under_way().0 {
            10 => Ok(()),
            other => Err(format!("{other}")),
        });
        connection.send(&super::frames::reset(1, super::frames::CANCEL));
        connection.send(&request(41, &get("/")));
        assert_eq!(connection.response(41).0, 200, "{over:?}");
        drop(connection);
        target.await_rest();
    }
}

/// A client that opens streams beyond the limit and takes no notice.
#[test]
fn streams_beyond_the_limit_without_end_cost_little() {
    withstands("streams beyond the limit", |connection| {
        let all: Vec<u8> = (0..20_000)
            .flat_map(|n| request(2 * n + 1, &get("/hang")))
            .collect();
        super::siege::floods(connection, &all, 1)
    });
}

/// Each way to be silent: how long the connection lasts, and how it ends.
#[test]
fn silence_is_closed_in_time() {
    let half_a_head = frame(HEADERS, 0, 1, &get("/"));
    let half_a_frame = frame_of_length(100, HEADERS, END_HEADERS, 1, b"x");
    let opened = [PREFACE, &settings(&[])].concat();
    for over in BOTH {
        let app = App::start();
        let target = target(&app, over);
        thread::scope(|scope| {
            for (what, sent, said) in [
                ("no preface", Vec::new(), false),
                ("half a preface", PREFACE[..10].to_vec(), false),
                ("a preface alone", PREFACE.to_vec(), true),
                ("a preface and settings", opened.clone(), true),
                ("half a head", [&opened[..], &half_a_head].concat(), true),
                ("half a frame", [&opened[..], &half_a_frame].concat(), true),
            ] {
                let mut connection = target.bare();
                connection.silent = true;
                connection.send(&sent);
                scope.spawn(move || {
                    let begun = Instant::now();
                    let end = connection.end();
                    let lasted = begun.elapsed();
                    println!("{what} over {over:?}: {end:?} after {lasted:?}");
                    let late = HEADER_TIMEOUT + Duration::from_secs(5);
                    assert!(lasted < late, "{what} over {over:?}: it lasted {lasted:?}");
                    assert_eq!(
                        said,
                        end == End::GoAway(NO_ERROR),
                        "{what} over {over:?}: {end:?}"
                    );
                });
            }
        });
        target.await_rest();
        assert_eq!(target.errors(), 0, "silence is no error of the protocol");
    }
}

/// Silence on many connections at once.
#[test]
fn silence_costs_little() {
    withstands("half a head", |connection| {
        connection.send(&frame(
            HEADERS,
            0,
            1,
            &[get("/"), field("x", &"y".repeat(12_000))].concat(),
        ));
        thread::sleep(Duration::from_millis(500));
        None
    });
}

/// RFC 9113 §6.8: the streams under way are answered, and then the connection ends.
#[test]
fn a_client_that_goes_away_gets_what_it_asked_for() {
    for over in BOTH {
        let app = App::start();
        let target = target(&app, over);
        let mut connection = target.connect();
        connection.send(&headers(1, &post("/")));
        connection.pings();
        connection.send(&goaway(0, NO_ERROR));
        connection.send(&frame(DATA, super::frames::END_STREAM, 1, b"body"));
        assert_eq!(connection.response(1).0, 200, "{over:?}");
        assert!(matches!(connection.end(), End::GoAway(NO_ERROR) | End::Closed));
        target.await_rest();
        assert_eq!(target.errors(), 0, "{over:?}");
    }
}

/// RFC 9113 §8.1: a second field block without `END_STREAM` is malformed.
#[test]
fn trailers_that_do_not_end_their_stream_are_refused_and_the_app_is_let_go() {
    for over in BOTH {
        let app = App::start();
        let target = target(&app, over);
        let mut connection = target.connect();
        connection.send(&headers(1, &post("/")));
        connection.send(&frame(DATA, 0, 1, b"body"));
        connection.pings();
        connection.send(&headers(1, &field("x", "y")));
        let refused = connection.try_response(1);
        assert!(
            matches!(&refused, Err(why) if why.ends_with(&PROTOCOL_ERROR.to_string())),
            "{over:?}: {refused:?}"
        );
        drop(connection);
        target.await_rest();
    }
}

/// Clients that vanish while they are served, with a reset of their connection.
#[test]
fn clients_that_vanish_leave_nothing_behind() {
    for over in BOTH {
        let app = App::start();
        let target = target(&app, over);
        let attack = Arc::new(|connection: &mut Connection| {
            for n in 0..50 {
                let path = ["/big", "/hang", "/"][n % 3];
                connection.send(&request(2 * n as u32 + 1, &get(path)));
            }
            connection.pings();
            None
        });
        let outcome = lay(&format!("vanishing over {over:?}"), &target, &attack);
        assert_eq!((outcome.ends.len() as u64, outcome.errors), (CONNECTIONS, 0));
    }
}

/// Bytes that are no frames, in many forms.
#[test]
fn noise_ends_the_connection_and_is_counted() {
    for over in BOTH {
        let app = App::start();
        let target: Target = target(&app, over);
        let mut random = fastrand::Rng::with_seed(7);
        let rounds: u64 = 50;
        for _ in 0..rounds {
            let mut connection = target.connect();
            let noise: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(4096).collect();
            // The peer may close before it has read everything.
            let _ = connection.try_send(&noise);
            connection.end();
        }
        target.await_rest();
        let errors = target.errors();
        println!("{over:?}: {errors} of {rounds} connections of noise ended with an error");
        assert!(errors > 0, "{over:?}");
    }
}
