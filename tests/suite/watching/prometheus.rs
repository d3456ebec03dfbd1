//! A real Prometheus that scrapes one gatecount, with the configuration of `deploy/prometheus`.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{client, eventually, process::free_port};

/// A running Prometheus; stopped when dropped.
pub(super) struct Prometheus {
    address: SocketAddr,
    child: Child,
    _directory: TempDir,
}

/// Where the alerts and the configuration are.
pub(super) fn deployed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

impl Prometheus {
    /// Starts one that scrapes this admin address, five times a second.
    pub(super) fn scraping(admin: SocketAddr) -> Prometheus {
        let directory = TempDir::new().expect("a directory");
        let config = fs::read_to_string(deployed().join("prometheus.yml")).expect("read the configuration");
        let (target, interval) = ("127.0.0.1:9090", ": 15s");
        assert!(config.contains(target) && config.contains(interval));
        let config = config
            .replace(target, &admin.to_string())
            .replace(interval, ": 200ms");
        fs::write(directory.path().join("prometheus.yml"), config).expect("write the configuration");
        let rules = "gatecount.rules.yml";
        fs::copy(deployed().join(rules), directory.path().join(rules)).expect("copy the alerts");
        let address = free_port();
        let child = Command::new("prometheus")
            .arg("--config.file")
            .arg(directory.path().join("prometheus.yml"))
            .arg("--storage.tsdb.path")
            .arg(directory.path().join("data"))
            .args([
                "--web.listen-address",
                &address.to_string(),
                "--log.level",
                "error",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("start Prometheus");
        let prometheus = Prometheus {
            address,
            child,
            _directory: directory,
        };
        eventually("Prometheus is ready", || {
            match client::Client::try_to(address).and_then(|mut c| c.try_ask(&get("/-/ready"))) {
                Ok(response) if response.status() == 200 => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        prometheus
    }

    /// What a query gives: each series with its value.
    pub(super) fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.api(&format!("query?query={}", escaped(expression)));
        if answer["status"] != "success" {
            return Err(answer.to_string());
        }
        Ok(answer["data"]["result"].as_array().expect("a vector").clone())
    }

    /// What its API answers.
    pub(super) fn api(&self, of: &str) -> Value {
        client::Client::to(self.address)
            .ask(&get(&format!("/api/v1/{of}")))
            .json()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(target: &str) -> client::Request {
    client::Request::get(target).with("Connection", "close")
}

/// A query parameter's value (RFC 3986 §2.1).
fn escaped(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}
