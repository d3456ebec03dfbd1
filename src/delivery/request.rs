//! The request that takes one event to Plausible.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::settings::{AddressHeader, Base, Settings};
use crate::event::Event;

/// Where requests go and what is the same in all of them, taken from the configuration alone.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) host: String,
    pub(super) port: u16,
    /// How TLS is spoken and whose certificate is asked for; none for plain HTTP.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// What stands in an HTTP/1.1 request line.
    path: Uri,
    /// With scheme and authority, as HTTP/2 wants it (RFC 9113 §8.3.1).
    whole: Uri,
    authority: HeaderValue,
    address_headers: Vec<HeaderName>,
}

/// The base is no address that requests can be sent to.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The host or the path has characters that no URI has.
    #[error("[plausible] url is no URL")]
    Uri(#[from] http::uri::InvalidUri),
    /// The host cannot stand in a `Host` field.
    #[error("[plausible] url has a host that no request can name")]
    Host(#[from] header::InvalidHeaderValue),
    /// The host is neither a DNS name nor an address, so no certificate can be checked against it.
    #[error("[plausible] url has a host that no certificate can name")]
    Name(#[from] rustls_pki_types::InvalidDnsNameError),
}

impl Target {
    pub(super) fn new(settings: &Settings, tls: Option<Arc<ClientConfig>>) -> Result<Self, AddressError> {
        let base = &settings.base;
        let authority = authority(base);
        let path = format!("{}/api/event", base.path);
        let scheme = if base.https { "https" } else { "http" };
        let tls = match tls {
            Some(config) => Some((config, ServerName::try_from(base.host.clone())?)),
            None => None,
        };
        Ok(Target {
            host: base.host.clone(),
            port: base.port,
            tls,
            whole: format!("{scheme}://{authority}{path}").parse()?,
            path: path.parse()?,
            authority: authority.parse()?,
            address_headers: settings
                .address_headers
                .iter()
                .copied()
                .map(header_name)
                .collect(),
        })
    }

    /// The request for a stored event: exactly what Plausible needs, and nothing of the client's beside. Nothing, if what
    /// was stored is no event.
    pub(super) fn request(&self, http2: bool, stored: &Bytes) -> Option<Request<Full<Bytes>>> {
        let event = Event::decode(stored)?;
        let user_agent = HeaderValue::from_maybe_shared(part(stored, &event.user_agent)).ok()?;
        let address = HeaderValue::from_str(&event.client.to_string()).ok()?;
        let mut request = Request::new(Full::new(part(stored, &event.body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = if http2 {
            self.whole.clone()
        } else {
            self.path.clone()
        };
        let headers = request.headers_mut();
        if !http2 {
            headers.insert(header::HOST, self.authority.clone());
        }
        headers.insert(header::USER_AGENT, user_agent);
        for name in &self.address_headers {
            headers.insert(name, address.clone());
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(request)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.whole.fmt(f)
    }
}

/// A part of the stored bytes without a copy; a copy of what is no part of them.
fn part(stored: &Bytes, part: &[u8]) -> Bytes {
    let (whole, range) = (stored.as_ptr_range(), part.as_ptr_range());
    if whole.start <= range.start && range.end <= whole.end {
        stored.slice_ref(part)
    } else {
        Bytes::copy_from_slice(part)
    }
}

fn header_name(header: AddressHeader) -> HeaderName {
    match header {
        AddressHeader::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        AddressHeader::XPlausibleIp => HeaderName::from_static("x-plausible-ip"),
    }
}

/// Host and port as a URL has them: IPv6 in brackets, the scheme's own port left out (RFC 3986 §3.2).
fn authority(base: &Base) -> String {
    let host = if base.host.contains(':') {
        format!("[{}]", base.host)
    } else {
        base.host.clone()
    };
    match (base.https, base.port) {
        (true, 443) | (false, 80) => host,
        (_, port) => format!("{host}:{port}"),
    }
}
