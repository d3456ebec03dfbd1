//! §5: the states of streams, and their numbers.

use super::{
    super::frames::{
        CANCEL, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PRIORITIZED, PROTOCOL_ERROR,
        RST_STREAM, STREAM_CLOSED, field, frame, get, headers, post, priority, request, reset, window,
    },
    App, Connection, Over,
    Reaction::{Answer, ConnectionError, Nothing, StreamError},
    assert_conforms, opened, react, target,
};

#[test]
fn section_5_1_an_idle_stream_can_only_be_opened() {
    assert_conforms(|| {
        vec![
            (
                "§5.1 idle: DATA",
                frame(DATA, END_STREAM, 1, b"x"),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§5.1 idle: RST_STREAM",
                reset(1, CANCEL),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§5.1 idle: WINDOW_UPDATE",
                window(1, 100),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§5.1 idle: CONTINUATION",
                frame(CONTINUATION, END_HEADERS, 1, &get("/")),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            ("§5.1 idle: PRIORITY", priority(1, 0), Nothing),
        ]
    });
}

#[test]
fn section_5_1_a_half_closed_stream_takes_nothing_more_of_a_request() {
    assert_conforms(|| {
        let ended = request(1, &get("/hang"));
        vec![
            (
                "§5.1 half-closed: DATA",
                [ended.clone(), frame(DATA, END_STREAM, 1, b"x")].concat(),
                StreamError(1, &[STREAM_CLOSED]),
            ),
            (
                "§5.1 half-closed: HEADERS",
                [ended.clone(), request(1, &field("x", "y"))].concat(),
                StreamError(1, &[STREAM_CLOSED]),
            ),
            (
                "§5.1 half-closed: CONTINUATION",
                [
                    ended.clone(),
                    frame(CONTINUATION, END_HEADERS, 1, &field("x", "y")),
                ]
                .concat(),
                ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            (
                "§5.1 half-closed: WINDOW_UPDATE",
                [ended.clone(), window(1, 100)].concat(),
                Nothing,
            ),
            (
                "§5.1 half-closed: PRIORITY",
                [ended.clone(), priority(1, 0)].concat(),
                Nothing,
            ),
            (
                "§5.1 half-closed: RST_STREAM",
                [ended, reset(1, CANCEL)].concat(),
                Nothing,
            ),
        ]
    });
}

#[test]
fn section_5_1_a_stream_that_was_reset_is_closed() {
    assert_conforms(|| {
        let reset = [headers(1, &post("/hang")), reset(1, CANCEL)].concat();
        vec![
            (
                "§5.1 reset: DATA",
                [reset.clone(), frame(DATA, END_STREAM, 1, b"x")].concat(),
                StreamError(1, &[STREAM_CLOSED]),
            ),
            (
                "§5.1 reset: HEADERS",
                [reset.clone(), request(1, &get("/"))].concat(),
                StreamError(1, &[STREAM_CLOSED]),
            ),
            (
                "§5.1 reset: CONTINUATION",
                [reset.clone(), frame(CONTINUATION, END_HEADERS, 1, &get("/"))].concat(),
                ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            ("§5.1 reset: PRIORITY", [reset, priority(1, 0)].concat(), Nothing),
        ]
    });
}

/// A stream whose response was read to its end, and what is sent on it after that.
#[test]
fn section_5_1_a_stream_that_has_ended_is_closed() {
    for over in [Over::Tls, Over::Plain] {
        let app = App::start();
        let target = target(&app, over);
        let ended = || {
            let mut connection: Connection = opened(&target);
            connection.send(&request(1, &get("/")));
            assert_eq!(connection.response(1).0, 200);
            connection
        };
        for (name, late, reaction) in [
            (
                "DATA",
                frame(DATA, END_STREAM, 1, b"x"),
                StreamError(1, &[STREAM_CLOSED]),
            ),
            ("HEADERS", request(1, &get("/")), StreamError(1, &[STREAM_CLOSED])),
            (
                "CONTINUATION",
                frame(CONTINUATION, END_HEADERS, 1, &get("/")),
                ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
            ),
            // They may have been on their way when the stream ended.
            ("WINDOW_UPDATE", window(1, 100), Nothing),
            ("RST_STREAM", reset(1, CANCEL), Nothing),
            ("PRIORITY", priority(1, 0), Nothing),
        ] {
            let mut connection = ended();
            connection.send(&late);
            let seen = react(&mut connection, reaction);
            assert_eq!(
                seen,
                Ok(()),
                "§5.1 closed: {name} over {over:?}: {reaction:?} expected"
            );
        }
    }
}

#[test]
fn section_5_1_1_clients_number_their_streams_with_growing_odd_numbers() {
    assert_conforms(|| {
        vec![
            (
                "§5.1.1 an even number",
                request(2, &get("/")),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§5.1.1 a number below the last",
                [request(5, &get("/hang")), request(3, &get("/"))].concat(),
                ConnectionError(&[PROTOCOL_ERROR, STREAM_CLOSED]),
            ),
            ("§5.1.1 a gap", request(7, &get("/")), Answer(7, 200)),
            (
                "§5.1.1 the highest number",
                request(0x7fff_ffff, &get("/")),
                Answer(0x7fff_ffff, 200),
            ),
        ]
    });
}

/// RFC 9113 §5.3.2 has deprecated priorities: nobody has to find out that a stream depends on itself.
#[test]
fn section_5_3_priorities_are_read_and_mean_nothing() {
    assert_conforms(|| {
        let mut block = 3_u32.to_be_bytes().to_vec();
        block.push(255);
        block.extend(get("/"));
        vec![(
            "§5.3 HEADERS with a priority",
            frame(HEADERS, END_HEADERS | END_STREAM | PRIORITIZED, 1, &block),
            Answer(1, 200),
        )]
    });
}

#[test]
fn section_5_4_1_a_connection_error_ends_the_connection_and_the_streams_on_it() {
    for over in [Over::Tls, Over::Plain] {
        let app = App::start();
        let target = target(&app, over);
        let mut connection = opened(&target);
        connection.send(&request(1, &get("/hang")));
        connection.pings();
        connection.send(&frame(RST_STREAM, 0, 0, &[0; 4]));
        connection.end();
        target.await_rest();
        assert_eq!(target.errors(), 1, "{over:?}");
    }
}
