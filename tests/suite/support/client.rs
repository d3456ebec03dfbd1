//! Clients: exact bytes over one connection, browsers' own header sets, and curl.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream},
    process::{Command, Output},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};
use socket2::{Domain, Socket as RawSocket, Type};

use super::{
    DEADLINE,
    message::{Framing, Head, Response},
    wire::{Body, Socket, Wire},
};

/// Chrome's user agent.
pub(crate) const CHROME: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
     Chrome/138.0.0.0 Safari/537.36";

/// Firefox's user agent.
pub(crate) const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Safari's of before `Sec-Fetch-*`.
pub(crate) const OLD_SAFARI: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) AppleWebKit/605.1.15 \
     (KHTML, like Gecko) Version/13.1.2 Safari/605.1.15";

const DOCUMENT: &str =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

/// What Chrome sends when a link is followed.
pub(crate) const NAVIGATION: &[(&str, &str)] = &[
    ("User-Agent", CHROME),
    ("Accept", DOCUMENT),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-User", "?1"),
    ("Sec-Fetch-Dest", "document"),
    ("Accept-Language", "en-GB,en;q=0.9"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Upgrade-Insecure-Requests", "1"),
];

/// What a browser without `Sec-Fetch-*` sends when a link is followed.
pub(crate) const OLD_NAVIGATION: &[(&str, &str)] = &[
    ("User-Agent", OLD_SAFARI),
    ("Accept", DOCUMENT),
    ("Upgrade-Insecure-Requests", "1"),
];

/// What Chrome sends for a picture in a page.
pub(crate) const IMAGE: &[(&str, &str)] = &[
    ("User-Agent", CHROME),
    (
        "Accept",
        "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8",
    ),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "no-cors"),
    ("Sec-Fetch-Dest", "image"),
];

/// What Chrome sends for a page in an iframe.
pub(crate) const IFRAME: &[(&str, &str)] = &[
    ("User-Agent", CHROME),
    ("Accept", DOCUMENT),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "iframe"),
];

/// What Chrome sends for a `fetch()` of the page's script.
pub(crate) const FETCH: &[(&str, &str)] = &[
    ("User-Agent", CHROME),
    ("Accept", "*/*"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Dest", "empty"),
];

/// What Chrome sends for a document by speculation rules.
pub(crate) const PREFETCH: &[(&str, &str)] = &[
    ("User-Agent", CHROME),
    ("Accept", DOCUMENT),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "document"),
    ("Sec-Purpose", "prefetch"),
];

/// What Google's crawler sends.
pub(crate) const GOOGLEBOT: &[(&str, &str)] = &[
    (
        "User-Agent",
        "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    ),
    ("Accept", DOCUMENT),
];

/// A request to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    method: String,
    target: String,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Any method, to the host `example.com`.
    pub(crate) fn new(method: &str, target: &str) -> Request {
        Request {
            method: method.to_owned(),
            target: target.to_owned(),
            fields: vec![("Host".into(), "example.com".into())],
            body: Vec::new(),
        }
    }

    /// A GET to the host `example.com`.
    pub(crate) fn get(target: &str) -> Request {
        Request::new("GET", target)
    }

    /// A POST with a body and its length.
    pub(crate) fn post(target: &str, body: &[u8]) -> Request {
        let mut request = Request::new("POST", target);
        request.body = body.to_vec();
        request.with("Content-Length", &body.len().to_string())
    }

    /// One more field line.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Request {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A browser's field lines.
    pub(crate) fn as_(mut self, browser: &[(&str, &str)]) -> Request {
        let lines = browser.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        self.fields.extend(lines);
        self
    }

    /// The lines that a proxy of ours in front would add for this visitor.
    pub(crate) fn from(self, visitor: &str) -> Request {
        self.with("X-Forwarded-For", visitor)
    }

    /// Another host.
    pub(crate) fn host(mut self, host: &str) -> Request {
        host.clone_into(&mut self.fields[0].1);
        self
    }

    /// The field lines.
    pub(crate) fn fields(&self) -> &[(String, String)] {
        &self.fields
    }

    /// The method.
    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    /// The target.
    pub(crate) fn target(&self) -> &str {
        &self.target
    }

    /// The body.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }

    /// The request on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.fields {
            out.extend(format!("{name}: ").bytes());
            out.extend(
                value
                    .chars()
                    .map(|c| u8::try_from(c).expect("values are Latin-1")),
            );
            out.extend(b"\r\n");
        }
        out.extend(b"\r\n");
        out.extend(&self.body);
        out
    }
}

/// One kept-alive connection.
#[derive(Debug)]
pub(crate) struct Client {
    wire: Wire,
}

impl Client {
    /// Connects.
    #[track_caller]
    pub(crate) fn to(address: SocketAddr) -> Client {
        Client::try_to(address).unwrap_or_else(|e| panic!("connect to {address}: {e}"))
    }

    /// Connects, or says why not.
    pub(crate) fn try_to(address: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        Ok(Client::over(stream))
    }

    /// Over a connection that was made.
    pub(crate) fn over(stream: TcpStream) -> Client {
        Client {
            wire: Wire::new(Socket::Tcp(stream)),
        }
    }

    /// Does a TLS handshake over a connection that was made, asking for a server of this name.
    pub(crate) fn over_tls(
        mut stream: TcpStream,
        config: &Arc<ClientConfig>,
        name: &str,
    ) -> io::Result<Client> {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(Client {
            wire: Wire::new(Socket::Tls(Box::new(StreamOwned::new(tls, stream)))),
        })
    }

    /// Connects from an address of this machine: on Linux all of 127.0.0.0/8 is, so each visitor can have
    /// one.
    #[track_caller]
    pub(crate) fn from(source: &str, address: SocketAddr) -> Client {
        Client::over(connection_from(source, address))
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub(crate) fn ask(&mut self, request: &Request) -> Response {
        self.try_ask(request)
            .unwrap_or_else(|e| panic!("{} {}: {e}", request.method, request.target))
    }

    /// Sends a request and reads its response, or says what went wrong on the connection.
    pub(crate) fn try_ask(&mut self, request: &Request) -> io::Result<Response> {
        self.wire.send(&request.bytes())?;
        self.try_response_to(&request.method)
    }

    /// Sends exact bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.wire.send(bytes).expect("send");
    }

    /// Sends exact bytes; the peer may have closed by now.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.send(bytes)
    }

    /// Reads a response to anything but HEAD.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    /// Reads a response to this method.
    #[track_caller]
    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        self.try_response_to(method)
            .unwrap_or_else(|e| panic!("no response: {e}"))
    }

    /// Reads a response to this method, or says what went wrong on the connection.
    pub(crate) fn try_response_to(&mut self, method: &str) -> io::Result<Response> {
        let mut informational = Vec::new();
        let head = loop {
            let head = self
                .wire
                .head()?
                .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "closed without a response"))?;
            if !head.start.starts_with("HTTP/1.") {
                return Err(io::Error::other(format!("no response: {:?}", head.start)));
            }
            match head.status() {
                100 | 102..=199 => informational.push(head),
                _ => break head,
            }
        };
        let status = head.status();
        let bare = method == "HEAD" || matches!(status, 101 | 204 | 304);
        let body = if bare {
            Body::default()
        } else {
            match head.framing().map_err(io::Error::other)? {
                Framing::None => Body {
                    bytes: self.wire.until_end()?,
                    ..Body::default()
                },
                framing => self.wire.body(framing),
            }
        };
        Ok(Response {
            informational,
            head,
            body: body.bytes,
            trailers: body.trailers,
            complete: body.fault.is_none(),
        })
    }

    /// Reads the next head, be it informational or final.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Head {
        self.wire
            .head()
            .expect("read a head")
            .expect("a head before the end")
    }

    /// Reads exactly so many bytes.
    #[track_caller]
    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        self.wire.exactly(length).expect("read")
    }

    /// Reads and drops so many bytes.
    #[track_caller]
    pub(crate) fn discard(&mut self, length: u64) {
        self.wire.discard(length).expect("read");
    }

    /// Reads what comes until the peer closes.
    #[track_caller]
    pub(crate) fn until_closed(&mut self) -> Vec<u8> {
        self.wire.until_end().expect("the peer closes")
    }

    /// Sends no more, and reads on.
    pub(crate) fn end_sending(&self) {
        self.wire.end_sending();
    }

    /// Leaves without a word: the connection is reset.
    pub(crate) fn reset(self) {
        self.wire.reset_at_close();
    }

    /// Gives up waiting after this time instead of the usual one.
    pub(crate) fn patience(&mut self, limit: Duration) {
        self.wire.patience(limit);
    }

    /// The connection's bytes, for a test that reads and writes at once.
    pub(crate) fn into_wire(self) -> Wire {
        self.wire
    }
}

/// A connection from an address of this machine.
#[track_caller]
pub(crate) fn connection_from(source: &str, address: SocketAddr) -> TcpStream {
    let source: IpAddr = source.parse().expect("a source address");
    let socket = RawSocket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket
        .bind(&SocketAddr::new(source, 0).into())
        .expect("bind the source address");
    socket
        .connect_timeout(&address.into(), DEADLINE)
        .unwrap_or_else(|e| panic!("connect to {address}: {e}"));
    socket.into()
}

/// One request over a connection of its own.
#[track_caller]
pub(crate) fn get(address: SocketAddr, target: &str) -> Response {
    let request = Request::get(target).host(&address.to_string());
    Client::to(address).ask(&request.with("Connection", "close"))
}

/// curl, quiet and with a deadline.
#[track_caller]
pub(crate) fn curl(arguments: &[&str]) -> Output {
    Command::new("curl")
        .args(["--silent", "--show-error", "--max-time", "30"])
        .args(arguments)
        .output()
        .expect("run curl: is it installed?")
}
