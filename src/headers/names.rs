//! What a field is, by its name.

use crate::field::{folds_to, folds_to_prefix};

/// Whether a field is for one connection and never passed on: those of RFC 9110 §7.6.1, `HTTP2-Settings` (RFC
/// 7540 §3.2.1), and the proxy authentication of the next hop (RFC 9110 §11.7). `Trailer` is passed on,
/// because trailers are.
pub fn is_hop_by_hop(name: &str) -> bool {
    match name.len() {
        2 => folds_to(name, "te"),
        7 => folds_to(name, "upgrade"),
        10 => folds_to(name, "connection") || folds_to(name, "keep-alive"),
        14 => folds_to(name, "http2-settings"),
        16 => folds_to(name, "proxy-connection"),
        17 => folds_to(name, "transfer-encoding"),
        18 => folds_to(name, "proxy-authenticate"),
        19 => folds_to(name, "proxy-authorization"),
        _ => false,
    }
}

/// Whether a field is never passed on in either direction: hop-by-hop, framing, or meant for gatecount
/// itself.
#[inline]
pub(super) fn ends_here(name: &str) -> bool {
    match name.as_bytes() {
        [b'g' | b'G', ..] => folds_to_prefix(name, "gatecount-"),
        // `Content-Length` and all hop-by-hop fields have one of these.
        [
            b'c' | b'C' | b'h' | b'H' | b'k' | b'K' | b'p' | b'P' | b't' | b'T' | b'u' | b'U',
            ..,
        ] => is_hop_by_hop(name) || folds_to(name, "content-length"),
        _ => false,
    }
}

/// `Expect` (RFC 9110 §10.1.1): the proxy writes its own.
#[inline]
pub(super) fn is_expect(name: &str) -> bool {
    folds_to(name, "expect")
}

/// Whether a field is for every recipient of a message, so that `Connection` must not name it (RFC 9110
/// §7.6.1).
pub(super) fn is_for_every_recipient(name: &str) -> bool {
    const FOR_EVERY_RECIPIENT: [&str; 10] = [
        "host",
        "cache-control",
        "pragma",
        "date",
        "expires",
        "age",
        "vary",
        "etag",
        "last-modified",
        "location",
    ];
    folds_to_prefix(name, "content-") || FOR_EVERY_RECIPIENT.iter().any(|n| folds_to(name, n))
}

/// Whether a field may be passed on in a trailer section (RFC 9110 §6.5.1). Refused are hop-by-hop fields and
/// those that frame or route the message, modify the request, authenticate, or describe the content.
/// Forwarding headers and gatecount's own are refused too, so that nobody can smuggle them in as trailers.
/// Every other name may pass.
pub fn may_be_trailer(name: &str) -> bool {
    const NEVER: [&str; 30] = [
        // Framing and routing.
        "host",
        "trailer",
        // Request modifiers: controls and conditionals.
        "cache-control",
        "expect",
        "max-forwards",
        "pragma",
        "range",
        "if-match",
        "if-none-match",
        "if-modified-since",
        "if-unmodified-since",
        "if-range",
        // Authentication and state.
        "authorization",
        "www-authenticate",
        "authentication-info",
        "proxy-authentication-info",
        "cookie",
        "set-cookie",
        // Response control.
        "age",
        "date",
        "expires",
        "location",
        "retry-after",
        "vary",
        "warning",
        "accept-ranges",
        // What the app is told about the client.
        "forwarded",
        "x-real-ip",
        "origin",
        "referer",
    ];
    !(ends_here(name)
        || folds_to_prefix(name, "content-")
        || folds_to_prefix(name, "x-forwarded-")
        || NEVER.iter().any(|n| folds_to(name, n)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_with_underscores() {
        for name in [
            "TE",
            "Keep_Alive",
            "UPGRADE",
            "http2-settings",
            "Proxy-Connection",
        ] {
            assert!(is_hop_by_hop(name), "{name}");
        }
        for name in [
            "Trailer",
            "Via",
            "TEA",
            "keepalive",
            "Upgrade-Insecure-Requests",
            "",
            "Connection-",
        ] {
            assert!(!is_hop_by_hop(name), "{name}");
        }
    }

    #[test]
    fn a_trailer_may_tell_what_is_known_at_the_end_and_no_more() {
        for name in ["grpc-status", "Server-Timing", "Digest", "ETag", "x-checksum"] {
            assert!(may_be_trailer(name), "{name}");
        }
        for name in [
            "Transfer-Encoding",
            "content_length",
            "Content-Type",
            "Host",
            "Authorization",
            "Set-Cookie",
            "If-None-Match",
            "Range",
            "TE",
            "Connection",
            "X-Forwarded-For",
            "x_forwarded_proto",
            "Forwarded",
            "X_Real_IP",
            "Gatecount-Event",
            "Cache-Control",
            "Trailer",
        ] {
            assert!(!may_be_trailer(name), "{name}");
        }
    }
}
