//! The request that takes one event to Plausible: exactly the fields that it needs, and nothing of the client's beside.

use std::{io::Write as _, sync::Arc};

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
    /// An HTTP/1.1 request's first lines, up to where the user agent follows.
    opening: Vec<u8>,
    /// The URI with scheme and authority, as HTTP/2 wants it (RFC 9113 §8.3.1).
    uri: Uri,
    address_headers: Vec<AddressHeader>,
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
        // Neither can break out of its line: both are parts of a URI.
        let uri = format!("{scheme}://{authority}{path}").parse()?;
        HeaderValue::from_str(&authority)?;
        Ok(Target {
            host: base.host.clone(),
            port: base.port,
            tls,
            opening: format!("POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: ").into_bytes(),
            uri,
            address_headers: settings.address_headers.clone(),
        })
    }

    /// Writes an event's HTTP/1.1 request. False, if the event has a user agent that no field can hold.
    pub(super) fn write_request(&self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        if !event.user_agent.iter().all(|byte| may_stand_in_a_field(*byte)) {
            return false;
        }
        out.extend_from_slice(&self.opening);
        out.extend_from_slice(&event.user_agent);
        for header in &self.address_headers {
            // Writing to a vector does not fail.
            let _ = write!(out, "\r\n{}: {}", spelled(*header), event.client);
        }
        let _ = write!(
            out,
            "\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            event.body.len()
        );
        out.extend_from_slice(&event.body);
        true
    }

    /// An event's HTTP/2 request. Nothing, if the event has a user agent that no field can hold.
    pub(super) fn request(&self, event: &Event<'_>) -> Option<Request<Full<Bytes>>> {
        let user_agent = HeaderValue::from_bytes(&event.user_agent).ok()?;
        let address = HeaderValue::from_str(&event.client.to_string()).ok()?;
        let mut request = Request::new(Full::new(Bytes::copy_from_slice(&event.body)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, user_agent);
        for header in &self.address_headers {
            headers.insert(
                HeaderName::from_bytes(spelled(*header).as_bytes()).ok()?,
                address.clone(),
            );
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Some(request)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uri.fmt(f)
    }
}

fn spelled(header: AddressHeader) -> &'static str {
    match header {
        AddressHeader::XForwardedFor => "X-Forwarded-For",
        AddressHeader::XPlausibleIp => "X-Plausible-IP",
    }
}

/// What a field value is made of: visible characters, blanks, and bytes beyond ASCII (RFC 9110 §5.5).
fn may_stand_in_a_field(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
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
