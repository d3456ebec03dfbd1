//! The admin address over real sockets.

use std::sync::Mutex;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::ask::{ask, body, get, open, until};
use super::*;

struct Admin {
    address: SocketAddr,
    ready: watch::Sender<bool>,
    made: Arc<Mutex<Vec<Value>>>,
    probes: Arc<Probes>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

async fn admin() -> Admin {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let registry = prometheus::Registry::new();
    let counter = prometheus::IntCounter::new("gatecount_example_total", "An example.").unwrap();
    counter.inc_by(7);
    registry.register(Box::new(counter)).unwrap();

    let (ready, readiness) = watch::channel(true);
    let made = Arc::new(Mutex::new(vec![decision(1)]));
    let held = Arc::clone(&made);
    let probes = Arc::new(Probes::default());
    let sources = Sources {
        registry,
        ready: readiness,
        status: Arc::new(
            || json!({"version": "0.1.0", "ready": true, "decisions": {"counted": 3, "bot": 1}}),
        ),
        decisions: Arc::new(move |since| {
            let held = held.lock().unwrap();
            let newer = held
                .iter()
                .filter(|d| d["seq"].as_u64() > Some(since))
                .cloned()
                .collect();
            Box::pin(async move { newer })
        }),
        probes: Arc::clone(&probes),
    };
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(serve(listener, sources, async {
        let _ = stopped.await;
    }));
    Admin {
        address,
        ready,
        made,
        probes,
        stop,
        served,
    }
}

fn decision(seq: u64) -> Value {
    json!({"seq": seq, "at": "2026-11-24T06:12:17.123Z", "decision": "counted", "why": "a navigation", "method": "GET",
        "host": "example.com", "path": "/<script>", "status": 200, "client": "203.0.113.0/24",
        "client_from": "x-forwarded-for"})
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let admin = admin().await;
    let answer = get(admin.address, "/metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("content-type: text/plain; version=0.0.4\r\n"),
        "{answer}"
    );
    assert!(
        body(&answer).contains("\ngatecount_example_total 7\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn readiness_follows_the_latch_and_is_noted() {
    let admin = admin().await;
    assert!(get(admin.address, "/readyz").await.starts_with("HTTP/1.1 200 "));
    assert_eq!((admin.probes.green(), admin.probes.red()), (1, 0));

    let seen = tokio::spawn({
        let probes = Arc::clone(&admin.probes);
        async move { probes.seen_red().await }
    });
    admin.ready.send_replace(false);
    assert!(get(admin.address, "/readyz").await.starts_with("HTTP/1.1 503 "));
    seen.await.unwrap();
    assert_eq!((admin.probes.green(), admin.probes.red()), (1, 1));
    assert!(get(admin.address, "/livez").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn status_and_decisions_are_json() {
    let admin = admin().await;
    let status: Value = serde_json::from_str(body(&get(admin.address, "/status?x=y").await)).unwrap();
    assert_eq!(status["decisions"]["counted"], 3);
    let answer = get(admin.address, "/decisions").await;
    assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
    let decisions: Value = serde_json::from_str(body(&answer)).unwrap();
    assert_eq!(decisions, json!([decision(1)]));
}

#[tokio::test]
async fn decisions_are_streamed_as_they_are_made_and_the_stream_ends_with_the_server() {
    let admin = admin().await;
    let mut stream = open(
        admin.address,
        "GET /decisions HTTP/1.1\r\nAccept: text/event-stream",
        b"",
    )
    .await;
    let mut text = String::new();
    until(&mut stream, &mut text, "\"seq\":1,").await;
    assert!(text.contains("content-type: text/event-stream\r\n"), "{text}");
    admin.made.lock().unwrap().push(decision(2));
    until(&mut stream, &mut text, "\"seq\":2,").await;
    until(&mut stream, &mut text, "\n\n").await;
    assert_eq!(text.matches("data: {").count(), 2, "{text}");

    admin.stop.send(()).unwrap();
    admin.served.await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the stream's end is a true end");
}

#[tokio::test]
async fn a_lost_stream_goes_on_after_its_last_event_unless_the_process_is_another() {
    let admin = admin().await;
    admin.made.lock().unwrap().push(decision(2));
    let accept = "GET /decisions HTTP/1.1\r\nAccept: text/event-stream";
    let mut text = String::new();
    until(
        &mut open(admin.address, accept, b"").await,
        &mut text,
        "\"seq\":2,",
    )
    .await;
    let first = text
        .lines()
        .find_map(|l| l.strip_prefix("id: "))
        .unwrap()
        .to_owned();
    assert!(first.ends_with("-1"), "{first}");

    for (id, resumed) in [(first.as_str(), true), ("0-1", false), ("rubbish", false)] {
        let mut text = String::new();
        let mut stream = open(admin.address, &format!("{accept}\r\nLast-Event-ID: {id}"), b"").await;
        until(&mut stream, &mut text, "\"seq\":2,").await;
        assert_eq!(!text.contains("\"seq\":1,"), resumed, "{id}: {text}");
    }
}

#[tokio::test]
async fn the_page_shows_how_things_stand_and_runs_nothing_from_outside() {
    let admin = admin().await;
    let answer = get(admin.address, "/").await;
    assert!(
        answer.contains("content-type: text/html; charset=utf-8\r\n"),
        "{answer}"
    );
    assert!(
        answer.contains("content-security-policy: default-src 'none';"),
        "{answer}"
    );
    assert!(
        answer.contains("/&lt;script&gt;") && !answer.contains("/<script>"),
        "{answer}"
    );
    assert!(answer.contains("of 4 requests decided"), "{answer}");
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let admin = admin().await;
    for path in ["/", "/metrics", "/livez", "/readyz", "/status", "/decisions"] {
        let answer = ask(admin.address, &format!("POST {path} HTTP/1.1"), b"x").await;
        assert!(answer.starts_with("HTTP/1.1 405 "), "{path}: {answer}");
        assert!(answer.contains("allow: GET, HEAD\r\n"), "{path}: {answer}");

        let length = |answer: &str| {
            let line = answer.lines().find_map(|l| l.strip_prefix("content-length: "));
            line.map(|l| l.parse::<usize>().unwrap())
        };
        let head = ask(admin.address, &format!("HEAD {path} HTTP/1.1"), b"").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        assert_eq!(body(&head), "", "{path}");
        assert_eq!(length(&head), length(&get(admin.address, path).await), "{path}");
    }
    let stream = ask(
        admin.address,
        "HEAD /decisions HTTP/1.1\r\nAccept: text/event-stream",
        b"",
    )
    .await;
    assert!(
        stream.contains("content-type: text/event-stream\r\n") && body(&stream).is_empty(),
        "{stream}"
    );
    assert!(get(admin.address, "/metrics/").await.starts_with("HTTP/1.1 404 "));
    assert!(
        ask(admin.address, "DELETE /other HTTP/1.1", b"")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
}

#[tokio::test]
async fn no_answer_is_for_other_origins_or_caches() {
    let admin = admin().await;
    let answer = ask(
        admin.address,
        "GET /status HTTP/1.1\r\nOrigin: https://evil.example",
        b"",
    )
    .await;
    assert!(!answer.contains("access-control"), "{answer}");
    for line in [
        "cache-control: no-store\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(answer.contains(line), "{answer}");
    }
}

#[tokio::test]
async fn streams_leave_room_for_probes() {
    let admin = admin().await;
    let accept = "GET /decisions HTTP/1.1\r\nAccept: text/event-stream";
    let mut streams = Vec::new();
    loop {
        let mut stream = open(admin.address, accept, b"").await;
        let mut text = String::new();
        until(&mut stream, &mut text, "\r\n").await;
        streams.push(stream);
        if text.starts_with("HTTP/1.1 503 ") {
            break;
        }
        assert!(streams.len() < 90, "no bound");
    }
    assert!(get(admin.address, "/readyz").await.starts_with("HTTP/1.1 200 "));
}
