//! The receiver over real sockets.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::sync::oneshot;

use super::*;
use crate::web::test_client::{body, get, open, read_until, send};

const HEAD: &str = "POST /api/event HTTP/1.1\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\r\n\
                    Content-Type: application/json\r\nX-Forwarded-For: 203.0.113.7";

fn links() -> DemoLinks {
    DemoLinks {
        site: "http://127.0.0.1:1/".to_owned(),
        receiver: "http://127.0.0.1:2/".to_owned(),
        live: "http://127.0.0.1:3/".to_owned(),
    }
}

#[tokio::test]
async fn the_page_links_to_the_site_and_the_live_page() {
    let page = get(receiver().await, "/").await;
    for link in [links().site, links().live] {
        assert!(page.contains(&format!("href=\"{link}\"")), "{page}");
    }
}

async fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, "example.com", links(), std::future::pending()));
    address
}

fn view(domain: &str, path: &str) -> Vec<u8> {
    json!({"name": "pageview", "url": format!("https://example.com{path}"), "domain": domain})
        .to_string()
        .into_bytes()
}

#[tokio::test]
async fn a_page_view_is_taken_and_shown() {
    let to = receiver().await;
    let answer = send(to, HEAD, &view("example.com", "/a")).await;
    assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    assert!(!answer.contains("x-plausible-dropped"), "{answer}");
    let page = get(to, "/").await;
    assert!(page.contains("title=\"/a\""), "{page}");
    assert!(page.contains("203.0.113.7 by x-forwarded-for"), "{page}");
}

#[tokio::test]
async fn a_dropped_event_is_202_with_the_number_of_sites_that_dropped_it() {
    let to = receiver().await;
    for (head, domain, dropped) in [
        (HEAD.to_owned(), "example.com,b.example", "1"),
        (HEAD.to_owned(), "a.example,b.example", "2"),
        (HEAD.replace("Firefox", "Googlebot"), "example.com", "1"),
        (
            format!("{HEAD}\r\nX-Plausible-IP-Type: dc_ip"),
            "example.com,b.example",
            "2",
        ),
    ] {
        let answer = send(to, &head, &view(domain, "/a")).await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
        assert!(
            answer.contains(&format!("x-plausible-dropped: {dropped}\r\n")),
            "{domain}: {answer}"
        );
    }
    let page = get(to, "/").await;
    assert!(
        page.contains("<h2>Page views</h2><p class=figure>1</p>"),
        "{page}"
    );
    assert!(page.contains("<h2>Dropped</h2><p class=figure>3</p>"), "{page}");
}

#[tokio::test]
async fn an_invalid_event_is_400_with_its_mistakes_by_field() {
    let to = receiver().await;
    let answer = send(
        to,
        HEAD,
        br#"{"name": "pageview", "url": "/a", "domain": "example.com"}"#,
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let errors: Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(errors, json!({"errors": {"url": ["must be absolute"]}}));
    assert!(get(to, "/").await.contains("url: must be absolute"));

    let huge = vec![b' '; MAX_BODY + 1];
    let answer = send(to, HEAD, &huge).await;
    assert!(answer.contains("body is longer than 1000000 bytes"), "{answer}");
}

#[tokio::test]
async fn a_debug_request_tells_the_address_and_counts_nothing() {
    let to = receiver().await;
    let answer = send(
        to,
        &format!("{HEAD}\r\nX-Debug-Request: true"),
        &view("example.com", "/a"),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(body(&answer).trim(), "203.0.113.7");
    assert!(get(to, "/").await.contains("Nothing has arrived yet"));
}

#[tokio::test]
async fn the_page_hears_of_each_arrival() {
    let to = receiver().await;
    let mut stream = open(to, "GET /live HTTP/1.1\r\nAccept: text/event-stream", b"").await;
    let mut text = String::new();
    read_until(&mut stream, &mut text, "\r\n\r\n").await;
    assert!(text.contains("content-type: text/event-stream\r\n"), "{text}");
    for n in 1..=2 {
        send(to, HEAD, &view("example.com", "/a")).await;
        read_until(&mut stream, &mut text, &format!("data: {n}\n\n")).await;
    }
}

#[tokio::test]
async fn what_arrives_is_shown_as_text() {
    let to = receiver().await;
    let evil = "<img src=x onerror=alert(1)>";
    let head = HEAD.replace("Firefox", evil);
    let event = |name: &str| {
        json!({"n": name, "u": format!("https://example.com/{}?utm_source=%3Cimg%20src%3E", evil.replace(' ', "/")),
            "d": "example.com", "r": "https://<img>/", "p": {evil: evil}, "$": {"currency": "EUR", "amount": 1}})
    };
    for name in ["pageview", evil] {
        let answer = send(to, &head, event(name).to_string().as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    }
    let page = get(to, "/").await;
    assert!(!page.contains("<img"), "{page}");
    assert!(
        page.contains("&lt;img src&gt;") && page.contains("&lt;img/src=x/"),
        "{page}"
    );
    assert!(
        page.contains("content-security-policy: default-src 'none';"),
        "{page}"
    );
}

#[tokio::test]
async fn the_other_paths_answer_as_plausible_does() {
    let to = receiver().await;
    let health = get(to, "/api/health").await;
    assert!(
        health.starts_with("HTTP/1.1 200 ") && body(&health).starts_with('{'),
        "{health}"
    );
    assert!(get(to, "/api/event").await.contains("allow: POST\r\n"));
    assert!(
        send(to, "POST / HTTP/1.1", b"")
            .await
            .contains("allow: GET, HEAD\r\n")
    );
    assert!(get(to, "/api").await.starts_with("HTTP/1.1 404 "));
}

#[tokio::test]
async fn a_stop_ends_the_streams_too() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, "example.com", links(), async {
        let _ = stopped.await;
    }));
    let mut stream = open(to, "GET /live HTTP/1.1", b"").await;
    let mut text = String::new();
    read_until(&mut stream, &mut text, "\r\n\r\n").await;
    stop.send(()).unwrap();
    served.await.unwrap();
    read_until(&mut stream, &mut text, "0\r\n\r\n").await;
}
