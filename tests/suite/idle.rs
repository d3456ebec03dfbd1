//! What it takes while it does little.

use crate::support::{
    client::{Client, Request},
    eventually,
    origin::{self, Origin},
    process::Builder,
    skip,
};

#[test]
fn five_thousand_idle_connections_stay_small() {
    const CONNECTIONS: usize = 5_000;
    let app = Origin::start(origin::pages);
    let sidecar = Builder::before(&app).set("queue.at", "memory").start();
    let alone = sidecar.rss();
    let mut clients = Vec::new();
    for n in 0..CONNECTIONS {
        match Client::try_to(sidecar.address) {
            Ok(client) => clients.push(client),
            Err(e) => return skip(&format!("only {n} connections could be made: {e}; see ulimit -n")),
        }
        let response = clients[n].ask(&Request::get("/"));
        assert_eq!(response.status(), 200);
    }
    eventually("all are open", || {
        let open = sidecar.metrics().metric("gatecount_connections").value();
        if open == CONNECTIONS as u64 {
            Ok(())
        } else {
            Err(format!("{open}"))
        }
    });
    let rss = sidecar.rss();
    println!(
        "started in {:?}; {} KiB alone, {} KiB with {CONNECTIONS} idle connections",
        sidecar.started_in,
        alone >> 10,
        rss >> 10
    );
    assert!(rss < 80 << 20, "{rss} bytes with {CONNECTIONS} idle connections");
    // They are still served.
    for client in clients.iter_mut().step_by(500) {
        assert_eq!(client.ask(&Request::get("/")).status(), 200);
    }
}
