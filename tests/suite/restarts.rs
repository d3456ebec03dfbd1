//! Restarts under load that nobody announces: behind nginx with kept connections, and nobody asks `/readyz`.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::support::{
    client::{Client, FETCH, Request},
    eventually, full,
    nginx::{self, Nginx},
    origin::{self, Origin},
    process::{Builder, Sidecar, free_port},
    skip,
};

/// Clients that never pause, each over one connection.
struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    failures: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn through(address: SocketAddr, clients: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let failures = Arc::new(Mutex::new(Vec::new()));
        let clients = (0..clients)
            .map(|n| {
                let (stop, answered, failures) = (stop.clone(), answered.clone(), failures.clone());
                thread::spawn(move || {
                    let mut client = Client::to(address);
                    for request in (0..).take_while(|_| !stop.load(Ordering::SeqCst)) {
                        // Every other one is a POST, which nginx sends to nobody else once it was sent.
                        let ask = match request % 2 {
                            0 => Request::get(&format!("/{n}/{request}")).as_(FETCH),
                            _ => Request::post(&format!("/{n}/{request}"), b"a=b"),
                        };
                        match client.try_ask(&ask) {
                            Ok(response) if response.status() == 200 => {}
                            Ok(response) => failures.lock().unwrap().push(format!("{response:?}")),
                            Err(error) => {
                                failures.lock().unwrap().push(error.to_string());
                                client = Client::to(address);
                            }
                        }
                        answered.fetch_add(1, Ordering::SeqCst);
                        if request % 50 == 49 {
                            // So that connections behind nginx are idle now and then.
                            thread::sleep(Duration::from_millis(5));
                        }
                    }
                })
            })
            .collect();
        Load {
            stop,
            answered,
            failures,
            clients,
        }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::SeqCst)
    }

    /// Waits for so many more answers.
    fn goes_on(&self, more: usize) {
        let enough = self.answered() + more;
        eventually("the load goes on", || match self.answered() {
            answered if answered >= enough => Ok(()),
            answered => Err(format!("{answered} of {enough}")),
        });
    }

    fn finish(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.join().unwrap();
        }
        let failures = self.failures.lock().unwrap().clone();
        (self.answered.load(Ordering::SeqCst), failures)
    }
}

/// R5.
#[test]
fn restarts_behind_nginx_that_nobody_announces_cost_no_request() {
    restart_under_load(32);
}

#[test]
fn restarts_behind_an_nginx_that_keeps_no_connection_cost_no_request() {
    restart_under_load(0);
}

fn restart_under_load(kept: usize) {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let app = Origin::start(origin::pages).forgetful();
    let addresses = [free_port(), free_port()];
    let start = |address| {
        Builder::before(&app)
            .set("queue.at", "memory")
            .start_unheard_at(address, free_port(), Stdio::null())
    };
    let mut sidecars: Vec<Sidecar> = addresses.iter().map(|address| start(*address)).collect();
    let nginx = Nginx::balancing(&addresses, kept);
    let load = Load::through(nginx.address, 8);
    let restarts = if full() { 20 } else { 6 };
    for n in 0..restarts {
        load.goes_on(200);
        let leaving = n % 2;
        sidecars[leaving].stop();
        let address = addresses[leaving];
        load.goes_on(20);
        sidecars[leaving] = start(address);
    }
    load.goes_on(200);
    let (answered, failures) = load.finish();
    println!(
        "{restarts} restarts, {answered} requests, {} failed",
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{} of {answered}: {failures:#?}",
        failures.len()
    );
}

/// A connection that is made as the listener closes is served, and so is one whose request comes late.
#[test]
fn a_connection_of_the_last_moment_is_served() {
    let app = Origin::start(origin::pages);
    let mut sidecar = Builder::before(&app).set("listen.drain", "10s").start();
    let mut kept = sidecar.client();
    kept.ask(&Request::get("/"));
    let address = sidecar.address;
    sidecar.signal("TERM");
    let connecting = thread::spawn(move || {
        let mut served = 0;
        // Until the port is closed; each sends its request a moment after it is connected.
        while let Ok(mut client) = Client::try_to(address) {
            thread::sleep(Duration::from_millis(20));
            let response = client.try_ask(&Request::post("/late", b"a=b"));
            assert_eq!(response.expect("an answer").status(), 200);
            served += 1;
        }
        served
    });
    assert!(connecting.join().unwrap() > 5);
    assert!(sidecar.wait().success());
    kept.until_closed();
}
