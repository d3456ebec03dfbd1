//! The script is there whatever Plausible does, and nothing else is ever served in its place.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::Stage;
use crate::support::{
    client::{CHROME, Client, Request},
    eventually,
    forward_proxy::ForwardProxy,
    message::Response,
    origin::{Origin, Then, Visit},
    process::Builder,
    tls::{Authority, NAMES},
};

const BODY: &str = "!function(){window.plausible=window.plausible||function(){}}();";

/// A server of scripts, and what it says next.
struct Upstream {
    origin: Origin,
    says: Arc<Mutex<Says>>,
    asked: Arc<AtomicUsize>,
}

/// What it says.
#[derive(Clone)]
enum Says {
    /// This response.
    Whole(String),
    /// The same, unless the request has this `If-None-Match`: then 304 with these fields.
    Unless(String, &'static str, &'static str),
    /// Nothing.
    Nothing,
}

fn js(fields: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/javascript\r\n{fields}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Upstream {
    fn start(says: Says) -> Upstream {
        let (says, asked) = (Arc::new(Mutex::new(says)), Arc::new(AtomicUsize::new(0)));
        let origin = Origin::start({
            let (says, asked) = (Arc::clone(&says), Arc::clone(&asked));
            move |visit: &mut Visit| -> io::Result<Then> {
                asked.fetch_add(1, Ordering::SeqCst);
                let says = says.lock().unwrap().clone();
                match says {
                    Says::Unless(_, etag, fields) if visit.head.get("if-none-match") == Some(etag) => {
                        visit.send(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n"))?;
                    }
                    Says::Whole(response) | Says::Unless(response, ..) => visit.send(response)?,
                    Says::Nothing => visit.until_left()?,
                }
                Ok(Then::Close)
            }
        });
        Upstream { origin, says, asked }
    }

    fn now_says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn stage(&self) -> Stage {
        Stage::with(|builder| {
            builder
                .set("tracker.source", format!("{}/js/pa-1.js", self.origin.url()))
                .set("plausible.timeout", "8s")
        })
    }
}

fn get() -> Request {
    Request::get("/js/script.js")
        .with("User-Agent", CHROME)
        .with("Cookie", "session=secret")
        .with("X-Real-IP", "203.0.113.7")
        .from("203.0.113.7")
}

#[track_caller]
fn assert_script(response: &Response, body: &str) {
    assert_eq!((response.status(), response.text().as_str()), (200, body));
    assert_eq!(response.head.get("content-type"), Some("application/javascript"));
}

#[test]
fn it_is_fetched_once_and_served_to_all_in_the_form_that_each_accepts() {
    let body = BODY.repeat(50);
    let upstream = Upstream::start(Says::Whole(js(
        "cache-control: public, max-age=60, no-transform\r\nset-cookie: a=b\r\n",
        &body,
    )));
    let stage = upstream.stage();
    for response in stage.ask(&get()) {
        assert_script(&response, &body);
        let head = &response.head;
        assert_eq!(
            head.get("cache-control"),
            Some("public, max-age=60, no-transform")
        );
        assert_eq!(head.get("vary"), Some("Accept-Encoding"));
        assert!(!head.has("set-cookie") && !head.has("content-encoding"));
    }
    let etag = stage.ask_http1(&get()).head.get("etag").unwrap().to_owned();
    for response in stage.ask(&get().with("Accept-Encoding", "gzip, br")) {
        assert_eq!(response.head.get("content-encoding"), Some("gzip"));
        assert_ne!(response.head.get("etag"), Some(etag.as_str()));
        let mut plain = Vec::new();
        io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&response.body[..]), &mut plain).unwrap();
        assert_eq!(plain, body.as_bytes());
    }
    for response in stage.ask(&get().with("If-None-Match", &etag)) {
        assert_eq!((response.status(), response.body.len()), (304, 0));
        assert_eq!(response.head.get("etag"), Some(etag.as_str()));
        assert!(!response.head.has("content-length"));
    }
    let head = Request::new("HEAD", "/js/script.js").with("User-Agent", CHROME);
    for response in stage.ask(&head) {
        assert_eq!((response.status(), response.body.len()), (200, 0));
        assert_eq!(
            response.head.get("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
    for response in stage.ask(&Request::post("/js/script.js", b"x")) {
        assert_eq!(response.status(), 405);
    }
    // What Plausible was asked has nothing of any visitor in it.
    let seen = upstream.origin.only();
    assert_eq!(seen.head.target(), "/js/pa-1.js");
    let names: Vec<String> = seen
        .head
        .fields
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    assert_eq!(
        names,
        ["host", "user-agent", "accept", "accept-encoding", "connection"]
    );
    assert!(seen.head.get("user-agent").unwrap().starts_with("gatecount/"));
    assert_eq!(stage.sidecar.settled(11).decisions("dedicated"), 11);
}

#[test]
fn a_thousand_who_ask_while_plausible_hangs_are_one_fetch_and_told_so_in_time() {
    let upstream = Upstream::start(Says::Nothing);
    let stage = upstream.stage();
    let askers = if crate::support::full() { 10_000 } else { 1_000 };
    let begun = Instant::now();
    let mut clients: Vec<Client> = (0..askers)
        .map(|_| {
            let mut client = Client::to(stage.sidecar.address);
            client.send(&get().bytes());
            client
        })
        .collect();
    for client in &mut clients {
        let response = client.response();
        assert_eq!(response.status(), 504, "{}", response.text());
        assert_eq!(response.head.get("cache-control"), Some("no-store"));
    }
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert_eq!(upstream.asked(), 1);
    // The same connections are served once it comes. The fetch that hangs has to end first.
    upstream.now_says(Says::Whole(js("", BODY)));
    eventually("the script", || {
        let response = clients[0].ask(&get());
        match response.status() {
            200 => Ok(()),
            other => Err(other.to_string()),
        }
    });
    for client in clients.iter_mut().take(100) {
        assert_script(&client.ask(&get()), BODY);
    }
    assert_eq!(upstream.asked(), 2);
}

#[test]
fn a_thousand_who_ask_at_once_get_what_one_fetch_brings() {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let held = Mutex::new(held);
    let asked = Arc::new(AtomicUsize::new(0));
    let origin = Origin::start({
        let asked = Arc::clone(&asked);
        move |visit: &mut Visit| -> io::Result<Then> {
            asked.fetch_add(1, Ordering::SeqCst);
            let _ = held.lock().unwrap().recv();
            visit.send(js("cache-control: max-age=60\r\n", BODY))?;
            Ok(Then::Close)
        }
    });
    let stage = Stage::with(|builder| builder.set("tracker.source", format!("{}/x.js", origin.url())));
    let mut clients: Vec<Client> = (0..1_000)
        .map(|_| {
            let mut client = Client::to(stage.sidecar.address);
            client.send(&get().bytes());
            client
        })
        .collect();
    release.send(()).unwrap();
    for client in &mut clients {
        assert_script(&client.response(), BODY);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn it_is_revalidated_by_its_own_lifetime_and_replaced_when_it_changes() {
    let first = js("cache-control: max-age=1\r\netag: \"one\"\r\n", BODY);
    let upstream = Upstream::start(Says::Unless(first, "\"one\"", "cache-control: max-age=2\r\n"));
    let stage = upstream.stage();
    let cache_control = |response: &Response| response.head.get("cache-control").map(str::to_owned);
    assert_eq!(
        cache_control(&stage.ask_http1(&get())).as_deref(),
        Some("max-age=1")
    );
    eventually("a 304 renews it", || {
        let response = stage.ask_http1(&get());
        assert_script(&response, BODY);
        match cache_control(&response) {
            Some(renewed) if renewed == "max-age=2" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(upstream.asked(), 2);
    let etag = stage.ask_http1(&get()).head.get("etag").unwrap().to_owned();
    upstream.now_says(Says::Whole(js(
        "cache-control: max-age=1\r\netag: \"two\"\r\n",
        "f();",
    )));
    eventually("another script", || {
        let response = stage.ask_http1(&get().with("If-None-Match", &etag));
        match response.status() {
            200 => {
                assert_script(&response, "f();");
                Ok(())
            }
            other => Err(other.to_string()),
        }
    });
    let fetches = stage.sidecar.metrics();
    let fetches = fetches.metric("gatecount_tracker_script_fetches_total");
    assert_eq!(fetches.clone().label("result", "changed").value(), 2);
    assert!(fetches.label("result", "unchanged").value() >= 1);
}

#[test]
fn what_is_no_script_is_never_served_and_takes_no_scripts_place() {
    let nonsense = [
        "HTTP/1.1 500 Oh Dear\r\ncontent-type: application/javascript\r\ncontent-length: 3\r\n\r\nf()"
            .to_owned(),
        "HTTP/1.1 404 Not Found\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\nno!".to_owned(),
        "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n".to_owned(),
        js("", ""),
        js("", "<!doctype html><title>Sign in</title>"),
        js("content-encoding: br\r\n", "xxxx"),
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\nf()".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-type: text/javascript\r\ncontent-length: 300\r\n\r\ncut()".to_owned(),
        js("", &"x".repeat((1 << 20) + 1)),
        "babble".to_owned(),
    ];
    let upstream = Upstream::start(Says::Whole(nonsense[0].clone()));
    let stage = upstream.stage();
    let response = stage.ask_http1(&get());
    assert_eq!(response.status(), 502, "{}", response.text());
    assert!(!response.text().contains("f()"));
    stage
        .sidecar
        .await_log("the tracker script can't be fetched; none is served");
    upstream.now_says(Says::Whole(js("cache-control: max-age=1\r\n", BODY)));
    eventually("the script", || match stage.ask_http1(&get()) {
        response if response.status() == 200 => Ok(()),
        other => Err(other.text()),
    });
    stage.sidecar.await_log("the tracker script can be fetched again");
    // Each takes its turn as the next fetch's answer. Meanwhile the old script is served.
    let failed = |stage: &Stage| {
        let metrics = stage.sidecar.metrics();
        let fetches = metrics.metric("gatecount_tracker_script_fetches_total");
        fetches.label("result", "failed").value()
    };
    for (n, nonsense) in nonsense.iter().enumerate().skip(1).take(4) {
        let before = failed(&stage);
        upstream.now_says(Says::Whole(nonsense.clone()));
        eventually(&format!("nonsense {n} is refused"), || {
            assert_script(&stage.ask_http1(&get()), BODY);
            if failed(&stage) > before {
                Ok(())
            } else {
                Err("not yet".into())
            }
        });
    }
    for nonsense in &nonsense[5..] {
        let upstream = Upstream::start(Says::Whole(nonsense.clone()));
        let fresh = upstream.stage();
        assert_eq!(fresh.ask_http1(&get()).status(), 502, "{nonsense:.80}");
    }
}

#[test]
fn the_old_one_is_served_while_plausible_is_slow() {
    let upstream = Upstream::start(Says::Whole(js("cache-control: max-age=1\r\n", BODY)));
    let stage = upstream.stage();
    assert_script(&stage.ask_http1(&get()), BODY);
    upstream.now_says(Says::Nothing);
    eventually("a fetch that hangs", || {
        let begun = Instant::now();
        assert_script(&stage.ask_http1(&get()), BODY);
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        if upstream.asked() == 2 {
            Ok(())
        } else {
            Err("none yet".into())
        }
    });
    // It hangs for seconds; nobody waits for it.
    let begun = Instant::now();
    for _ in 0..100 {
        assert_script(&stage.ask_http1(&get()), BODY);
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(upstream.asked(), 2);
}

#[test]
fn it_comes_by_the_way_and_the_roots_that_events_have() {
    let upstream = Upstream::start(Says::Whole(js("", BODY)));
    let (authority, proxy) = (Authority::new(), ForwardProxy::start());
    proxy.want("gate:secret");
    // Another sidecar puts TLS before it.
    let tls = Builder::before(&upstream.origin)
        .tls(&authority.pair("gatecount", &NAMES))
        .start();
    let host = format!("localhost:{}", tls.address.port());
    let stage = Stage::with(|builder| {
        builder
            .set("tracker.source", format!("https://{host}/js/pa-1.js"))
            .set("plausible.ca_file", authority.file().to_str().unwrap())
            .set("plausible.proxy", proxy.url("gate:secret"))
    });
    assert_script(&stage.ask_http1(&get()), BODY);
    assert_eq!(proxy.requests(), [format!("CONNECT {host}")]);
    assert_eq!(upstream.origin.only().head.get("host"), Some(host.as_str()));
    // Over plain HTTP the proxy gets the request itself.
    let plain = Stage::with(|builder| {
        builder
            .set("tracker.source", format!("{}/js/pa-1.js", upstream.origin.url()))
            .set("plausible.proxy", proxy.url("gate:secret"))
    });
    assert_script(&plain.ask_http1(&get()), BODY);
    assert_eq!(
        proxy.requests()[1],
        format!("GET {}/js/pa-1.js", upstream.origin.url())
    );
    proxy.assert_strict();
    // Who is not trusted is not asked.
    let distrustful =
        Stage::with(|builder| builder.set("tracker.source", format!("https://{host}/js/pa-1.js")));
    assert_eq!(distrustful.ask_http1(&get()).status(), 502);
    assert_eq!(upstream.asked(), 2);
}

#[test]
fn a_stop_does_not_wait_for_a_script_that_does_not_come() {
    let upstream = Upstream::start(Says::Nothing);
    let mut stage = upstream.stage();
    let address = stage.sidecar.address;
    let asking = thread::spawn(move || Client::to(address).try_ask(&get()).map(|r| r.status()));
    eventually("the fetch", || match upstream.asked() {
        0 => Err("none yet".into()),
        _ => Ok(()),
    });
    let begun = Instant::now();
    stage.sidecar.stop();
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    // Either it was told, or cut.
    let _ = asking.join().unwrap();
}
