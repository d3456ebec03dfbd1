//! The admin address over real sockets.

use std::{
    net::SocketAddr,
    sync::Mutex,
    time::{Duration, SystemTime},
};

use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    net::TcpStream,
    sync::{oneshot, watch},
    task::JoinHandle,
};

use crate::{
    client::masked,
    page::Decision,
    web::test_client::{body, get, open, read_until, send},
};

use super::{status::tests::healthy, *};

const STREAM: &str = "GET /decisions HTTP/1.1\r\nAccept: text/event-stream";

struct Admin {
    address: SocketAddr,
    ready: watch::Sender<bool>,
    made: Arc<Mutex<Vec<DecisionRecord>>>,
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
    let kept = Arc::clone(&made);
    let probes = Arc::new(Probes::default());
    let inputs = Inputs {
        registry,
        ready: readiness,
        status: Arc::new(healthy),
        decisions: Arc::new(move |since| {
            let kept = kept.lock().unwrap();
            let newer = kept.iter().filter(|d| d.seq > since).cloned().collect();
            Box::pin(async move { newer })
        }),
        explain: Arc::new(|request, peer| match request {
            "rubbish" => Err("that is no request".to_owned()),
            _ => Ok(Explanation {
                decision: "bot".to_owned(),
                why: format!("{request} by {peer}"),
                story: "It is a bot.".to_owned(),
            }),
        }),
        probes: Arc::clone(&probes),
    };
    let settings = Settings {
        address,
        hosts: vec!["gatecount.internal".to_owned()],
        links: vec![("the demo site".to_owned(), "http://127.0.0.1:1/".to_owned())],
    };
    let (stop, stopped) = oneshot::channel();
    let served = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        serve(listener, &settings, inputs, stopped).await;
    });
    Admin {
        address,
        ready,
        made,
        probes,
        stop,
        served,
    }
}

fn decision(seq: u64) -> DecisionRecord {
    DecisionRecord {
        seq,
        at: SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
        decision: Decision::Counted,
        why: "a navigation",
        method: "GET".to_owned(),
        host: "example.com".to_owned(),
        path: "/<script>".to_owned(),
        status: 200,
        client: Some(masked([203, 0, 113, 77].into())),
        client_from: "x-forwarded-for",
    }
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let admin = admin().await;
    let response = get(admin.address, "/metrics").await;
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(
        response.contains("content-type: text/plain; version=0.0.4\r\n"),
        "{response}"
    );
    assert!(
        body(&response).contains("\ngatecount_example_total 7\n"),
        "{response}"
    );
}

#[tokio::test]
async fn readiness_follows_the_latch_and_its_answers_are_counted() {
    let admin = admin().await;
    assert!(get(admin.address, "/readyz").await.starts_with("HTTP/1.1 200 "));
    assert_eq!((admin.probes.ready(), admin.probes.not_ready()), (1, 0));

    let seen = tokio::spawn({
        let probes = Arc::clone(&admin.probes);
        async move { probes.seen_not_ready().await }
    });
    admin.ready.send_replace(false);
    assert!(get(admin.address, "/readyz").await.starts_with("HTTP/1.1 503 "));
    seen.await.unwrap();
    assert_eq!((admin.probes.ready(), admin.probes.not_ready()), (1, 1));
    assert!(get(admin.address, "/livez").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn status_and_decisions_are_json() {
    let admin = admin().await;
    let status: Value = serde_json::from_str(body(&get(admin.address, "/status?x=y").await)).unwrap();
    assert_eq!(status["decisions"]["counted"], 3);
    let response = get(admin.address, "/decisions").await;
    assert!(
        response.contains("content-type: application/json\r\n"),
        "{response}"
    );
    let decisions: Value = serde_json::from_str(body(&response)).unwrap();
    assert_eq!(
        decisions,
        json!([{"seq": 1, "at": "2023-11-14T22:13:20.123Z", "decision": "counted", "in_words": "Page view", "why": "a navigation",
            "method": "GET", "host": "example.com", "path": "/<script>", "status": 200,
            "client": "203.0.113.0/24", "client_from": "x-forwarded-for"}])
    );
}

#[tokio::test]
async fn decisions_are_streamed_as_they_are_made_and_the_stream_ends_with_the_server() {
    let admin = admin().await;
    let mut stream = open(admin.address, STREAM, b"").await;
    let mut text = String::new();
    read_until(&mut stream, &mut text, "\"seq\":1,").await;
    assert!(text.contains("content-type: text/event-stream\r\n"), "{text}");
    admin.made.lock().unwrap().push(decision(2));
    read_until(&mut stream, &mut text, "\"seq\":2,").await;
    read_until(&mut stream, &mut text, "\n\n").await;
    assert_eq!(text.matches("data: {").count(), 2, "{text}");

    admin.stop.send(()).unwrap();
    admin.served.await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b"0\r\n\r\n"), "the last chunk is sent");
}

#[tokio::test]
async fn a_lost_stream_resumes_after_its_last_event_unless_the_process_is_another() {
    let admin = admin().await;
    admin.made.lock().unwrap().push(decision(2));
    let mut text = String::new();
    let mut stream = open(admin.address, STREAM, b"").await;
    read_until(&mut stream, &mut text, "\"seq\":2,").await;
    let first = text
        .lines()
        .find_map(|l| l.strip_prefix("id: "))
        .unwrap()
        .to_owned();
    assert!(first.ends_with("-1"), "{first}");

    for (id, resumed) in [(first.as_str(), true), ("0-1", false), ("rubbish", false)] {
        let mut text = String::new();
        let mut stream = open(admin.address, &format!("{STREAM}\r\nLast-Event-ID: {id}"), b"").await;
        read_until(&mut stream, &mut text, "\"seq\":2,").await;
        assert_eq!(!text.contains("\"seq\":1,"), resumed, "{id}: {text}");
    }
}

#[tokio::test]
async fn the_page_shows_the_status_and_loads_nothing_from_outside() {
    let admin = admin().await;
    let response = get(admin.address, "/").await;
    assert!(
        response.contains("content-type: text/html; charset=utf-8\r\n"),
        "{response}"
    );
    assert!(
        response.contains("content-security-policy: default-src 'none';"),
        "{response}"
    );
    assert!(
        response.contains("/&lt;script&gt;") && !response.contains("/<script>"),
        "{response}"
    );
    assert!(
        response.contains(">Page views</h2><p class=figure>3<"),
        "{response}"
    );
}

#[tokio::test]
async fn a_pasted_request_is_explained_and_one_that_cant_be_read_is_told_so() {
    let admin = admin().await;
    let response = get(admin.address, "/explain?request=curl+%3Ci%3E&peer=10.0.0.9").await;
    assert!(response.contains("form-action 'self'"), "{response}");
    assert!(response.contains("curl &lt;i&gt; by 10.0.0.9"), "{response}");
    assert!(response.contains(">It is a bot.</pre>"), "{response}");
    let response = get(admin.address, "/explain?request=rubbish").await;
    assert!(
        response.contains("<p class=error>that is no request</p>"),
        "{response}"
    );
    assert!(!get(admin.address, "/explain").await.contains("class=error"));
}

#[tokio::test]
async fn only_get_and_head_are_answered() {
    let admin = admin().await;
    for path in [
        "/",
        "/explain",
        "/metrics",
        "/livez",
        "/readyz",
        "/status",
        "/decisions",
    ] {
        let response = send(admin.address, &format!("POST {path} HTTP/1.1"), b"x").await;
        assert!(response.starts_with("HTTP/1.1 405 "), "{path}: {response}");
        assert!(response.contains("allow: GET, HEAD\r\n"), "{path}: {response}");

        let length = |response: &str| {
            let line = response.lines().find_map(|l| l.strip_prefix("content-length: "));
            line.map(|l| l.parse::<usize>().unwrap())
        };
        let head = send(admin.address, &format!("HEAD {path} HTTP/1.1"), b"").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        assert_eq!(body(&head), "", "{path}");
        assert_eq!(length(&head), length(&get(admin.address, path).await), "{path}");
    }
    let stream = send(admin.address, &STREAM.replace("GET", "HEAD"), b"").await;
    assert!(
        stream.contains("content-type: text/event-stream\r\n") && body(&stream).is_empty(),
        "{stream}"
    );
    assert!(get(admin.address, "/metrics/").await.starts_with("HTTP/1.1 404 "));
    assert!(
        send(admin.address, "DELETE /other HTTP/1.1", b"")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
}

#[tokio::test]
async fn no_response_is_for_other_origins_or_caches() {
    let admin = admin().await;
    let response = send(
        admin.address,
        "GET /status HTTP/1.1\r\nOrigin: https://evil.example",
        b"",
    )
    .await;
    assert!(!response.contains("access-control"), "{response}");
    for line in [
        "cache-control: no-store\r\n",
        "x-content-type-options: nosniff\r\n",
    ] {
        assert!(response.contains(line), "{response}");
    }
}

#[tokio::test]
async fn a_foreign_host_name_is_refused_with_a_sentence() {
    let admin = admin().await;
    for path in [
        "/",
        "/explain",
        "/metrics",
        "/livez",
        "/status",
        "/decisions",
        "/other",
    ] {
        let head = format!("GET {path} HTTP/1.1\r\nHost: evil.test:9090");
        let response = send(admin.address, &head, b"").await;
        assert!(response.starts_with("HTTP/1.1 421 "), "{path}: {response}");
        assert!(body(&response).contains("hosts in [admin]"), "{response}");
    }
    let named = send(
        admin.address,
        "GET /livez HTTP/1.1\r\nHost: gatecount.internal",
        b"",
    )
    .await;
    assert!(named.starts_with("HTTP/1.1 200 "), "{named}");
}

#[tokio::test]
async fn streams_leave_room_for_probes() {
    let admin = admin().await;
    let mut streams = Vec::new();
    loop {
        let mut stream = open(admin.address, STREAM, b"").await;
        let mut text = String::new();
        read_until(&mut stream, &mut text, "\r\n").await;
        streams.push(stream);
        if text.starts_with("HTTP/1.1 503 ") {
            break;
        }
        assert!(streams.len() < 90, "no bound");
    }
    assert!(get(admin.address, "/readyz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn clients_that_say_nothing_do_not_keep_probes_out_or_end_streams() {
    let admin = admin().await;
    let mut stream = open(admin.address, STREAM, b"").await;
    let mut text = String::new();
    read_until(&mut stream, &mut text, "\"seq\":1,").await;
    let mut silent = Vec::new();
    for _ in 0..3 * Limits::FEW.connections {
        silent.push(TcpStream::connect(admin.address).await.unwrap());
    }
    assert!(get(admin.address, "/livez").await.starts_with("HTTP/1.1 200 "));
    let oldest = silent[0].read(&mut [0]).await;
    assert!(
        matches!(oldest, Ok(0) | Err(_)),
        "the oldest idle connection is closed"
    );
    admin.made.lock().unwrap().push(decision(2));
    read_until(&mut stream, &mut text, "\"seq\":2,").await;
}
