//! The scheme and host that the client used.

use std::str;

use httparse::Header;

use crate::field;

use super::{
    forwarded, names,
    resolve::{ClientFrom, ResolvedClient},
    settings::{AddressSource, Settings},
};

/// Scheme and host of the url in the client's address bar, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visible<'a> {
    /// Whether the scheme was `https`.
    pub https: bool,
    /// The host, with its port if it has one; none if no valid host was sent.
    pub host: Option<&'a str>,
}

impl<'a> Visible<'a> {
    /// What a request shows that came over plain text with this host.
    pub fn plain(host: Option<&'a str>) -> Self {
        Visible { https: false, host }
    }
}

/// Takes scheme and host from the forwarding headers of a trusted peer, else what `arrived` on this
/// connection: the scheme is `https` over TLS, the host is the request's `Host` or the authority of its
/// target.
///
/// Trust and hop are those of the client's address. If the address comes from `Forwarded`, only the client's
/// element is read, and no other header. In all other cases it is the entry of `X-Forwarded-Proto` and of
/// `X-Forwarded-Host` at the client's place if there is one entry per hop, else the rightmost one. An invalid
/// host is skipped.
pub fn visible<'a>(
    settings: &Settings,
    resolved: &ResolvedClient,
    fields: &'a [Header<'a>],
    arrived: Visible<'a>,
) -> Visible<'a> {
    let (mut proto, mut forwarded_host) = (None, None);
    if resolved.peer_trusted {
        if settings.header == AddressSource::Forwarded {
            let hop = forwarded::from_right(fields).nth(resolved.position.saturating_sub(1));
            proto = hop.and_then(|element| element.proto());
            forwarded_host = hop.and_then(|element| element.host());
        } else {
            proto = at_client(names::PROTO, resolved, fields);
            forwarded_host = at_client(names::HOST, resolved, fields);
        }
    }
    Visible {
        https: proto.map_or(arrived.https, |p| {
            p.eq_ignore_ascii_case(b"https") || p.eq_ignore_ascii_case(b"wss")
        }),
        host: forwarded_host
            .and_then(|h| str::from_utf8(h).ok())
            .filter(|h| is_host(h))
            .or(arrived.host.filter(|h| is_host(h))),
    }
}

/// The entry of a list header by the proxy that the client was connected to.
fn at_client<'a>(
    name: &'static str,
    resolved: &ResolvedClient,
    fields: &'a [Header<'a>],
) -> Option<&'a [u8]> {
    let mut members = field::list_from_right(fields, name);
    let rightmost = members.next()?;
    // The rightmost entry belongs to the first hop.
    if resolved.position < 2 || resolved.from != ClientFrom::XForwardedFor {
        return Some(rightmost);
    }
    let at_place = members.nth(resolved.position - 2);
    let one_each = || field::list(fields, name).count() == field::list(fields, names::FOR).count();
    at_place.filter(|_| one_each()).or(Some(rightmost))
}

/// Whether a text can be a host with or without a port (RFC 9110 §7.2): visible ASCII, without the characters
/// that end a host in a URL or a list.
pub(super) fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !b"/@,;\\?#\"<>^`{|}%".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Peer, resolve};

    fn see(header: &str, peer: &str, fields: &[(&str, &str)]) -> (bool, Option<String>) {
        let settings = Settings {
            header: header.parse().unwrap(),
            ..Settings::default()
        };
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let peer: Peer = peer.parse().unwrap();
        let seen = visible(
            &settings,
            &resolve(&settings, peer, &fields),
            &fields,
            Visible::plain(Some("own.example")),
        );
        (seen.https, seen.host.map(str::to_owned))
    }

    #[test]
    fn an_untrusted_peer_tells_neither_scheme_nor_host() {
        let fields = [
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
            ("Forwarded", "for=1.2.3.4;proto=https;host=evil.example"),
        ];
        for header in ["x-forwarded-for", "forwarded", "none"] {
            assert_eq!(
                see(header, "203.0.113.7", &fields),
                (false, Some("own.example".into()))
            );
        }
    }

    #[test]
    fn a_trusted_peer_tells_both() {
        let fields = [
            ("X-Forwarded-Proto", "HTTPS"),
            ("X-Forwarded-Host", "site.example:8443"),
        ];
        for header in ["x-forwarded-for", "none", "cf-connecting-ip"] {
            assert_eq!(
                see(header, "10.0.0.9", &fields),
                (true, Some("site.example:8443".into()))
            );
        }
        assert!(see("x-forwarded-for", "unix", &[("x-forwarded-proto", "wss")]).0);
        assert!(!see("x-forwarded-for", "unix", &[("x-forwarded-proto", "on")]).0);
    }

    #[test]
    fn the_entry_of_the_clients_hop_counts_if_each_hop_has_one() {
        let client = ("X-Forwarded-For", "9.9.9.9, 203.0.113.7, 10.0.0.5");
        let three = [
            client,
            ("X-Forwarded-Proto", "http, https, http"),
            ("X-Forwarded-Host", "a,b,c"),
        ];
        assert_eq!(
            see("x-forwarded-for", "10.0.0.9", &three),
            (true, Some("b".into()))
        );
        let two = [
            client,
            ("X-Forwarded-Proto", "http, https"),
            ("X-Forwarded-Host", "a,b"),
        ];
        assert_eq!(see("x-forwarded-for", "10.0.0.9", &two), (true, Some("b".into())));
        let lines = [
            client,
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Proto", "https,http"),
        ];
        assert!(see("x-forwarded-for", "10.0.0.9", &lines).0);
        let nearest = [
            ("X-Forwarded-For", "9.9.9.9, 203.0.113.7"),
            ("X-Forwarded-Proto", "http, https"),
        ];
        assert!(see("x-forwarded-for", "10.0.0.9", &nearest).0);
    }

    #[test]
    fn with_forwarded_the_clients_element_alone_is_read() {
        let walk = "for=9.9.9.9;host=evil.example;proto=http, for=203.0.113.7;proto=https;host=site.example, for=10.0.0.5;proto=http";
        let fields = [("Forwarded", walk), ("X-Forwarded-Host", "evil.example")];
        assert_eq!(
            see("forwarded", "10.0.0.9", &fields),
            (true, Some("site.example".into()))
        );
        let silent = [
            ("Forwarded", "for=203.0.113.7"),
            ("X-Forwarded-Proto", "https"),
            ("X-Forwarded-Host", "evil.example"),
        ];
        assert_eq!(
            see("forwarded", "10.0.0.9", &silent),
            (false, Some("own.example".into()))
        );
        let hidden = [("Forwarded", "for=9.9.9.9;proto=http, for=_hidden;proto=https")];
        assert!(see("forwarded", "10.0.0.9", &hidden).0);
    }

    #[test]
    fn a_connection_over_tls_is_https_unless_a_trusted_peer_says_otherwise() {
        let settings = Settings::default();
        let arrived = Visible {
            https: true,
            host: Some("own.example"),
        };
        let http = [Header {
            name: "X-Forwarded-Proto",
            value: b"http",
        }];
        for (peer, fields, https) in [
            ("203.0.113.7", &http[..], true),
            ("10.0.0.9", &[], true),
            ("10.0.0.9", &http, false),
        ] {
            let resolved = resolve(&settings, peer.parse().unwrap(), fields);
            assert_eq!(
                visible(&settings, &resolved, fields, arrived).https,
                https,
                "{peer}"
            );
        }
    }

    #[test]
    fn what_cannot_be_a_host_is_passed_over() {
        for host in [
            "a/b",
            "user@a",
            "a b",
            "a\u{1}",
            "",
            "a\\b",
            "a?b",
            "a#b",
            "é.example",
        ] {
            let fields = [("X-Forwarded-Host", host)];
            assert_eq!(
                see("x-forwarded-for", "10.0.0.9", &fields).1.as_deref(),
                Some("own.example"),
                "{host}"
            );
        }
        assert!(is_host("[2001:db8::1]:8080") && is_host("xn--bcher-kva.example."));
    }
}
