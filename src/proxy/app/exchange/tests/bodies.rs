//! The request's body on its way to the app: apps that are slow, that answer early, that read no more.

use super::*;

#[test]
fn what_the_app_does_not_take_waits_and_goes_in_order() {
    run(async {
        let worker = Worker::new();
        let (mut front, mut far) = Request("PUT", Framing::Chunked, false)
            .begin(&worker, false)
            .await;
        let exchange = &mut front.exchange;
        let mut pushed = Vec::new();
        for n in 0_u8.. {
            let piece = [n; 8192];
            exchange.push(&piece);
            pushed.extend(piece);
            if exchange.has_unsent() {
                break;
            }
        }
        assert!(exchange.wants_body(), "there is more, once this is taken");
        let read = tokio::task::spawn_local(async move {
            let mut read = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(&mut far.0, &mut read)
                .await
                .unwrap();
            read
        });
        while exchange.has_unsent() {
            let ready = poll_fn(|cx| exchange.poll_write_ready(cx)).await;
            exchange.flush(ready);
        }
        exchange.push(b"end");
        exchange.end_request();
        pushed.extend(b"end");
        drop(front);
        assert!(read.await.unwrap() == pushed);
    });
}

#[test]
fn an_early_answer_leaves_the_upload_going_and_the_connection_kept() {
    run(async {
        let worker = Worker::new();
        let (mut front, mut far) = POST.begin(&worker, false).await;
        front.exchange.push(b"01234");
        far.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        while front.read().await {}
        assert_eq!(front.seen, [Seen::Head(200), data("ok"), end()]);
        assert!(front.exchange.is_over() && front.exchange.wants_body());
        front.exchange.push(b"56789");
        front.exchange.end_request();
        far.expect("0123456789").await;
        front.exchange.finish(&worker.context.pool, Instant::now());
        assert!(take(&worker).await.is_some());
    });
}

#[test]
fn a_connection_on_which_the_app_waits_for_the_rest_of_a_body_is_not_kept() {
    run(async {
        let worker = Worker::new();
        for push in ["", "01234"] {
            let (mut front, mut far) = POST.begin(&worker, false).await;
            if !push.is_empty() {
                front.exchange.push(push.as_bytes());
            }
            far.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
                .await;
            let (seen, exchange) = front.read_all().await;
            assert_eq!(seen, [Seen::Head(413), end()]);
            exchange.finish(&worker.context.pool, Instant::now());
            assert!(take(&worker).await.is_none(), "after {push:?}");
        }
    });
}

#[test]
fn a_connection_with_bytes_that_the_app_has_not_taken_is_not_kept() {
    run(async {
        let worker = Worker::new();
        let (mut front, mut far) = Request("POST", Framing::Chunked, false)
            .begin(&worker, false)
            .await;
        while !front.exchange.has_unsent() {
            front.exchange.push(&[b'x'; 8192]);
        }
        front.exchange.end_request();
        far.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
        let (_, exchange) = front.read_all().await;
        exchange.finish(&worker.context.pool, Instant::now());
        assert!(take(&worker).await.is_none());
    });
}

/// The app reads no more from now on.
fn refuse(far: FarEnd) -> FarEnd {
    let std = far.0.into_std().unwrap();
    std.shutdown(std::net::Shutdown::Read).unwrap();
    FarEnd(UnixStream::from_std(std).unwrap())
}

#[test]
fn an_app_that_reads_no_more_may_have_answered_and_is_heard() {
    run(async {
        let worker = Worker::new();
        let (mut front, mut far) = POST.begin(&worker, true).await;
        far.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\n\r\ntoo big")
            .await;
        let _far = refuse(far);
        front.exchange.push(b"01234");
        assert!(!front.exchange.wants_body() && !front.exchange.has_unsent());
        // What is pushed all the same goes nowhere.
        front.exchange.push(b"56789");
        front.exchange.end_request();
        assert!(!front.exchange.wants_body());
        let (seen, exchange) = front.read_all().await;
        assert_eq!(seen, [Seen::Head(413), data("too big"), end()]);
        exchange.finish(&worker.context.pool, Instant::now());
        assert!(take(&worker).await.is_none());
    });
}

#[test]
fn an_app_that_reads_no_more_and_does_not_answer_has_closed() {
    run(async {
        let worker = Worker::new();
        for reused in [false, true] {
            // Idempotent, but the app may have read of its body.
            let (mut front, far) = Request("PUT", Framing::Length(10), false)
                .begin(&worker, reused)
                .await;
            let far = refuse(far);
            front.exchange.push(b"01234");
            drop(far);
            let (seen, _) = front.read_all().await;
            assert_eq!(seen, [fault(&Fault::Closed)], "reused: {reused}");
        }
    });
}

#[test]
fn an_app_that_closes_while_bytes_wait_for_it_is_found_out() {
    run(async {
        let worker = Worker::new();
        let (mut front, far) = Request("PUT", Framing::Chunked, false)
            .begin(&worker, false)
            .await;
        while !front.exchange.has_unsent() {
            front.exchange.push(&[b'x'; 8192]);
        }
        drop(far);
        let ready = poll_fn(|cx| front.exchange.poll_write_ready(cx)).await;
        front.exchange.flush(ready);
        assert!(!front.exchange.has_unsent() && !front.exchange.wants_body());
        let (seen, _) = front.read_all().await;
        assert_eq!(seen, [fault(&Fault::Closed)]);
    });
}

#[test]
fn an_app_that_no_one_reaches_is_a_fault_of_the_connect() {
    run(async {
        let worker = Worker::with(|settings| {
            settings.app.upstream = crate::proxy::settings::Upstream::Unix("/nonexistent/app".into());
        });
        let (context, plan) = (&worker.context, GET.plan(&worker));
        let opened = open(&context.pool, &context.settings.app, &plan).await;
        let fault = opened.err().expect("there is no app");
        assert!(
            matches!(&fault, Fault::Connect(error) if error.kind() == io::ErrorKind::NotFound),
            "{fault}"
        );
    });
}
