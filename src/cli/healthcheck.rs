//! `gatecount healthcheck`: asks the admin address whether requests are accepted, for images without a shell.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use clap::Args;

use super::error::{CommandError, usage};
use crate::config::{self, Sources};

/// How long each step may take: a connection, a write, a read.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The answer's longest head and body that are read, in bytes.
const MAX_ANSWER: u64 = 8 << 10;

/// What is asked.
#[derive(Debug, Args)]
pub(super) struct HealthcheckArguments {
    /// Ask whether the process runs (/livez), not whether it accepts requests (/readyz)
    #[arg(long)]
    live: bool,
}

pub(super) fn run(sources: &Sources, arguments: &HealthcheckArguments) -> Result<(), CommandError> {
    let address = config::load_admin(sources)?.address;
    if address.port() == 0 {
        return Err(usage(
            "the admin address has port 0, any free one: healthcheck has to know which",
        ));
    }
    let path = if arguments.live { "/livez" } else { "/readyz" };
    let address = reachable(address);
    match ask(address, path) {
        Ok(status) if status == "200" => Ok(()),
        Ok(status) => Err(failed(format!("http://{address}{path} answered {status}"))),
        Err(error) => Err(failed(format!("http://{address}{path}: {error}"))),
    }
}

fn failed(what: String) -> CommandError {
    CommandError::Running(what.into())
}

/// Where one that listens on this address is reached from the same machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The status that the answer has.
fn ask(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let line = String::from_utf8_lossy(&answer);
    let status = line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
    Ok(status.unwrap_or("something that is no HTTP").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_listens_everywhere_is_asked_on_loopback() {
        for (address, reached) in [
            ("0.0.0.0:9090", "127.0.0.1:9090"),
            ("[::]:9090", "[::1]:9090"),
            ("10.0.0.1:9090", "10.0.0.1:9090"),
        ] {
            assert_eq!(reachable(address.parse().unwrap()), reached.parse().unwrap());
        }
    }
}
