//! Syslog over UDP and over a Unix datagram socket.
//!
//! A datagram that comes while the socket's buffer is full is lost, and so is one that comes while no process
//! has the socket open: UDP and servers' log writers do not wait. A followed file loses nothing.

use std::{
    fs, io,
    net::{self, SocketAddr},
    os::unix::{
        self,
        fs::{FileTypeExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UdpSocket, UnixDatagram},
    time::sleep,
};

use super::{desk::Counter, settings::LineFormat, syslog, tally::LineResult};

/// The largest datagram there is, in bytes.
const MAX_DATAGRAM: usize = 1 << 16;
/// The bytes that may wait in a socket, as far as the system grants them. A few thousand lines.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The pause after a failed read.
const PAUSE: Duration = Duration::from_millis(100);

/// A bound socket.
#[derive(Debug)]
pub(super) enum BoundSocket {
    Udp(net::UdpSocket),
    Unix(unix::net::UnixDatagram, SocketFile),
}

/// A socket on the runtime that reads it.
#[derive(Debug)]
pub(super) enum Datagrams {
    Udp(UdpSocket),
    Unix { socket: UnixDatagram, _file: SocketFile },
}

/// A socket's file; removed when this is dropped.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Left behind it would be replaced at the next start.
        let _ = fs::remove_file(&self.0);
    }
}

impl BoundSocket {
    pub(super) fn udp(at: SocketAddr) -> io::Result<Self> {
        let socket = net::UdpSocket::bind(at)?;
        // What the system does not grant is not needed, but in bursts.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        Ok(BoundSocket::Udp(socket))
    }

    /// Every user of this machine may write to the socket, as to the system's own: a server logs as a user of
    /// its own. Who gets there is the directory's mode to say.
    pub(super) fn unix(path: &Path) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        let socket = unix::net::UnixDatagram::bind(path)?;
        let file = SocketFile(path.to_owned());
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER);
        socket.set_nonblocking(true)?;
        Ok(BoundSocket::Unix(socket, file))
    }

    /// The port of a UDP socket.
    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        match self {
            BoundSocket::Udp(socket) => socket.local_addr().ok(),
            BoundSocket::Unix(..) => None,
        }
    }

    /// Takes it into the runtime of the current thread.
    pub(super) fn into_tokio(self) -> io::Result<Datagrams> {
        Ok(match self {
            BoundSocket::Udp(socket) => Datagrams::Udp(UdpSocket::from_std(socket)?),
            BoundSocket::Unix(socket, file) => Datagrams::Unix {
                socket: UnixDatagram::from_std(socket)?,
                _file: file,
            },
        })
    }
}

impl Datagrams {
    /// Reads for ever.
    pub(super) async fn read(self, format: LineFormat, counter: Arc<Counter>) {
        let mut buffer = vec![0; MAX_DATAGRAM];
        loop {
            let (received, trusted) = match &self {
                Datagrams::Udp(socket) => match socket.recv_from(&mut buffer).await {
                    // Who may say who the clients are may send lines that say it.
                    Ok((length, from)) => (
                        Ok(length),
                        counter.rules().client.trust.trusts(from.ip().to_canonical()),
                    ),
                    Err(error) => (Err(error), true),
                },
                Datagrams::Unix { socket, .. } => (socket.recv(&mut buffer).await, true),
            };
            match received {
                Ok(_) if !trusted => counter.tally().line(LineResult::Untrusted),
                Ok(length) => count(&buffer[..length], format, &counter),
                Err(error) => {
                    tracing::debug!(%error, "a log line could not be received");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Counts the lines of a datagram, which is nearly always one.
fn count(datagram: &[u8], format: LineFormat, counter: &Counter) {
    for line in syslog::message(datagram).split(|b| matches!(b, b'\n' | b'\r' | 0)) {
        if !line.trim_ascii().is_empty() {
            counter.count_line(format, line);
        }
    }
}
