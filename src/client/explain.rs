//! How the client was found, in words for people.

use std::{fmt::Write, net::IpAddr};

use httparse::Header;

use super::{
    hops::Hop,
    peer::Peer,
    resolve::{ResolvedClient, WalkEnd, walk},
    settings::{AddressSource, Settings},
    trust::proxy_range_of,
};

/// The most bytes of an entry that are shown.
const MAX_SHOWN: usize = 60;

/// Explains how [`resolve`](super::resolve) finds the client, a line per step: each hop from the nearest on,
/// whether it is trusted and by which range, where the walk ends and why. Text from the request is escaped.
pub fn explain(settings: &Settings, peer: Peer, fields: &[Header<'_>]) -> Vec<String> {
    let mut hops = Vec::new();
    let resolved = walk(settings, peer, fields, |hop| {
        hops.push(hop_in_words(settings, hops.len() + 1, hop));
    });
    let mut lines = vec![peer_in_words(settings, &resolved, peer)];
    lines.extend(hops);
    lines.push(end_in_words(settings, &resolved, peer));
    if resolved.forged {
        lines.push(forged_in_words(&resolved, peer));
    }
    lines
}

fn peer_in_words(settings: &Settings, resolved: &ResolvedClient, peer: Peer) -> String {
    let (address, how) = match (peer, peer.address()) {
        (Peer::Unix, _) => {
            return "The peer is on a Unix socket: trusted, as whoever may open its file is.".to_owned();
        }
        (_, None) => {
            return "The peer gave the unspecified address, which is no address: not trusted.".to_owned();
        }
        (Peer::Proxied(_), Some(address)) => (address, " (by the PROXY protocol)"),
        (Peer::Ip(_), Some(address)) => (address, ""),
    };
    let verdict = if settings.trusted_hops > 0 && resolved.peer_trusted {
        format!(
            "hop 1 of the {} that client.trusted_hops says are ours",
            settings.trusted_hops
        )
    } else if settings.trusted_hops > 0 {
        "not trusted, as the request did not come through the hops that are ours".to_owned()
    } else {
        trust_in_words(settings, address.ip())
    };
    format!("The peer is {address}{how}: {verdict}.")
}

fn trust_in_words(settings: &Settings, ip: IpAddr) -> String {
    if let Some(range) = settings.trust.range_of(ip) {
        return format!("trusted, by the range {range:?} of client.trusted_proxies");
    }
    let ranges: Vec<_> = settings.trust.ranges().take(8).collect();
    match (ranges.len(), settings.trust.ranges().count()) {
        (0, _) => "not trusted, as client.trusted_proxies is empty".to_owned(),
        (shown, all) if shown < all => {
            format!(
                "not trusted, being in none of the {all} ranges ({}, …)",
                ranges.join(", ")
            )
        }
        _ => format!("not trusted, being in none of the ranges ({})", ranges.join(", ")),
    }
}

fn hop_in_words(settings: &Settings, place: usize, hop: &Hop<'_>) -> String {
    let header = settings.header.name();
    let place = match &settings.header {
        AddressSource::Single(_) => header.to_owned(),
        _ => format!("Entry {place} from the right of {header}"),
    };
    let Some(address) = hop.address else {
        return format!("{place} is {}: no address.", shown(hop.text));
    };
    let mut line = format!("{place} is {address}");
    if hop.text != address.to_string().as_bytes() {
        // Writing to a String does not fail.
        let _ = write!(line, " (written {})", shown(hop.text));
    }
    if settings.trusted_hops == 0 && !matches!(settings.header, AddressSource::Single(_)) {
        let _ = write!(line, ": {}", trust_in_words(settings, address.ip()));
    }
    line.push('.');
    line
}

fn end_in_words(settings: &Settings, resolved: &ResolvedClient, peer: Peer) -> String {
    let header = settings.header.name();
    let why = match resolved.end {
        WalkEnd::UntrustedPeer => {
            "The peer is not one of our proxies, so its forwarding headers were not read".to_owned()
        }
        WalkEnd::NoHeader => "client.header is \"none\", so no header is read".to_owned(),
        WalkEnd::NoEntry => format!("The request has no entry in {header}"),
        WalkEnd::Client if settings.trusted_hops > 0 && resolved.position > 0 => format!(
            "The walk ended at entry {} from the right, as client.trusted_hops = {}; anything left of it is the \
             client's own word and was not read",
            resolved.position, settings.trusted_hops
        ),
        WalkEnd::Client if resolved.position > 0 => {
            "The walk ended at the first entry that is not trusted; anything \
                                                 left of it is that client's own word and was not read"
                .to_owned()
        }
        WalkEnd::Client => format!("The trusted peer gave it in {header}"),
        WalkEnd::AllTrusted => "Every entry is trusted, so it is the leftmost".to_owned(),
        WalkEnd::NotAnAddress if resolved.position > 0 => {
            "The walk ended at an entry that is no address, so it is the last good hop before that".to_owned()
        }
        WalkEnd::NotAnAddress => "The walk ended at once, at what is no address".to_owned(),
        WalkEnd::TooFew => format!(
            "{header} has fewer entries than client.trusted_hops = {}, so the request did not come through our \
             proxies and its headers are not believed",
            settings.trusted_hops
        ),
        WalkEnd::Repeated => format!("{header} came more than once, so it says nothing"),
    };
    match (resolved.address(), resolved.from.name(settings)) {
        (Some(client), "peer" | "proxy-protocol") => format!("{why}. The client is the peer, {client}."),
        (Some(client), from) => format!("{why}. The client is {client}, from {from}."),
        (None, _) if peer == Peer::Unix => {
            format!("{why}. A Unix socket has no address: there is no client, and nothing is counted.")
        }
        (None, _) => format!("{why}. There is no client address, and nothing is counted."),
    }
}

fn forged_in_words(resolved: &ResolvedClient, peer: Peer) -> String {
    let mut line = "The peer sent forwarding headers all the same. They decided nothing.".to_owned();
    // A peer in such a range is probably a proxy that is missing from the configuration.
    if let (Some(ip), WalkEnd::UntrustedPeer) = (peer.ip(), resolved.end)
        && let Some(name) = proxy_range_of(ip)
    {
        let _ = write!(
            line,
            " If {ip} is a proxy of yours, add \"{ip}\" or \"{name}\" to client.trusted_proxies."
        );
    }
    line
}

/// Bytes of the request, escaped and cut.
fn shown(text: &[u8]) -> String {
    let cut = &text[..text.len().min(MAX_SHOWN)];
    let more = if cut.len() < text.len() { "…" } else { "" };
    format!("\"{}{more}\"", cut.escape_ascii())
}
