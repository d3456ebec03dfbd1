//! `gatecount … -- COMMAND`: the app gets a port, time to listen, signals, and a drain before them; its exit
//! status is gatecount's.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use crate::support::{
    client::{Client, NAVIGATION, Request},
    eventually,
    process::{Builder, Sidecar, free_port, has, run},
    receiver::Receiver,
    skip,
};

/// Listens on `PORT` after a while, and ends by itself should a test forget it.
const APP: &str = r#"
const http = require("http");
const say = (text) => process.stdout.write(text + "\n");
setTimeout(() => process.exit(99), 120000);
setTimeout(() => http.createServer((request, response) => {
    if (request.url === "/slow") {
        say("app has the slow one");
        setTimeout(() => response.end("slow"), 1000);
    } else if (request.url === "/exit") {
        response.end("bye");
        setTimeout(() => process.exit(7), 50);
    } else {
        response.setHeader("content-type", "text/html");
        response.end(JSON.stringify({ port: process.env.PORT, manager: process.env.NOTIFY_SOCKET || "none" }));
    }
}).listen(process.env.PORT, "localhost"), Number(process.env.DELAY || 0));
process.on("SIGUSR2", () => say("app got USR2"));
process.on("SIGHUP", () => say("app got HUP"));
process.on("SIGTERM", () => { say("app got TERM"); setTimeout(() => process.exit(5), 50); });
"#;

fn app(builder: &Builder) -> PathBuf {
    let file = builder.directory().join("app.js");
    fs::write(&file, APP).unwrap();
    file
}

/// Before an app of Node's, which listens after so many milliseconds.
fn node(delay: u32) -> Option<Builder> {
    if !has("node") {
        skip("Node.js is not installed");
        return None;
    }
    let builder = Builder::starting(&["sh", "-c", "exec node \"$APP\""]);
    let file = app(&builder);
    Some(
        builder
            .environment("APP", file.to_str().unwrap())
            .environment("DELAY", &delay.to_string())
            .environment("NOTIFY_SOCKET", "/nonexistent/notify")
            .set("app.connect_timeout", "20s"),
    )
}

fn status(sidecar: &mut Sidecar) -> Option<i32> {
    sidecar.wait().code()
}

#[test]
fn requests_wait_for_the_app_and_its_exit_status_is_ours() {
    let Some(builder) = node(700) else { return };
    let plausible = Receiver::start();
    let mut sidecar = builder.telling(&plausible).start();
    let mut client = sidecar.client();
    let page = client.ask(&Request::get("/").as_(NAVIGATION).from("203.0.113.7"));
    assert_eq!(page.status(), 200);
    let told = page.json();
    assert_eq!(
        told["manager"], "none",
        "the app is told what is gatecount's alone"
    );
    let port: u16 = told["port"].as_str().unwrap().parse().unwrap();
    assert_ne!(port, sidecar.address.port());
    plausible.await_recorded(1);

    assert_eq!(client.ask(&Request::get("/exit")).text(), "bye");
    assert_eq!(status(&mut sidecar), Some(7));
    sidecar.await_log("the app has ended");
}

#[test]
fn the_app_gets_the_signal_after_the_drain_and_what_is_in_flight_is_answered() {
    let Some(builder) = node(0) else { return };
    let mut sidecar = builder.start();
    sidecar.client().ask(&Request::get("/"));
    let mut slow = sidecar.client();
    slow.send(&Request::get("/slow").bytes());
    sidecar.await_log("app has the slow one");
    sidecar.signal("TERM");
    // The app lives on, and so does what asks it.
    assert_eq!(sidecar.client().ask(&Request::get("/late")).status(), 200);
    assert_eq!(slow.response().text(), "slow");
    assert_eq!(status(&mut sidecar), Some(5));
    let log = sidecar.log();
    let at = |text: &str| log.iter().position(|line| line.contains(text)).unwrap();
    assert!(at("\"stopping\"") < at("app got TERM"), "{log:#?}");
}

#[test]
fn other_signals_are_passed_on_as_they_come() {
    let Some(builder) = node(0) else { return };
    let mut sidecar = builder.start();
    sidecar.client().ask(&Request::get("/"));
    sidecar.signal("USR2");
    sidecar.await_log("app got USR2");
    sidecar.signal("HUP");
    sidecar.await_log("app got HUP");
    sidecar.await_log("configuration reloaded");
    sidecar.signal("TERM");
    assert_eq!(status(&mut sidecar), Some(5));
}

#[test]
fn an_app_that_does_not_listen_is_502_and_one_that_a_signal_ends_is_128_and_its_number() {
    let mut sidecar = Builder::starting(&["sleep", "60"])
        .set("app.connect_timeout", "300ms")
        .start();
    let begun = Instant::now();
    assert_eq!(sidecar.client().ask(&Request::get("/")).status(), 502);
    assert!(begun.elapsed() >= Duration::from_millis(200), "it did not wait");
    sidecar.signal("TERM");
    assert_eq!(status(&mut sidecar), Some(128 + 15));

    let mut sidecar = Builder::starting(&["sh", "-c", "kill -9 $$"]).start_anyhow();
    assert_eq!(status(&mut sidecar), Some(128 + 9));
}

#[test]
fn nothing_that_the_app_has_started_is_left_behind() {
    // One that is orphaned and ends, one that does not end by itself.
    let script = "(sleep 0.1 &) ; sleep 300 & echo left behind: $! ; trap '' TERM ; wait; sleep 300";
    let mut sidecar = Builder::starting(&["sh", "-c", script])
        .set("listen.drain", "200ms")
        .start();
    let line = sidecar.await_log("left behind: ");
    let left: u32 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let gatecount = sidecar.id();
    eventually("the orphan is reaped", || {
        let zombies: Vec<String> = children_of(gatecount)
            .into_iter()
            .filter(|line| line.contains(") Z "))
            .collect();
        let orphan_ended = children_of(gatecount).len() == 1;
        if zombies.is_empty() && orphan_ended {
            Ok(())
        } else {
            Err(format!("{zombies:?}"))
        }
    });
    let begun = Instant::now();
    sidecar.signal("TERM");
    assert_eq!(status(&mut sidecar), Some(128 + 9), "it takes no notice of TERM");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(
        !PathBuf::from(format!("/proc/{left}")).exists(),
        "{left} still runs"
    );
}

#[test]
fn a_second_signal_does_not_wait_for_an_app_that_ignores_the_first() {
    let script = "trap '' TERM; echo the app ignores it; sleep 60";
    let mut sidecar = Builder::starting(&["sh", "-c", script])
        .set("listen.drain", "60s")
        .start();
    sidecar.await_log("the app ignores it");
    sidecar.signal("TERM");
    sidecar.await_log("\"stopping\"");
    // It may come within the drain, or while the app has its time.
    let begun = Instant::now();
    sidecar.signal("TERM");
    assert_eq!(status(&mut sidecar), Some(128 + 9));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// Signals have no default meaning for the first process of a container, and orphans are its own.
#[test]
fn it_can_be_the_first_process_of_a_container() {
    let alone = ["unshare", "--pid", "--fork", "--mount-proc"];
    let works = Command::new(alone[0]).args(&alone[1..]).arg("true").output();
    if !works.is_ok_and(|output| output.status.success()) {
        return skip("no process namespace can be made here");
    }
    let script = "(sleep 0.1 &); sleep 1; echo zombies: $(cat /proc/[0-9]*/stat | grep -c ') Z '); kill $PPID; sleep 60";
    let mut sidecar = Builder::starting(&["sh", "-c", script])
        .set("listen.drain", "1s")
        .under(&alone)
        .start_anyhow();
    assert_eq!(status(&mut sidecar), Some(128 + 15));
    sidecar.await_log("zombies: 0");
}

/// The `stat` lines of a process's children.
fn children_of(parent: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes
        .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| {
            let behind = stat.rsplit(") ").next().unwrap_or_default();
            behind.split(' ').nth(1) == Some(parent.to_string().as_str())
        })
        .collect()
}

/// As hosts do that run one container and say by `PORT` where they send visitors.
#[test]
fn a_port_of_the_platform_is_where_gatecount_listens() {
    let port = free_port().port();
    let sidecar = Builder::starting(&["sh", "-c", "echo the app has $PORT; sleep 60"])
        .without("listen", "address")
        .environment("PORT", &port.to_string());
    let mut sidecar = sidecar.start();
    assert_eq!(sidecar.address.port(), port);
    let line = sidecar.await_log("the app has ");
    assert!(!line.ends_with(&format!(" {port}")), "{line}");
    sidecar.signal("TERM");
    sidecar.wait();
}

#[test]
fn a_python_app_at_an_address_of_its_own_is_started_and_stopped() {
    if !has("python3") {
        return skip("Python is not installed");
    }
    let address = free_port();
    let serve = "exec python3 -m http.server --bind 127.0.0.1 \"$PORT\"";
    let sidecar = Builder::starting(&["sh", "-c", serve])
        .set("app.connect_timeout", "20s")
        .flag("--app", &format!("http://{address}"));
    let mut sidecar = sidecar.start();
    assert_eq!(sidecar.client().ask(&Request::get("/")).status(), 200);
    assert!(
        Client::try_to(address).is_ok(),
        "the app has another port than --app says"
    );
    sidecar.signal("INT");
    assert_eq!(status(&mut sidecar), Some(0));
    sidecar.await_log("Keyboard interrupt received");
}

#[test]
fn npm_start_is_stopped_with_all_that_it_has_started() {
    if !has("npm") {
        return skip("npm is not installed");
    }
    let builder = Builder::starting(&["sh", "-c", "cd \"$DIRECTORY\" && exec npm start"]);
    app(&builder);
    let package = r#"{"name": "app", "version": "1.0.0", "scripts": {"start": "node app.js"}}"#;
    fs::write(builder.directory().join("package.json"), package).unwrap();
    let directory = builder.directory().to_str().unwrap().to_owned();
    let mut sidecar = builder
        .environment("DIRECTORY", &directory)
        .set("app.connect_timeout", "30s")
        .start();
    assert_eq!(sidecar.client().ask(&Request::get("/")).status(), 200);
    sidecar.signal("TERM");
    sidecar.wait();
    sidecar.await_log("app got TERM");
    assert!(children_of(sidecar.id()).is_empty());
}

#[test]
fn a_program_that_is_not_there_is_told() {
    let mut sidecar = Builder::starting(&["no-such-program"]).start_anyhow();
    assert_eq!(status(&mut sidecar), Some(1));
    sidecar.await_log("can't start no-such-program");
    let output = run(&["check", "--app", "http://a", "--domain", "b", "--", "npm"], "");
    assert_eq!(output.status.code(), Some(2), "check starts no app");
}
