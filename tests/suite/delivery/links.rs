//! How Plausible is reached: TLS, HTTP/2, and the addresses of its name.

use super::*;

#[test]
fn http2_over_tls_is_one_connection_for_many_events() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls(&authority);
    plausible.slow(Duration::from_millis(20));
    let sidecar = before(&app, &plausible)
        .set("plausible.ca_file", authority.file().to_str().unwrap())
        .start();
    crowd(&sidecar, 100);
    sidecar.settled(100);
    let events = plausible.recorded();
    assert_eq!(events.len(), 100);
    assert!(
        events.iter().all(|e| e.version == "HTTP/2.0"),
        "{}",
        events[0].version
    );
    assert!(
        plausible.connections() <= 2,
        "{} connections",
        plausible.connections()
    );
    assert!(
        plausible.peaks().0 > 8,
        "not multiplexed: {:?}",
        plausible.peaks()
    );
    plausible.assert_strict();
}

#[test]
fn http1_over_tls_where_there_is_no_http2() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls_without_h2(&authority);
    let sidecar = before(&app, &plausible)
        .set("plausible.ca_file", authority.file().to_str().unwrap())
        .start();
    crowd(&sidecar, 10);
    sidecar.settled(10);
    assert!(plausible.recorded().iter().all(|e| e.version == "HTTP/1.1"));
    plausible.assert_strict();
}

#[test]
fn http2_that_fails_and_comes_back_loses_nothing() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls(&authority);
    plausible.next([Reply::CutOff, Reply::Status(503), Reply::Accept, Reply::CutOff]);
    let sidecar = before(&app, &plausible)
        .set("plausible.ca_file", authority.file().to_str().unwrap())
        .start();
    crowd(&sidecar, 20);
    plausible.die();
    crowd(&sidecar, 20);
    plausible.come_back();
    let metrics = sidecar.settled(40);
    // An answer lost on the way is tried again: at least once.
    assert!(plausible.recorded().len() >= 40);
    assert_eq!(metrics.finished("delivered"), 40);
}

#[test]
fn an_unknown_authority_is_refused_and_told() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let plausible = Receiver::tls(&authority);
    let sidecar = before(&app, &plausible).start();
    visit(&sidecar, "203.0.113.7", "/");
    within(Duration::from_secs(20), "/status names the certificate", || {
        let error = sidecar.status()["delivery"]["last_error"]
            .to_string()
            .to_lowercase();
        if error.contains("certificate") {
            Ok(())
        } else {
            Err(error)
        }
    });
    assert_eq!(plausible.arrivals().len(), 0);
}

/// T14: each address of Plausible's name has its share of the time, and the one that works comes first from
/// then on.
#[test]
fn an_address_that_swallows_connections_costs_its_share_once() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let swallows = swallowing();
    let port = swallows.0.local_addr().unwrap().as_socket().unwrap().port();
    forward(
        SocketAddr::from(([127, 0, 0, 2], port)),
        plausible.url().trim_start_matches("http://").to_owned(),
    );
    let builder = before(&app, &plausible)
        .set("plausible.url", format!("http://plausible.test:{port}"))
        .set("plausible.timeout", "2s");
    // The C library puts the first one first.
    let Some(builder) = builder.with_hosts("127.0.0.1 plausible.test\n127.0.0.2 plausible.test\n") else {
        return skip("names can't be given other addresses here (it needs root)");
    };
    let sidecar = builder.start();
    let asked = Instant::now();
    visit(&sidecar, "203.0.113.7", "/first");
    let metrics = sidecar.settled(1);
    let attempts = metrics.metric("gatecount_delivery_attempts_total").value();
    assert_eq!((plausible.recorded().len(), attempts), (1, 1), "{metrics:?}");
    assert!(
        asked.elapsed() > Duration::from_millis(900),
        "nothing was swallowed"
    );
    // New connections go where the last one went.
    plausible.die();
    plausible.come_back();
    let asked = Instant::now();
    visit(&sidecar, "203.0.113.8", "/second");
    plausible.await_recorded(2);
    let took = asked.elapsed();
    assert!(took < Duration::from_millis(900), "{took:?}");
}

/// Passes connections on.
fn forward(from: SocketAddr, to: String) {
    let listener = TcpListener::bind(from).unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(&to)) else {
                continue;
            };
            let ways = [
                (client.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, client),
            ];
            for (mut from, mut to) in ways {
                std::thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut to);
                    let _ = to.shutdown(Shutdown::Both);
                });
            }
        }
    });
}

/// Takes a few connections, and answers no more: what is held keeps it so.
fn swallowing() -> (Socket, Vec<Socket>) {
    let tcp = || Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let listener = tcp();
    listener
        .bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into())
        .unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    let fill = || {
        let socket = tcp();
        socket.set_nonblocking(true).unwrap();
        // It is under way, for ever.
        let _ = socket.connect(&address);
        socket
    };
    (listener, (0..8).map(|_| fill()).collect())
}

/// R19: in words, and not ten times a second.
#[test]
fn a_name_that_cannot_be_resolved_is_said_in_words() {
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app)
        .set("plausible.url", "http://plausible.invalid")
        .start();
    crowd(&sidecar, 20);
    within(DEADLINE, "/status names the name", || {
        let error = sidecar.status()["delivery"]["last_error"].to_string();
        if error.contains("the name plausible.invalid can't be resolved") {
            Ok(())
        } else {
            Err(error)
        }
    });
    sidecar.await_log("the name plausible.invalid can't be resolved");
    std::thread::sleep(Duration::from_secs(2));
    let log = sidecar.log();
    let lines = log
        .iter()
        .filter(|line| line.contains("plausible.invalid"))
        .count();
    assert!(lines <= 3, "{lines} lines");
    assert!(!log.iter().any(|line| line.contains("uncategorized")), "{log:?}");
}
