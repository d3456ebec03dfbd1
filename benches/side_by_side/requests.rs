//! What the load asks for, as a browser behind TLS would, and how one answer is read on a blocking
//! connection.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    time::Duration,
};

use memchr::memmem;
use socket2::{Domain, Socket, Type};

use crate::Failure;

/// How long a single answer may take before the bench gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

const EVERY_REQUEST: &str = "Host: example.com\r\n\
    User-Agent: Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36\r\n\
    Accept-Language: en-US,en;q=0.9,fr;q=0.8\r\n\
    Referer: https://example.com/articles/the-one-before?page=2\r\n\
    Cookie: session=9f2c4e1a7b8d4c6f8e0a1b2c3d4e5f60; theme=light; consent=yes\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-CH-UA: \"Google Chrome\";v=\"131\", \"Chromium\";v=\"131\", \"Not_A Brand\";v=\"24\"\r\n";

const NAVIGATION: &str = "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
    Sec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\nUpgrade-Insecure-Requests: 1\r\n";

/// A navigation to `path`: what gatecount counts.
pub(crate) fn page(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\n{EVERY_REQUEST}{NAVIGATION}\r\n").into_bytes()
}

/// The fields of a navigation, but for the host, for a load that sends the same with every request.
pub(crate) fn fields() -> impl Iterator<Item = &'static str> {
    let lines = EVERY_REQUEST.lines().chain(NAVIGATION.lines());
    lines.filter(|line| !line.starts_with("Host:"))
}

/// An image of a page: what is not counted.
pub(crate) fn image(path: &str) -> Vec<u8> {
    let own = "Accept: image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8\r\n\
        Sec-Fetch-Dest: image\r\nSec-Fetch-Mode: no-cors\r\n";
    format!("GET {path} HTTP/1.1\r\n{EVERY_REQUEST}{own}\r\n").into_bytes()
}

/// Connects to `port` on loopback from the address of visitor `visitor`: all of 127.0.0.0/8 is this machine.
pub(crate) fn connect(port: u16, visitor: usize) -> Result<TcpStream, Failure> {
    // Digits to the base 250, each from 1: no address that ends in 0 or 255, and none in 127.0.0.x, where the
    // servers are.
    let digit = |place: usize| (visitor / place % 250) as u8 + 1;
    let from = Ipv4Addr::new(127, digit(62_500), digit(250), digit(1));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket.into())
}

/// How the end of an answer is seen, when the same is asked for again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By its whole length in bytes: a proxy that answers the same request again sends as many.
    Length(usize),
    /// By the last chunk: where the others begin depends on how the bytes come.
    LastChunk,
}

/// What ends a body in chunks; nothing follows it, as one request is under way at most.
pub(crate) const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Sends `request` and reads the answer to its end, which must be a 200 with a `Content-Length` or in chunks.
pub(crate) fn ask(stream: &mut (impl Read + Write), request: &[u8]) -> Result<End, Failure> {
    stream.write_all(request)?;
    let mut answer = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            return Err("closed the connection before the answer's end".into());
        }
        answer.extend_from_slice(&chunk[..read]);
        match end(&answer)? {
            Some(End::Length(length)) if answer.len() >= length => return Ok(End::Length(length)),
            Some(End::LastChunk) if answer.ends_with(LAST_CHUNK) => return Ok(End::LastChunk),
            _ => {}
        }
    }
}

/// How an answer ends, once its head is there.
fn end(answer: &[u8]) -> Result<Option<End>, Failure> {
    let Some(end) = memmem::find(answer, b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = String::from_utf8_lossy(&answer[..end]);
    if !head.starts_with("HTTP/1.1 200") {
        return Err(format!("answered {:?}", head.lines().next().unwrap_or_default()).into());
    }
    if head
        .to_ascii_lowercase()
        .contains("\r\ntransfer-encoding: chunked")
    {
        return Ok(Some(End::LastChunk));
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    let length = length.ok_or_else(|| format!("answered without a Content-Length: {head:?}"))?;
    Ok(Some(End::Length(end + 4 + length)))
}

/// How many events the receiver on `port` has taken.
pub(crate) fn count(port: u16) -> Result<u64, Failure> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /count HTTP/1.1\r\nHost: receiver\r\n\r\n")?;
    let mut answer = [0; 256];
    let read = stream.read(&mut answer)?;
    let text = std::str::from_utf8(&answer[..read])?;
    // Written by the receiver at once: a head and a number.
    let (_, number) = text
        .split_once("\r\n\r\n")
        .ok_or("the receiver does not say what it counted")?;
    Ok(number.parse()?)
}
