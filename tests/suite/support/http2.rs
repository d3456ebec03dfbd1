//! An HTTP/2 client, hyper's, for tests that are written without `async`: its connections live on a runtime
//! of their own.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    io,
    net::TcpStream,
    pin::Pin,
    sync::{Arc, LazyLock},
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client::conn::http2,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime::Handle,
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    DEADLINE,
    client::Request,
    message::{Head, Response, latin},
};

/// What the client's streams are sent through.
pub(crate) type Sender = http2::SendRequest<Upload>;

static RUNTIME: LazyLock<Handle> = LazyLock::new(|| {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let handle = runtime.handle().clone();
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    handle
});

/// Does what waits on the connections' runtime; fails at the deadline.
#[track_caller]
pub(crate) fn wait_for<T>(future: impl Future<Output = T>) -> T {
    let limited = async { timeout(DEADLINE, future).await };
    let done = RUNTIME.block_on(limited);
    done.unwrap_or_else(|_| panic!("HTTP/2: nothing for {DEADLINE:?}"))
}

/// Lets something run beside the test.
pub(crate) fn spawn<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    RUNTIME.spawn(future)
}

/// One connection.
pub(crate) struct Http2 {
    sender: Sender,
    scheme: &'static str,
}

/// What a stream's end was when it was no response's.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The request was never sent: the connection takes no more.
    NotSent,
    /// The server went away without having looked at it (RFC 9113 §6.8).
    Refused,
    /// The stream or its connection broke.
    Broken(String),
}

impl Http2 {
    /// Over TLS, where ALPN must choose it.
    pub(crate) fn over_tls(stream: TcpStream, config: &Arc<ClientConfig>, name: &str) -> io::Result<Http2> {
        let (connector, name) = (TlsConnector::from(Arc::clone(config)), name.to_owned());
        wait_for(async move {
            let stream = tokio_stream(stream)?;
            let name = ServerName::try_from(name).map_err(io::Error::other)?;
            let tls = connector.connect(name, stream).await?;
            assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "ALPN");
            Http2::handshake(tls, "https").await
        })
    }

    /// In plain text, by prior knowledge.
    pub(crate) fn over(stream: TcpStream) -> io::Result<Http2> {
        wait_for(async move { Http2::handshake(tokio_stream(stream)?, "http").await })
    }

    async fn handshake<S>(stream: S, scheme: &'static str) -> io::Result<Http2>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.max_header_list_size(1 << 20);
        let (sender, connection) = builder
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        // The server's settings say that WebSockets may be asked for (RFC 8441 §3). hyper tells nobody when
        // they come.
        while !connection.is_extended_connect_protocol_enabled() {
            if sender.is_closed() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            sleep(Duration::from_millis(1)).await;
        }
        // Its error is that of the streams.
        spawn(async move { connection.await.is_ok() });
        Ok(Http2 { sender, scheme })
    }

    /// For streams of its own.
    pub(crate) fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Whether the server takes no more on this connection.
    pub(crate) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// This request as HTTP/2 has it.
    #[track_caller]
    pub(crate) fn request(&self, request: &Request, upload: Upload) -> http::Request<Upload> {
        to_http2(request, self.scheme)
            .body(upload)
            .unwrap_or_else(|e| panic!("{request:?}: {e}"))
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub(crate) fn ask(&self, request: &Request) -> Response {
        self.try_ask(request, Upload::of(request.body()))
            .unwrap_or_else(|e| panic!("{} {}: {e:?}", request.method(), request.target()))
    }

    /// Sends a request with this body and reads its response, or says what became of it.
    #[track_caller]
    pub(crate) fn try_ask(&self, request: &Request, upload: Upload) -> Result<Response, Failure> {
        let request = self.request(request, upload);
        wait_for(exchange(self.sender(), request))
    }
}

fn tokio_stream(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// What HTTP/1.1 says of the connection is not said, nor what `Connection` names (RFC 9113 §8.2.2).
fn to_http2(request: &Request, scheme: &str) -> http::request::Builder {
    let fields = request.fields();
    let mut host = "";
    let options: Vec<String> = super::message::all(fields, "connection")
        .iter()
        .flat_map(|line| line.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .chain(["connection", "keep-alive", "transfer-encoding", "upgrade"].map(str::to_owned))
        .filter(|option| option != "te")
        .collect();
    let mut builder = http::Request::builder().method(request.method());
    for (name, value) in fields {
        if name.eq_ignore_ascii_case("host") {
            host = value;
        } else if !options.contains(&name.to_ascii_lowercase()) {
            let bytes: Vec<u8> = value.chars().map(|c| c as u8).collect();
            builder = builder.header(name, bytes);
        }
    }
    let uri = match request.method() {
        "CONNECT" => request.target().to_owned(),
        _ => format!("{scheme}://{host}{}", request.target()),
    };
    builder.uri(uri)
}

/// Sends a request and reads its response to the end.
pub(crate) async fn exchange(
    mut sender: Sender,
    request: http::Request<Upload>,
) -> Result<Response, Failure> {
    if sender.ready().await.is_err() {
        return Err(Failure::NotSent);
    }
    match sender.try_send_request(request).await {
        Ok(response) => Ok(read(response).await),
        Err(mut error) => Err(match error.take_message() {
            Some(_) => Failure::NotSent,
            None => match reason(error.error()) {
                // h2's words for a GOAWAY with NO_ERROR that names an earlier stream as the last.
                refused if refused.ends_with("connection error received: not a result of an error") => {
                    Failure::Refused
                }
                broken => Failure::Broken(broken),
            },
        }),
    }
}

/// Reads a response to its end; a body that was cut is there as far as it came.
pub(crate) async fn read(response: http::Response<Incoming>) -> Response {
    let (parts, mut body) = response.into_parts();
    let mut response = Response {
        head: head(&parts),
        complete: true,
        ..Response::default()
    };
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => response.body.extend_from_slice(&data),
            Ok(Err(frame)) => {
                let trailers = frame.into_trailers().expect("data or trailers");
                response.trailers = fields(&trailers);
            }
            Err(_) => {
                response.complete = false;
                break;
            }
        }
    }
    response
}

/// A response's head as the tests read heads.
pub(crate) fn head(parts: &http::response::Parts) -> Head {
    Head {
        bytes: Vec::new(),
        start: format!("HTTP/2 {}", parts.status.as_u16()),
        fields: fields(&parts.headers),
    }
}

/// An error with its causes.
pub(crate) fn reason(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

fn fields(map: &HeaderMap) -> Vec<(String, String)> {
    map.iter()
        .map(|(name, value)| (name.to_string(), latin(value.as_bytes())))
        .collect()
}

/// A request's body: what is there, and then what the test sends on.
#[derive(Default)]
pub(crate) struct Upload {
    frames: VecDeque<Frame<Bytes>>,
    more: Option<mpsc::Receiver<Frame<Bytes>>>,
    length: Option<u64>,
    /// Said by a frame of its own where it could have been said before.
    says_its_end: bool,
}

impl Upload {
    /// None.
    pub(crate) fn none() -> Upload {
        Upload::default()
    }

    /// These bytes, or no body at all.
    pub(crate) fn of(bytes: &[u8]) -> Upload {
        let data = (!bytes.is_empty()).then(|| Frame::data(Bytes::copy_from_slice(bytes)));
        Upload {
            length: Some(bytes.len() as u64),
            frames: data.into_iter().collect(),
            ..Upload::default()
        }
    }

    /// These pieces and trailers, the length not said beforehand.
    pub(crate) fn pieces(pieces: &[&[u8]], trailers: &[(String, String)]) -> Upload {
        let data = pieces
            .iter()
            .map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
        let mut frames: VecDeque<_> = data.collect();
        if !trailers.is_empty() {
            let line = |(name, value): &(String, String)| {
                (
                    name.parse::<http::HeaderName>().expect("a name"),
                    value.parse::<http::HeaderValue>().expect("a value"),
                )
            };
            frames.push_back(Frame::trailers(trailers.iter().map(line).collect()));
        }
        Upload {
            frames,
            says_its_end: true,
            ..Upload::default()
        }
    }

    /// What comes through the channel, until its sender is dropped.
    pub(crate) fn channel() -> (mpsc::Sender<Frame<Bytes>>, Upload) {
        let (sender, more) = mpsc::channel(1);
        let upload = Upload {
            more: Some(more),
            says_its_end: true,
            ..Upload::default()
        };
        (sender, upload)
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(frame) = self.frames.pop_front() {
            return Poll::Ready(Some(Ok(frame)));
        }
        match &mut self.more {
            Some(more) => more.poll_recv(cx).map(|frame| frame.map(Ok)),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.frames.is_empty() && self.more.is_none() && !self.says_its_end
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
