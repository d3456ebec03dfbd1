//! What the system does not give: somebody who reads the log, descriptors, room in files, memory, `/proc`, a
//! root that can be written.

use std::{
    fs,
    io::{BufRead, BufReader, PipeReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::{
    client::{self, Client, NAVIGATION, Request},
    eventually,
    load::Steady,
    metrics::Metrics,
    process::{BINARY, Builder, Sidecar, free_port, has},
    receiver::Receiver,
    site, skip, within,
};

/// The room of a pipe, in bytes, as Linux makes them.
const PIPE: usize = 64 * 1024;

/// A pipe that takes nothing more, as its reader does not read.
fn full_pipe() -> (PipeReader, Stdio) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&vec![b'\n'; PIPE]).unwrap();
    (reader, writer.into())
}

fn visit(sidecar: &Sidecar, path: &str) {
    let request = Request::get(path).as_(NAVIGATION).from("203.0.113.7");
    assert_eq!(sidecar.client().ask(&request).status(), 200);
}

/// R1.
#[test]
fn a_log_that_nobody_reads_keeps_nobody_waiting() {
    let (app, plausible) = (site::start(), Receiver::start());
    let (reader, errors) = full_pipe();
    let mut sidecar = Builder::before(&app)
        .telling(&plausible)
        .set("log.level", "trace")
        .start_unheard(errors);
    let steady = Steady::through(sidecar.address);
    eventually("lines are dropped", || {
        let mut client = sidecar.client();
        client.send(b"GET / HTTP/1.1\r\nno field\r\n\r\n");
        assert_eq!(client.response().status(), 400);
        for n in 0..20 {
            visit(&sidecar, &format!("/page/{n}"));
        }
        match Metrics::read(sidecar.admin)
            .metric("gatecount_log_lines_dropped_total")
            .value()
        {
            0 => Err("none yet".into()),
            dropped => Ok(dropped),
        }
    });
    visit(&sidecar, "/page/last");
    within(Duration::from_secs(10), "the last event is delivered", || {
        let events = plausible.recorded();
        let last = events.iter().any(|e| e.text("url").ends_with("/page/last"));
        last.then_some(())
            .ok_or_else(|| format!("{} events", events.len()))
    });
    assert_eq!(sidecar.admin("/livez").status(), 200);
    steady.finish();

    // Somebody reads again: the log goes on, and says what is missing.
    let mut lines = BufReader::new(reader).lines().map_while(Result::ok);
    let said = lines.find(|line| line.contains("log lines were dropped"));
    assert!(said.is_some_and(|line| line.contains("\"lines\":")));
    std::thread::spawn(move || lines.count());
    sidecar.stop();
}

/// `SIGPIPE` would end it.
#[test]
fn a_log_whose_reader_has_left_is_no_hindrance() {
    let app = site::start();
    let (reader, errors) = full_pipe();
    drop(reader);
    let mut sidecar = Builder::before(&app).start_unheard(errors);
    visit(&sidecar, "/");
    eventually("lines are counted", || {
        let metrics = Metrics::read(sidecar.admin);
        match metrics.metric("gatecount_log_lines_dropped_total").value() {
            0 => Err("none yet".into()),
            _ => Ok(()),
        }
    });
    sidecar.stop();
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_the_exit() {
    let app = site::start();
    let (_reader, errors) = full_pipe();
    let mut sidecar = Builder::before(&app).start_unheard(errors);
    visit(&sidecar, "/");
    let begun = Instant::now();
    sidecar.stop();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());

    // Nor that of a start that fails.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = Builder::before(&app).set("listen.address", taken.local_addr().unwrap().to_string());
    builder.write();
    let (_reader, errors) = full_pipe();
    let mut child = builder.command().stderr(errors).spawn().unwrap();
    let status = within(Duration::from_secs(10), "it ends", || {
        child.try_wait().unwrap().ok_or_else(|| "it runs".into())
    });
    assert_eq!(status.code(), Some(1));
}

#[test]
fn the_last_lines_of_a_start_that_fails_are_written() {
    let app = site::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let builder = Builder::before(&app).set("listen.address", taken.local_addr().unwrap().to_string());
    builder.write();
    let output = builder.command().output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let log = String::from_utf8(output.stderr).unwrap();
    let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    let message = last["message"].as_str().unwrap();
    assert!(
        message.contains("can't listen on 127.0.0.1:") && message.contains("in use"),
        "{log}"
    );
}

/// Clients that hold connections and ask for nothing: silent ones and some that stop in the middle of a head.
fn hold(sidecar: &Sidecar, count: usize) -> Vec<Client> {
    (0..count)
        .map(|n| {
            let mut client = sidecar.client();
            if n % 2 == 0 {
                // It may be closed already.
                let _ = client.try_send(b"GET / HTTP/1.1\r\nHost: exam");
            }
            client
        })
        .collect()
}

/// R2.
#[test]
fn descriptors_that_run_short_shut_nobody_out() {
    if !has("prlimit") {
        return skip("there is no prlimit");
    }
    let app = site::start();
    for (limits, few) in [("--nofile=1024:1024", true), ("--nofile=1024:20000", false)] {
        let sidecar = Builder::before(&app).under(&["prlimit", limits]).start();
        let said = sidecar.await_log("limit of open files");
        // 20,000 are a few hundred short of what 10,000 clients need.
        let warned = said.contains("clients at once instead of 10000");
        assert_eq!(warned && said.contains("WARN"), few, "{said}");
        let held = hold(&sidecar, 1000);
        for n in 0..50 {
            let begun = Instant::now();
            let request = site::request(n);
            site::compare(&request, &sidecar.client().ask(&request)).unwrap();
            for path in ["/livez", "/readyz"] {
                assert_eq!(sidecar.admin(path).status(), 200, "{limits}");
            }
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "{limits}: {:?}",
                begun.elapsed()
            );
        }
        let metrics = sidecar.metrics();
        assert_eq!(
            metrics.metric("gatecount_accept_errors_total").value(),
            0,
            "{limits}"
        );
        let open = metrics.metric("gatecount_connections").value();
        assert_eq!(open < 1000, few, "{limits}: {open} open");
        drop(held);
    }
}

/// R19: whoever lowers the limit of a running process is told once, and it serves on when the limit is raised
/// again.
#[test]
fn descriptors_that_run_out_all_the_same_are_said_once() {
    if !has("prlimit") {
        return skip("there is no prlimit");
    }
    let app = site::start();
    let sidecar = Builder::before(&app).start();
    let limit = |files: usize| {
        let limits = format!("--nofile={files}:20000");
        let status = Command::new("prlimit")
            .args(["--pid", &sidecar.id().to_string(), &limits])
            .status();
        assert!(status.unwrap().success());
    };
    visit(&sidecar, "/");
    limit(sidecar.descriptors() + 4);
    let held = hold(&sidecar, 50);
    sidecar.await_log("connections can't be accepted");
    // Some twenty more failures, as nobody can be accepted.
    std::thread::sleep(Duration::from_secs(1));
    limit(20_000);
    visit(&sidecar, "/");
    let errors = sidecar.metrics().metric("gatecount_accept_errors_total").value();
    assert!(errors >= 10, "{errors}");
    let log = sidecar.log();
    let lines = log
        .iter()
        .filter(|line| line.contains("can't be accepted"))
        .count();
    assert_eq!(lines, 1, "{log:#?}");
    drop(held);
}

/// Clients that stop before their first request: in a TLS handshake, and behind HTTP/2's preface.
#[test]
fn descriptors_that_run_short_shut_nobody_out_whatever_is_spoken() {
    if !has("prlimit") {
        return skip("there is no prlimit");
    }
    let app = site::start();
    let builder = || Builder::before(&app).under(&["prlimit", "--nofile=1024:1024"]);

    let sidecar = builder().set("listen.http2", true).start();
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let held: Vec<Client> = (0..800)
        .map(|_| {
            let mut client = sidecar.client();
            // It may be closed already.
            let _ = client.try_send(preface);
            client
        })
        .collect();
    for n in 0..20 {
        let begun = Instant::now();
        let request = site::request(n);
        site::compare(&request, &sidecar.client().ask(&request)).unwrap();
        assert_eq!(sidecar.admin("/livez").status(), 200);
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
    drop((held, sidecar));

    let pair = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let builder = builder();
    let file = |name: &str, text: String| {
        let path = builder.directory().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let certificate = file("tls.crt", pair.cert.pem());
    let key = file("tls.key", pair.signing_key.serialize_pem());
    let sidecar = builder
        .clone()
        .set("listen.tls.certificate", certificate)
        .set("listen.tls.key", key)
        .start();
    let held: Vec<Client> = (0..800)
        .map(|_| {
            let mut client = sidecar.client();
            let _ = client.try_send(b"\x16\x03\x01");
            client
        })
        .collect();
    for _ in 0..5 {
        let url = format!("https://{}/page/1", sidecar.address);
        let output = client::curl(&["--insecure", "--max-time", "5", &url]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(sidecar.admin("/livez").status(), 200);
    }
    drop(held);
}

/// An app that answers slowly holds as many connections as clients; those that wait for nothing make room.
#[test]
fn connections_to_the_app_leave_descriptors_for_the_admin_address() {
    if !has("prlimit") {
        return skip("there is no prlimit");
    }
    let app = crate::support::origin::Origin::start(crate::support::origin::never_answers);
    let sidecar = Builder::before(&app)
        .under(&["prlimit", "--nofile=512:512"])
        .start();
    let mut clients: Vec<Client> = (0..600)
        .filter_map(|_| Client::try_to(sidecar.address).ok())
        .collect();
    for client in &mut clients {
        let _ = client.try_send(&Request::get("/").bytes());
    }
    sidecar.await_metrics("the app is busy", |m| {
        m.metric("gatecount_connections").value() >= 100
    });
    for path in ["/livez", "/readyz", "/status", "/metrics"] {
        assert_eq!(sidecar.admin(path).status(), 200, "{path}");
    }
    assert!(sidecar.descriptors() < 512);
    assert_eq!(
        sidecar.metrics().metric("gatecount_accept_errors_total").value(),
        0
    );
}

/// R8.
#[test]
fn a_limit_of_the_files_size_is_a_full_disk() {
    if !has("prlimit") {
        return skip("there is no prlimit");
    }
    let (app, plausible) = (site::start(), Receiver::start());
    plausible.die();
    let mut sidecar = Builder::before(&app)
        .telling(&plausible)
        .under(&["prlimit", "--fsize=300000"])
        .start();
    let steady = Steady::through(sidecar.address);
    let path = format!("/page/{}", "long".repeat(200));
    eventually("the alarm", || {
        for _ in 0..50 {
            visit(&sidecar, &path);
        }
        match sidecar.metrics().metric("gatecount_queue_alarm").value() {
            1 => Ok(()),
            other => Err(format!("it is {other}")),
        }
    });
    steady.goes_on();
    steady.finish();
    assert!(sidecar.runs());
    sidecar.metrics().assert_account();
    sidecar.stop();
}

#[test]
fn memory_that_is_short_is_said_at_the_start() {
    let app = site::start();
    let sidecar = Builder::before(&app).start();
    assert!(sidecar.await_log("memory").contains("\"bound_mib\":"));
    drop(sidecar);
    if !has("prlimit") {
        return skip("there is no prlimit");
    }
    let sidecar = Builder::before(&app)
        .under(&["prlimit", "--as=1000000000"])
        .start();
    let line = sidecar.await_log("ulimit -v");
    assert!(
        line.contains("\"limit_mib\":953") && line.contains("WARN"),
        "{line}"
    );
    visit(&sidecar, "/");
    drop(sidecar);
    let sidecar = Builder::before(&app)
        .under(&["prlimit", "--as=1000000000"])
        .set("listen.max_connections", 100)
        .start();
    sidecar.await_log("memory is bounded");
    assert!(
        !sidecar.log().iter().any(|line| line.contains("ulimit -v")),
        "{:?}",
        sidecar.log()
    );
}

#[test]
fn closed_standard_streams_are_no_hindrance() {
    let (app, plausible) = (site::start(), Receiver::start());
    let mut sidecar = Builder::before(&app)
        .telling(&plausible)
        .under(&["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"])
        .start_unheard_at(free_port(), free_port(), Stdio::null());
    visit(&sidecar, "/");
    plausible.await_recorded(1);
    sidecar.stop();
}

/// Runs the binary with a changed view of the file system.
fn with_mounts(commands: &str) -> Option<[String; 5]> {
    let script = format!("{commands} && exec \"$0\" \"$@\"");
    let probe = Command::new("unshare")
        .args(["-m", "sh", "-c", commands])
        .output();
    let works = probe.is_ok_and(|o| o.status.success());
    works.then(|| ["unshare", "-m", "sh", "-c", &script].map(str::to_owned))
}

#[test]
fn without_proc_a_time_zone_and_a_locale_it_serves() {
    let Some(runner) =
        with_mounts("mount -t tmpfs -o ro none /proc && mount -t tmpfs -o ro none /usr/share/zoneinfo")
    else {
        return skip("file systems can't be mounted here (it needs root)");
    };
    let (app, plausible) = (site::start(), Receiver::start());
    let mut sidecar = Builder::before(&app)
        .telling(&plausible)
        .environment("TZ", "Nowhere/None")
        .environment("LC_ALL", "xx_XX.UTF-8")
        .under(&runner.each_ref().map(String::as_str))
        .start();
    visit(&sidecar, "/");
    plausible.await_recorded(1);
    assert_eq!(client::get(sidecar.admin, "/metrics").status(), 200);
    sidecar.stop();
}

#[test]
fn with_a_root_that_is_read_only_and_no_tmp_it_serves_and_says_so() {
    let (app, plausible) = (site::start(), Receiver::start());
    let builder = Builder::before(&app).telling(&plausible);
    // What the process reads stays; it may write nowhere.
    let directory = builder.directory().to_str().unwrap().to_owned();
    let target = Path::new(crate::support::process::BINARY)
        .parent()
        .unwrap()
        .display()
        .to_string();
    let commands = format!(
        "mount --bind {directory} {directory} && mount --bind {target} {target} && \
         mount -o remount,bind,ro {directory} && mount -o remount,bind,ro {target} && \
         mount -o remount,bind,ro / && ! touch {directory}/x /x /tmp/x /var/x 2>/dev/null"
    );
    let Some(runner) = with_mounts(&commands) else {
        return skip("file systems can't be mounted here (it needs root)");
    };
    let mut sidecar = builder.under(&runner.each_ref().map(String::as_str)).start();
    visit(&sidecar, "/");
    plausible.await_recorded(1);
    sidecar.await_metrics("the alarm", |m| m.metric("gatecount_queue_alarm").value() == 1);
    sidecar.stop();
    assert!(!fs::exists(directory + "/queue").unwrap());
}

/// A process that may start no further thread: the lookups of names need some. They fail and are said, and
/// work again once it may.
#[test]
fn a_limit_of_threads_fails_lookups_in_words_and_nothing_else() {
    const USER: u32 = 54_321;
    let (app, plausible) = (site::start(), Receiver::start());
    let by_name = |url: &str| url.replace("127.0.0.1", "localhost");
    let builder = Builder::before_url(&by_name(&app.url()))
        .telling(&plausible)
        .set("plausible.url", by_name(&plausible.url()))
        .set("plausible.retry_max", "500ms");
    // A limit of threads holds for others than root.
    let user = format!("--reuid={USER}");
    let others = ["setpriv", &user, "--clear-groups"];
    let may = std::os::unix::fs::chown(builder.directory(), Some(USER), None).is_ok()
        && Command::new(others[0])
            .args(&others[1..])
            .args([BINARY, "--version"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !may || !has("prlimit") {
        return skip("another user can't run the binary here");
    }
    let mut sidecar = builder.under(&others).start();
    let allow = |sidecar: &Sidecar, threads: usize| {
        let limited = Command::new(others[0])
            .args(&others[1..])
            .arg("prlimit")
            .args([format!("--pid={}", sidecar.id()), format!("--nproc={threads}:")])
            .status();
        assert!(limited.unwrap().success());
    };
    allow(&sidecar, sidecar.threads());
    let request = Request::get("/page/1").as_(NAVIGATION).from("203.0.113.7");
    assert_eq!(sidecar.client().ask(&request).status(), 502);
    let line = sidecar.await_log("can't be resolved");
    assert!(line.contains("raise the limit of threads"), "{line}");

    // One thread is enough for the app's name, and for Plausible's after it.
    allow(&sidecar, 1000);
    visit(&sidecar, "/page/1");
    plausible.await_recorded(1);
    allow(&sidecar, sidecar.threads());
    for n in 2..20 {
        visit(&sidecar, &format!("/page/{n}"));
    }
    plausible.await_recorded(19);
    let log = sidecar.log();
    assert!(!log.iter().any(|line| line.contains("panic")), "{log:#?}");
    sidecar.stop();
}
