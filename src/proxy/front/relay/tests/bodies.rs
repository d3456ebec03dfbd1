//! Bodies are framed anew on their way: what one side can't misread is what the other gets.

use super::*;

#[test]
fn chunks_reach_the_client_as_chunks_without_extensions_and_with_their_trailers() {
    let response =
        format!("{STREAM}1;a=b\r\nx\r\nA  ;c\r\n0123456789\r\n0;d\r\nETag: e\r\nContent-Length: 7\r\n\r\n");
    run(async {
        for cut in STREAM.len()..response.len() {
            let mut scene = Scene::new();
            let mut app = scene
                .ask(&GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"))
                .await;
            app.send(&response[..cut]).await;
            let head = scene.client.head().await;
            assert_eq!(
                head,
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
            );
            app.send(&response[cut..]).await;
            let (data, rest) = decode(&scene.client.rest().await);
            assert_eq!(data, "x0123456789", "cut at {cut}");
            // The length would be another framing.
            assert_eq!(rest, "ETag: e\r\n\r\n", "cut at {cut}");
        }
    });
}

#[test]
fn a_body_that_ends_with_the_apps_connection_is_chunked_for_the_client() {
    run(async {
        let mut scene = Scene::new();
        let mut app = scene.ask(GET).await;
        app.send("HTTP/1.0 200 OK\r\n\r\n").await;
        scene.client.expect(STREAM).await;
        app.send("abc").await;
        scene.client.expect("3\r\nabc\r\n").await;
        drop(app);
        scene.client.expect("0\r\n\r\n").await;
        // And the client's connection goes on.
        let mut app = scene.ask(GET).await;
        app.send(OK).await;
        scene.client.expect(OK).await;
    });
}

#[test]
fn a_response_without_a_body_has_none_whatever_its_head_says() {
    for (method, response, expected) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 304 Not Modified\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
            "HTTP/1.1 204 No Content\r\n\r\n",
        ),
    ] {
        run(async {
            let mut scene = Scene::new();
            let mut app = scene.ask(&GET.replace("GET", method)).await;
            app.send(response).await;
            scene.client.expect(expected).await;
            scene.client.send(GET).await;
            app.head().await;
            app.send(OK).await;
            scene.client.expect(OK).await;
        });
    }
}

#[test]
fn two_framings_in_one_response_pass_as_chunks_and_end_the_apps_connection() {
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
    ] {
        run(async {
            let mut scene = Scene::new();
            let mut app = scene.ask(GET).await;
            app.send(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n2\r\nab\r\n0\r\n\r\n"))
                .await;
            scene
                .client
                .expect(&format!("{STREAM}2\r\nab\r\n0\r\n\r\n"))
                .await;
            assert_eq!(app.rest().await, "");
        });
    }
}

#[test]
fn an_upload_in_chunks_reaches_the_app_in_chunks() {
    let head = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = "3;x\r\nabc\r\n1\r\nd\r\n0\r\nETag: e\r\nHost: evil\r\n\r\n";
    run(async {
        for cut in 0..body.len() {
            let mut scene = Scene::new();
            let mut app = scene.ask(&format!("{head}{}", &body[..cut])).await;
            scene.client.send(&body[cut..]).await;
            // The next request is none of the body's.
            scene.client.send(GET).await;
            let mut got = String::new();
            while !got.ends_with("0\r\nETag: e\r\n\r\n") {
                got.push_str(&app.some().await);
            }
            assert_eq!(decode(&got).0, "abcd", "cut at {cut}");
            app.send(OK).await;
            scene.client.expect(OK).await;
            assert!(app.head().await.starts_with("GET / "));
        }
    });
}

#[test]
fn an_upload_with_malformed_chunks_is_answered_400_and_the_app_never_sees_its_end() {
    run(async {
        let mut scene = Scene::new();
        let head = "POST / HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
        let mut app = scene.ask(head).await;
        scene.client.send("3\r\nabc\r\n").await;
        app.expect("3\r\nabc\r\n").await;
        scene.client.send(format!("-1\r\n\r\n{GET}")).await;
        let head = scene.client.head().await;
        assert!(
            head.starts_with("HTTP/1.1 400 ") && head.contains("\r\nConnection: close\r\n"),
            "{head}"
        );
        assert_eq!(app.rest().await, "");
        assert!(
            scene.worker.is_app_left_alone().await,
            "what follows is no request"
        );
    });
}

#[test]
fn an_app_that_takes_an_upload_slowly_slows_the_client() {
    run(async {
        const LENGTH: usize = 8 << 20;
        let mut scene = Scene::new();
        let request = format!("PUT / HTTP/1.1\r\nHost: example.com\r\nContent-Length: {LENGTH}\r\n\r\n");
        let mut app = scene.ask(&request).await;
        let taken = scene.client.fill().await;
        assert!(
            taken < 1 << 20,
            "{taken} bytes were taken that the app has not read"
        );
        let reading = tokio::task::spawn_local(async move {
            app.expect(&"x".repeat(LENGTH)).await;
            app.send(OK).await;
            app
        });
        scene.client.send(vec![b'x'; LENGTH - taken]).await;
        scene.client.expect(OK).await;
        assert!(reading.await.unwrap().is_silent().await);
    });
}
