//! `gatecount run`: the sidecar, and the app if its command is given.

use std::{
    ffi::OsString,
    io,
    net::{Ipv4Addr, Ipv6Addr, TcpListener, ToSocketAddrs},
};

use crate::{
    config::{self, Config, Flags, Mistakes, Sources},
    lifecycle::AppCommand,
    proxy::Upstream,
    sidecar::{self, StartError},
    telemetry,
};

use super::{error::CommandError, explain::explain_pasted};

/// How often a port is sought that is free for IPv4 and IPv6 alike.
const PORT_TRIES: usize = 32;

/// Runs the sidecar. `command` is the app's, word by word, or empty.
pub(super) fn run(mut flags: Flags, command: &[OsString]) -> Result<(), CommandError> {
    let starts_app = !command.is_empty();
    let chosen = if starts_app && flags.app.is_none() {
        let port = free_port()?;
        flags.app = Some(format!("http://{}:{port}", host_of_app()));
        Some(port)
    } else {
        None
    };
    let mut sources = Sources::of_process(flags);
    let mut config = config::load(&sources).map_err(|mistakes| refuse(&sources, mistakes))?;
    if starts_app && config.is_default("listen.address") {
        // A platform that runs one container says by PORT where it sends its visitors.
        let port = sources
            .environment
            .get("PORT")
            .and_then(|port| port.to_str()?.parse::<u16>().ok());
        if let Some(port) = port {
            sources.flags.listen = Some(format!("0.0.0.0:{port}"));
            config = config::load(&sources).map_err(|mistakes| refuse(&sources, mistakes))?;
        }
    }
    let command = AppCommand::of(command, chosen.or_else(|| port_of_app(&config)));
    if let (Some(_), Some(proxy)) = (&command, &mut config.proxy) {
        proxy.app.is_ours = true;
    }
    let _last_lines =
        telemetry::init_logging(&config.log).map_err(|error| CommandError::Running(error.into()))?;
    match sidecar::run(config, sources, explain_pasted, command.as_ref()) {
        Ok(0) => Ok(()),
        Ok(status) => Err(CommandError::App(status)),
        Err(error) => Err(failed(error)),
    }
}

/// Tells in the log why it did not start, where the log takes that.
pub(super) fn failed(error: StartError) -> CommandError {
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{}", telemetry::chain(&error));
        return CommandError::Told;
    }
    CommandError::Running(error.into())
}

/// A port that nobody has on loopback.
fn free_port() -> io::Result<u16> {
    for _ in 0..PORT_TRIES {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            // Another error is that of a machine without IPv6.
            _ => return Ok(port),
        }
    }
    Err(io::Error::new(
        io::ErrorKind::AddrInUse,
        "no port is free for the app",
    ))
}

/// Apps that listen on `localhost` may do so by IPv6 alone, others by IPv4 alone: the name has both.
fn host_of_app() -> &'static str {
    match ("localhost", 0).to_socket_addrs() {
        Ok(_) => "localhost",
        Err(_) => "127.0.0.1",
    }
}

fn port_of_app(config: &Config) -> Option<u16> {
    match config.proxy.as_ref()?.app.upstream {
        Upstream::Tcp(_, port) => Some(port),
        Upstream::Unix(_) | Upstream::Nothing => None,
    }
}

/// Tells the mistakes in the log where its lines are JSON: whoever reads them reads nothing else. For people
/// they are listed by the command.
pub(super) fn refuse(sources: &Sources, mistakes: Mistakes) -> CommandError {
    let log = config::load_log(sources);
    if log.is_text() {
        return CommandError::Mistakes(mistakes);
    }
    let Ok(_last_lines) = telemetry::init_logging(&log) else {
        return CommandError::Mistakes(mistakes);
    };
    if !tracing::enabled!(tracing::Level::ERROR) {
        return CommandError::Mistakes(mistakes);
    }
    for mistake in mistakes.iter() {
        tracing::error!("a mistake in the configuration: {mistake}");
    }
    CommandError::Denied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_free_can_be_bound() {
        let port = free_port().unwrap();
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }
}
