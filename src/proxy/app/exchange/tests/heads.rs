//! Heads in pieces, heads before the response, and heads that change the protocol.

use super::*;

const CHUNKED: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n\
    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nETag: x\r\n\r\n";

fn chunked() -> Vec<Seen> {
    vec![
        Seen::Interim(103),
        Seen::Head(200),
        data("abcde"),
        Seen::End("ETag: x\r\n".into()),
    ]
}

#[test]
fn a_response_cut_at_any_byte_reads_as_one_in_one_piece() {
    run(async {
        let worker = Worker::new();
        for cut in 0..CHUNKED.len() {
            let (mut front, mut far) = GET.begin(&worker, false).await;
            if cut > 0 {
                far.send(&CHUNKED[..cut]).await;
                assert!(front.read().await);
            }
            far.send(&CHUNKED[cut..]).await;
            let (seen, _) = front.read_all().await;
            assert_eq!(seen, chunked(), "cut at {cut}");
        }
    });
}

#[test]
fn a_response_that_comes_byte_by_byte_reads_as_one_in_one_piece() {
    run(async {
        let worker = Worker::new();
        let (mut front, mut far) = GET.begin(&worker, false).await;
        let (last, before) = CHUNKED.as_bytes().split_last().unwrap();
        for byte in before {
            far.send([*byte]).await;
            assert!(front.read().await);
        }
        far.send([*last]).await;
        assert!(!front.read().await);
        assert_eq!(front.seen, chunked());
    });
}

#[test]
fn interim_heads_are_passed_on_and_the_response_is_still_to_come() {
    run(async {
        let worker = Worker::new();
        let (mut front, mut far) = POST.begin(&worker, false).await;
        far.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n")
            .await;
        assert!(front.read().await);
        assert_eq!(front.seen, [Seen::Interim(100), Seen::Interim(102)]);
        assert!(!front.exchange.has_head());
        assert!(front.exchange.wants_body());
        far.send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx").await;
        let (seen, _) = front.read_all().await;
        assert_eq!(seen[2..], [Seen::Head(200), data("x"), end()]);
    });
}

#[test]
fn an_app_that_ends_after_an_interim_head_has_cut_its_response() {
    run(async {
        let worker = Worker::new();
        for reused in [false, true] {
            let (front, mut far) = GET.begin(&worker, reused).await;
            far.send("HTTP/1.1 103 Early Hints\r\n\r\n").await;
            drop(far);
            let (seen, _) = front.read_all().await;
            assert_eq!(seen, [Seen::Interim(103), fault(&Fault::Cut)], "reused: {reused}");
        }
    });
}

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhi";

#[test]
fn an_app_switches_protocols_only_where_it_was_asked_and_has_all_of_the_request() {
    let upload = Request("POST", Framing::Length(4), true);
    for (request, push, expected) in [
        (UPGRADE, "", vec![data("hi"), Seen::Switch(101)]),
        (GET, "", vec![fault(&Fault::Unasked)]),
        (POST, "0123456789", vec![fault(&Fault::Unasked)]),
        (upload, "", vec![fault(&Fault::Unasked)]),
        (upload, "ab", vec![fault(&Fault::Unasked)]),
        (upload, "abcd", vec![data("hi"), Seen::Switch(101)]),
    ] {
        run(async {
            let worker = Worker::new();
            let (mut front, mut far) = request.begin(&worker, false).await;
            if !push.is_empty() {
                front.exchange.push(push.as_bytes());
            }
            if push.len() >= 4 {
                front.exchange.end_request();
            }
            far.send(SWITCH).await;
            let (seen, _) = front.read_all().await;
            assert_eq!(seen, expected, "{} with {push:?}", request.0);
        });
    }
}

#[test]
fn a_switched_connection_is_handed_over_with_what_the_app_has_not_taken() {
    run(async {
        let worker = Worker::new();
        let (mut front, mut far) = Request("POST", Framing::Chunked, true)
            .begin(&worker, false)
            .await;
        let mut pushed = 0;
        while !front.exchange.has_unsent() {
            front.exchange.push(&[b'x'; 4096]);
            pushed += 4096;
        }
        front.exchange.end_request();
        far.send(SWITCH).await;
        let (seen, exchange) = front.read_all().await;
        assert_eq!(seen, [data("hi"), Seen::Switch(101)]);
        let (mut stream, mut unsent, _place) = exchange.into_tunnel();
        assert!((1..=4096).contains(&unsent.as_bytes().len()));
        let read = tokio::task::spawn_local(async move { far.rest().await.len() });
        while !unsent.is_empty() {
            poll_fn(|cx| stream.poll_write_ready(cx)).await.unwrap();
            unsent.flush(&mut stream).unwrap();
        }
        stream.shutdown().await;
        assert_eq!(read.await.unwrap(), pushed);
    });
}

#[test]
fn a_head_that_is_none_ends_the_exchange() {
    run(async {
        let worker = Worker::new();
        for (response, expected) in [
            ("HTTP/2 200 OK\r\n\r\n", BadResponse::Malformed),
            ("+OK hello\r\n", BadResponse::Malformed),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
                BadResponse::Length,
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
                BadResponse::Coding,
            ),
        ] {
            let (seen, exchange, _) = see(&worker, GET, response).await;
            assert_eq!(seen, [fault(&expected.into())], "{response:?}");
            exchange.finish(&worker.context.pool, Instant::now());
            assert!(take(&worker).await.is_none());
        }
    });
}

#[test]
fn a_head_without_end_is_too_large() {
    run(async {
        let worker = Worker::new();
        let (mut front, mut far) = GET.begin(&worker, false).await;
        far.send("HTTP/1.1 200 OK\r\nX: ").await;
        assert!(front.read().await);
        let endless = tokio::task::spawn_local(async move {
            far.fill().await;
            far
        });
        while front.read().await {
            assert!(front.exchange.partial.len() <= MAX_HEAD + 4096);
        }
        assert_eq!(front.seen, [fault(&BadResponse::TooLarge.into())]);
        endless.abort();
    });
}

#[test]
fn a_response_to_head_has_a_length_and_no_body() {
    run(async {
        let worker = Worker::new();
        let (seen, exchange, _far) = see(&worker, HEAD, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        assert_eq!(seen, [Seen::Head(200), end()]);
        exchange.finish(&worker.context.pool, Instant::now());
        assert!(take(&worker).await.is_some());
    });
}
