//! §3 and §4: the preface, frames, and field blocks on the wire. §7: error codes.

use super::{
    super::frames::{
        COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, FRAME_SIZE_ERROR, HEADERS, PING,
        PROTOCOL_ERROR, SETTINGS, frame, get, goaway, headers, post, priority, request, reset, settings,
    },
    App, Over, PATIENCE,
    Reaction::{Answer, ConnectionError, Nothing, StreamError},
    assert_conforms, target,
};
use crate::http2_wire::connection::End;

#[test]
fn section_3_4_the_connection_begins_with_settings() {
    for over in [Over::Tls, Over::Plain] {
        let app = App::start();
        let target = target(&app, over);
        let mut connection = target.connect();
        let first = connection.frame_within(PATIENCE).unwrap().unwrap();
        assert_eq!(
            (first.kind, first.flags, first.stream),
            (SETTINGS, 0, 0),
            "{over:?}"
        );
    }
}

/// In plain text these bytes would be HTTP/1.1.
#[test]
fn section_3_4_another_preface_ends_the_connection() {
    let app = App::start();
    let target = target(&app, Over::Tls);
    for preface in [
        "PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n...........",
    ] {
        let mut connection = target.bare();
        connection.send(preface.as_bytes());
        assert!(
            matches!(connection.end(), End::GoAway(PROTOCOL_ERROR) | End::Closed),
            "{preface:?}"
        );
    }
}

#[test]
fn section_4_1_what_is_not_known_of_a_frame_is_ignored() {
    assert_conforms(|| {
        vec![
            (
                "§4.1 a frame of an unknown type",
                frame(0xff, 0, 0, &[0; 8]),
                Nothing,
            ),
            ("§4.1 unknown flags", frame(PING, 0xfe, 0, &[0; 8]), Nothing),
            (
                "§4.1 the reserved bit",
                frame(PING, 0, 0x8000_0000, &[0; 8]),
                Nothing,
            ),
            (
                "§5.5 an unknown frame on a stream",
                frame(0xff, 0, 7, &[0; 8]),
                Nothing,
            ),
            (
                "§5.5 an unknown frame within a field block",
                [
                    frame(HEADERS, END_STREAM, 1, &get("/")),
                    frame(0xff, 0, 1, &[]),
                    frame(CONTINUATION, END_HEADERS, 1, &[]),
                ]
                .concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            ("§5.5 an unknown setting", settings(&[(0xff, 1)]), Nothing),
        ]
    });
}

#[test]
fn section_4_2_frames_are_no_longer_than_the_limit() {
    assert_conforms(|| {
        let open = headers(1, &post("/"));
        let padded: Vec<u8> = super::super::frames::field("x", &"y".repeat(17_000));
        vec![
            (
                "§4.2 DATA of 2^14 octets",
                [open.clone(), frame(DATA, END_STREAM, 1, &vec![b'x'; 16_384])].concat(),
                Answer(1, 200),
            ),
            (
                "§4.2 DATA beyond it",
                [open, frame(DATA, END_STREAM, 1, &vec![b'x'; 16_385])].concat(),
                StreamError(1, &[FRAME_SIZE_ERROR]),
            ),
            (
                "§4.2 HEADERS beyond it",
                request(1, &[get("/"), padded].concat()),
                ConnectionError(&[FRAME_SIZE_ERROR]),
            ),
            (
                "§4.2 SETTINGS beyond it",
                frame(SETTINGS, 0, 0, &[0; 6 * 2731]),
                ConnectionError(&[FRAME_SIZE_ERROR]),
            ),
        ]
    });
}

#[test]
fn section_4_3_a_field_block_is_whole_and_in_one_piece() {
    assert_conforms(|| {
        let start = frame(HEADERS, END_STREAM, 1, &get("/"));
        vec![
            (
                "§4.3 a block that is none",
                request(1, &[0xbf]),
                ConnectionError(&[COMPRESSION_ERROR]),
            ),
            (
                "§4.3 a block that is cut",
                request(1, &get("/")[..20]),
                ConnectionError(&[COMPRESSION_ERROR]),
            ),
            (
                "§4.3 a block in pieces",
                [
                    frame(HEADERS, END_STREAM, 1, &get("/")[..20]),
                    frame(CONTINUATION, END_HEADERS, 1, &get("/")[20..]),
                ]
                .concat(),
                Answer(1, 200),
            ),
            (
                "§4.3 PRIORITY within it",
                [start.clone(), priority(1, 0)].concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§4.3 HEADERS of another stream within it",
                [start.clone(), request(3, &get("/"))].concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§4.3 PING within it",
                [start, frame(PING, 0, 0, &[0; 8])].concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
        ]
    });
}

#[test]
fn section_7_unknown_error_codes_mean_nothing_special() {
    assert_conforms(|| {
        vec![
            ("§7 GOAWAY", goaway(0, 0xff), Nothing),
            (
                "§7 RST_STREAM",
                [request(1, &get("/hang")), reset(1, 0xff)].concat(),
                Nothing,
            ),
        ]
    });
}
