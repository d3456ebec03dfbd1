//! Sockets that systemd has bound and passes on, by the protocol of `sd_listen_fds(3)`. They stay open while
//! this process restarts: connections wait in the kernel's queue meanwhile.

use std::{env, io, net::TcpListener, os::unix::net::UnixListener};

use listenfd::ListenFd;

use super::error::StartError;
use crate::proxy;

/// The name (`FileDescriptorName=`) of the socket that is for the admin address.
const ADMIN: &str = "admin";

/// What was passed on.
#[derive(Debug, Default)]
pub(super) struct PassedSockets {
    /// For visitors, in place of `[listen] address`.
    pub(super) listen: Option<proxy::Listener>,
    /// In place of `[admin] address`.
    pub(super) admin: Option<TcpListener>,
}

impl PassedSockets {
    /// Takes what was passed to this process. A second call finds nothing.
    ///
    /// # Errors
    /// [`StartError::Sockets`] if a socket listens for nothing, or there are too many.
    pub(super) fn take() -> Result<Self, StartError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names: Vec<&str> = names.split(':').collect();
        let mut passed = ListenFd::from_env();
        let mut sockets = PassedSockets::default();
        for number in 0..passed.len() {
            let is_admin = names.get(number) == Some(&ADMIN);
            sockets
                .sort(&mut passed, number, is_admin)
                .map_err(|source| StartError::Sockets { number, source })?;
        }
        Ok(sockets)
    }

    fn sort(&mut self, passed: &mut ListenFd, number: usize, is_admin: bool) -> io::Result<()> {
        let taken = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                "there is one before it for the same address",
            )
        };
        if is_admin {
            let admin = passed.take_tcp_listener(number)?;
            return if self.admin.is_some() {
                Err(taken())
            } else {
                self.admin = admin;
                Ok(())
            };
        }
        if self.listen.is_some() {
            return Err(taken());
        }
        let tcp = passed
            .take_tcp_listener(number)
            .map(|socket| socket.map(proxy::Listener::Tcp));
        let unix = |_| -> io::Result<Option<proxy::Listener>> {
            let socket: Option<UnixListener> = passed.take_unix_listener(number)?;
            Ok(socket.map(proxy::Listener::Unix))
        };
        self.listen = tcp.or_else(unix)?;
        Ok(())
    }
}
