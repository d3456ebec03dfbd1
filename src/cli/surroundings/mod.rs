//! What a configuration meets on this machine: ports, directories, itself. It is only looked at; nothing is
//! listened on, and nobody outside of this machine is asked.

mod ask;
mod places;
mod ports;
mod running;

use std::{
    net::{IpAddr, SocketAddr, UdpSocket},
    os::unix::net::UnixStream,
    path::Path,
};

use crate::{
    config::Config,
    observe::LogSource,
    proxy::{Listen, Upstream},
    queue,
};

pub(in crate::cli) use self::{
    ask::{Answered, get},
    places::{directory, in_words},
    ports::{Protocol, WantedPort, look_at},
    running::RunningSidecar,
};

/// Something that a start would stumble over, or that is probably not meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Warning {
    /// The key that it is about.
    pub(in crate::cli) key: &'static str,
    /// What is wrong, and what may help.
    pub(in crate::cli) said: String,
}

/// Everything that is worth a warning.
pub(in crate::cli) fn look(config: &Config) -> Vec<Warning> {
    let mut found = Vec::new();
    let running = RunningSidecar::find(config.admin.address);
    for wanted in wanted_ports(config) {
        let is_ours = running
            .as_ref()
            .is_some_and(|running| running.listens_at(&wanted));
        if let Some(said) = look_at(wanted.address, wanted.protocol).problem(wanted.address)
            && !is_ours
        {
            let key = wanted.key;
            found.push(Warning { key, said });
        }
    }
    if let Some(path) = wanted_socket(config)
        && !running.as_ref().is_some_and(|running| running.listens_on(path))
        && let Some(said) = socket_problem(path)
    {
        let key = "listen.address";
        found.push(Warning { key, said });
    }
    if let queue::At::Disk(path) = &config.queue.at
        && let Err(problem) = directory(path)
    {
        let said = format!(
            "{problem}; until this user can write there, events would be kept in memory, where a restart loses them"
        );
        found.push(Warning {
            key: "queue.path",
            said,
        });
    }
    found.extend(itself(config));
    found
}

/// The ports that are fixed; a port 0 is any free one.
pub(in crate::cli) fn wanted_ports(config: &Config) -> Vec<WantedPort> {
    let listen = config.proxy.as_ref().and_then(|proxy| match proxy.listen {
        Listen::Tcp(address) => Some(address),
        Listen::Unix(_) => None,
    });
    let log = config.observe.log.as_ref().and_then(|log| match log {
        LogSource::Udp(address) => Some(*address),
        LogSource::File(_) | LogSource::Unixgram(_) => None,
    });
    let all = [
        ("listen.address", listen, Protocol::Tcp),
        ("admin.address", Some(config.admin.address), Protocol::Tcp),
        ("observe.mirror", config.observe.mirror, Protocol::Tcp),
        ("observe.log", log, Protocol::Udp),
    ];
    let wanted = all.into_iter().filter_map(|(key, address, protocol)| {
        let address = address.filter(|address| address.port() != 0)?;
        Some(WantedPort {
            key,
            address,
            protocol,
        })
    });
    wanted.collect()
}

/// The Unix socket that clients are to connect to.
pub(in crate::cli) fn wanted_socket(config: &Config) -> Option<&Path> {
    match &config.proxy.as_ref()?.listen {
        Listen::Tcp(_) => None,
        Listen::Unix(path) => Some(path),
    }
}

/// Why no Unix socket can be made at this path, if that is so.
pub(in crate::cli) fn socket_problem(path: &Path) -> Option<String> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    match directory(parent) {
        Err(error) => Some(error.to_string()),
        Ok(room) if !room.exists => Some(format!("the directory {} is not there", parent.display())),
        // A socket that nobody listens on is replaced.
        Ok(_) if UnixStream::connect(path).is_ok() => {
            Some(format!("another process listens on {}", path.display()))
        }
        Ok(_) => None,
    }
}

/// An app or a Plausible at an address of this machine that gatecount itself listens on. The configuration
/// refuses what is plainly so; which addresses are this machine's, it can't know.
fn itself(config: &Config) -> Vec<Warning> {
    let app = config.proxy.as_ref().and_then(|proxy| match &proxy.app.upstream {
        Upstream::Tcp(host, port) => Some((host.as_str(), *port)),
        Upstream::Unix(_) | Upstream::Nothing => None,
    });
    let plausible = (config.delivery.base.host.as_str(), config.delivery.base.port);
    let others = [
        ("app.url", "the app", app),
        ("plausible.url", "Plausible", Some(plausible)),
    ];
    let mut found = Vec::new();
    for (key, name, other) in others {
        let Some((host, port)) = other else { continue };
        let Ok(ip) = host.parse() else { continue };
        if let Some(wanted) = reaches_us(config, SocketAddr::new(ip, port)) {
            let said = format!(
                "{host} is this machine, and gatecount itself is to listen on port {port} ({wanted}): {name}'s own \
                 address is wanted"
            );
            found.push(Warning { key, said });
        }
    }
    found
}

/// The key of the listener that a connection to this address would reach.
pub(in crate::cli) fn reaches_us(config: &Config, address: SocketAddr) -> Option<&'static str> {
    let wanted = wanted_ports(config).into_iter().find(|wanted| {
        wanted.protocol == Protocol::Tcp
            && wanted.address.port() == address.port()
            && (wanted.address.ip() == address.ip()
                || wanted.address.ip().is_unspecified() && is_of_this_machine(address.ip()))
    });
    wanted.map(|wanted| wanted.key)
}

/// Whether an address is one of this machine's: only such a one can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Flags, Sources};

    #[test]
    fn a_connection_to_ourselves_is_seen_at_each_address_of_this_machine() {
        let config = config::load(&Sources::of_flags(Flags {
            app: Some("http://127.0.0.1:3000".to_owned()),
            domain: vec!["example.com".to_owned()],
            listen: Some("0.0.0.0:8080".to_owned()),
            admin: Some("127.0.0.1:9090".to_owned()),
            queue: Some("memory".to_owned()),
            ..Flags::default()
        }))
        .unwrap();
        let reached = |address: &str| reaches_us(&config, address.parse().unwrap());
        assert_eq!(reached("127.0.0.5:8080"), Some("listen.address"));
        assert_eq!(reached("127.0.0.1:9090"), Some("admin.address"));
        for other in ["127.0.0.5:9090", "192.0.2.1:8080", "127.0.0.1:3000"] {
            assert_eq!(reached(other), None, "{other}");
        }
    }
}
