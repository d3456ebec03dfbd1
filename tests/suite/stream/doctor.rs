//! What the doctor says of servers and stream.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    thread,
    time::Duration,
};

use async_nats::jetstream::{
    self,
    consumer::pull,
    stream::{Config, RetentionPolicy, StorageType},
};

use super::fleet::{Fleet, STREAM, Size, delivering};
use crate::{
    doctor::Report,
    support::{
        nats::{Nats, Sync},
        origin::{self, Origin},
        process::{Builder, free_port},
        receiver::Receiver,
    },
};

/// A sidecar's configuration beside an app and a Plausible that are well.
fn asking(app: &Origin, plausible: &Receiver, url: &str, replicas: i64) -> Builder {
    Builder::before(app)
        .telling(plausible)
        .set("listen.address", free_port().to_string())
        .set("admin.address", free_port().to_string())
        .set("stream.url", url)
        .set("stream.replicas", replicas)
        .set("stream.partitions", 4)
}

/// An app that is well, and closes as it is asked to.
fn well() -> Origin {
    Origin::start(origin::says(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    ))
}

/// Makes a stream as somebody else might have.
fn make(nats: &Nats, config: &Config, consumers: &[&str]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(nats.url()).await.unwrap());
        // The one of a case before.
        let _ = context.delete_stream(STREAM).await;
        // The files of that one may not be gone yet.
        let stream = loop {
            match context.create_stream(config.clone()).await {
                Ok(stream) => break stream,
                Err(error) if error.to_string().contains("error creating store") => {}
                Err(error) => panic!("{error}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        for (number, name) in consumers.iter().enumerate() {
            let consumer = pull::Config {
                durable_name: Some((*name).to_owned()),
                filter_subject: format!("{STREAM}.p.{number}"),
                ..Default::default()
            };
            stream.create_consumer(consumer).await.unwrap();
        }
    });
}

/// As gatecount makes it, but for what a case changes.
fn config() -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![format!("{STREAM}.p.*")],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        discard: jetstream::stream::DiscardPolicy::New,
        duplicate_window: Duration::from_hours(2),
        ..Default::default()
    }
}

#[test]
fn servers_that_are_not_there_are_told_without_their_passwords() {
    let (app, plausible) = (well(), Receiver::start());
    let nobody = free_port();
    let report = Report::of(
        &asking(&app, &plausible, &format!("nats://u:secret@{nobody}"), 3),
        &[],
    );
    report.assert(
        "nats",
        "failed",
        &format!("nats://{nobody}: "),
        "is nats-server up",
    );
    report.assert("stream", "skipped", "no server", "");
    let all: Vec<String> = report.checks("nats").map(ToString::to_string).collect();
    assert!(!all.concat().contains("secret"), "{all:?}");
}

/// Where gateways deliver, a sidecar needs no Plausible; a gateway needs neither app nor sites.
#[test]
fn a_sidecar_is_not_asked_for_plausible_nor_a_gateway_for_an_app() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let (app, plausible) = (well(), Receiver::start());
    let sidecar = asking(&app, &plausible, &nats.url(), 1);
    Report::of(&sidecar, &[]).assert("plausible", "skipped", "left to the gateways", "");
    let both = sidecar.set("stream.deliver", true);
    Report::of(&both, &[]).assert("plausible", "passed", "200", "");

    let gateway = delivering(&plausible, &nats, 4).without_subcommand();
    let gateway = gateway.set("admin.address", free_port().to_string());
    let report = Report::of(&gateway, &["--gateway"]);
    report.assert("plausible", "passed", "200", "");
    report.assert("nats", "passed", "with JetStream", "");
    for check in ["app", "queue", "visit", "trust"] {
        assert!(report.results(check).is_empty(), "{check}");
    }
}

#[test]
fn a_server_that_is_too_old_is_told() {
    let (app, plausible) = (well(), Receiver::start());
    let old = old_server();
    let report = Report::of(&asking(&app, &plausible, &format!("nats://{old}"), 1), &[]);
    report.assert("nats", "failed", "nats-server 2.10.29 (old)", "2.11");
    report.assert("stream", "skipped", "no server", "");
}

#[test]
fn how_the_stream_is_kept_is_told() {
    let Some(nats) = Nats::one(Sync::Default) else {
        return;
    };
    let (app, plausible) = (well(), Receiver::start());
    let ask = |replicas| Report::of(&asking(&app, &plausible, &nats.url(), replicas), &[]);

    let report = ask(3);
    report.assert("nats", "passed", "with JetStream, alone", "");
    report.assert(
        "stream",
        "failed",
        "can't with replicas = 3 in a cluster of 1",
        "add servers",
    );
    let report = ask(1);
    report.assert("stream", "passed", "is not there yet", "");
    report.assert(
        "power cut",
        "warned",
        "one server keeps each event",
        "sync_interval: always",
    );

    make(&nats, &config(), &[]);
    let report = ask(1);
    report.assert(
        "stream",
        "passed",
        "0 events on one server alone, on disk; ids are remembered for 2h",
        "",
    );
    report.assert(
        "partitions",
        "warned",
        "no gateway has come yet",
        "gatecount gateway",
    );
    ask(3).assert("stream", "warned", "though replicas = 3", "add servers first");

    let short = Config {
        duplicate_window: Duration::from_mins(2),
        ..config()
    };
    let lossy = Config {
        discard: jetstream::stream::DiscardPolicy::Old,
        ..config()
    };
    let in_memory = Config {
        storage: StorageType::Memory,
        ..config()
    };
    let elsewhere = Config {
        subjects: vec!["orders.*".to_owned()],
        ..config()
    };
    let kept = Config {
        retention: RetentionPolicy::Limits,
        ..config()
    };
    for (config, result, said, advice) in [
        (short, "warned", "remembered for 2m", "--dupe-window 2h"),
        (lossy, "warned", "throws away the oldest", "--discard new"),
        (in_memory, "failed", "on one server alone", "in memory"),
        (elsewhere, "failed", "do not lead to it", "another name"),
        (kept, "failed", "no work queue", "another name"),
    ] {
        make(&nats, &config, &[]);
        ask(1).assert("stream", result, said, advice);
    }
    let divided = Config {
        metadata: HashMap::from([("gatecount-partitions".to_owned(), "16".to_owned())]),
        ..config()
    };
    make(&nats, &divided, &[]);
    ask(1).assert(
        "partitions",
        "failed",
        "made with partitions = 16, and 4 is configured",
        "everywhere",
    );
    for (consumers, result, said, advice) in [
        (
            &["p0", "orders"][..],
            "warned",
            "not gatecount's: orders",
            "remove them",
        ),
        (
            &["p0"],
            "failed",
            "p0 deliver to several gateways",
            "nats consumer rm gatecount",
        ),
    ] {
        make(&nats, &config(), consumers);
        ask(1).assert("partitions", result, said, advice);
    }
}

/// As it should be: three servers, a sidecar that has published, a gateway that delivers. One of the servers stops.
#[test]
fn of_a_cluster_all_is_told_and_what_is_missing_of_it() {
    let Some(nats) = Nats::three(Sync::Always) else {
        return;
    };
    let mut fleet = Fleet::plain(nats, Size::LEAST);
    fleet.visit(0, 0..40);
    fleet.ledger.await_len(40);
    fleet.settle();
    let builder = fleet.sidecars[0].builder().telling(&fleet.plausible);
    let report = Report::of(&builder, &[]);
    assert_eq!(report.results("nats"), ["passed"; 3]);
    let said: Vec<String> = report.checks("nats").map(ToString::to_string).collect();
    assert!(
        said.iter().all(|said| said.contains("in a cluster of 3")),
        "{said:?}"
    );
    report.assert("stream", "passed", "0 events on 3 servers, on disk", "");
    report.assert("partitions", "passed", "4, of which gateways own 4", "");
    report.assert("power cut", "skipped", "sync_interval: always", "");

    fleet.nats.kill(1);
    // A server is missed once it has been silent for some seconds.
    crate::support::eventually("the one that is missing is told", || {
        let report = Report::of(&builder, &[]);
        let stream = report.results("stream");
        if stream == ["warned"] && report.results("nats") == ["passed", "warned", "passed"] {
            report.assert(
                "stream",
                "warned",
                "not there, or behind: n1",
                "before another one is stopped",
            );
            Ok(())
        } else {
            Err(report.checks("stream").next().unwrap().to_string())
        }
    });
}

/// Says what a server of 2.10 says at first, and answers its client's pings.
fn old_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                let info = r#"{"server_id":"A","server_name":"old","version":"2.10.29","proto":1,"host":"127.0.0.1","port":4222,"headers":true,"max_payload":1048576,"jetstream":true}"#;
                write!(client, "INFO {info}\r\n").unwrap();
                let lines = BufReader::new(client.try_clone().unwrap()).lines();
                for line in lines.map_while(Result::ok) {
                    if line == "PING" && client.write_all(b"PONG\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}
