//! A gatecount that runs on this machine, by what its admin address says.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    path::Path,
    time::Duration,
};

use serde_json::Value;

use super::{ask, ports::WantedPort};

/// How long the admin address may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::cli) struct RunningSidecar {
    admin: SocketAddr,
    /// Its `/status`.
    pub(in crate::cli) status: Value,
}

impl RunningSidecar {
    /// The one whose admin address this is.
    pub(in crate::cli) fn find(admin: SocketAddr) -> Option<Self> {
        if admin.port() == 0 {
            return None;
        }
        let ip = match admin.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let at = SocketAddr::new(ip, admin.port());
        let stream = TcpStream::connect_timeout(&at, PATIENCE).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        let answered = ask::get(stream, &at.to_string(), "/status", "application/json").ok()?;
        let status: Value = serde_json::from_slice(&answered.body).ok()?;
        // Whatever else listens there has no such members together.
        let is_ours = ["version", "listen", "admin", "delivery", "queue"]
            .iter()
            .all(|name| status.get(name).is_some());
        (answered.status == 200 && is_ours).then_some(RunningSidecar { admin, status })
    }

    /// Whether it is the one that listens on this socket.
    pub(in crate::cli) fn listens_on(&self, path: &Path) -> bool {
        self.status["listen"].as_str() == Some(&format!("unix:{}", path.display()))
    }

    /// Whether it is the one that listens on this port.
    pub(in crate::cli) fn listens_at(&self, wanted: &WantedPort) -> bool {
        let said = match wanted.key {
            "admin.address" => return wanted.address == self.admin,
            "listen.address" => &self.status["listen"],
            "observe.mirror" => &self.status["observe"]["mirror"],
            _ => &self.status["observe"]["log"],
        };
        let said = said.as_str().unwrap_or_default();
        let address = said.strip_prefix("udp:").unwrap_or(said);
        address.parse() == Ok(wanted.address)
    }
}
