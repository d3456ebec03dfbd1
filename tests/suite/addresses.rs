//! The app's name: several addresses, one of which does not answer; a resolver that fails or hangs.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Socket, Type};

use crate::support::{
    client::{Client, Request},
    origin::{Origin, Then},
    process::{Builder, Sidecar},
    resolver::{NAME, Resolver},
    skip,
};

/// An address of this machine that swallows connections: its queue is full, and nobody accepts.
struct Swallowing {
    _sockets: Vec<Socket>,
}

impl Swallowing {
    fn at(address: SocketAddr) -> Swallowing {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        let mut sockets = vec![listener];
        loop {
            let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let connected = client.connect_timeout(&address.into(), Duration::from_millis(200));
            if connected.is_err() {
                return Swallowing { _sockets: sockets };
            }
            sockets.push(client);
        }
    }
}

/// Before an app that closes each connection, so that each request makes a new one.
fn stage(resolver: &Resolver, set: impl Fn(Builder) -> Builder) -> (Origin, Sidecar) {
    let app = Origin::start(|visit| {
        visit.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")?;
        Ok(Then::Close)
    });
    let builder = Builder::before_url(&format!("http://{NAME}:{}", app.address().port()));
    let sidecar = resolver.before(set(builder)).start();
    (app, sidecar)
}

fn ask(sidecar: &Sidecar) -> (u16, Duration) {
    let begun = Instant::now();
    let status = sidecar.client().ask(&Request::get("/")).status();
    (status, begun.elapsed())
}

/// T14.
#[test]
fn an_address_that_swallows_connections_costs_little_once_and_then_nothing() {
    let Some(resolver) = Resolver::new("127.0.0.66\n127.0.0.1\n") else {
        return skip("there is no C compiler");
    };
    let (app, sidecar) = stage(&resolver, |b| b.set("listen.workers", 1));
    let _first = Swallowing::at(SocketAddr::from(([127, 0, 0, 66], app.address().port())));
    let (status, took) = ask(&sidecar);
    assert_eq!(status, 200, "after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let begun = Instant::now();
    for _ in 0..10 {
        assert_eq!(ask(&sidecar).0, 200);
    }
    // Ten times the share of the first address would be 2.5 s.
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn a_resolver_that_hangs_later_is_not_noticed() {
    let Some(resolver) = Resolver::new("127.0.0.1\n") else {
        return skip("there is no C compiler");
    };
    let (_app, sidecar) = stage(&resolver, |b| b);
    assert_eq!(ask(&sidecar).0, 200);
    let threads = sidecar.threads();
    resolver.answer("hang");
    // Longer than an answer counts without another lookup.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(8) {
        let (status, took) = ask(&sidecar);
        assert_eq!(status, 200);
        assert!(took < Duration::from_secs(1), "{took:?}");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(
        sidecar.threads() <= threads + 2,
        "{} threads, {threads} before",
        sidecar.threads()
    );
}

#[test]
fn a_resolver_that_hangs_from_the_start_holds_one_thread_a_worker() {
    let Some(resolver) = Resolver::new("hang") else {
        return skip("there is no C compiler");
    };
    let (_app, mut sidecar) = stage(&resolver, |b| b.set("app.connect_timeout", "500ms"));
    let threads = sidecar.threads();
    let mut clients: Vec<Client> = (0..100).map(|_| sidecar.client()).collect();
    for client in &mut clients {
        client.send(&Request::get("/").bytes());
    }
    for client in &mut clients {
        assert_eq!(client.response().status(), 502);
    }
    assert!(
        sidecar.threads() <= threads + 2,
        "{} threads, {threads} before",
        sidecar.threads()
    );
    let line = sidecar.await_log("can't be resolved");
    assert!(
        line.contains("no answer in time") && line.contains(NAME),
        "{line}"
    );
    resolver.answer("127.0.0.1\n");
    crate::support::eventually("the app is found", || match ask(&sidecar).0 {
        200 => Ok(()),
        other => Err(format!("{other}")),
    });
    resolver.answer("hang");
    sidecar.stop();
}

/// R19.
#[test]
fn a_name_that_cant_be_resolved_is_said_in_words_and_seldom() {
    let Some(resolver) = Resolver::new("fail") else {
        return skip("there is no C compiler");
    };
    let (_app, sidecar) = stage(&resolver, |b| b);
    for _ in 0..100 {
        assert_eq!(ask(&sidecar).0, 502);
    }
    let said = sidecar.await_log("can't be resolved");
    assert!(said.contains("the app's name") && said.contains(NAME), "{said}");
    let log = sidecar.log();
    assert!(!log.iter().any(|line| line.contains("uncategorized")), "{log:#?}");
    let lines = log
        .iter()
        .filter(|line| line.contains("can't be resolved"))
        .count();
    assert!(lines <= 3, "{lines} lines");
}

#[test]
fn an_app_that_moves_is_found_at_its_new_address() {
    let Some(resolver) = Resolver::new("127.0.0.1\n") else {
        return skip("there is no C compiler");
    };
    let (app, sidecar) = stage(&resolver, |b| b);
    assert_eq!(ask(&sidecar).0, 200);
    // Nobody listens there any more; the new address is another name's by and by.
    let port = app.address().port();
    drop(app);
    resolver.answer("127.0.0.55\n");
    let listener = std::net::TcpListener::bind(("127.0.0.55", port)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            use std::io::{Read, Write};
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    crate::support::eventually("the app is found", || match ask(&sidecar).0 {
        200 => Ok(()),
        other => Err(format!("{other}")),
    });
}

/// A Unix socket's full queue is told at once, and is no reason to refuse.
#[test]
fn an_app_on_a_unix_socket_whose_queue_is_full_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let sidecar = Builder::before_url(&format!("unix:{}", path.display()))
        .set("app.connect_timeout", "20s")
        .start();
    let mut clients: Vec<Client> = (0..8).map(|_| sidecar.client()).collect();
    for client in &mut clients {
        client.send(&Request::get("/").bytes());
    }
    thread::sleep(Duration::from_millis(300));
    let listener = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(listener));
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            use std::io::{Read, Write};
            let mut stream = stream;
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    });
    for client in &mut clients {
        assert_eq!(client.response().status(), 200);
    }
}
