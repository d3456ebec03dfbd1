//! Apps that answer early, late, wrongly, or not at all.

use super::*;

/// Asks once, so that the next request goes over a connection that was used before.
async fn warm_up(scene: &mut Scene) -> FarEnd {
    let mut app = scene.ask(GET).await;
    app.send(OK).await;
    scene.client.expect(OK).await;
    app
}

#[test]
fn a_request_whose_reused_connection_has_died_goes_over_a_new_one() {
    run(async {
        let mut scene = Scene::new();
        let mut old = warm_up(&mut scene).await;
        scene.client.send(PAGE).await;
        old.head().await;
        drop(old);
        let mut app = scene.worker.accept().await;
        app.head().await;
        app.send(HTML).await;
        scene.client.expect(HTML).await;
        assert_eq!(scene.worker.decisions().iter().map(|(_, n)| n).sum::<u64>(), 2);
        assert_eq!(scene.worker.metric("gatecount_app_errors_total", None), 0);
    });
}

#[test]
fn a_request_goes_again_once() {
    run(async {
        let mut scene = Scene::new();
        let mut old = warm_up(&mut scene).await;
        scene.client.send(GET).await;
        old.head().await;
        drop(old);
        let mut app = scene.worker.accept().await;
        app.head().await;
        drop(app);
        assert!(scene.client.head().await.starts_with("HTTP/1.1 502 "));
        assert_eq!(scene.app_errors("closed"), 1);
    });
}

#[test]
fn a_post_that_the_app_may_have_seen_is_never_sent_again() {
    run(async {
        let mut scene = Scene::new();
        let mut old = warm_up(&mut scene).await;
        scene.client.send(POST).await;
        old.head().await;
        drop(old);
        assert!(scene.client.head().await.starts_with("HTTP/1.1 502 "));
        assert!(scene.worker.is_app_left_alone().await);
    });
}

#[test]
fn an_app_that_fails_a_request_leaves_the_clients_connection_for_the_next() {
    for (answer, reason) in [
        ("", "closed"),
        ("HTTP/1.1 2", "cut"),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", "cut"),
        ("nonsense\r\n\r\n", "malformed"),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "malformed"),
    ] {
        run(async {
            let mut scene = Scene::new();
            let mut app = scene.ask(PAGE).await;
            app.send(answer).await;
            drop(app);
            if answer.contains("103") {
                scene.client.expect(answer).await;
            }
            let head = scene.client.head().await;
            assert!(
                head.starts_with("HTTP/1.1 502 Bad Gateway\r\n"),
                "{answer:?}: {head}"
            );
            assert!(!head.contains("Connection: close"), "{answer:?}: {head}");
            scene
                .client
                .expect("502 Bad Gateway: the app behind this proxy did not give a usable answer.\n")
                .await;
            assert_eq!(scene.app_errors(reason), 1, "{answer:?}");
            assert_eq!(scene.worker.decisions(), [("error_status", 1)], "{answer:?}");
            let mut app = scene.ask(GET).await;
            app.send(OK).await;
            scene.client.expect(OK).await;
        });
    }
}

#[test]
fn a_malformed_body_cuts_the_response_whether_it_comes_with_the_head_or_later() {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n";
    for later in [false, true] {
        run(async {
            let mut scene = Scene::new();
            let mut app = scene.ask(PAGE).await;
            if later {
                app.send(format!("{head}3\r\nabc\r\n")).await;
                scene.client.expect(&format!("{head}3\r\nabc\r\n")).await;
                app.send("zzz\r\n").await;
                assert_eq!(scene.client.rest().await, "");
            } else {
                app.send(format!("{head}3\r\nabc\r\nzzz\r\n")).await;
                let got = scene.client.rest().await;
                assert!(got.starts_with(head) && !got.contains("\r\n0\r\n"), "{got:?}");
            }
            assert_eq!(app.rest().await, "");
            assert_eq!(scene.app_errors("malformed"), 1, "later: {later}");
            // The client has the head, and shows the page as far as it came.
            assert_eq!(scene.worker.decisions(), [("counted", 1)], "later: {later}");
        });
    }
}

#[test]
fn a_response_that_ends_too_early_ends_the_clients_connection() {
    run(async {
        for (response, reset) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", false),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                false,
            ),
            ("HTTP/1.1 200 OK\r\n\r\nabc", true),
        ] {
            let mut scene = Scene::new();
            let mut app = scene.ask(POST).await;
            app.send(response).await;
            scene.client.head().await;
            if reset {
                // A close with bytes unread resets a Unix socket.
                scene.client.send("01234").await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            drop(app);
            let got = scene.client.rest().await;
            assert!(
                got.contains("abc") && !got.contains("0\r\n\r\n"),
                "{response:?}: {got:?}"
            );
            assert_eq!(scene.app_errors("cut"), 1, "{response:?}");
        }
    });
}

#[test]
fn interim_heads_reach_the_client_before_the_app_has_the_body() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene
            .ask(&POST.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n"))
            .await;
        app.send("HTTP/1.1 100 Continue\r\n\r\n").await;
        scene.client.expect("HTTP/1.1 100 Continue\r\n\r\n").await;
        scene.client.send("0123456789").await;
        app.expect("0123456789").await;
        app.send(OK).await;
        scene.client.expect(OK).await;
        assert_eq!(scene.worker.metric("gatecount_requests_total", Some("1xx")), 0);
    });
}

#[test]
fn an_early_answer_reaches_the_client_while_its_upload_goes_on() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene.ask(POST).await;
        scene.client.send("01234").await;
        app.expect("01234").await;
        app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
            .await;
        // Where its body ends is not known yet, so nothing can follow on this connection.
        scene
            .client
            .expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n")
            .await;
        scene.client.send("56789").await;
        app.expect("56789").await;
        app.send("0\r\n\r\n").await;
        assert_eq!(scene.client.rest().await, "0\r\n\r\n");
    });
}

#[test]
fn an_app_that_refuses_the_body_is_heard_and_the_client_may_finish_sending() {
    run(async {
        let mut scene = Scene::new();
        let request = "POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 1000000\r\n\r\n";
        let mut app = scene.ask(request).await;
        app.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 7\r\nConnection: close\r\n\r\ntoo big")
            .await;
        drop(app);
        let head = scene.client.head().await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
        scene.client.expect("too big").await;
        // A client that writes before it reads still finds the answer: its bytes are read on for a moment.
        scene.client.send(vec![b'x'; 500_000]).await;
        assert_eq!(scene.client.rest().await, "");
        assert_eq!(scene.worker.metric("gatecount_app_errors_total", None), 0);
    });
}

#[test]
fn a_switched_connection_passes_bytes_both_ways_until_both_sides_have_ended() {
    run(async {
        let mut scene = Scene::new();
        let request = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
        // The client does not wait for the answer.
        let mut app = scene.ask(&format!("{request}early")).await;
        app.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhi")
            .await;
        app.expect("early").await;
        scene
            .client
            .expect("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhi")
            .await;
        scene.client.send("ping").await;
        app.expect("ping").await;
        scene.client.end().await;
        assert_eq!(app.rest().await, "");
        app.send("the last word").await;
        drop(app);
        assert_eq!(scene.client.rest().await, "the last word");
        assert_eq!(scene.worker.metric("gatecount_requests_total", Some("1xx")), 1);
    });
}
