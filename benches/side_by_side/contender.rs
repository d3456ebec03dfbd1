//! Who is measured: nginx, HAProxy, a proxy on hyper, and gatecount in several moods.

use std::{fs, path::Path, process::Command};

use crate::{Failure, certificate::Certificate, process};

/// A proxy, configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contender {
    Nginx,
    HaProxy,
    /// A lean proxy on hyper, which counts nothing.
    Hyper,
    NginxTls,
    HaProxyTls,
    /// Everything on, with TLS towards the clients.
    GatecountTls,
    /// Everything on: it counts, queues on disk, and delivers.
    Gatecount,
    /// `count = "never"`: it only passes on.
    NeverCounting,
    /// It counts and queues, and Plausible answers 503.
    PlausibleDown,
    /// Everything on, and pages get the tracker script.
    Injecting,
    /// Everything on, and two CPUs.
    TwoWorkers,
}

/// Where a contender finds the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) own: u16,
    pub(crate) app: u16,
    /// The receiver that takes every event.
    pub(crate) plausible: u16,
    /// The receiver that answers 503.
    pub(crate) down: u16,
}

impl Contender {
    /// Its name in results and in the names of its files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
            Self::Hyper => "hyper",
            Self::NginxTls => "nginx-tls",
            Self::HaProxyTls => "haproxy-tls",
            Self::GatecountTls => "gatecount-tls",
            Self::Gatecount => "gatecount",
            Self::NeverCounting => "gatecount-never",
            Self::PlausibleDown => "gatecount-503",
            Self::Injecting => "gatecount-inject",
            Self::TwoWorkers => "gatecount-two",
        }
    }

    /// How many CPUs it has.
    pub(crate) fn cpus(self) -> f64 {
        if self == Self::TwoWorkers { 2.0 } else { 1.0 }
    }

    /// Whether its clients speak TLS with it.
    pub(crate) fn speaks_tls(self) -> bool {
        matches!(self, Self::NginxTls | Self::HaProxyTls | Self::GatecountTls)
    }

    /// Whether its events reach the receiver that counts them.
    pub(crate) fn delivers(self) -> bool {
        matches!(
            self,
            Self::Gatecount | Self::GatecountTls | Self::Injecting | Self::TwoWorkers
        )
    }

    /// The command that runs it on `cpus`; its files go to `directory`, which is its own.
    pub(crate) fn command(
        self,
        cpus: &str,
        directory: &Path,
        binary: &Path,
        ports: Ports,
        certificate: &Certificate,
    ) -> Result<Command, Failure> {
        match self {
            Self::Nginx | Self::NginxTls => {
                let tls = (self == Self::NginxTls).then(|| {
                    let (chain, key) = (certificate.chain.display(), certificate.key.display());
                    let lines = format!(
                        "ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;"
                    );
                    (" ssl http2".to_owned(), lines)
                });
                let (listen, tls) = tls.unwrap_or_default();
                let text = include_str!("nginx.conf")
                    .replace("@LISTEN@", &listen)
                    .replace("@TLS@", &tls);
                let file = configuration(&text, "nginx.conf", directory, ports)?;
                let mut command = process::pinned(cpus, "nginx");
                command.args(["-e", "stderr", "-c"]).arg(file);
                Ok(command)
            }
            Self::HaProxy | Self::HaProxyTls => {
                let both = certificate.both.display();
                let (listen, scheme) = if self == Self::HaProxyTls {
                    (format!(" ssl crt {both} alpn h2,http/1.1"), "https")
                } else {
                    (String::new(), "http")
                };
                let text = include_str!("haproxy.cfg")
                    .replace("@LISTEN@", &listen)
                    .replace("@SCHEME@", scheme);
                let file = configuration(&text, "haproxy.cfg", directory, ports)?;
                let mut command = process::pinned(cpus, "haproxy");
                command.args(["-db", "-f"]).arg(file);
                Ok(command)
            }
            Self::Hyper => {
                let (own, app) = (ports.own.to_string(), ports.app.to_string());
                process::itself(cpus, &["@hyper", &own, &app])
            }
            _ => {
                let mut command = self.gatecount(cpus, directory, binary, ports);
                if self == Self::GatecountTls {
                    command
                        .env("GATECOUNT_LISTEN_TLS_CERTIFICATE", &certificate.chain)
                        .env("GATECOUNT_LISTEN_TLS_KEY", &certificate.key);
                }
                Ok(command)
            }
        }
    }

    fn gatecount(self, cpus: &str, directory: &Path, binary: &Path, ports: Ports) -> Command {
        let receiver = if self == Self::PlausibleDown {
            ports.down
        } else {
            ports.plausible
        };
        let mut command = process::pinned(cpus, binary);
        command
            .arg("run")
            .args(["--listen", &format!("127.0.0.1:{}", ports.own)])
            .args(["--app", &format!("http://127.0.0.1:{}", ports.app)])
            .args(["--plausible", &format!("http://127.0.0.1:{receiver}")])
            .args(["--admin", "127.0.0.1:0"])
            .args(["--domain", "example.com"])
            .arg("--queue")
            .arg(directory.join("queue"));
        if self == Self::NeverCounting {
            command.env("GATECOUNT_PAGES_COUNT", "never");
        }
        if self == Self::Injecting {
            command
                .env("GATECOUNT_TRACKER_SOURCE", "/js/script.js")
                .env("GATECOUNT_TRACKER_INJECT", "true")
                .env("GATECOUNT_PAGES_COUNT", "always");
        }
        command
    }
}

/// Writes `template` to `name` in `directory` with the ports put in; where it is.
fn configuration(
    template: &str,
    name: &str,
    directory: &Path,
    ports: Ports,
) -> Result<std::path::PathBuf, Failure> {
    let file = directory.join(name);
    let text = template
        .replace("@DIR@", &directory.to_string_lossy())
        .replace("@PORT@", &ports.own.to_string())
        .replace("@APP@", &ports.app.to_string());
    fs::write(&file, text)?;
    Ok(file)
}
