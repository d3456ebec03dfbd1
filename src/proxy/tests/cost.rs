//! What a request costs in allocations: counted on the worker's own thread through the whole data path, from
//! the client's bytes to the app and back, with the event offered to a running delivery.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use super::{
    super::{
        Bound, Upstream, listener,
        metrics::Metrics,
        plan::FAULT_AHEAD,
        record::FAULT_AT_THE_END,
        worker::{self, Control, Parts},
    },
    worker::{counted_decisions, decided, deliver, settings, shared},
};
use crate::{
    event::custom::{CustomRule, StatusPattern},
    tracker::inject,
};

/// Requests after which every buffer has its size and the newest decisions their room.
const WARM: u64 = 300;
/// Requests that are counted.
const COUNTED: u64 = 1000;
/// Allocations over all of these that are let pass, as for a message that comes in two pieces on a busy
/// machine.
const STRAY: u64 = 10;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 12:00:00 GMT\r\n\
    Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\nContent-Length: 5\r\n\r\nhello";

/// What it needs is on the stack or in buffers of the worker's, which are used again.
#[test]
fn a_request_costs_no_allocation() {
    let picture = "GET /logo.png HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
        Gecko/20100101 Firefox/140.0\r\nAccept: image/avif,image/webp,*/*;q=0.8\r\nAccept-Language: en\r\n\
        Referer: http://example.com/\r\nCookie: a=1; b=2\r\nSec-Fetch-Dest: image\r\nSec-Fetch-Mode: no-cors\r\n\r\n";
    assert_cost(picture, 0, "not_page");
    let fetch = "GET /part HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
        Gecko/20100101 Firefox/140.0\r\nAccept: */*\r\nReferer: http://example.com/\r\n\
        Sec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\n\r\n";
    assert_cost(fetch, 0, "not_page");
    let frame = "GET /frame HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
        Gecko/20100101 Firefox/140.0\r\nX-Turbo-Request-Id: 1\r\nTurbo-Frame: f\r\nAccept: text/html\r\n\
        Referer: http://example.com/\r\nSec-Fetch-Dest: empty\r\nSec-Fetch-Mode: cors\r\n\r\n";
    assert_cost(frame, 0, "not_page");
    // Nor where pages get the tracker script.
    let inject = inject::InjectSettings {
        script: "/js/script.js".to_owned(),
        event: "/api/event".to_owned(),
        needs_init: false,
        plausible: "plausible.io".to_owned(),
    };
    let configured = Configured {
        inject: Some(inject),
        ..Configured::default()
    };
    assert_cost_with(&configured, picture, 0, "not_page");
}

/// No more than any other request: the event is encoded into a buffer of the worker's and copied into its
/// ring.
#[test]
fn a_counted_page_costs_no_allocation() {
    let page = "GET /a?b=c HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
        Gecko/20100101 Firefox/140.0\r\nAccept: text/html,application/xhtml+xml,*/*;q=0.8\r\nAccept-Language: en\r\n\
        Referer: http://example.com/\r\nCookie: a=1; b=2\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\r\n";
    assert_cost(page, 0, "counted");
}

/// Rules that take other requests are looked at and cost nothing else.
#[test]
fn a_rule_that_takes_other_requests_costs_no_allocation() {
    let script = "POST /form HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
        Gecko/20100101 Firefox/140.0\r\nAccept: */*\r\nSec-Fetch-Dest: empty\r\nContent-Length: 0\r\n\r\n";
    let rules = ["/signup", "/posts/{slug}", "/docs/**"].map(|path| CustomRule {
        name: "Signup".to_owned(),
        methods: vec!["POST".to_owned()],
        path: path.parse().unwrap(),
        statuses: vec![StatusPattern::Class(2)],
        props: Vec::new(),
        revenue: None,
        interactive: true,
    });
    let configured = Configured {
        events: rules.to_vec(),
        ..Configured::default()
    };
    assert_cost_with(&configured, script, 0, "not_page");
}

/// P1: event code panics. Each request is answered all the same, over the one connection, and a counter
/// tells.
#[test]
fn a_fault_of_the_statistics_leaves_the_request_alone() {
    for fault in [FAULT_AHEAD, FAULT_AT_THE_END] {
        let page = format!(
            "GET {fault} HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
             Gecko/20100101 Firefox/140.0\r\nAccept: text/html\r\nSec-Fetch-Dest: document\r\n\
             Sec-Fetch-Mode: navigate\r\n\r\n"
        );
        let (_, decisions, faults) = serve(&Configured::default(), page.leak(), 50);
        assert_eq!((decisions, faults), (vec![("excluded", 50)], 50), "{fault}");
    }
}

/// Holds the cost of a request, each with this decision, to so many allocations: what a worker that serves
/// more of them allocates beyond one that is warm.
#[track_caller]
fn assert_cost(request: &'static str, each: u64, decision: &str) {
    assert_cost_with(&Configured::default(), request, each, decision);
}

/// What is configured beside the usual.
#[derive(Default)]
struct Configured {
    events: Vec<CustomRule>,
    inject: Option<inject::InjectSettings>,
}

/// As [`assert_cost`], with more configured.
#[track_caller]
fn assert_cost_with(configured: &Configured, request: &'static str, each: u64, decision: &str) {
    // The first request of a process builds tables that all workers share.
    let [_, warm, all] = [1, WARM, WARM + COUNTED].map(|requests| {
        let (allocations, decisions, _) = serve(configured, request, requests);
        assert_eq!(decisions, [(decision, requests)]);
        allocations
    });
    // Where the shorter run had a stray one more, there is nothing between them.
    let cost = all.saturating_sub(warm);
    let right = each * COUNTED..=each * COUNTED + STRAY;
    assert!(
        right.contains(&cost),
        "{COUNTED} requests cost {cost} allocations"
    );
}

/// A worker's life in this thread: it serves one client's requests over one connection. Its allocations, what
/// it decided, and how often its statistics failed.
fn serve(
    configured: &Configured,
    request: &'static str,
    requests: u64,
) -> (u64, Vec<(&'static str, u64)>, u64) {
    let registry = prometheus::Registry::new();
    let decisions = counted_decisions();
    let metrics = Metrics::register(&registry, &decisions).unwrap();
    let (delivery, mut outboxes) = deliver(&registry);
    let (app, app_address) = answer_each();
    let mut settings = settings(Upstream::Tcp(app_address.ip().to_string(), app_address.port()));
    settings.inject = configured.inject.clone();
    let (mut listeners, bound) = listener::bind(&settings.listen, 1).unwrap();
    let Bound::Tcp(address) = bound else {
        panic!("it listens on {bound}")
    };
    let (tell, control) = mpsc::unbounded_channel();
    let mut shared = shared(settings, outboxes.remove(0), metrics.clone());
    Arc::get_mut(&mut shared.live).unwrap().events = configured.events.clone();
    let parts = Parts {
        shared,
        listener: listeners.remove(0),
        is_shared: false,
        control,
    };
    let client = thread::spawn(move || {
        ask(address, request, requests);
        tell.send(Control::Stop).unwrap();
    });
    let counted = allocation_counter::measure(|| worker::run(parts).unwrap());
    client.join().unwrap();
    app.join().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let now = Instant::now();
    runtime.block_on(delivery.stop(now, now + Duration::from_secs(2)));
    (counted.count_total, decided(&decisions), metrics.faults.get())
}

/// Sends each request when the response before it is there.
fn ask(address: SocketAddr, request: &str, requests: u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut buffer = [0; 4096];
    for _ in 0..requests {
        stream.write_all(request.as_bytes()).unwrap();
        read_until(&mut stream, &mut buffer, b"\r\n\r\nhello");
    }
}

/// An app on one kept-alive connection.
fn answer_each() -> (JoinHandle<()>, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut buffer = [0; 4096];
        while read_until(&mut stream, &mut buffer, b"\r\n\r\n") {
            stream.write_all(RESPONSE).unwrap();
        }
    });
    (app, address)
}

/// Reads a message by its end; whether there was one.
fn read_until(stream: &mut TcpStream, buffer: &mut [u8], end: &[u8]) -> bool {
    let mut at = 0;
    while !buffer[..at].ends_with(end) {
        match stream.read(&mut buffer[at..]).unwrap() {
            0 => return false,
            n => at += n,
        }
    }
    true
}
