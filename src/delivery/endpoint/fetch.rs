//! Fetches a file: the tracker script, from Plausible or from where else the configuration says. The way
//! there is that of events: the same proxy, the same trusted roots. Nothing of any visitor goes with the
//! request. A fetcher can also post a single event, for who wants to read Plausible's answer to it.
//!
//! hyper speaks HTTP/1.1 here, over a connection for each fetch: there is one in a minute.

use std::{
    io,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{task::spawn_local, time::timeout_at};
use tokio_rustls::TlsConnector;

use super::{
    connect::TcpConnector,
    http1::ByteStream,
    request::{AddressError, spelled},
    tls::{HTTP_1_1, client_config, handshake_in_words, is_of_handshake},
    tunnel::Tunnel,
};
use crate::{
    certificate::Validity,
    delivery::{
        DeliveryError,
        settings::{AddressHeader, Base, ForwardProxy},
    },
    event::Event,
};

/// The longest head of an answer, in bytes.
const LONGEST_HEAD: usize = 16 * 1_024;

/// Fetches one file. To be used on a runtime that runs local tasks.
pub struct Fetcher {
    tcp: TcpConnector,
    tunnel: Option<Tunnel>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    request: Request<Full<Bytes>>,
    /// How long a fetch may take.
    timeout: Duration,
    /// The longest body, in bytes.
    longest: usize,
}

/// What was answered, whatever it is.
#[derive(Debug)]
pub struct Fetched {
    /// The status.
    pub status: StatusCode,
    /// The header fields.
    pub fields: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
    /// How long the server's certificate holds; none without TLS.
    pub certificate: Option<Validity>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No connection was made.
    #[error("no connection: {0}")]
    Connect(io::Error),
    /// The server, or the proxy, was reached, and TLS with it failed.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// The answer was not there in time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// The connection broke, or the answer is no HTTP.
    #[error("the answer is cut off or no HTTP")]
    Broken(#[source] hyper::Error),
    /// The body is longer than it may be.
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
}

impl Fetcher {
    /// Fetches `path` of `base`, by way of `proxy`. `ca_file` is trusted beside the system's roots. A fetch
    /// may take `timeout`, and bring `longest` bytes.
    ///
    /// # Errors
    /// [`DeliveryError::Address`], [`DeliveryError::Tls`]
    pub fn new(
        (base, path): (&Base, &str),
        proxy: Option<&ForwardProxy>,
        ca_file: Option<&Path>,
        timeout: Duration,
        longest: usize,
    ) -> Result<Self, DeliveryError> {
        let authority = base.authority();
        let asked = proxy.filter(|_| !base.https);
        // As with events: plain HTTP in absolute form to the proxy (RFC 9112 §3.2.2), TLS through a tunnel.
        let target = match asked {
            Some(_) => format!("{}://{authority}{path}", base.scheme()),
            None => path.to_owned(),
        };
        let mut request = Request::get(target)
            .header(header::HOST, authority)
            .header(
                header::USER_AGENT,
                concat!("gatecount/", env!("CARGO_PKG_VERSION")),
            )
            .header(header::ACCEPT, "*/*")
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::CONNECTION, "close")
            .body(Full::default())
            .map_err(AddressError::Tunnel)?;
        if let Some(authorization) = asked.and_then(|proxy| proxy.authorization.clone()) {
            let fields = request.headers_mut();
            fields.insert(header::PROXY_AUTHORIZATION, authorization);
        }
        let tls = if base.https {
            let mut config = client_config(ca_file)?.as_ref().clone();
            config.alpn_protocols = vec![HTTP_1_1.to_vec()];
            let name = ServerName::try_from(base.host.clone()).map_err(AddressError::Name)?;
            Some((TlsConnector::from(Arc::new(config)), name))
        } else {
            None
        };
        let tunnel = match proxy.filter(|_| base.https) {
            Some(proxy) => Some(Tunnel::new(base, proxy).map_err(AddressError::Tunnel)?),
            None => None,
        };
        let connect_to = proxy.map_or_else(
            || (base.host.clone(), base.port),
            |proxy| (proxy.host.clone(), proxy.port),
        );
        Ok(Fetcher {
            tcp: TcpConnector::new(&connect_to),
            tunnel,
            tls,
            request,
            timeout,
            longest,
        })
    }

    /// The same way, to post this event in place of fetching: with the fields that delivery sends, and with
    /// `X-Debug-Request` where `debug` asks for the address that Plausible sees. `None` if no field value can
    /// hold the event's user agent.
    pub fn posting(mut self, event: &Event<'_>, headers: &[AddressHeader], debug: bool) -> Option<Self> {
        let request = &mut self.request;
        *request.method_mut() = Method::POST;
        *request.body_mut() = Full::new(Bytes::copy_from_slice(&event.body));
        let fields = request.headers_mut();
        // What no event carries.
        for name in [header::ACCEPT_ENCODING, header::CONNECTION] {
            fields.remove(name);
        }
        fields.insert(
            header::USER_AGENT,
            HeaderValue::from_bytes(&event.user_agent).ok()?,
        );
        fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let address = HeaderValue::from_str(&event.client.to_string()).ok()?;
        for name in headers {
            let name = HeaderName::from_bytes(spelled(*name).as_bytes()).ok()?;
            fields.insert(name, address.clone());
        }
        if debug {
            fields.insert("x-debug-request", HeaderValue::from_static("true"));
        }
        Some(self)
    }

    /// Fetches the file, unless it is as `validators` say (RFC 9110 §13.1).
    ///
    /// # Errors
    /// [`FetchError`]
    pub async fn fetch(&self, validators: &HeaderMap<HeaderValue>) -> Result<Fetched, FetchError> {
        let deadline = Instant::now() + self.timeout;
        let mut request = self.request.clone();
        request.headers_mut().extend(validators.clone());
        let fetched = timeout_at(deadline.into(), self.fetch_by(deadline, request)).await;
        fetched.unwrap_or(Err(FetchError::TimedOut(self.timeout)))
    }

    async fn fetch_by(
        &self,
        deadline: Instant,
        request: Request<Full<Bytes>>,
    ) -> Result<Fetched, FetchError> {
        let stream = self.tcp.connect(deadline).await;
        let mut stream = stream.map_err(|error| FetchError::Connect(io::Error::other(error)))?;
        if let Some(tunnel) = &self.tunnel {
            let opened = tunnel.open(stream).await;
            stream = opened.map_err(|error| FetchError::Connect(io::Error::other(error)))?;
        }
        match &self.tls {
            Some((connector, name)) => {
                let tls = connector.connect(name.clone(), stream).await;
                let tls = tls.map_err(|error| match handshake_in_words(error) {
                    error if is_of_handshake(&error) => FetchError::Tls(error),
                    error => FetchError::Connect(error),
                });
                let tls = tls?;
                let shown = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = shown.and_then(Validity::of_der);
                let fetched = self.ask(Box::new(tls), request).await?;
                Ok(Fetched {
                    certificate,
                    ..fetched
                })
            }
            None => self.ask(Box::new(stream), request).await,
        }
    }

    async fn ask(
        &self,
        stream: Box<dyn ByteStream>,
        request: Request<Full<Bytes>>,
    ) -> Result<Fetched, FetchError> {
        let (mut requests, connection) = http1::Builder::new()
            .max_buf_size(LONGEST_HEAD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(FetchError::Broken)?;
        // Ends when `requests` is dropped, or with the answer.
        let connection = spawn_local(connection);
        let response = requests.send_request(request).await.map_err(FetchError::Broken)?;
        let (head, body) = response.into_parts();
        let body = self.read(body).await;
        connection.abort();
        Ok(Fetched {
            status: head.status,
            fields: head.headers,
            body: body?,
            certificate: None,
        })
    }

    async fn read(&self, body: Incoming) -> Result<Bytes, FetchError> {
        match Limited::new(body, self.longest).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLong(self.longest)),
            Err(error) => match error.downcast::<hyper::Error>() {
                Ok(error) => Err(FetchError::Broken(*error)),
                Err(other) => Err(FetchError::Connect(io::Error::other(other))),
            },
        }
    }
}
