//! One connection as a stream of bytes with a deadline: exact bytes out, exact bytes in.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
    os::{fd::AsRawFd, unix::net::UnixStream},
    time::Duration,
};

use rustls::{ClientConnection, StreamOwned};
use socket2::SockRef;

use super::{
    DEADLINE,
    message::{Framing, Head, field, latin},
};

/// A connection of any kind.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
    /// A client's, over TLS. An end without `close_notify` is an error.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Socket {
    /// A second handle of the same connection.
    pub(crate) fn another(&self) -> Socket {
        match self {
            Socket::Tcp(s) => Socket::Tcp(s.try_clone().expect("clone a socket")),
            Socket::Unix(s) => Socket::Unix(s.try_clone().expect("clone a socket")),
            Socket::Tls(_) => panic!("TLS has one handle"),
        }
    }

    /// Ends the connection, for each handle of it.
    pub(crate) fn shut(&self, how: Shutdown) {
        // Not connected any more is as good.
        let _ = match self {
            Socket::Tcp(s) => s.shutdown(how),
            Socket::Unix(s) => s.shutdown(how),
            Socket::Tls(s) => s.sock.shutdown(how),
        };
    }

    /// The socket's inode, the same for each handle of it.
    pub(crate) fn identity(&self) -> u64 {
        use std::os::unix::fs::MetadataExt;
        let descriptor = match self {
            Socket::Tcp(s) => s.as_raw_fd(),
            Socket::Unix(s) => s.as_raw_fd(),
            Socket::Tls(s) => s.sock.as_raw_fd(),
        };
        std::fs::metadata(format!("/proc/self/fd/{descriptor}")).map_or(0, |m| m.ino())
    }

    fn option(&self) -> SockRef<'_> {
        match self {
            Socket::Tcp(s) => SockRef::from(s),
            Socket::Unix(s) => SockRef::from(s),
            Socket::Tls(s) => SockRef::from(&s.sock),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.read(into),
            Socket::Unix(s) => s.read(into),
            Socket::Tls(s) => s.read(into),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(s) => s.write(bytes),
            Socket::Unix(s) => s.write(bytes),
            Socket::Tls(s) => s.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) => Ok(()),
            Socket::Tls(s) => s.flush(),
        }
    }
}

/// A body as it was read.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// Its bytes, as far as they came.
    pub(crate) bytes: Vec<u8>,
    /// The fields behind the last chunk.
    pub(crate) trailers: Vec<(String, String)>,
    /// Why it did not end as its framing said.
    pub(crate) fault: Option<Fault>,
}

/// Why a body did not end as its framing said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection ended within it.
    Cut,
    /// Its bytes break the grammar.
    Malformed(String),
}

/// A connection with what was read ahead of it.
#[derive(Debug)]
pub(crate) struct Wire {
    socket: Socket,
    ahead: Vec<u8>,
}

impl Wire {
    /// Puts the deadline on a connection. Writes have it too, so that a peer that reads nothing fails the
    /// test.
    pub(crate) fn new(socket: Socket) -> Wire {
        let option = socket.option();
        option
            .set_read_timeout(Some(DEADLINE))
            .expect("set a read timeout");
        option
            .set_write_timeout(Some(DEADLINE))
            .expect("set a write timeout");
        if !matches!(socket, Socket::Unix(_)) {
            option.set_tcp_nodelay(true).expect("set nodelay");
        }
        Wire {
            socket,
            ahead: Vec::new(),
        }
    }

    /// The connection itself.
    pub(crate) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Another deadline for reads.
    pub(crate) fn patience(&mut self, limit: Duration) {
        self.socket
            .option()
            .set_read_timeout(Some(limit))
            .expect("set a read timeout");
    }

    /// Makes the next close a reset (RST) instead of an orderly end.
    pub(crate) fn reset_at_close(&self) {
        self.socket
            .option()
            .set_linger(Some(Duration::ZERO))
            .expect("set linger");
    }

    /// Ends the sending side.
    pub(crate) fn end_sending(&self) {
        self.socket
            .option()
            .shutdown(std::net::Shutdown::Write)
            .expect("end the sending side");
    }

    /// Sends all of it.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)?;
        self.socket.flush()
    }

    /// Reads up to and with the empty line; `None` when the connection ended before a byte of it.
    pub(crate) fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n\r\n") {
                let bytes: Vec<u8> = self.ahead.drain(..end + 4).collect();
                return Ok(Some(Head::parse(&bytes)));
            }
            if self.fill()? == 0 {
                return match self.ahead.len() {
                    0 => Ok(None),
                    _ => Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("the connection ended within a head: {:?}", latin(&self.ahead)),
                    )),
                };
            }
        }
    }

    /// Reads exactly so many bytes.
    pub(crate) fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.ahead.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.ahead.drain(..length).collect())
    }

    /// Reads until the peer ends the connection; a reset is an end too.
    pub(crate) fn until_end(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.fill() {
                Ok(0) => break,
                Ok(_) => {}
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => break,
                Err(e) => return Err(e),
            }
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Reads what is there, waiting for the first byte; empty at the end.
    pub(crate) fn some(&mut self) -> io::Result<Vec<u8>> {
        if self.ahead.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.ahead))
    }

    /// Reads a body to the end its framing gives, [`Framing::None`] being none at all.
    pub(crate) fn body(&mut self, framing: Framing) -> Body {
        let mut body = Body::default();
        body.fault = match framing {
            Framing::None => Ok(()),
            Framing::Length(length) => self.length(length, &mut body.bytes),
            Framing::Chunked => self.chunks(&mut body),
        }
        .err();
        body
    }

    /// Reads a body of a known length and keeps none of it.
    pub(crate) fn discard(&mut self, mut length: u64) -> io::Result<()> {
        while length > 0 {
            if self.ahead.is_empty() && self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let take = length.min(self.ahead.len() as u64);
            self.ahead.drain(..take as usize);
            length -= take;
        }
        Ok(())
    }

    fn length(&mut self, length: u64, into: &mut Vec<u8>) -> Result<(), Fault> {
        while (into.len() as u64) < length {
            if self.ahead.is_empty() && !matches!(self.fill(), Ok(n) if n > 0) {
                return Err(Fault::Cut);
            }
            let take = (length - into.len() as u64).min(self.ahead.len() as u64) as usize;
            into.extend(self.ahead.drain(..take));
        }
        Ok(())
    }

    /// The chunked coding, read strictly (RFC 9112 §7.1): CRLF everywhere, no sign, no space, no extension.
    fn chunks(&mut self, body: &mut Body) -> Result<(), Fault> {
        loop {
            let line = self.line()?;
            if line.is_empty() || line.len() > 16 || !line.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(Fault::Malformed(format!("chunk size {line:?}")));
            }
            let size =
                u64::from_str_radix(&line, 16).map_err(|e| Fault::Malformed(format!("{line:?}: {e}")))?;
            if size == 0 {
                break;
            }
            let so_far = body.bytes.len() as u64;
            self.length(so_far + size, &mut body.bytes)?;
            let end = self.line()?;
            if !end.is_empty() {
                return Err(Fault::Malformed(format!("a chunk is followed by {end:?}")));
            }
        }
        loop {
            match self.line()? {
                line if line.is_empty() => return Ok(()),
                line => body.trailers.push(field(&line)),
            }
        }
    }

    fn line(&mut self) -> Result<String, Fault> {
        loop {
            if let Some(end) = find(&self.ahead, b"\r\n") {
                let line: Vec<u8> = self.ahead.drain(..end + 2).collect();
                return Ok(latin(&line[..end]));
            }
            if !matches!(self.fill(), Ok(n) if n > 0) {
                return Err(Fault::Cut);
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut buffer = [0; 16 * 1024];
        let n = self.socket.read(&mut buffer)?;
        self.ahead.extend_from_slice(&buffer[..n]);
        Ok(n)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, what)
}
