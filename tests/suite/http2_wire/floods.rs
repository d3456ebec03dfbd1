//! Frames without end: each flood is refused, or no faster than its sender reads, and costs next to nothing.

use super::{
    connection::End,
    frames::{
        ACK, CANCEL, CONTINUATION, DATA, END_STREAM, ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, HEADERS,
        PROTOCOL_ERROR, SETTINGS, field, frame, get, headers, indexed_field, integer, ping, post, priority,
        request, reset, settings, window,
    },
    siege::{floods, floods_and_reads, withstands},
};

/// Each connection ended with GOAWAY and one of these codes, and was counted. A client that was still sending
/// may find its connection reset, and not read the GOAWAY.
#[track_caller]
fn assert_refused(outcomes: &[super::siege::Outcome], codes: &[u32]) {
    for outcome in outcomes {
        for end in &outcome.ends {
            let refused = match end {
                Some(End::GoAway(code)) => codes.contains(code),
                Some(End::Closed) => true,
                None => false,
            };
            assert!(refused, "{outcome:?}");
        }
        assert_eq!(outcome.errors, outcome.ends.len() as u64, "{outcome:?}");
    }
}

/// CVE-2023-44487, in one go: requests that are reset before anybody has looked at them.
#[test]
fn rapid_resets_end_the_connection() {
    let outcomes = withstands("rapid resets", |connection| {
        let pairs: Vec<u8> = (0..10_000)
            .flat_map(|n| [request(2 * n + 1, &get("/hang")), reset(2 * n + 1, CANCEL)].concat())
            .collect();
        floods(connection, &pairs, 1)
    });
    assert_refused(&outcomes, &[ENHANCE_YOUR_CALM]);
}

/// The same with a pause, so that each request is on its way to the app when it is reset.
#[test]
fn resets_of_requests_under_way_leave_nothing_behind() {
    withstands("resets of requests under way", |connection| {
        for n in 0..25 {
            connection.send(&request(2 * n + 1, &get("/hang")));
            connection.pings();
            connection.send(&reset(2 * n + 1, CANCEL));
        }
        connection.pings();
        None
    });
}

/// CVE-2024-27316: a field block that never ends.
#[test]
fn continuations_without_end_end_the_connection() {
    for (what, fragment) in [
        ("empty CONTINUATION", Vec::new()),
        ("small CONTINUATION", field("x", "y")),
        ("large CONTINUATION", field("x", &"y".repeat(16_000))),
        ("CONTINUATION within a field", vec![b'y'; 16_000]),
    ] {
        let outcomes = withstands(what, move |connection| {
            let mut block = get("/");
            if !fragment.starts_with(&[0x10]) {
                // A value that is longer than what may ever come.
                block.extend([0x10, 1, b'x']);
                integer(1 << 24, 0x7f, 0, &mut block);
            }
            connection.send(&frame(HEADERS, END_STREAM, 1, &block));
            floods(connection, &frame(CONTINUATION, 0, 1, &fragment), 100_000)
        });
        assert_refused(&outcomes, &[ENHANCE_YOUR_CALM, PROTOCOL_ERROR]);
    }
}

/// CVE-2019-9515. Each is to be acknowledged, so a client that does not read is not read either.
#[test]
fn settings_without_end_are_taken_no_faster_than_their_acknowledgements() {
    let piece = settings(&[]).repeat(1000);
    withstands("SETTINGS, unread", move |connection| {
        floods(connection, &piece, 300)
    });
    let piece = settings(&[
        (super::frames::INITIAL_WINDOW_SIZE, 1),
        (super::frames::INITIAL_WINDOW_SIZE, 65_535),
    ])
    .repeat(100);
    withstands("SETTINGS, read", move |connection| {
        floods_and_reads(connection, &piece, 200)
    });
}

/// Acknowledgements of nothing.
#[test]
fn settings_acknowledgements_without_end_do_no_harm() {
    withstands("acknowledgements", |connection| {
        floods(connection, &frame(SETTINGS, ACK, 0, &[]).repeat(1000), 100)
    });
}

/// CVE-2019-9512.
#[test]
fn pings_without_end_are_taken_no_faster_than_their_answers() {
    let piece = ping(1).repeat(1000);
    let other = piece.clone();
    withstands("PING, unread", move |connection| floods(connection, &piece, 300));
    withstands("PING, read", move |connection| {
        floods_and_reads(connection, &other, 50)
    });
}

/// CVE-2019-9518.
#[test]
fn empty_data_without_end_ends_the_connection() {
    for (what, piece) in [
        ("empty DATA", Vec::new()),
        ("padded DATA", [vec![200], vec![0; 200]].concat()),
    ] {
        let outcomes = withstands(what, move |connection| {
            connection.send(&headers(1, &post("/")));
            let flags = if piece.is_empty() {
                0
            } else {
                super::frames::PADDED
            };
            floods(connection, &frame(DATA, flags, 1, &piece).repeat(100), 1000)
        });
        assert_refused(&outcomes, &[ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR]);
    }
}

/// CVE-2019-9516: fields without name or value, which cost more to keep than to send.
#[test]
fn fields_of_no_length_cost_nothing() {
    withstands("fields of no length", |connection| {
        let fields: Vec<u8> = field("", "").repeat(4000);
        for n in 0..100 {
            let request = request(2 * n + 1, &[get("/"), fields.clone()].concat());
            if connection.try_send(&request).is_err() {
                return Some(connection.end());
            }
            if connection
                .frame_within(std::time::Duration::from_millis(1))
                .is_err()
            {
                return Some(End::Closed);
            }
        }
        None
    });
    withstands("fields of no value", |connection| {
        let fields: Vec<u8> = field("x", "").repeat(3000);
        for n in 0..100 {
            let request = request(2 * n + 1, &[get("/"), fields.clone()].concat());
            if connection.try_send(&request).is_err() {
                return Some(connection.end());
            }
            if connection.try_response(2 * n + 1).is_err() {
                return Some(connection.end());
            }
        }
        None
    });
}

/// CVE-2016-6581: a field of the table's size, referred to again and again.
#[test]
fn a_field_block_that_grows_when_it_is_read_is_refused() {
    withstands("HPACK bomb", |connection| {
        let mut block = [get("/"), indexed_field("x", &"y".repeat(4000))].concat();
        // 16,000 times 4,000 bytes.
        block.extend(vec![0xbe; 12_000]);
        connection.send(&request(1, &block));
        match connection.try_response(1) {
            Ok((status, _)) => assert_eq!(status, 431),
            Err(_) => return Some(connection.end()),
        }
        None
    });
}

/// What a request's head takes is held until the response begins: `max_streams` times `max_head_bytes` at
/// most. These are larger than most browsers'.
#[test]
fn large_field_blocks_on_every_stream_hold_little() {
    withstands("large field blocks", |connection| {
        let block = [get("/"), field("x", &"y".repeat(1500))].concat();
        for n in 0..128 {
            connection.send(&request(2 * n + 1, &block));
        }
        assert_eq!(connection.answers(128), [(Ok(200), 128)].into());
        None
    });
}

#[test]
fn window_updates_without_end_overflow_or_do_no_harm() {
    let outcomes = withstands("WINDOW_UPDATE of the connection", |connection| {
        floods(connection, &window(0, 0x7fff_ffff), 2)
    });
    assert_refused(&outcomes, &[FLOW_CONTROL_ERROR]);
    withstands("WINDOW_UPDATE by one", |connection| {
        connection.send(&request(1, &get("/hang")));
        for _ in 0..100 {
            connection.send(&[window(1, 1), window(0, 1)].concat().repeat(1000));
        }
        connection.pings();
        None
    });
}

/// CVE-2019-9513: priorities, which nobody heeds any more (RFC 9113 §5.3.2).
#[test]
fn priorities_without_end_make_no_tree() {
    withstands("priorities", |connection| {
        let tree: Vec<u8> = (1..20_000).flat_map(|n| priority(2 * n + 1, 2 * n - 1)).collect();
        connection.send(&tree);
        let wheel: Vec<u8> = (1..2_000)
            .flat_map(|n| [priority(3, 2 * n + 3), priority(5, 2 * n + 5)].concat())
            .collect();
        connection.send(&wheel);
        connection.send(&request(50_001, &get("/")));
        assert_eq!(connection.response(50_001).0, 200);
        None
    });
}

/// Frames of types that nobody knows are ignored (RFC 9113 §4.1), however many there are.
#[test]
fn unknown_frames_without_end_are_ignored() {
    withstands("unknown frames", |connection| {
        for _ in 0..200 {
            connection.send(&frame(0xb0, 0xff, 7, &[0; 16_384]));
        }
        connection.pings();
        None
    });
}
