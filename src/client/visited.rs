//! The target that the visitor asked for, where a proxy of ours has rewritten it on the way.

use std::{borrow::Cow, str};

use httparse::Header;

use crate::field;

use super::resolve::ResolvedClient;

/// The part of the path that a proxy has cut off at its start, as Traefik, Spring and ingress-nginx send it.
const PREFIX: &str = "x-forwarded-prefix";

/// The fields that tell the whole target before it was rewritten, the most telling first: Envoy's,
/// ingress-nginx's, Traefik's and Caddy's, and Traefik's of a replaced path, which has no query.
const ORIGINALS: [&str; 4] = [
    "x-envoy-original-path",
    "x-original-url",
    "x-forwarded-uri",
    "x-replaced-path",
];

/// Path and query as the visitor sent them, by the fields in which a trusted peer tells what was rewritten;
/// else the request's own. A value that is no path is skipped.
pub fn visited_target<'a>(
    resolved: &ResolvedClient,
    fields: &'a [Header<'a>],
    target: &'a str,
) -> Cow<'a, str> {
    if !resolved.peer_trusted || !fields.iter().any(|f| tells(f.name)) {
        return Cow::Borrowed(target);
    }
    target_before(fields, target)
}

/// The same of a peer that is known to be trusted.
pub fn target_before<'a>(fields: &'a [Header<'a>], target: &'a str) -> Cow<'a, str> {
    let original = ORIGINALS
        .iter()
        .find_map(|name| path_of(field::first(fields, name)?));
    let query = target.find('?').map_or("", |at| &target[at..]);
    match original {
        Some(original) if original.contains('?') || query.is_empty() => Cow::Borrowed(original),
        Some(original) => Cow::Owned(format!("{original}{query}")),
        None => prefixed(fields, target),
    }
}

/// Whether a field may be one of these. Its length and start settle it for almost every field.
fn tells(name: &str) -> bool {
    matches!(name.len(), 14 | 15 | 18 | 21)
        && name.starts_with(['x', 'X'])
        && (name.eq_ignore_ascii_case(PREFIX) || ORIGINALS.iter().any(|n| name.eq_ignore_ascii_case(n)))
}

/// The target behind the prefixes that were cut off, the outermost proxy's first.
fn prefixed<'a>(fields: &'a [Header<'a>], target: &'a str) -> Cow<'a, str> {
    let prefixes = field::list(fields, PREFIX).filter_map(path_of);
    let prefix: String = prefixes.map(|p| p.trim_end_matches('/')).collect();
    let is_there = target
        .strip_prefix(prefix.as_str())
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    if prefix.is_empty() || prefix.contains('?') || is_there || !target.starts_with('/') {
        return Cow::Borrowed(target);
    }
    Cow::Owned(prefix + target)
}

/// A path, perhaps with a query, or that of an absolute URL. None if the text is neither.
fn path_of(text: &[u8]) -> Option<&str> {
    let text = str::from_utf8(text).ok()?;
    let path = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.contains('/') => &rest[rest.find('/')?..],
        _ => text,
    };
    let fits = |c: char| !c.is_control() && !c.is_whitespace() && c != '#';
    (path.starts_with('/') && path.chars().all(fits)).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Settings, resolve};

    fn visited(peer: &str, target: &str, fields: &[(&str, &str)]) -> String {
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let resolved = resolve(&Settings::default(), peer.parse().unwrap(), &fields);
        visited_target(&resolved, &fields, target).into_owned()
    }

    #[test]
    fn a_trusted_peer_tells_what_was_cut_off_or_replaced() {
        for (field, value, target, expected) in [
            ("X-Forwarded-Prefix", "/shop", "/item?a=1", "/shop/item?a=1"),
            ("x-forwarded-prefix", "/shop/", "/", "/shop/"),
            ("X-Forwarded-Prefix", "/a, /b", "/c", "/a/b/c"),
            ("X-Forwarded-Prefix", "/", "/c", "/c"),
            // The proxy has cut nothing off.
            ("X-Forwarded-Prefix", "/shop", "/shop/item", "/shop/item"),
            ("X-Forwarded-Prefix", "/shop", "/shop?a", "/shop?a"),
            ("X-Forwarded-Prefix", "/shop", "/shopping", "/shop/shopping"),
            ("X-Envoy-Original-Path", "/shop/x?q=1", "/x?q=1", "/shop/x?q=1"),
            (
                "X-Original-URL",
                "https://a.example/shop/x",
                "/x?q=1",
                "/shop/x?q=1",
            ),
            ("X-Forwarded-Uri", "/shop/x", "/x", "/shop/x"),
            ("X-Replaced-Path", "/old", "/new?q=1", "/old?q=1"),
        ] {
            assert_eq!(
                visited("10.0.0.9", target, &[(field, value)]),
                expected,
                "{field}: {value}"
            );
        }
    }

    #[test]
    fn what_is_no_path_and_what_a_stranger_tells_is_skipped() {
        for value in [
            "shop",
            "",
            "/a b",
            "/a#b",
            "https://a.example",
            "//\u{7f}",
            "/a?b",
        ] {
            let told = [("X-Forwarded-Prefix", value)];
            assert_eq!(visited("10.0.0.9", "/x", &told), "/x", "{value:?}");
        }
        assert_eq!(
            visited("203.0.113.7", "/x", &[("X-Forwarded-Prefix", "/shop")]),
            "/x"
        );
        assert_eq!(visited("203.0.113.7", "/x", &[("X-Original-URL", "/y")]), "/x");
        assert_eq!(visited("10.0.0.9", "*", &[("X-Forwarded-Prefix", "/shop")]), "*");
    }

    #[test]
    fn the_most_telling_field_wins() {
        let fields = [
            ("X-Forwarded-Prefix", "/shop"),
            ("X-Replaced-Path", "/replaced"),
            ("X-Envoy-Original-Path", "/envoy"),
        ];
        assert_eq!(visited("10.0.0.9", "/x", &fields), "/envoy");
        assert_eq!(visited("10.0.0.9", "/x", &fields[..2]), "/replaced");
    }
}
