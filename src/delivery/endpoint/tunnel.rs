//! A tunnel through an HTTP proxy, by CONNECT (RFC 9110 §9.3.6).
//!
//! hyper speaks this one exchange: it costs nothing that a tunnel's lifetime would notice.

use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::{body::Bytes, client::conn::http1, upgrade};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::spawn_local};

use crate::delivery::settings::{Base, ForwardProxy};

/// The longest head of an answer to CONNECT, in bytes.
const LONGEST_HEAD: usize = 16 * 1_024;

/// Opens tunnels to one host.
#[derive(Debug)]
pub(super) struct Tunnel {
    /// Host and port.
    to: String,
    request: Request<Empty<Bytes>>,
    has_credentials: bool,
}

/// Why the proxy opened no tunnel.
#[derive(Debug, thiserror::Error)]
pub(super) enum TunnelError {
    /// 407, and no credentials are configured.
    #[error("the proxy wants a user name and password (407)")]
    NoCredentials,
    /// 407, in spite of the configured credentials.
    #[error("the proxy does not accept the user name and password (407)")]
    WrongCredentials,
    /// 403: the proxy's rules.
    #[error("the proxy does not allow connections to {0} (403)")]
    Forbidden(String),
    /// 5xx: the proxy failed, or did not reach the host.
    #[error("the proxy can't connect to {to} ({})", status.as_u16())]
    Unreachable {
        /// Host and port.
        to: String,
        /// The proxy's answer.
        status: StatusCode,
    },
    /// Any other answer: it may be no proxy.
    #[error("the proxy opened no connection to {to} (it answered {})", status.as_u16())]
    Refused {
        /// Host and port.
        to: String,
        /// The proxy's answer.
        status: StatusCode,
    },
    /// The connection ended before an answer, or the answer was no HTTP.
    #[error("the proxy gave no answer that can be read: {0}")]
    NoAnswer(#[from] hyper::Error),
    /// Bytes followed the answer, before anything was sent through the tunnel.
    #[error("the proxy sent bytes of its own through the tunnel")]
    Unasked,
}

impl TunnelError {
    /// What 407 means.
    pub(super) fn unauthorized(has_credentials: bool) -> Self {
        if has_credentials {
            TunnelError::WrongCredentials
        } else {
            TunnelError::NoCredentials
        }
    }
}

impl Tunnel {
    /// A tunnel to Plausible at `base`.
    pub(super) fn new(base: &Base, proxy: &ForwardProxy) -> Result<Self, http::Error> {
        let to = base.host_and_port();
        let mut request = Request::connect(to.as_str())
            .header(header::HOST, to.as_str())
            .header(
                header::USER_AGENT,
                concat!("gatecount/", env!("CARGO_PKG_VERSION")),
            )
            .body(Empty::new())?;
        if let Some(authorization) = &proxy.authorization {
            let fields = request.headers_mut();
            fields.insert(header::PROXY_AUTHORIZATION, HeaderValue::clone(authorization));
        }
        Ok(Tunnel {
            to,
            request,
            has_credentials: proxy.authorization.is_some(),
        })
    }

    /// Turns a connection to the proxy into one to the host.
    pub(super) async fn open(&self, proxy: TcpStream) -> Result<TcpStream, TunnelError> {
        let (mut requests, connection) = http1::Builder::new()
            .max_buf_size(LONGEST_HEAD)
            .handshake(TokioIo::new(proxy))
            .await?;
        // Ends with the upgrade, or when `requests` is dropped.
        spawn_local(connection.with_upgrades());
        let mut response = requests.send_request(self.request.clone()).await?;
        if !response.status().is_success() {
            return Err(self.refusal(response.status()));
        }
        let tunnel = upgrade::on(&mut response).await?;
        let Ok(parts) = tunnel.downcast::<TokioIo<TcpStream>>() else {
            unreachable!("the connection was made over this type")
        };
        // The server speaks after the client in TLS.
        if !parts.read_buf.is_empty() {
            return Err(TunnelError::Unasked);
        }
        Ok(parts.io.into_inner())
    }

    fn refusal(&self, status: StatusCode) -> TunnelError {
        let to = self.to.clone();
        match status.as_u16() {
            407 => TunnelError::unauthorized(self.has_credentials),
            403 => TunnelError::Forbidden(to),
            500..=599 => TunnelError::Unreachable { to, status },
            _ => TunnelError::Refused { to, status },
        }
    }
}
