//! One server as a process.

use std::{
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::Sync;
use crate::support::{
    client::{Client, Request},
    eventually,
};

/// A server, which may run or not.
pub(super) struct Server {
    /// Where clients connect.
    pub(super) clients: SocketAddr,
    /// Where it tells of itself.
    monitor: SocketAddr,
    /// The program, behind a command that runs it where there is one.
    command: Vec<PathBuf>,
    configuration: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// Servers at this address that are to make a cluster if there are several, each with ports and files of its
    /// own, and with `more` in its configuration.
    pub(super) fn prepare(
        command: &[&Path],
        directory: &Path,
        host: Ipv4Addr,
        count: usize,
        sync: Sync,
        more: &str,
    ) -> Vec<Server> {
        let ports = free_ports(host, count * 3);
        let routes: Vec<String> = ports
            .chunks(3)
            .map(|own| format!("nats-route://{}", own[2]))
            .collect();
        ports
            .chunks(3)
            .enumerate()
            .map(|(number, own)| {
                let files = directory.join(format!("files-{number}"));
                let cluster = if count == 1 {
                    String::new()
                } else {
                    let routes = routes.join(", ");
                    format!("cluster {{ name: test, listen: \"{}\", routes: [{routes}] }}\n", own[2])
                };
                let sync = match sync {
                    Sync::Always => "sync_interval: always, ",
                    Sync::Default => "",
                };
                let text = format!(
                    "server_name: n{number}\nlisten: \"{}\"\nhttp: \"{}\"\n{cluster}jetstream {{ {sync}store_dir: \
                     \"{}\", max_mem: 64MB, max_file: 4GB }}\n{more}",
                    own[0],
                    own[1],
                    files.display()
                );
                let configuration = directory.join(format!("nats-{number}.conf"));
                fs::write(&configuration, text).expect("write the server's configuration");
                Server {
                    clients: own[0],
                    monitor: own[1],
                    command: command.iter().map(|word| (*word).to_owned()).collect(),
                    configuration,
                    log: directory.join(format!("nats-{number}.log")),
                    child: None,
                }
            })
            .collect()
    }

    pub(super) fn start(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.expect("the server's log");
        let child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .arg("-c")
            .arg(&self.configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("start nats-server");
        self.child = Some(child);
    }

    pub(super) fn runs(&self) -> bool {
        self.child.is_some()
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("kill");
            child.wait().expect("wait");
        }
    }

    pub(super) fn stop(&mut self) {
        self.signal("TERM");
        let mut child = self.child.take().expect("it runs");
        eventually("the server ends", || match child.try_wait() {
            Ok(Some(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        });
    }

    pub(super) fn signal(&self, name: &str) {
        let child = self.child.as_ref().expect("it runs");
        let sent = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", child.id())])
            .status();
        assert!(sent.expect("run sh").success(), "kill -{name} failed");
    }

    /// What it answers at the address where it tells of itself: the status and the body.
    pub(super) fn ask(&self, target: &str) -> Result<(u16, String), String> {
        let request = Request::get(target).host(&self.monitor.to_string());
        let answer = Client::try_to(self.monitor).and_then(|mut client| client.try_ask(&request));
        let answer = answer.map_err(|error| error.to_string())?;
        Ok((answer.status(), answer.text()))
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// So many addresses of this host that nobody has.
fn free_ports(host: Ipv4Addr, count: usize) -> Vec<SocketAddr> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind((host, 0)).expect("bind a port"))
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().expect("the bound address"))
        .collect()
}
