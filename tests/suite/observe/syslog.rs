//! Log lines as syslog, over UDP and over a Unix datagram socket; from a real nginx too.

use std::{
    net::{SocketAddr, UdpSocket},
    os::unix::net::UnixDatagram,
    path::PathBuf,
};

use super::{assert_each_once, await_lines, line};
use crate::support::{
    client::{Client, IMAGE, NAVIGATION, Request},
    nginx::{self, Nginx},
    origin::Origin,
    process::{Builder, Sidecar, free_port},
    receiver::Receiver,
    site, skip,
};

fn port_of(sidecar: &Sidecar) -> SocketAddr {
    let status = sidecar.status();
    let log = status["observe"]["log"].as_str().unwrap().to_owned();
    log.strip_prefix("udp:").unwrap().parse().unwrap()
}

#[test]
fn udp_takes_both_forms_of_syslog_and_bare_lines() {
    let plausible = Receiver::start();
    let sidecar = Builder::aside()
        .telling(&plausible)
        .set("observe.log", "udp:127.0.0.1:0")
        .start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(port_of(&sidecar)).unwrap();
    for (number, header) in [
        "<190>Nov 26 10:00:00 web nginx: ",
        "<190>Nov 26 10:00:00 nginx: ",
        "<165>1 2026-11-26T10:00:00.000Z web nginx 12 - - ",
        "<165>1 - - - - - [a b=\"c]\"] \u{feff}",
        "",
    ]
    .into_iter()
    .enumerate()
    {
        socket
            .send(format!("{header}{}", line(number).trim_end()).as_bytes())
            .unwrap();
    }
    // Several lines in one.
    socket.send([line(5), line(6)].concat().as_bytes()).unwrap();
    socket.send(b"<190>Nov 26 10:00:00 web nginx: rubbish").unwrap();
    socket.send(b"\xff\x00\xfe").unwrap();
    socket.send(b"").unwrap();
    await_lines(&sidecar, "malformed", 3);
    assert_each_once(&sidecar, &plausible, 0..7);
}

#[test]
fn lines_from_addresses_that_are_not_trusted_are_refused() {
    let plausible = Receiver::start();
    let sidecar = Builder::aside()
        .telling(&plausible)
        .set("observe.log", "udp:127.0.0.1:0")
        .set("client.trusted_proxies", vec!["127.0.0.7"])
        .start();
    let at = port_of(&sidecar);
    let send = |from: &str, number| {
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.send_to(line(number).as_bytes(), at).unwrap();
    };
    send("127.0.0.1", 1);
    await_lines(&sidecar, "untrusted", 1);
    send("127.0.0.7", 0);
    assert_each_once(&sidecar, &plausible, 0..1);
}

#[test]
fn a_unix_socket_is_made_replaced_and_removed() {
    let plausible = Receiver::start();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.sock");
    let builder = Builder::aside()
        .telling(&plausible)
        .set("observe.log", format!("unixgram:{}", path.display()));
    let mut sidecar = builder.start();
    let socket = UnixDatagram::unbound().unwrap();
    socket.send_to(line(0).as_bytes(), &path).unwrap();
    plausible.await_recorded(1);
    sidecar.drained();
    // A kill leaves the socket behind.
    sidecar.kill();
    assert!(path.exists());
    let mut sidecar = sidecar.again();
    socket.send_to(line(1).as_bytes(), &path).unwrap();
    assert_each_once(&sidecar, &plausible, 0..2);
    sidecar.stop();
    assert!(!path.exists());
}

/// Pages through nginx, which logs to `at`: those and no others are counted.
fn visit(plausible: &Receiver, sidecar: &Sidecar, replaced: &[(&str, String)]) {
    let app: Origin = site::start();
    let mut all = vec![("http://127.0.0.1:3000", app.url())];
    all.extend(replaced.iter().cloned());
    let nginx = Nginx::deployed_as("access_log.conf", &all);
    let mut client = Client::to(nginx.address);
    for n in 0..30 {
        let page = Request::get(&format!("/page/{n}"))
            .as_(NAVIGATION)
            .with("Referer", "https://a.example/\"quoted\"\\")
            .from(&super::visitor(n));
        assert_eq!(client.ask(&page).status(), 200);
        let image = Request::get("/logo.png").as_(IMAGE).from(&super::visitor(n));
        client.ask(&image);
        // A Unix socket has room for ten lines on some systems.
        await_lines(sidecar, "decided", 2 * (n as u64 + 1));
    }
    assert_each_once(sidecar, plausible, 0..30);
    let event = &plausible.recorded()[0];
    assert!(
        event.text("url").starts_with("http://example.com/page/"),
        "{event:?}"
    );
    assert!(
        event.text("referrer").starts_with("https://a.example/"),
        "{event:?}"
    );
    assert!(event.visitor().0.starts_with("203."), "{event:?}");
    assert_eq!(super::lines(&sidecar.metrics(), "malformed"), 0);
}

#[test]
fn nginxs_log_comes_by_udp() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let plausible = Receiver::start();
    let at = free_port();
    let sidecar = Builder::aside()
        .telling(&plausible)
        .set("observe.log", format!("udp:{at}"))
        .start();
    visit(
        &plausible,
        &sidecar,
        &[(
            "server=127.0.0.1:5514,nohostname",
            format!("server={at},nohostname"),
        )],
    );
}

#[test]
fn nginxs_log_comes_by_a_unix_socket() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let plausible = Receiver::start();
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("log.sock");
    let sidecar = Builder::aside()
        .telling(&plausible)
        .set("observe.log", format!("unixgram:{}", path.display()))
        .start();
    let server = format!("server=unix:{},nohostname", path.display());
    visit(
        &plausible,
        &sidecar,
        &[("server=127.0.0.1:5514,nohostname", server)],
    );
}

/// nginx's own file, rotated under it, with gatecount stopped and started and Plausible down: nothing is lost.
#[test]
fn nginxs_file_loses_no_line() {
    if !nginx::installed() {
        return skip("nginx is not installed");
    }
    let (app, plausible): (Origin, Receiver) = (site::start(), Receiver::start());
    plausible.die();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gatecount.log");
    let nginx = Nginx::deployed_as(
        "access_log.conf",
        &[
            ("http://127.0.0.1:3000", app.url()),
            (
                "access_log syslog:server=127.0.0.1:5514,nohostname,tag=nginx gatecount;",
                format!("access_log {} gatecount;", path.display()),
            ),
        ],
    );
    let visit = |numbers: std::ops::Range<usize>| {
        let mut client = Client::to(nginx.address);
        for n in numbers {
            let page = Request::get(&format!("/page/{n}"))
                .as_(NAVIGATION)
                .from(&super::visitor(n));
            assert_eq!(client.ask(&page).status(), 200);
        }
    };
    let rotate = |name: &str| {
        std::fs::rename(&path, directory.path().join(name)).unwrap();
        nginx.reopen();
    };
    let mut sidecar = Builder::aside()
        .telling(&plausible)
        .set("observe.log", format!("file:{}", path.display()))
        .start();
    visit(0..20);
    await_lines(&sidecar, "decided", 20);
    rotate("gatecount.log.3");
    visit(20..40);
    sidecar.stop();
    visit(40..60);
    rotate("gatecount.log.2");
    visit(60..80);
    let mut sidecar = sidecar.again();
    visit(80..100);
    sidecar.kill();
    rotate("gatecount.log.1");
    visit(100..120);
    let sidecar = sidecar.again();
    plausible.come_back();
    assert_each_once(&sidecar, &plausible, 0..120);
}
