//! Whether a port can be listened on. It is bound for a moment, and not listened on: nobody is answered.

use std::{io, net::SocketAddr};

use socket2::{Domain, Socket, Type};

/// What is listened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Protocol {
    Tcp,
    Udp,
}

/// A port that the configuration wants to listen on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct WantedPort {
    /// The key that names it.
    pub(in crate::cli) key: &'static str,
    pub(in crate::cli) address: SocketAddr,
    pub(in crate::cli) protocol: Protocol,
}

/// What became of the try.
#[derive(Debug)]
pub(in crate::cli) enum PortState {
    Free,
    /// Somebody listens on it.
    InUse,
    /// This user may not: it is a port of the system's.
    Privileged,
    /// The address is not one of this machine's.
    Foreign,
    /// Something else is in the way.
    Failed(io::Error),
}

/// Tries an address.
pub(in crate::cli) fn look_at(address: SocketAddr, protocol: Protocol) -> PortState {
    let kind = match protocol {
        Protocol::Tcp => Type::STREAM,
        Protocol::Udp => Type::DGRAM,
    };
    let bound = Socket::new(Domain::for_address(address), kind, None).and_then(|socket| {
        // As the process itself binds: connections that linger from before are in nobody's way.
        if protocol == Protocol::Tcp {
            socket.set_reuse_address(true)?;
        }
        socket.bind(&address.into())
    });
    match bound {
        Ok(()) => PortState::Free,
        Err(error) => match error.kind() {
            io::ErrorKind::AddrInUse => PortState::InUse,
            io::ErrorKind::PermissionDenied => PortState::Privileged,
            io::ErrorKind::AddrNotAvailable => PortState::Foreign,
            _ => PortState::Failed(error),
        },
    }
}

impl PortState {
    /// What stands in the way, and what may help.
    pub(in crate::cli) fn problem(&self, address: SocketAddr) -> Option<String> {
        let port = address.port();
        match self {
            PortState::Free => None,
            PortState::InUse => Some(format!(
                "another process listens on port {port}; `ss -lntup 'sport = :{port}'` shows which"
            )),
            PortState::Privileged => Some(format!(
                "this user may not listen on port {port}: take one above 1023, or give the process \
                 CAP_NET_BIND_SERVICE"
            )),
            PortState::Foreign => Some(format!(
                "{} is not an address of this machine; 0.0.0.0 or [::] stands for all it has",
                address.ip()
            )),
            PortState::Failed(error) => Some(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn a_port_is_free_in_use_or_of_another_machine() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = tcp.local_addr().unwrap();
        assert!(matches!(look_at(taken, Protocol::Tcp), PortState::InUse));
        assert!(
            look_at(taken, Protocol::Tcp)
                .problem(taken)
                .unwrap()
                .contains("ss -lntup")
        );
        drop(tcp);
        assert!(matches!(look_at(taken, Protocol::Tcp), PortState::Free));
        assert!(look_at(taken, Protocol::Tcp).problem(taken).is_none());
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(matches!(
            look_at(udp.local_addr().unwrap(), Protocol::Udp),
            PortState::InUse
        ));
        let foreign = "192.0.2.1:9".parse().unwrap();
        assert!(matches!(look_at(foreign, Protocol::Tcp), PortState::Foreign));
    }
}
