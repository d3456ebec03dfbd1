//! Under systemd: what it is told, the sockets that it passes on, and the units in `deploy/systemd`.

use std::{
    fs,
    net::TcpListener,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use crate::support::{
    DEADLINE,
    client::{Client, Request},
    full,
    load::Steady,
    process::{BINARY, Builder, free_port, has},
    receiver::Receiver,
    site, skip,
};

fn units() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/systemd")
}

#[test]
fn systemd_is_told_of_start_reload_and_stop() {
    let (app, plausible) = (site::start(), Receiver::start());
    let builder = Builder::before(&app).telling(&plausible);
    let path = builder.directory().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(DEADLINE)).unwrap();
    let next = || {
        let mut buffer = [0; 512];
        let length = manager.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    // A changed file is noticed without a signal too, and that is told of once more.
    let until = |start: &str| loop {
        let message = next();
        if message.starts_with(start) {
            return message;
        }
    };
    let mut sidecar = builder
        .environment("NOTIFY_SOCKET", path.to_str().unwrap())
        .start();
    assert_eq!(next(), "READY=1\nSTATUS=Serving");

    sidecar.signal("HUP");
    assert!(next().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(next(), "READY=1\nSTATUS=Serving");
    fs::write(sidecar.builder().file(), "[pages]\nbanana = true\n").unwrap();
    sidecar.signal("HUP");
    until("RELOADING=1");
    until("READY=1\nSTATUS=Serving by the configuration before");

    sidecar.stop();
    let stopping = until("STOPPING=1");
    // 5 s of drain, and the last writes.
    let micros = stopping
        .strip_prefix("STOPPING=1\nSTATUS=Stopping\nEXTEND_TIMEOUT_USEC=")
        .unwrap();
    assert!(micros.parse::<u64>().unwrap() >= 5_000_000, "{stopping}");
}

#[test]
fn no_connection_is_lost_at_a_restart_with_a_passed_socket() {
    let (app, plausible) = (site::start(), Receiver::start());
    let socket = Arc::new(TcpListener::bind("127.0.0.1:0").unwrap());
    let address = socket.local_addr().unwrap();
    let mut sidecar = Builder::before(&app)
        .telling(&plausible)
        .on_socket(&socket)
        .start();
    assert_eq!(sidecar.address, address, "it listens elsewhere");
    let loads: Vec<Steady> = (0..3)
        .map(|_| Steady::over_fresh(move || Client::try_to(address)))
        .collect();
    for _ in 0..if full() { 20 } else { 5 } {
        loads.iter().for_each(Steady::goes_on);
        sidecar.stop();
        // Nobody accepts now; whoever connects waits in the socket's queue.
        let waiting = Client::try_to(address);
        assert!(waiting.is_ok(), "the port is closed: {:?}", waiting.err());
        sidecar = sidecar.again();
    }
    loads.iter().for_each(Steady::goes_on);
    for load in loads {
        assert!(load.finish().requests > 20);
    }
    sidecar.stop();
}

/// systemd's own program passes the socket.
#[test]
fn systemds_own_socket_activation_is_understood() {
    if !has("systemd-socket-activate") {
        return skip("systemd is not installed");
    }
    let app = site::start();
    let address = free_port();
    let listen = format!("--listen={address}");
    let builder = Builder::before(&app).under(&["systemd-socket-activate", &listen]);
    // It starts gatecount when somebody connects.
    let first = thread::spawn(move || {
        let mut client = crate::support::eventually("the socket is there", || {
            Client::try_to(address).map_err(|error| error.to_string())
        });
        client.ask(&Request::get("/page/1")).status()
    });
    let mut sidecar = builder.start();
    assert_eq!(sidecar.address, address);
    assert_eq!(first.join().unwrap(), 200);
    sidecar.stop();
}

#[test]
fn the_units_are_valid_and_hardened() {
    if !has("systemd-analyze") {
        return skip("systemd is not installed");
    }
    let directory = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        let text = fs::read_to_string(units().join(name)).unwrap();
        let file = directory.path().join(name);
        fs::write(&file, text.replace("/usr/bin/gatecount", BINARY)).unwrap();
        file
    };
    let (service, socket) = (copy("gatecount.service"), copy("gatecount.socket"));
    let drop_ins = directory.path().join("gatecount.service.d");
    fs::create_dir(&drop_ins).unwrap();
    fs::copy(units().join("tls.conf"), drop_ins.join("tls.conf")).unwrap();
    let verified = Command::new("systemd-analyze")
        .arg("verify")
        .args([&service, &socket])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr).into_owned();
    // It also speaks of other units of this machine.
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("gatecount")).collect();
    assert!(verified.status.success() && ours.is_empty(), "{said}");

    // Tenths of systemd's measure, from 0 to 100: what the service could do if it were taken over.
    let judged = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=15", "--no-pager"])
        .arg(&service)
        .output()
        .unwrap();
    assert!(
        judged.status.success(),
        "{}",
        String::from_utf8_lossy(&judged.stdout)
    );
}

/// Long enough for the drain of the default configuration.
#[test]
fn the_unit_lets_a_drain_end() {
    let unit = fs::read_to_string(units().join("gatecount.service")).unwrap();
    let stop = unit
        .lines()
        .find_map(|line| line.strip_prefix("TimeoutStopSec="))
        .unwrap();
    let keys = fs::read_to_string(units().join("../config/full.toml")).unwrap();
    let drain = keys
        .lines()
        .find_map(|line| line.strip_prefix("drain = \""))
        .unwrap();
    let drain: u64 = drain.split('s').next().unwrap().parse().unwrap();
    assert!(Duration::from_secs(stop.parse().unwrap()) > Duration::from_secs(drain + 5));
}
