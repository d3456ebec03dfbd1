//! §6: what each frame type asks for.

use super::{
    super::frames::{
        ACK, CANCEL, CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR,
        FRAME_SIZE_ERROR, GOAWAY, HEADERS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PADDED, PING, PRIORITY,
        PROTOCOL_ERROR, PUSH_PROMISE, RST_STREAM, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, field, frame, get,
        headers, post, request, reset, settings, window,
    },
    App, Connection, Over, PATIENCE,
    Reaction::{Answer, ConnectionError, Nothing, Settings, StreamError},
    assert_conforms, opened, target,
};

#[test]
fn section_6_1_data() {
    assert_conforms(|| {
        let open = headers(1, &post("/"));
        vec![
            (
                "§6.1 on stream 0",
                frame(DATA, END_STREAM, 0, b"x"),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.1 on a stream that is not open",
                [request(1, &get("/hang")), frame(DATA, END_STREAM, 1, b"x")].concat(),
                StreamError(1, &[STREAM_CLOSED]),
            ),
            (
                "§6.1 more padding than payload",
                [open.clone(), frame(DATA, END_STREAM | PADDED, 1, b"\x06test")].concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.1 padding alone",
                [open, frame(DATA, END_STREAM | PADDED, 1, b"\x02\0\0")].concat(),
                Answer(1, 200),
            ),
        ]
    });
}

#[test]
fn section_6_2_headers() {
    assert_conforms(|| {
        let mut padded = vec![200];
        padded.extend(get("/"));
        let mut well_padded = vec![3];
        well_padded.extend(get("/"));
        well_padded.extend([0; 3]);
        vec![
            (
                "§6.2 on stream 0",
                request(0, &get("/")),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.2 more padding than payload",
                frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &padded),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.2 padding",
                frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &well_padded),
                Answer(1, 200),
            ),
        ]
    });
}

#[test]
fn section_6_3_priority() {
    assert_conforms(|| {
        vec![
            (
                "§6.3 on stream 0",
                frame(PRIORITY, 0, 0, &[0; 5]),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.3 another length",
                frame(PRIORITY, 0, 1, &[0; 4]),
                StreamError(1, &[FRAME_SIZE_ERROR]),
            ),
        ]
    });
}

#[test]
fn section_6_4_rst_stream() {
    assert_conforms(|| {
        vec![
            (
                "§6.4 on stream 0",
                reset(0, CANCEL),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.4 on an idle stream",
                reset(1, CANCEL),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.4 another length",
                [request(1, &get("/hang")), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
                ConnectionError(&[FRAME_SIZE_ERROR]),
            ),
        ]
    });
}

#[test]
fn section_6_5_settings() {
    assert_conforms(|| {
        vec![
            (
                "§6.5 ACK with a payload",
                frame(SETTINGS, ACK, 0, &[0; 6]),
                ConnectionError(&[FRAME_SIZE_ERROR]),
            ),
            (
                "§6.5 on a stream",
                frame(SETTINGS, 0, 1, &[]),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.5 another length",
                frame(SETTINGS, 0, 0, &[0; 5]),
                ConnectionError(&[FRAME_SIZE_ERROR]),
            ),
            (
                "§6.5.2 ENABLE_PUSH of 2",
                settings(&[(ENABLE_PUSH, 2)]),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.5.2 INITIAL_WINDOW_SIZE of 2^31",
                settings(&[(INITIAL_WINDOW_SIZE, 0x8000_0000)]),
                ConnectionError(&[FLOW_CONTROL_ERROR]),
            ),
            (
                "§6.5.2 MAX_FRAME_SIZE below 2^14",
                settings(&[(MAX_FRAME_SIZE, 16_383)]),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.5.2 MAX_FRAME_SIZE of 2^24",
                settings(&[(MAX_FRAME_SIZE, 16_777_216)]),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            ("§6.5.2 an unknown setting", settings(&[(0xff, 0)]), Nothing),
            (
                "§6.5.3 settings are acknowledged",
                settings(&[(INITIAL_WINDOW_SIZE, 100)]),
                Settings,
            ),
        ]
    });
}

#[test]
fn section_6_6_push_promise_is_not_for_clients() {
    assert_conforms(|| {
        let mut promise = 2_u32.to_be_bytes().to_vec();
        promise.extend(get("/"));
        vec![(
            "§6.6 PUSH_PROMISE",
            [
                request(1, &get("/hang")),
                frame(PUSH_PROMISE, END_HEADERS, 1, &promise),
            ]
            .concat(),
            ConnectionError(&[PROTOCOL_ERROR]),
        )]
    });
}

#[test]
fn section_6_7_ping() {
    assert_conforms(|| {
        vec![
            ("§6.7 PING", frame(PING, 0, 0, b"h2spec..")),
            ("§6.7 an answer to nothing", frame(PING, ACK, 0, b"h2spec..")),
        ]
        .into_iter()
        .map(|(name, frames)| (name, frames, Nothing))
        .chain([
            (
                "§6.7 on a stream",
                frame(PING, 0, 1, &[0; 8]),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.7 another length",
                frame(PING, 0, 0, &[0; 6]),
                ConnectionError(&[FRAME_SIZE_ERROR]),
            ),
        ])
        .collect()
    });
    // What is answered has the data of what was asked, and nothing else is answered.
    let app = App::start();
    let target = target(&app, Over::Tls);
    let mut connection = opened(&target);
    connection.send(&[frame(PING, ACK, 0, b"answered"), frame(PING, 0, 0, b"question")].concat());
    let mut answer = connection.frame_within(PATIENCE).unwrap().unwrap();
    while answer.kind != PING {
        answer = connection.frame_within(PATIENCE).unwrap().unwrap();
    }
    assert_eq!((answer.flags, answer.payload.as_slice()), (ACK, &b"question"[..]));
}

#[test]
fn section_6_8_goaway() {
    assert_conforms(|| {
        vec![(
            "§6.8 on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            ConnectionError(&[PROTOCOL_ERROR]),
        )]
    });
}

#[test]
fn section_6_9_window_update() {
    assert_conforms(|| {
        let open = request(1, &get("/hang"));
        vec![
            (
                "§6.9 by 0 on the connection",
                window(0, 0),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.9 by 0 on a stream",
                [open.clone(), window(1, 0)].concat(),
                StreamError(1, &[PROTOCOL_ERROR]),
            ),
            (
                "§6.9 another length",
                frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
                ConnectionError(&[FRAME_SIZE_ERROR]),
            ),
            (
                "§6.9.1 beyond 2^31 - 1 on the connection",
                [window(0, 0x7fff_ffff), window(0, 0x7fff_ffff)].concat(),
                ConnectionError(&[FLOW_CONTROL_ERROR]),
            ),
            (
                "§6.9.1 beyond 2^31 - 1 on a stream",
                [open.clone(), window(1, 0x7fff_ffff), window(1, 0x7fff_ffff)].concat(),
                StreamError(1, &[FLOW_CONTROL_ERROR]),
            ),
            (
                "§6.9.2 INITIAL_WINDOW_SIZE takes a window beyond 2^31 - 1",
                [
                    open,
                    window(1, 0x7fff_0000),
                    settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]),
                ]
                .concat(),
                ConnectionError(&[FLOW_CONTROL_ERROR]),
            ),
        ]
    });
}

/// The lengths of the DATA frames that come on stream 1, to so many octets and no more.
#[track_caller]
fn data_of(connection: &mut Connection, octets: usize) -> Vec<usize> {
    let mut lengths = Vec::new();
    while lengths.iter().sum::<usize>() < octets {
        let frame = connection
            .frame()
            .unwrap_or_else(|e| panic!("{e} after {lengths:?}"));
        if frame.kind == DATA {
            lengths.push(frame.payload.len());
        }
    }
    let more = connection.pings();
    assert!(
        more.iter().all(|frame| frame.kind != DATA),
        "more than the window: {more:?}"
    );
    lengths
}

#[test]
fn section_6_9_the_client_says_how_much_it_takes() {
    for over in [Over::Tls, Over::Plain] {
        let app = App::start();
        let target = target(&app, over);
        // §6.9.1: no more than the window.
        let mut connection = target.connect_with(&[(INITIAL_WINDOW_SIZE, 1)]);
        connection.send(&request(1, &get("/")));
        assert_eq!(data_of(&mut connection, 1), [1], "{over:?}");
        // §6.9.2: a change of the initial window moves the windows of open streams.
        connection.send(&settings(&[(INITIAL_WINDOW_SIZE, 3)]));
        assert_eq!(data_of(&mut connection, 2).iter().sum::<usize>(), 2, "{over:?}");
        // §6.9.2: below nothing as well.
        connection.send(&settings(&[(INITIAL_WINDOW_SIZE, 2)]));
        connection.send(&window(1, 2));
        assert_eq!(data_of(&mut connection, 1), [1], "{over:?}");
        // §6.5.3: of two values the last one holds.
        let mut connection = target.connect_with(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]);
        connection.send(&request(1, &get("/")));
        assert_eq!(data_of(&mut connection, 1), [1], "{over:?}");
    }
}

#[test]
fn section_6_10_continuation() {
    assert_conforms(|| {
        let block = get("/");
        let start = frame(HEADERS, END_STREAM, 1, &block);
        let piece = |flags, name| frame(CONTINUATION, flags, 1, &field(name, "y"));
        vec![
            (
                "§6.10 several",
                [
                    start.clone(),
                    piece(0, "a"),
                    piece(0, "b"),
                    piece(END_HEADERS, "c"),
                ]
                .concat(),
                Answer(1, 200),
            ),
            (
                "§6.10 followed by another frame",
                [start.clone(), piece(0, "a"), frame(DATA, END_STREAM, 1, b"x")].concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.10 on stream 0",
                [start.clone(), frame(CONTINUATION, END_HEADERS, 0, &[])].concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.10 behind HEADERS that are complete",
                [request(1, &get("/hang")), piece(END_HEADERS, "a")].concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.10 behind one that was the last",
                [
                    frame(HEADERS, END_STREAM, 1, &get("/hang")),
                    piece(END_HEADERS, "a"),
                    piece(END_HEADERS, "b"),
                ]
                .concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
            (
                "§6.10 behind DATA",
                [
                    headers(1, &post("/")),
                    frame(DATA, 0, 1, b"x"),
                    piece(END_HEADERS, "a"),
                ]
                .concat(),
                ConnectionError(&[PROTOCOL_ERROR]),
            ),
        ]
    });
}
