//! Who the client is: the rule of [the module](super), step by step.

use std::net::IpAddr;

use httparse::Header;

use super::{
    addr::{Address, Zone, trim},
    entries::Entry,
    names,
    peer::Peer,
    settings::{AddressSource, Settings},
};

/// Who the client is, and what the rest of the module needs to know of how that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The client's address; none if there is no address at all.
    pub client: Option<IpAddr>,
    /// The zone it came with, for showing the address as it was given.
    pub zone: Zone,
    /// Where the address was found.
    pub from: From,
    /// Whether the peer's forwarding headers are believed.
    pub peer_trusted: bool,
    /// An entry on the way was no address, or a single-address header had more or less than one.
    pub malformed: bool,
    /// A peer that is not trusted sent forwarding headers.
    pub forged: bool,
    /// The client's entry in the list header, counted from the right from 1; 0 if it is not from there.
    pub(super) position: usize,
    pub(super) end: End,
}

impl Resolved {
    /// The client as it was given, its zone with it.
    pub fn address(&self) -> Option<Address> {
        self.client.map(|ip| Address::new(ip, self.zone))
    }
}

/// Where the client's address was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    /// It is the peer's.
    Peer,
    /// It is the peer's, as the PROXY protocol gave it.
    ProxyProtocol,
    /// An entry of `X-Forwarded-For`.
    XForwardedFor,
    /// An element of `Forwarded`.
    Forwarded,
    /// The configured single-address header.
    Single,
    /// There is none.
    None,
}

impl From {
    /// All of them.
    pub const ALL: [From; 6] = [
        From::Peer,
        From::ProxyProtocol,
        From::XForwardedFor,
        From::Forwarded,
        From::Single,
        From::None,
    ];

    /// The label of a metric, of a closed list.
    pub fn label(self) -> &'static str {
        match self {
            From::Peer => "peer",
            From::ProxyProtocol => "proxy-protocol",
            From::XForwardedFor => names::FOR,
            From::Forwarded => names::FORWARDED,
            From::Single => "single-address",
            From::None => "none",
        }
    }

    /// As the label, but a single-address header by its own name.
    pub fn name(self, settings: &Settings) -> &str {
        match self {
            From::Single => settings.header.name(),
            other => other.label(),
        }
    }
}

/// Where the walk ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// At the peer, which is not trusted.
    UntrustedPeer,
    /// At the peer, as no header is configured.
    NoHeader,
    /// At the peer, as the header has no entry.
    NoEntry,
    /// At the first entry that is not trusted, or at the hop that `trusted_hops` names.
    Client,
    /// At the left end, every entry being trusted.
    AllTrusted,
    /// At an entry that is no address.
    NotAnAddress,
    /// At the peer, as there are fewer entries than hops of ours.
    TooFew,
    /// At the peer, as the single-address header came more than once.
    Repeated,
}

/// Finds the client. Allocates nothing, but for `Forwarded` with more than eight elements in a line.
pub fn resolve(settings: &Settings, peer: Peer, fields: &[Header<'_>]) -> Resolved {
    walk(settings, peer, fields, |_| {})
}

/// As [`resolve`], and shows every entry that is looked at.
pub(super) fn walk<'a>(
    settings: &Settings,
    peer: Peer,
    fields: &'a [Header<'a>],
    see: impl FnMut(&Entry<'a>),
) -> Resolved {
    if !is_trusted(settings, peer) {
        return at_peer(settings, peer, fields, false, End::UntrustedPeer);
    }
    match &settings.header {
        AddressSource::None => at_peer(settings, peer, fields, true, End::NoHeader),
        AddressSource::Single(name) => single(settings, peer, fields, name, see),
        AddressSource::XForwardedFor => {
            let stop = by_rule(settings, Entry::all_of_for(fields).inspect(see));
            at_stop(settings, peer, fields, From::XForwardedFor, &stop)
        }
        AddressSource::Forwarded => {
            let stop = by_rule(settings, Entry::all_of_forwarded(fields).inspect(see));
            at_stop(settings, peer, fields, From::Forwarded, &stop)
        }
    }
}

/// Whether the peer is one of our proxies, as far as can be said before its headers are read.
fn is_trusted(settings: &Settings, peer: Peer) -> bool {
    match peer {
        Peer::Unix => true,
        _ if settings.trusted_hops > 0 => true,
        _ => peer.ip().is_some_and(|ip| settings.trust.trusts(ip)),
    }
}

/// The answer that is the peer, or nobody where the peer has no address.
fn at_peer(settings: &Settings, peer: Peer, fields: &[Header<'_>], trusted: bool, end: End) -> Resolved {
    let address = peer.address();
    Resolved {
        client: address.map(|a| a.ip()),
        zone: address.map_or(Zone::NONE, |a| a.zone()),
        from: match (address, peer) {
            (None, _) => From::None,
            (Some(_), Peer::Proxied(_)) => From::ProxyProtocol,
            (Some(_), _) => From::Peer,
        },
        peer_trusted: trusted,
        malformed: false,
        forged: !trusted && fields.iter().any(|f| tells_an_address(settings, f.name)),
        position: 0,
        end,
    }
}

/// Whether a field is one that tells a client's address, here or to an app that folds names.
fn tells_an_address(settings: &Settings, name: &str) -> bool {
    names::folds_to(name, names::FOR)
        || names::folds_to(name, names::FORWARDED)
        || names::folds_to(name, names::REAL_IP)
        || matches!(&settings.header, AddressSource::Single(single) if names::folds_to(name, single))
}

/// The answer of a walk: the last good hop, or the peer.
fn at_stop(settings: &Settings, peer: Peer, fields: &[Header<'_>], from: From, stop: &Stop) -> Resolved {
    if let Some((client, position)) = stop.hop {
        return Resolved {
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
    Resolved {
        malformed: stop.malformed,
        ..at_peer(settings, peer, fields, stop.end != End::TooFew, stop.end)
    }
}

/// How far a walk came.
struct Stop {
    /// The last good hop and its place from the right; none if there was none before the end.
    hop: Option<(Address, usize)>,
    malformed: bool,
    end: End,
}

fn by_rule<'a>(settings: &Settings, entries: impl Iterator<Item = Entry<'a>>) -> Stop {
    match settings.trusted_hops {
        0 => by_ranges(settings, entries),
        hops => by_hops(hops, entries),
    }
}

/// Rules 2 to 4: trusted entries are skipped.
fn by_ranges<'a>(settings: &Settings, entries: impl Iterator<Item = Entry<'a>>) -> Stop {
    let mut stop = Stop {
        hop: None,
        malformed: false,
        end: End::NoEntry,
    };
    for (before, entry) in entries.enumerate() {
        let Some(address) = entry.address else {
            stop.malformed = true;
            stop.end = End::NotAnAddress;
            break;
        };
        stop.hop = Some((address, before + 1));
        stop.end = End::AllTrusted;
        if !settings.trust.trusts(address.ip()) {
            stop.end = End::Client;
            break;
        }
    }
    stop
}

/// Rule 7: the Nth entry from the right. An entry that is no address ends the walk here too, but it still counts as
/// the entry of a hop.
fn by_hops<'a>(hops: usize, entries: impl Iterator<Item = Entry<'a>>) -> Stop {
    let mut stop = Stop {
        hop: None,
        malformed: false,
        end: End::Client,
    };
    let mut count = 0;
    for entry in entries.take(hops) {
        count += 1;
        match entry.address {
            Some(address) if !stop.malformed => stop.hop = Some((address, count)),
            Some(_) => {}
            None => {
                stop.malformed = true;
                stop.end = End::NotAnAddress;
            }
        }
    }
    if count < hops {
        stop.hop = None;
        stop.end = End::TooFew;
    }
    stop
}

/// Rule 8: one line with one address, or the peer.
fn single<'a>(
    settings: &Settings,
    peer: Peer,
    fields: &'a [Header<'a>],
    name: &str,
    mut see: impl FnMut(&Entry<'a>),
) -> Resolved {
    let mut lines = fields.iter().filter(|f| f.name.eq_ignore_ascii_case(name));
    let text = lines.next().map(|f| trim(f.value)).unwrap_or_default();
    let malformed = |end| Resolved {
        malformed: true,
        ..at_peer(settings, peer, fields, true, end)
    };
    if lines.next().is_some() {
        return malformed(End::Repeated);
    }
    if text.is_empty() {
        return at_peer(settings, peer, fields, true, End::NoEntry);
    }
    let entry = Entry::of_address(text);
    see(&entry);
    let Some(client) = entry.address else {
        return malformed(End::NotAnAddress);
    };
    Resolved {
        client: Some(client.ip()),
        zone: client.zone(),
        from: From::Single,
        ..at_peer(settings, peer, fields, true, End::Client)
    }
}
