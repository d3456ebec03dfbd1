//! What each side may take its time for, and what happens when that has passed. Time passes by the runtime's
//! clock.

use super::*;

#[test]
fn an_app_that_does_not_answer_is_given_up() {
    run(async {
        let mut scene = Scene::with_times();
        let mut app = scene.ask(PAGE).await;
        nearly_pass(RESPONSE).await;
        assert!(scene.client.is_silent().await && app.is_silent().await);
        pass(SECOND * 2).await;
        let head = scene.client.head().await;
        assert!(head.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{head}");
        assert!(
            !head.contains("Connection: close"),
            "the client can ask again: {head}"
        );
        assert_eq!(app.rest().await, "");
        assert_eq!(scene.app_errors("response_timeout"), 1);
        assert_eq!(scene.worker.decisions(), [("error_status", 1)]);
    });
}

#[test]
fn an_app_that_does_not_read_the_request_is_given_up() {
    run(async {
        let mut scene = Scene::with_times();
        let app = scene.ask(&POST.replace("10", "100000000")).await;
        scene.client.fill().await;
        nearly_pass(RESPONSE).await;
        assert!(scene.client.is_silent().await);
        pass(SECOND * 2).await;
        assert!(scene.client.head().await.starts_with("HTTP/1.1 504 "));
        assert_eq!(scene.app_errors("response_timeout"), 1);
        drop(app);
    });
}

#[test]
fn a_request_whose_body_stops_is_given_up_and_each_piece_gives_it_time() {
    run(async {
        let mut scene = Scene::with_times();
        let mut app = scene.ask(POST).await;
        for piece in ["01", "23", "45"] {
            nearly_pass(IDLE).await;
            scene.client.send(piece).await;
            app.expect(piece).await;
        }
        nearly_pass(IDLE).await;
        assert!(scene.client.is_silent().await);
        pass(SECOND * 2).await;
        let head = scene.client.head().await;
        assert!(head.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{head}");
        assert!(head.contains("\r\nConnection: close\r\n"), "{head}");
        assert_eq!(app.rest().await, "");
        assert_eq!(
            scene.worker.metric("gatecount_app_errors_total", None),
            0,
            "the app had no part in it"
        );
    });
}

#[test]
fn the_apps_time_begins_when_it_has_the_whole_request() {
    run(async {
        let mut scene = Scene::with_times();
        let mut app = scene.ask(POST).await;
        pass(RESPONSE + SECOND).await;
        scene.client.send("0123456789").await;
        app.expect("0123456789").await;
        nearly_pass(RESPONSE).await;
        app.send(OK).await;
        scene.client.expect(OK).await;
    });
}

#[test]
fn a_response_that_has_begun_may_take_its_time() {
    run(async {
        let mut scene = Scene::with_times();
        let mut app = scene.ask(GET).await;
        app.send(STREAM).await;
        scene.client.expect(STREAM).await;
        for _ in 0..3 {
            pass(Duration::from_hours(1)).await;
            app.send("3\r\nabc\r\n").await;
            scene.client.expect("3\r\nabc\r\n").await;
        }
    });
}

#[test]
fn a_client_that_takes_nothing_of_its_response_is_given_up() {
    run(async {
        let mut scene = Scene::with_times();
        let mut app = scene.ask(PAGE).await;
        app.send("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 100000000\r\n\r\n")
            .await;
        app.fill().await;
        nearly_pass(IDLE).await;
        assert!(app.is_silent().await);
        pass(SECOND * 2).await;
        assert_eq!(app.rest().await, "");
        assert_eq!(scene.worker.decisions(), [("counted", 1)]);
        let got = scene.client.rest().await.len();
        assert!(got < 1 << 20, "what its socket had taken: {got} bytes");
    });
}

#[test]
fn a_client_whose_upload_stops_behind_the_responses_head_is_given_up() {
    run(async {
        let mut scene = Scene::with_times();
        let mut app = scene.ask(POST).await;
        app.send(STREAM).await;
        scene.client.head().await;
        nearly_pass(IDLE).await;
        assert!(app.is_silent().await);
        pass(SECOND * 2).await;
        assert_eq!(app.rest().await, "");
        assert_eq!(scene.client.rest().await, "");
    });
}

#[test]
fn a_client_whose_end_would_not_be_seen_is_given_up_in_time() {
    run(async {
        let mut scene = Scene::with_times();
        let mut app = scene.ask(GET).await;
        app.send(STREAM).await;
        scene.client.expect(STREAM).await;
        // So many requests ahead that its side is not read any more.
        scene.client.fill().await;
        nearly_pass(IDLE).await;
        assert!(app.is_silent().await);
        pass(SECOND * 2).await;
        assert_eq!(app.rest().await, "");
    });
}
