//! Clients that are slow, that ask ahead, that leave.

use super::*;

#[test]
fn a_client_that_leaves_before_the_response_has_aborted_its_request_and_the_app_sees_it() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene.ask(PAGE).await;
        let worker = scene.leave().await;
        assert_eq!(app.rest().await, "");
        assert_eq!(worker.decisions(), [("aborted", 1)]);
    });
}

#[test]
fn a_client_that_leaves_after_the_head_was_shown_a_page() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene.ask(PAGE).await;
        app.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 9\r\n\r\nok")
            .await;
        scene.client.head().await;
        let worker = scene.leave().await;
        assert_eq!(app.rest().await, "");
        assert_eq!(worker.decisions(), [("counted", 1)]);
        assert_eq!(worker.metric("gatecount_events_offered_total", None), 1);
    });
}

#[test]
fn a_client_that_ends_its_side_gets_its_response() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene.ask(PAGE).await;
        scene.client.end().await;
        app.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2\r\n\r\nok")
            .await;
        assert!(scene.client.rest().await.ends_with("\r\n\r\nok"));
        let worker = scene.leave().await;
        assert_eq!(worker.decisions(), [("counted", 1)]);
    });
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_takes_the_apps_connection_with_it() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene.ask(POST).await;
        scene.client.send("01234").await;
        app.expect("01234").await;
        scene.leave().await;
        assert_eq!(app.rest().await, "");
    });
}

#[test]
fn pipelined_requests_are_answered_one_after_the_other() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene.ask(&format!("{POST}0123456789{GET}{PAGE}")).await;
        app.expect("0123456789").await;
        for answer in ["one", "two", "three"] {
            assert!(app.is_silent().await, "the next one has to wait");
            app.send(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            ))
            .await;
            assert!(
                scene
                    .client
                    .head()
                    .await
                    .ends_with(&format!("Length: {}\r\n\r\n", answer.len()))
            );
            scene.client.expect(answer).await;
            if answer != "three" {
                assert!(app.head().await.starts_with("GET "), "over the same connection");
            }
        }
        assert!(scene.client.is_silent().await, "it is kept alive");
        assert!(scene.worker.is_app_left_alone().await);
    });
}

#[test]
fn requests_ahead_are_read_only_so_far() {
    run(async {
        let mut scene = Scene::new();
        let _app = scene.ask(GET).await;
        let before = scene.client.fill().await;
        // What the socket between the two holds, and what is read: nothing that grows.
        assert!(before < 1 << 20, "{before} bytes were taken");
    });
}

#[test]
fn a_client_that_reads_slowly_slows_the_app() {
    run(async {
        const LENGTH: usize = 8 << 20;
        let mut scene = Scene::new();
        let mut app = scene.ask(GET).await;
        app.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"))
            .await;
        let taken = app.fill().await;
        assert!(
            taken < 1 << 20,
            "{taken} bytes were taken that the client has not read"
        );
        let sending = tokio::task::spawn_local(async move {
            app.send(vec![b'x'; LENGTH - taken]).await;
            app
        });
        scene.client.head().await;
        scene.client.expect(&"x".repeat(LENGTH)).await;
        let app = sending.await.unwrap();
        assert!(app.is_silent().await, "its connection is kept");
    });
}

#[test]
fn a_client_of_http_1_0_gets_neither_chunks_nor_interim_heads() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene
            .ask("GET / HTTP/1.0\r\nHost: example.com\r\nConnection: keep-alive\r\n\r\n")
            .await;
        app.send(format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{STREAM}3\r\nabc\r\n"
        ))
        .await;
        scene
            .client
            .expect("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc")
            .await;
        app.send("2\r\nde\r\n0\r\nETag: x\r\n\r\n").await;
        assert_eq!(scene.client.rest().await, "de");
    });
}

#[test]
fn a_client_of_http_1_0_is_kept_where_it_asked_for_it_and_the_response_has_a_length() {
    run(async {
        let mut scene = Scene::new();
        let request = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n";
        let mut app = scene.ask(request).await;
        app.send(OK).await;
        scene
            .client
            .expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok")
            .await;
        scene.client.send("GET / HTTP/1.0\r\n\r\n").await;
        app.head().await;
        app.send(OK).await;
        scene
            .client
            .expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            .await;
        assert_eq!(scene.client.rest().await, "");
    });
}

#[test]
fn a_client_that_asks_for_it_and_each_client_of_a_drain_gets_its_last_response() {
    for drain in [false, true] {
        run(async {
            let mut scene = Scene::new();
            if drain {
                scene.worker.context.phase.set(Phase::Draining);
            }
            let close = if drain { "" } else { "Connection: close\r\n" };
            let mut app = scene
                .ask(&GET.replace("\r\n\r\n", &format!("\r\n{close}\r\n")))
                .await;
            app.send(OK).await;
            scene
                .client
                .expect("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
                .await;
            assert_eq!(scene.client.rest().await, "");
            assert!(app.is_silent().await, "the app's connection is kept all the same");
        });
    }
}
