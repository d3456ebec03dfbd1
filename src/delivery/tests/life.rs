//! Starts, stops, and panics.

use super::{
    account::EventEnd,
    server::{Reply, Server},
    *,
};

fn on_disk(directory: &std::path::Path) -> queue::Settings {
    queue::Settings {
        at: At::Disk(directory.to_owned()),
        ..in_memory()
    }
}

fn nobody() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn a_stop_leaves_what_is_pending_to_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut rig = Rig::with_queue(settings(nobody()), on_disk(directory.path()));
    for visitor in 0..50 {
        rig.offer(visitor, "/a");
    }
    let begun = Instant::now();
    assert_eq!(rig.stop(), Stopped { pending: 50 });
    assert!(
        begun.elapsed() < Duration::from_secs(3),
        "a stop took {:?}",
        begun.elapsed()
    );

    let server = Server::start(|_, _| Reply::accepted());
    let rig = Rig::with_queue(settings(server.address), on_disk(directory.path()));
    rig.wait_for("the recovered events", |rig| {
        rig.finished(EventEnd::Delivered) == 50
    });
    assert_eq!(rig.balance().offered, [50, 0, 0, 0, 0, 0]);
    assert_eq!(rig.stop(), Stopped { pending: 0 });
    assert_eq!(server.seen().len(), 50);

    let rig = Rig::with_queue(settings(server.address), on_disk(directory.path()));
    rig.wait_for("the start", |rig| {
        rig.delivery.status().delivery.state == DeliveryState::Passing
    });
    assert_eq!(
        rig.balance().offered,
        [0; 6],
        "what was delivered is not recovered"
    );
}

#[test]
fn a_stop_waits_for_what_is_in_flight() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::accepted().after(200));
    let mut rig = Rig::with_queue(settings(server.address), on_disk(directory.path()));
    rig.offer(1, "/a");
    rig.wait_for("the request", |_| server.seen().len() == 1);
    assert_eq!(rig.stop(), Stopped { pending: 0 });
}

#[test]
fn the_last_offers_before_a_stop_are_sent_while_there_is_time() {
    let server = Server::start(|_, _| Reply::accepted());
    let mut rig = Rig::new(settings(server.address));
    for visitor in 0..100 {
        rig.offer(visitor, "/a");
    }
    assert_eq!(rig.stop(), Stopped { pending: 0 });
    assert_eq!(server.seen().len(), 100);
}

#[test]
fn a_silent_server_holds_up_no_stop() {
    let server = Server::start(|_, _| Reply::accepted().after(60_000));
    let mut settings = settings(server.address);
    settings.timeout = Duration::from_mins(1);
    let mut rig = Rig::new(settings);
    rig.offer(1, "/a");
    rig.wait_for("the request", |_| server.seen().len() == 1);
    let begun = Instant::now();
    assert_eq!(rig.stop(), Stopped { pending: 1 });
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "a stop took {:?}",
        begun.elapsed()
    );
}

#[test]
fn a_panic_of_the_thread_starts_it_afresh_and_loses_nothing_that_was_stored() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(|number, _| match number {
        0..20 => Reply::status(503, &["Retry-After: 1"]),
        _ => Reply::accepted(),
    });
    let mut rig = Rig::with_queue(settings(server.address), on_disk(directory.path()));
    for visitor in 0..20 {
        rig.offer(visitor, "/a");
    }
    rig.wait_for("a failure", |rig| rig.attempts("server_error") > 0);
    rig.delivery.engine.commands.send(Command::Panic).unwrap();
    rig.wait_for("the panic", |rig| {
        rig.delivery.status().delivery.state == DeliveryState::Restarting
    });
    rig.offer(1, "/b");
    rig.settle();
    assert_eq!(rig.finished(EventEnd::Delivered), 21);
    assert_eq!(
        rig.balance().offered,
        [21, 0, 0, 0, 0, 0],
        "what was recovered is not offered again"
    );
    rig.delivery.engine.commands.send(Command::Panic).unwrap();
    assert_eq!(rig.stop(), Stopped { pending: 0 });
}

#[test]
fn an_alarm_does_not_outlive_what_it_tells_of_by_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("queue");
    std::fs::write(&path, "no directory").unwrap();
    let rig = Rig::with_queue(settings(nobody()), on_disk(&path));
    rig.wait_for("the alarm", |rig| rig.delivery.status().queue.alarm.is_some());
    std::fs::remove_file(&path).unwrap();
    rig.delivery.engine.commands.send(Command::Panic).unwrap();
    rig.wait_for("the alarm's end", |rig| {
        rig.delivery.status().queue.alarm.is_none()
    });
    assert_eq!(rig.stop(), Stopped { pending: 0 });
}

#[test]
fn what_a_panic_loses_is_counted() {
    let mut rig = Rig::new(settings(nobody()));
    for visitor in 0..20 {
        rig.offer(visitor, "/a");
    }
    rig.wait_for("a failure", |rig| rig.attempts("connect") > 0);
    rig.delivery.engine.commands.send(Command::Panic).unwrap();
    rig.wait_for("the account to tell", |rig| {
        rig.finished(EventEnd::Overflow) == 20
    });
    assert_eq!(rig.balance().pending, 0);
}

#[test]
fn a_full_queue_evicts_the_oldest_and_counts_them() {
    let queue = queue::Settings {
        max_bytes: 1 << 20,
        ..in_memory()
    };
    let mut rig = Rig::with_queue(settings(nobody()), queue);
    let long = format!("/{}", "x".repeat(1_000));
    for round in 0..40_u64 {
        for visitor in 0..100 {
            rig.offer(visitor, &long);
        }
        let taken = (round + 1) * 100;
        // Each has over 1,000 bytes in the queue: nearly all were taken in, so the next ones have room in the
        // rings.
        rig.wait_for("the queue to take them", |rig| {
            let bytes = rig.delivery.status().queue.bytes;
            bytes <= 1 << 20 && rig.finished(EventEnd::Evicted) * 1_000 + bytes >= taken * 1_000
        });
    }
    rig.wait_for("evictions", |rig| rig.finished(EventEnd::Evicted) > 1_000);
    let status = rig.delivery.status();
    assert!(
        status.queue.events > 100 && status.queue.events < 3_000,
        "{status:?}"
    );
}

#[test]
fn status_tells_of_queue_and_delivery() {
    let mut rig = Rig::new(settings(nobody()));
    rig.offer(1, "/a");
    // The state is shown at the end of the pass in which the error is noted.
    rig.wait_for("an error", |rig| {
        let delivery = rig.delivery.status().delivery;
        delivery.last_error.is_some() && delivery.state == DeliveryState::Failing
    });
    let status = serde_json::to_value(rig.delivery.status()).unwrap();
    assert_eq!(status["queue"]["events"], 1);
    assert!(status["queue"]["bytes"].as_u64().unwrap() > 0, "{status}");
    assert!(
        status["queue"]["oldest_seconds"].as_f64().unwrap() < 10.0,
        "{status}"
    );
    assert_eq!(status["queue"]["alarm"], serde_json::Value::Null);
    assert_eq!(status["delivery"]["state"], "failing");
    assert!(
        status["delivery"]["last_error_seconds"].as_u64().unwrap() < 10,
        "{status}"
    );
}
