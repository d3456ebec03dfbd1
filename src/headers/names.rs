//! Fields by name.

/// Whether a field is for one connection and never goes on: those of RFC 9110 §7.6.1, `HTTP2-Settings` (RFC 7540
/// §3.2.1), and the proxy authentication of the next hop (RFC 9110 §11.7). `Trailer` is not among them: it speaks of
/// trailers, and these go on.
pub fn is_hop_by_hop(name: &str) -> bool {
    match name.len() {
        2 => is(name, "te"),
        7 => is(name, "upgrade"),
        10 => is(name, "connection") || is(name, "keep-alive"),
        14 => is(name, "http2-settings"),
        16 => is(name, "proxy-connection"),
        17 => is(name, "transfer-encoding"),
        18 => is(name, "proxy-authenticate"),
        19 => is(name, "proxy-authorization"),
        _ => false,
    }
}

/// Whether a field never goes on in either direction: hop-by-hop, framing, or a word between gatecount and the app.
#[inline]
pub(super) fn ends_here(name: &str) -> bool {
    is_hop_by_hop(name) || is(name, "content-length") || begins(name, "gatecount-")
}

/// `Expect` (RFC 9110 §10.1.1): the codec answers it.
#[inline]
pub(super) fn is_expect(name: &str) -> bool {
    is(name, "expect")
}

/// Whether a field is for every recipient of a message, so that `Connection` must not name it (RFC 9110 §7.6.1).
pub(super) fn is_for_all(name: &str) -> bool {
    const FOR_ALL: [&str; 10] = [
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
    begins(name, "content-") || FOR_ALL.iter().any(|n| is(name, n))
}

/// Whether a field may come in a trailer section (RFC 9110 §6.5.1): none that frames or routes the message, modifies
/// the request, authenticates, or says how to read the content; none that a forwarding header or gatecount's own word
/// could be smuggled in as; nothing hop-by-hop. A name that nobody set aside may.
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
        // What the app is told of the client.
        "forwarded",
        "x-real-ip",
        "origin",
        "referer",
    ];
    !(ends_here(name)
        || begins(name, "content-")
        || begins(name, "x-forwarded-")
        || NEVER.iter().any(|n| is(name, n)))
}

/// Whether a name is `lower`, without case and with `_` for `-`.
#[inline]
fn is(name: &str, lower: &str) -> bool {
    name.len() == lower.len() && begins(name, lower)
}

#[inline]
fn begins(name: &str, lower: &str) -> bool {
    let fold = |b: u8| if b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    name.len() >= lower.len() && name.bytes().zip(lower.bytes()).all(|(n, l)| fold(n) == l)
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
