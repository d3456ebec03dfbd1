//! Starts, stops and reloads: readiness turns first, what is in flight finishes, a broken file changes
//! nothing.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::support::{
    client::{self, Client, NAVIGATION, Request},
    eventually,
    origin::{self, Origin},
    process::{Builder, Sidecar},
    receiver::Receiver,
    site, within,
};

#[test]
fn a_stop_turns_readiness_serves_on_and_lets_requests_finish() {
    let (send, manner) = origin::on_command("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n");
    let app = Origin::start(move |visit| match visit.head.target() {
        "/slow" => manner(visit),
        _ => origin::pages(visit),
    });
    let mut sidecar = Builder::before(&app).set("listen.drain", "10s").start();
    let mut slow = sidecar.client();
    slow.send(&Request::get("/slow").bytes());
    assert_eq!(slow.head().status(), 200);
    let mut idle = sidecar.client();
    idle.ask(&Request::get("/"));

    sidecar.signal("TERM");
    eventually("readiness turns", || match sidecar.admin("/readyz").status() {
        503 => Ok(()),
        other => Err(format!("it is {other}")),
    });
    assert_eq!(sidecar.admin("/livez").status(), 200);
    // The listener stays open while the turn is noticed; the answer tells the client to go elsewhere next.
    let late = sidecar.client().ask(&Request::get("/late"));
    assert_eq!(late.status(), 200);
    assert!(
        late.head
            .get("connection")
            .is_some_and(|c| c.eq_ignore_ascii_case("close")),
        "{late:?}"
    );
    idle.until_closed();

    send.send(b"0123456789".to_vec()).unwrap();
    assert_eq!(slow.exactly(10), b"0123456789");
    drop((send, slow));
    assert!(sidecar.wait().success());
    sidecar.await_log("\"stopped\"");
    assert!(Client::try_to(sidecar.address).is_err(), "the port is still open");
}

#[test]
fn a_unix_socket_is_free_for_the_next_process_while_this_one_drains() {
    let (send, manner) = origin::on_command("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
    let app = Origin::start(move |visit| match visit.head.target() {
        "/slow" => manner(visit),
        _ => origin::pages(visit),
    });
    // Gone before the app is: the app waits for it.
    let send = send;
    let builder = Builder::before(&app);
    let socket = builder.directory().join("front.sock");
    let address = format!("unix:{}", socket.display());
    let start = || {
        let builder = Builder::before(&app).set("listen.drain", "8s");
        builder.set("listen.address", address.as_str()).start()
    };
    let ask = |path: &str| {
        let url = format!("http://example.com{path}");
        client::curl(&["--unix-socket", socket.to_str().unwrap(), "--fail", &url])
    };
    let mut first = start();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| ask("/slow"));
        eventually("the app is asked", || match app.seen().len() {
            0 => Err("not yet".into()),
            _ => Ok(()),
        });
        first.signal("TERM");
        eventually("the path is free", || {
            let free = !socket.exists();
            free.then_some(()).ok_or_else(|| "it is there".into())
        });
        let mut second = start();
        assert!(ask("/").status.success());
        send.send(b"ok".to_vec()).unwrap();
        drop(send);
        assert_eq!(slow.join().unwrap().stdout, b"ok");
        assert!(first.wait().success());
        assert!(
            ask("/").status.success(),
            "the first took the second's socket away"
        );
        second.stop();
    });
}

#[test]
fn a_stop_ends_with_the_drain_whatever_hangs() {
    let app = Origin::start(origin::never_answers);
    let mut sidecar = Builder::before(&app).set("listen.drain", "500ms").start();
    let mut client = sidecar.client();
    client.send(&Request::get("/").bytes());
    eventually("the app is asked", || {
        if app.seen().is_empty() {
            Err("not yet".into())
        } else {
            Ok(())
        }
    });
    let begun = Instant::now();
    sidecar.stop();
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(4),
        "a stop with a drain of 500 ms took {took:?}"
    );
}

#[test]
fn a_second_signal_stops_at_once_and_keeps_what_was_accepted() {
    let app = Origin::start(|visit| match visit.head.target() {
        "/hang" => origin::never_answers(visit),
        _ => origin::pages(visit),
    });
    let plausible = Receiver::start();
    plausible.die();
    let mut sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("listen.drain", "60s")
        .start();
    let mut client = sidecar.client();
    client.ask(&Request::get("/page").as_(NAVIGATION).from("203.0.113.7"));
    client.send(&Request::get("/hang").bytes());
    eventually("the app is asked", || {
        if app.seen().len() < 2 {
            Err("not yet".into())
        } else {
            Ok(())
        }
    });
    sidecar.signal("TERM");
    eventually("it is stopping", || match sidecar.admin("/readyz").status() {
        503 => Ok(()),
        other => Err(format!("{other}")),
    });
    let begun = Instant::now();
    sidecar.signal("INT");
    sidecar.wait();
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it took {:?}",
        begun.elapsed()
    );
    plausible.come_back();
    let _again = sidecar.again();
    assert_eq!(
        plausible.await_recorded(1)[0].text("url"),
        "http://example.com/page"
    );
}

#[test]
fn a_hangup_reloads_and_a_broken_file_changes_nothing() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let excluded = |count: u64| {
        visit(&sidecar, "/page/1");
        sidecar.await_metrics("it is decided", |m| {
            m.decisions("excluded") + m.decisions("counted") >= count
        });
        sidecar.metrics().decisions("excluded")
    };
    assert_eq!(excluded(1), 0);

    sidecar.builder().set("pages.exclude", vec!["/page/**"]).write();
    sidecar.signal("HUP");
    let line = sidecar.await_log("configuration reloaded");
    assert!(line.contains("\"changed\":\"pages.exclude\""), "{line}");
    let successful = || {
        sidecar
            .metrics()
            .metric("gatecount_config_last_reload_successful")
            .value()
    };
    assert_eq!(successful(), 1);
    assert_eq!(excluded(2), 1);

    fs::write(sidecar.builder().file(), "[pages]\nexclude = 7\nbanana = true\n").unwrap();
    sidecar.signal("HUP");
    let line = sidecar.await_log("banana");
    assert!(line.contains("ERROR"), "{line}");
    assert!(line.contains("pages.exclude"), "{line}");
    assert_eq!(successful(), 0);
    assert_eq!(excluded(3), 2, "the running configuration did not stay");
    assert_eq!(sidecar.admin("/readyz").status(), 200);
}

/// As a network's file system does when its server is gone: whoever opens the file waits.
#[test]
fn a_file_that_cant_be_read_to_its_end_holds_up_the_reload_alone() {
    let (app, plausible) = (site::start(), Receiver::start());
    let mut sidecar = Builder::before(&app).telling(&plausible).start();
    let file = sidecar.builder().file();
    fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    assert!(made.is_ok_and(|status| status.success()));
    sidecar.signal("HUP");
    for _ in 0..20 {
        visit(&sidecar, "/page/1");
        assert_eq!(sidecar.admin("/livez").status(), 200);
        std::thread::sleep(Duration::from_millis(10));
    }
    plausible.await_recorded(1);
    sidecar.stop();
}

#[test]
fn a_reload_names_what_it_changes() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let reload = |builder: Builder, nth: usize| {
        builder.write();
        sidecar.signal("HUP");
        let lines = eventually("a reload", || {
            let log = sidecar.log().into_iter();
            let lines: Vec<String> = log.filter(|l| l.contains("configuration reloaded")).collect();
            (lines.len() >= nth)
                .then_some(lines)
                .ok_or_else(|| "none yet".into())
        });
        lines[nth - 1].clone()
    };
    let changed = sidecar
        .builder()
        .set("pages.bots", "count")
        .set("client.to_app", "keep");
    let line = reload(changed.clone(), 1);
    assert!(
        line.contains("\"changed\":\"client.to_app, pages.bots\""),
        "{line}"
    );
    let line = reload(changed.clone(), 2);
    assert!(line.contains("\"changed\":\"nothing\""), "{line}");
    let line = reload(changed.set("pages.bots", "skip").set("app.keep_alive", "1s"), 3);
    assert!(line.contains("\"changed\":\"pages.bots\""), "{line}");
    let line = sidecar.await_log("wait for a restart");
    assert!(line.contains("app.keep_alive"), "{line}");
}

#[test]
fn one_line_says_at_the_start_what_it_does() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let line = sidecar.await_log("\"listening\"");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let directory = sidecar.builder().directory().display().to_string();
    for (field, value) in [
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("listen", sidecar.address.to_string()),
        ("admin", sidecar.admin.to_string()),
        ("app", app.url()),
        ("trusted", "loopback, private".to_owned()),
        ("sites", "every host as example.com".to_owned()),
        ("plausible", plausible.url()),
        ("queue", format!("{directory}/queue")),
        ("config", format!("{directory}/gatecount.toml")),
    ] {
        assert_eq!(line[field], value, "{field}");
    }
}

#[test]
fn a_changed_file_is_noticed_without_a_signal() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    sidecar.builder().set("pages.exclude", vec!["/page/**"]).write();
    sidecar.await_log("configuration reloaded");
    visit(&sidecar, "/page/1");
    sidecar.await_metrics("the page is excluded", |m| m.decisions("excluded") == 1);
}

#[test]
fn a_changed_list_of_proxies_is_noticed() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    let builder = Builder::before(&app).telling(&plausible);
    let list = builder.directory().join("proxies");
    fs::write(&list, "# none of ours\n192.0.2.0/24\n").unwrap();
    let sidecar = builder
        .set("client.trusted_proxies", vec![format!("@{}", list.display())])
        .start();
    visit(&sidecar, "/before");
    fs::write(&list, "127.0.0.0/8\n").unwrap();
    sidecar.await_log("configuration reloaded");
    visit(&sidecar, "/after");
    let events = plausible.await_recorded(2);
    let visitors: Vec<String> = events.iter().map(|e| e.visitor().0).collect();
    assert_eq!(visitors, ["127.0.0.1", "203.0.113.7"]);
}

#[test]
fn a_reload_under_load_fails_no_request() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = Builder::before(&app).telling(&plausible).start();
    let steady = crate::support::load::Steady::through(sidecar.address);
    for n in 1..=10 {
        sidecar.signal("HUP");
        within(Duration::from_secs(10), "a reload", || {
            let reloads = sidecar
                .log()
                .iter()
                .filter(|l| l.contains("configuration reloaded"))
                .count();
            if reloads >= n {
                Ok(())
            } else {
                Err(format!("{reloads}"))
            }
        });
        steady.goes_on();
    }
    assert!(steady.finish().requests >= 20);
}

#[test]
fn a_rolling_restart_behind_one_address_is_not_noticed() {
    let app = site::start();
    let builder = Builder::before(&app).set("listen.drain", "60s");
    let mut sidecars: Vec<Sidecar> = (0..2).map(|_| builder.clone().start()).collect();
    // Stands for the balancer: asks readiness, and goes where it is green.
    let (mut asked, mut late) = (0, 0);
    while late < 60 {
        let mut leaving = sidecars.remove(0);
        leaving.signal("TERM");
        let told = loop {
            let probed = Instant::now();
            if leaving.admin("/readyz").status() != 200 {
                break probed;
            }
            site_request(&leaving, &mut asked);
        };
        // A balancer takes a moment to go elsewhere, and is given a second. What it has sent by then is
        // answered, however long that takes.
        let sent: Vec<_> = (asked..asked + 20)
            .map_while(|n| {
                let request = site::request(n);
                let client = Client::try_to(leaving.address).and_then(|mut client| {
                    client.try_send(&request.bytes())?;
                    Ok(client)
                });
                (told.elapsed() < Duration::from_secs(1)).then(|| (request, client.unwrap()))
            })
            .collect();
        late += sent.len();
        asked += sent.len();
        for (request, mut client) in sent {
            site::compare(&request, &client.response_to(request.method())).unwrap();
        }
        for _ in 0..20 {
            site_request(&sidecars[0], &mut asked);
        }
        assert!(leaving.wait().success());
        sidecars.push(builder.clone().start());
    }
}

fn site_request(sidecar: &Sidecar, asked: &mut usize) {
    let request = site::request(*asked);
    site::compare(&request, &sidecar.client().ask(&request)).unwrap();
    *asked += 1;
}

fn visit(sidecar: &Sidecar, path: &str) {
    let request = Request::get(path).as_(NAVIGATION).from("203.0.113.7");
    assert_eq!(sidecar.client().ask(&request).status(), 200);
}
