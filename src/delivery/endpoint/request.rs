//! The request that carries one event to Plausible: exactly the fields that Plausible needs, and no other
//! field of the client's.

use std::{io::Write as _, net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri, header};
use http_body_util::Full;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use super::tunnel::Tunnel;
use crate::{
    delivery::settings::{AddressHeader, ForwardProxy, Settings},
    event::Event,
};

/// Where requests go and what is the same in all of them, taken from the configuration alone.
#[derive(Clone)]
pub(in crate::delivery) struct Destination {
    /// Plausible, or the proxy before it.
    pub(super) connect_to: (String, u16),
    /// Opens a tunnel on a connection to the proxy; none if there is no proxy, or for plain HTTP.
    pub(super) tunnel: Option<Arc<Tunnel>>,
    pub(super) proxy: Option<ForwardProxy>,
    /// The TLS settings and the name that the certificate must have; none for plain HTTP.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The start of an HTTP/1.1 request, up to the value of the user agent.
    opening: Vec<u8>,
    /// The URI with scheme and authority, as HTTP/2 wants it (RFC 9113 §8.3.1).
    uri: Uri,
    address_headers: Vec<AddressHeader>,
}

/// No request can be sent to the configured address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The host or the path has characters that no URI has.
    #[error("[plausible] url is no URL")]
    Uri(#[from] http::uri::InvalidUri),
    /// The host cannot stand in a `Host` field.
    #[error("[plausible] url has a host that no request can name")]
    Host(#[from] header::InvalidHeaderValue),
    /// The host cannot stand in a CONNECT request.
    #[error("[plausible] url has a host that no proxy can be asked for")]
    Tunnel(#[from] http::Error),
    /// The host is neither a DNS name nor an address, so no certificate can be checked against it.
    #[error("[plausible] url has a host that no certificate can name")]
    Name(#[from] rustls_pki_types::InvalidDnsNameError),
}

impl Destination {
    pub(in crate::delivery) fn new(
        settings: &Settings,
        tls: Option<Arc<ClientConfig>>,
    ) -> Result<Self, AddressError> {
        let (base, proxy) = (&settings.base, settings.proxy.as_ref());
        let authority = base.authority();
        let path = format!("{}/api/event", base.path);
        let tls = match tls {
            Some(config) => Some((config, ServerName::try_from(base.host.clone())?)),
            None => None,
        };
        // Host and path are parts of a valid URI, so they have no line break.
        let uri: Uri = format!("{}://{authority}{path}", base.scheme()).parse()?;
        HeaderValue::from_str(&authority)?;
        // A proxy wants a request of plain HTTP in absolute form (RFC 9112 §3.2.2). Many refuse CONNECT to
        // port 80.
        let asked = proxy.filter(|_| !base.https);
        let target = asked.map_or(path, |_| uri.to_string());
        let mut opening = format!("POST {target} HTTP/1.1\r\nHost: {authority}\r\n").into_bytes();
        if let Some(authorization) = asked.and_then(|proxy| proxy.authorization.as_ref()) {
            opening.extend_from_slice(b"Proxy-Authorization: ");
            opening.extend_from_slice(authorization.as_bytes());
            opening.extend_from_slice(b"\r\n");
        }
        opening.extend_from_slice(b"User-Agent: ");
        let tunnel = match proxy.filter(|_| base.https) {
            Some(proxy) => Some(Tunnel::new(base, proxy)?),
            None => None,
        };
        Ok(Destination {
            connect_to: proxy.map_or_else(
                || (base.host.clone(), base.port),
                |proxy| (proxy.host.clone(), proxy.port),
            ),
            tunnel: tunnel.map(Arc::new),
            proxy: proxy.cloned(),
            tls,
            opening,
            uri,
            address_headers: settings.address_headers.clone(),
        })
    }

    /// Writes an event's HTTP/1.1 request. False if no field value can hold the event's user agent.
    pub(super) fn write_request(&self, event: &Event<'_>, out: &mut Vec<u8>) -> bool {
        // Checks all bytes without a branch, which is faster than stopping at the first bad one.
        let fits = |fits, byte: &u8| fits & may_stand_in_a_field(*byte);
        if !event.user_agent.iter().fold(true, fits) {
            return false;
        }
        out.extend_from_slice(&self.opening);
        out.extend_from_slice(&event.user_agent);
        for header in &self.address_headers {
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(spelled(*header).as_bytes());
            out.extend_from_slice(b": ");
            write_address(event.client, out);
        }
        out.extend_from_slice(b"\r\nContent-Type: application/json\r\nContent-Length: ");
        out.extend_from_slice(itoa::Buffer::new().format(event.body.len()).as_bytes());
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(&event.body);
        true
    }

    /// An event's HTTP/2 request. `None` if no field value can hold the event's user agent.
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

impl std::fmt::Display for Destination {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uri.fmt(f)?;
        match &self.proxy {
            Some(proxy) => write!(f, " by the proxy {proxy}"),
            None => Ok(()),
        }
    }
}

fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(address) => {
            let mut digits = itoa::Buffer::new();
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(digits.format(octet).as_bytes());
            }
        }
        // Writing to a vector does not fail.
        IpAddr::V6(address) => drop(write!(out, "{address}")),
    }
}

pub(super) fn spelled(header: AddressHeader) -> &'static str {
    match header {
        AddressHeader::XForwardedFor => "X-Forwarded-For",
        AddressHeader::XPlausibleIp => "X-Plausible-IP",
    }
}

/// What a field value is made of: visible characters, blanks, and bytes beyond ASCII (RFC 9110 §5.5).
fn may_stand_in_a_field(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, time::Duration};

    use super::*;
    use crate::delivery::settings::Base;

    fn destination(host: &str, port: u16, https: bool) -> Destination {
        Destination::new(&settings(host, port, https), None).unwrap()
    }

    fn settings(host: &str, port: u16, https: bool) -> Settings {
        Settings {
            base: Base {
                https,
                host: host.to_owned(),
                port,
                path: "/base".to_owned(),
            },
            proxy: None,
            address_headers: vec![AddressHeader::XPlausibleIp],
            timeout: Duration::from_secs(1),
            concurrency: 1,
            max_age: Duration::from_secs(1),
            retry_initial: Duration::from_secs(1),
            retry_max: Duration::from_secs(1),
            max_tries: 1,
            ca_file: None,
        }
    }

    fn event(user_agent: &[u8]) -> Event<'_> {
        Event {
            user_agent: Cow::Borrowed(user_agent),
            client: "2001:db8::7".parse().unwrap(),
            body: Cow::Borrowed(b"{}"),
        }
    }

    #[test]
    fn the_user_agent_goes_byte_for_byte_and_the_address_bare() {
        let mut request = Vec::new();
        assert!(destination("p.example", 8000, false).write_request(&event(b"caf\xe9\t/1"), &mut request));
        let expected =
            b"POST /base/api/event HTTP/1.1\r\nHost: p.example:8000\r\nUser-Agent: caf\xe9\t/1\r\n\
            X-Plausible-IP: 2001:db8::7\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(request, expected);
        let request = destination("p.example", 443, true)
            .request(&event(b"caf\xe9\t/1"))
            .unwrap();
        assert_eq!(request.uri(), "https://p.example/base/api/event");
        assert_eq!(request.headers()["user-agent"].as_bytes(), b"caf\xe9\t/1");
        assert_eq!(request.headers()["x-plausible-ip"], "2001:db8::7");
        assert_eq!(
            request.headers().len(),
            3,
            "the length and the authority are the codec's"
        );
    }

    #[test]
    fn an_address_of_four_octets_is_written_with_dots() {
        let mut request = Vec::new();
        let event = Event {
            client: "203.0.113.7".parse().unwrap(),
            ..event(b"a")
        };
        assert!(destination("p.example", 80, false).write_request(&event, &mut request));
        let request = String::from_utf8(request).unwrap();
        assert!(
            request.contains("\r\nX-Plausible-IP: 203.0.113.7\r\n"),
            "{request}"
        );
    }

    #[test]
    fn a_proxy_gets_the_absolute_form_for_http_alone() {
        let mut settings = settings("p.example", 8000, false);
        let mut authorization = HeaderValue::from_static("Basic Zzpw");
        authorization.set_sensitive(true);
        settings.proxy = Some(ForwardProxy {
            host: "proxy.example".to_owned(),
            port: 3128,
            authorization: Some(authorization),
        });
        let mut request = Vec::new();
        let http = Destination::new(&settings, None).unwrap();
        assert!(http.write_request(&event(b"a"), &mut request));
        let request = String::from_utf8(request).unwrap();
        let expected = "POST http://p.example:8000/base/api/event HTTP/1.1\r\nHost: p.example:8000\r\n\
            Proxy-Authorization: Basic Zzpw\r\nUser-Agent: a\r\n";
        assert!(request.starts_with(expected), "{request}");
        assert_eq!(http.connect_to, ("proxy.example".to_owned(), 3128));
        assert!(http.tunnel.is_none());

        settings.base.https = true;
        let mut request = Vec::new();
        let https = Destination::new(&settings, None).unwrap();
        assert!(https.write_request(&event(b"a"), &mut request));
        assert!(
            request.starts_with(b"POST /base/api/event HTTP/1.1\r\nHost: p.example:8000\r\nUser-Agent: a")
        );
        assert!(https.tunnel.is_some());
        let shown = https.to_string();
        assert!(
            shown.contains("by the proxy http://proxy.example:3128"),
            "{shown}"
        );
        assert!(
            !format!("{settings:?} {:?}", https.tunnel).contains("Zzpw"),
            "it is logged nowhere"
        );
    }

    #[test]
    fn no_user_agent_breaks_out_of_its_field() {
        for bytes in [
            &b"a\r\nX-Evil: 1"[..],
            b"a\nb",
            b"a\rb",
            b"a\0b",
            b"a\x7fb",
            b"a\x1bb",
        ] {
            let mut request = Vec::new();
            assert!(!destination("p.example", 80, false).write_request(&event(bytes), &mut request));
            assert!(request.is_empty(), "{bytes:?}");
            assert!(
                destination("p.example", 443, true)
                    .request(&event(bytes))
                    .is_none(),
                "{bytes:?}"
            );
        }
    }
}
