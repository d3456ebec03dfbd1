//! Who the client is: the rule of [the module](super), step by step.

use std::net::IpAddr;

use httparse::Header;

use crate::field;

use super::{
    address::{Address, Zone},
    hops::Hop,
    names,
    peer::Peer,
    settings::{AddressSource, Settings},
};

/// Who the client is, and how that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResolvedClient {
    /// The client's address; none if no address is known at all.
    pub client: Option<IpAddr>,
    /// The address's zone, to show the address as it was sent.
    pub zone: Zone,
    /// Where the address was found.
    pub from: ClientFrom,
    /// Whether the peer's forwarding headers are trusted.
    pub peer_trusted: bool,
    /// An entry that was read is no address, or a single-address header does not hold exactly one.
    pub malformed: bool,
    /// An untrusted peer sent forwarding headers.
    pub forged: bool,
    /// The place of the client's entry in the list header, counted from the right, from 1; 0 if it is not
    /// from one.
    pub(super) position: usize,
    /// Where the walk over the hops ended.
    pub(super) end: WalkEnd,
}

impl ResolvedClient {
    /// The client's address with its zone.
    pub fn address(&self) -> Option<Address> {
        self.client.map(|ip| Address::new(ip, self.zone))
    }
}

/// Where the client's address was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientFrom {
    /// It is the peer's address.
    Peer,
    /// It is the peer's address, from the PROXY protocol.
    ProxyProtocol,
    /// An entry of `X-Forwarded-For`.
    XForwardedFor,
    /// An element of `Forwarded`.
    Forwarded,
    /// The configured single-address header.
    Single,
    /// No address is known.
    None,
}

impl ClientFrom {
    /// Every variant, in the order of their declaration.
    pub const ALL: [ClientFrom; 6] = [
        ClientFrom::Peer,
        ClientFrom::ProxyProtocol,
        ClientFrom::XForwardedFor,
        ClientFrom::Forwarded,
        ClientFrom::Single,
        ClientFrom::None,
    ];

    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            ClientFrom::Peer => "peer",
            ClientFrom::ProxyProtocol => "proxy-protocol",
            ClientFrom::XForwardedFor => names::FOR,
            ClientFrom::Forwarded => names::FORWARDED,
            ClientFrom::Single => "single-address",
            ClientFrom::None => "none",
        }
    }

    /// As [`label`](ClientFrom::label), but a single-address header by its own name.
    pub fn name(self, settings: &Settings) -> &str {
        match self {
            ClientFrom::Single => settings.header.name(),
            other => other.label(),
        }
    }
}

/// Where the walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WalkEnd {
    /// At the peer: it is not trusted.
    UntrustedPeer,
    /// At the peer: no header is configured.
    NoHeader,
    /// At the peer: the header has no entry.
    NoEntry,
    /// At the first entry that is not trusted, or at the hop that `trusted_hops` names.
    Client,
    /// At the left end: every entry is trusted.
    AllTrusted,
    /// At an entry that is no address.
    NotAnAddress,
    /// At the peer: there are fewer entries than `trusted_hops`.
    TooFew,
    /// At the peer: the single-address header was sent more than once.
    Repeated,
}

/// Finds the client. Allocates only for a `Forwarded` line with more than eight elements.
pub fn resolve(settings: &Settings, peer: Peer, fields: &[Header<'_>]) -> ResolvedClient {
    walk(settings, peer, fields, |_| {})
}

/// As [`resolve`], and shows `see` each hop that is read.
pub(super) fn walk<'a>(
    settings: &Settings,
    peer: Peer,
    fields: &'a [Header<'a>],
    see: impl FnMut(&Hop<'a>),
) -> ResolvedClient {
    if !is_trusted(settings, peer) {
        return at_peer(settings, peer, fields, false, WalkEnd::UntrustedPeer);
    }
    match &settings.header {
        AddressSource::None => at_peer(settings, peer, fields, true, WalkEnd::NoHeader),
        AddressSource::Single(name) => single(settings, peer, fields, name, see),
        AddressSource::XForwardedFor => {
            let stop = by_rule(settings, Hop::in_x_forwarded_for(fields).inspect(see));
            at_stop(settings, peer, fields, ClientFrom::XForwardedFor, &stop)
        }
        AddressSource::Forwarded => {
            let stop = by_rule(settings, Hop::in_forwarded(fields).inspect(see));
            at_stop(settings, peer, fields, ClientFrom::Forwarded, &stop)
        }
    }
}

/// Whether the peer is one of our proxies, as far as that is known before its headers are read.
fn is_trusted(settings: &Settings, peer: Peer) -> bool {
    match peer {
        Peer::Unix => true,
        _ if settings.trusted_hops > 0 => true,
        _ => peer.ip().is_some_and(|ip| settings.trust.trusts(ip)),
    }
}

/// The peer as the client; no client where the peer has no address.
fn at_peer(
    settings: &Settings,
    peer: Peer,
    fields: &[Header<'_>],
    trusted: bool,
    end: WalkEnd,
) -> ResolvedClient {
    let address = peer.address();
    ResolvedClient {
        client: address.map(|a| a.ip()),
        zone: address.map_or(Zone::NONE, |a| a.zone()),
        from: match (address, peer) {
            (None, _) => ClientFrom::None,
            (Some(_), Peer::Proxied(_)) => ClientFrom::ProxyProtocol,
            (Some(_), _) => ClientFrom::Peer,
        },
        peer_trusted: trusted,
        malformed: false,
        forged: !trusted && fields.iter().any(|f| may_name_a_client(settings, f.name)),
        position: 0,
        end,
    }
}

/// Whether a field names a client's address, to us or to an app that reads `_` as `-`.
fn may_name_a_client(settings: &Settings, name: &str) -> bool {
    field::folds_to(name, names::FOR)
        || field::folds_to(name, names::FORWARDED)
        || field::folds_to(name, names::REAL_IP)
        || matches!(&settings.header, AddressSource::Single(single) if field::folds_to(name, single))
}

/// The result of a walk: the last good hop, or the peer.
fn at_stop(
    settings: &Settings,
    peer: Peer,
    fields: &[Header<'_>],
    from: ClientFrom,
    stop: &Stop,
) -> ResolvedClient {
    if let Some((client, position)) = stop.hop {
        return ResolvedClient {
            client: Some(client.ip()),
            zone: client.zone(),
            from,
            peer_trusted: true,
            malformed: stop.malformed,
            forged: false,
            position,
            end: stop.end,
        };
    }
    ResolvedClient {
        malformed: stop.malformed,
        ..at_peer(settings, peer, fields, stop.end != WalkEnd::TooFew, stop.end)
    }
}

/// How far a walk went.
struct Stop {
    /// The last good hop and its place from the right; none if the walk ended before one.
    hop: Option<(Address, usize)>,
    malformed: bool,
    end: WalkEnd,
}

fn by_rule<'a>(settings: &Settings, hops: impl Iterator<Item = Hop<'a>>) -> Stop {
    match settings.trusted_hops {
        0 => by_ranges(settings, hops),
        count => by_count(count, hops),
    }
}

/// Rules 2 to 4: trusted entries are skipped.
fn by_ranges<'a>(settings: &Settings, hops: impl Iterator<Item = Hop<'a>>) -> Stop {
    let mut stop = Stop {
        hop: None,
        malformed: false,
        end: WalkEnd::NoEntry,
    };
    for (before, hop) in hops.enumerate() {
        let Some(address) = hop.address else {
            stop.malformed = true;
            stop.end = WalkEnd::NotAnAddress;
            break;
        };
        stop.hop = Some((address, before + 1));
        stop.end = WalkEnd::AllTrusted;
        if !settings.trust.trusts(address.ip()) {
            stop.end = WalkEnd::Client;
            break;
        }
    }
    stop
}

/// Rule 7: the Nth entry from the right. An entry that is no address ends the walk here too, but it is
/// counted as a hop.
fn by_count<'a>(trusted_hops: usize, hops: impl Iterator<Item = Hop<'a>>) -> Stop {
    let mut stop = Stop {
        hop: None,
        malformed: false,
        end: WalkEnd::Client,
    };
    let mut count = 0;
    for hop in hops.take(trusted_hops) {
        count += 1;
        match hop.address {
            Some(address) if !stop.malformed => stop.hop = Some((address, count)),
            Some(_) => {}
            None => {
                stop.malformed = true;
                stop.end = WalkEnd::NotAnAddress;
            }
        }
    }
    if count < trusted_hops {
        stop.hop = None;
        stop.end = WalkEnd::TooFew;
    }
    stop
}

/// Rule 8: one line with one address, or the peer.
fn single<'a>(
    settings: &Settings,
    peer: Peer,
    fields: &'a [Header<'a>],
    name: &str,
    mut see: impl FnMut(&Hop<'a>),
) -> ResolvedClient {
    let mut lines = field::lines(fields, name);
    let text = lines.next().map(field::trim).unwrap_or_default();
    let malformed = |end| ResolvedClient {
        malformed: true,
        ..at_peer(settings, peer, fields, true, end)
    };
    if lines.next().is_some() {
        return malformed(WalkEnd::Repeated);
    }
    if text.is_empty() {
        return at_peer(settings, peer, fields, true, WalkEnd::NoEntry);
    }
    let hop = Hop::read(text);
    see(&hop);
    let Some(client) = hop.address else {
        return malformed(WalkEnd::NotAnAddress);
    };
    ResolvedClient {
        client: Some(client.ip()),
        zone: client.zone(),
        from: ClientFrom::Single,
        ..at_peer(settings, peer, fields, true, WalkEnd::Client)
    }
}
