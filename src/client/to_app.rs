//! What the app is told: the forwarding headers on the way to it.

use std::{fmt::Write, net::IpAddr};

use httparse::Header;

use super::{
    entries::Entry,
    few::Few,
    forwarded::FromRight,
    names,
    peer::Peer,
    resolve::{From, Resolved},
    settings::{AddressSource, Settings, ToApp, is_tchar},
    visible::{Visible, is_host},
};

/// A value being written; longer ones than this are rare.
type Text = Few<u8, 256>;

/// Whether a field of the client's must not be copied to the app, as [`forward`] speaks for it or nobody may. Names
/// are compared as an app behind CGI or WSGI would: without case, `_` being `-`.
///
/// With `rewrite` an untrusted peer's whole `X-Forwarded-*` family stays behind, and the configured single-address
/// header does whoever sent it: it is written anew if it was believed. With `keep` everything goes on.
pub fn is_forwarding(settings: &Settings, resolved: &Resolved, name: &str) -> bool {
    match settings.to_app {
        ToApp::Keep => false,
        ToApp::Append => names::is_spoken_for(name),
        ToApp::Rewrite => {
            names::is_spoken_for(name)
                || (!resolved.peer_trusted && names::begins_with(name, "x-forwarded-"))
                || matches!(&settings.header, AddressSource::Single(single) if names::folds_to(name, single))
        }
    }
}

/// Emits the forwarding lines for the app, name in lower case and value, one call a line. `arrived` is what this connection
/// shows of scheme and host, `seen` what [`visible`](super::visible()) says of them.
///
/// - `rewrite`: `X-Forwarded-For` is the chain from the client to the peer, bare addresses; `X-Real-IP` the client;
///   `X-Forwarded-Proto`, `-Host`, `-Port` and `Forwarded` are kept as a trusted peer sent them, else set from `seen`. Of a
///   `Forwarded` that the walk was made by, only the client's element and those right of it are kept. A Unix peer has no
///   address to add.
/// - `append`: the peer is appended to the `X-Forwarded-For` that came, and to a `Forwarded` if one came or is
///   configured, as a line of its own; what else came goes on, and what did not come is set.
/// - `keep`: nothing is emitted; what came goes on by itself.
pub fn forward(
    settings: &Settings,
    resolved: &Resolved,
    peer: Peer,
    fields: &[Header<'_>],
    arrived: &Visible<'_>,
    seen: &Visible<'_>,
    emit: &mut impl FnMut(&str, &[u8]),
) {
    match settings.to_app {
        ToApp::Rewrite => rewrite(settings, resolved, peer, fields, seen, emit),
        ToApp::Append => append(settings, resolved, peer, fields, arrived, seen, emit),
        ToApp::Keep => {}
    }
}

fn rewrite(
    settings: &Settings,
    resolved: &Resolved,
    peer: Peer,
    fields: &[Header<'_>],
    seen: &Visible<'_>,
    emit: &mut impl FnMut(&str, &[u8]),
) {
    let mut chain = Text::new(0);
    write_chain(&mut chain, settings, resolved, peer, fields);
    emit_text(names::FOR, &chain, emit);
    // The chain begins with the client; where there is none, there is no chain.
    let client = hops(&chain).next().unwrap_or_default();
    emit_text(names::REAL_IP, client, emit);

    let believed = if resolved.peer_trusted { fields } else { &[] };
    let came = Came::look(believed);
    emit_seen(seen, &came, emit);

    let kept = match settings.header {
        AddressSource::Forwarded => keep_from_client(resolved, believed, emit),
        _ => emit_came(names::FORWARDED, came.forwarded, emit),
    };
    if !kept {
        let mut elements = Text::new(0);
        write_elements(&mut elements, hops(&chain), seen);
        emit(names::FORWARDED, &elements);
    }
    if let (From::Single, AddressSource::Single(name)) = (resolved.from, &settings.header)
        && name != names::REAL_IP
    {
        emit(name, client);
    }
}

fn append(
    settings: &Settings,
    resolved: &Resolved,
    peer: Peer,
    fields: &[Header<'_>],
    arrived: &Visible<'_>,
    seen: &Visible<'_>,
    emit: &mut impl FnMut(&str, &[u8]),
) {
    let (mut list, mut own) = (Text::new(0), Text::new(0));
    for line in lines(names::FOR, fields).filter(|line| !line.is_empty()) {
        separate(&mut list);
        list.extend(line);
    }
    if let Some(ip) = peer.ip() {
        write_ip(&mut own, ip);
        separate(&mut list);
        list.extend(&own);
    }
    emit_text(names::FOR, &list, emit);

    let came = Came::look(fields);
    if !emit_came(names::REAL_IP, came.real_ip, emit)
        && let Some(client) = resolved.client
    {
        let mut text = Text::new(0);
        write_ip(&mut text, client);
        emit(names::REAL_IP, &text);
    }
    emit_seen(seen, &came, emit);

    let came = emit_came(names::FORWARDED, came.forwarded, emit);
    if came || settings.header == AddressSource::Forwarded {
        // What arrived here, by our own eyes.
        let arrived = Visible {
            https: arrived.https,
            host: arrived.host.filter(|h| is_host(h)),
        };
        let mut element = Text::new(0);
        write_elements(&mut element, hops(&own), &arrived);
        emit(names::FORWARDED, &element);
    }
}

/// The fields from the first line of each header on that may be kept; nothing where it did not come. Found in one
/// pass.
#[derive(Default)]
struct Came<'a> {
    real_ip: &'a [Header<'a>],
    proto: &'a [Header<'a>],
    host: &'a [Header<'a>],
    port: &'a [Header<'a>],
    forwarded: &'a [Header<'a>],
}

impl<'a> Came<'a> {
    fn look(fields: &'a [Header<'a>]) -> Self {
        let mut came = Came::default();
        for (at, field) in fields.iter().enumerate() {
            let is = |name| field.name.eq_ignore_ascii_case(name);
            let slot = match field.name.len() {
                9 if is(names::FORWARDED) => &mut came.forwarded,
                9 if is(names::REAL_IP) => &mut came.real_ip,
                16 if is(names::HOST) => &mut came.host,
                16 if is(names::PORT) => &mut came.port,
                17 if is(names::PROTO) => &mut came.proto,
                _ => continue,
            };
            if slot.is_empty() {
                *slot = &fields[at..];
            }
        }
        came
    }
}

/// Scheme, host and port: as they came, or as the client saw them.
fn emit_seen(seen: &Visible<'_>, came: &Came<'_>, emit: &mut impl FnMut(&str, &[u8])) {
    if !emit_came(names::PROTO, came.proto, emit) {
        emit(names::PROTO, scheme(seen).as_bytes());
    }
    if !emit_came(names::HOST, came.host, emit) {
        emit_text(names::HOST, seen.host.unwrap_or_default().as_bytes(), emit);
    }
    if !emit_came(names::PORT, came.port, emit) {
        let port = seen
            .host
            .and_then(port_of)
            .unwrap_or(if seen.https { "443" } else { "80" });
        emit(names::PORT, port.as_bytes());
    }
}

/// Emits the lines of a name as they came, and says whether any did.
fn emit_came(name: &'static str, came: &[Header<'_>], emit: &mut impl FnMut(&str, &[u8])) -> bool {
    lines(name, came).for_each(|line| emit(name, line));
    !came.is_empty()
}

/// Emits a value unless it is empty.
fn emit_text(name: &str, text: &[u8], emit: &mut impl FnMut(&str, &[u8])) {
    if !text.is_empty() {
        emit(name, text);
    }
}

/// Of the `Forwarded` that was walked, keeps the elements from the client's on: what stands left of it is the
/// client's own word. Says whether there was something to keep.
fn keep_from_client(resolved: &Resolved, fields: &[Header<'_>], emit: &mut impl FnMut(&str, &[u8])) -> bool {
    let mut kept = Few::<&[u8], 8>::new(&[]);
    FromRight::of(fields)
        .take(resolved.position)
        .for_each(|e| kept.push(e.text()));
    let mut text = Text::new(0);
    for element in kept.iter().rev() {
        separate(&mut text);
        text.extend(element);
    }
    emit_text(names::FORWARDED, &text, emit);
    !text.is_empty()
}

/// The addresses from the client to the peer, with `, ` between them.
fn write_chain(text: &mut Text, settings: &Settings, resolved: &Resolved, peer: Peer, fields: &[Header<'_>]) {
    match (resolved.position, resolved.client) {
        // No hop between the client and the peer, as for most: there is nothing to read again.
        (1, Some(client)) => write_ip(text, client),
        (0, Some(client)) if resolved.from == From::Single => write_ip(text, client),
        (0, _) => {}
        (position, _) => {
            let mut nearest_first = Few::<Option<IpAddr>, 8>::new(None);
            let push = |entry: Entry<'_>| nearest_first.push(entry.address.map(|a| a.ip()));
            match settings.header {
                AddressSource::Forwarded => Entry::all_of_forwarded(fields).take(position).for_each(push),
                _ => Entry::all_of_for(fields).take(position).for_each(push),
            }
            for ip in nearest_first.iter().rev().flatten() {
                separate(text);
                write_ip(text, *ip);
            }
        }
    }
    if let Some(ip) = peer.ip() {
        separate(text);
        write_ip(text, ip);
    }
}

/// The addresses of a chain.
fn hops(chain: &[u8]) -> impl Iterator<Item = &[u8]> {
    chain
        .split(|b| *b == b',')
        .map(<[u8]>::trim_ascii_start)
        .filter(|hop| !hop.is_empty())
}

/// One `Forwarded` element a hop (RFC 7239 §4), the first with what the client saw.
fn write_elements<'a>(text: &mut Text, hops: impl Iterator<Item = &'a [u8]>, seen: &Visible<'_>) {
    let mut hops = hops;
    if let Some(client) = hops.next() {
        write_node(text, client);
        text.push(b';');
    }
    if let Some(host) = seen.host {
        // A port's colon and a bracket are no token characters.
        let quote: &[u8] = if host.bytes().all(is_tchar) { b"" } else { b"\"" };
        for part in [b"host=", quote, host.as_bytes(), quote, b";"] {
            text.extend(part);
        }
    }
    text.extend(b"proto=");
    text.extend(scheme(seen).as_bytes());
    for hop in hops {
        separate(text);
        write_node(text, hop);
    }
}

/// `for=` with an address (RFC 7239 §6).
fn write_node(text: &mut Text, address: &[u8]) {
    let (before, after): (&[u8], &[u8]) = if address.contains(&b':') {
        (b"for=\"[", b"]\"")
    } else {
        (b"for=", b"")
    };
    for part in [before, address, after] {
        text.extend(part);
    }
}

fn write_ip(text: &mut Text, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let mut digits = itoa::Buffer::new();
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    text.push(b'.');
                }
                text.extend(digits.format(octet).as_bytes());
            }
        }
        // Writing into memory cannot fail.
        IpAddr::V6(ip) => drop(write!(text, "{ip}")),
    }
}

fn separate(text: &mut Text) {
    if !text.is_empty() {
        text.extend(b", ");
    }
}

fn lines<'a>(name: &'static str, fields: &'a [Header<'a>]) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |f| f.name.eq_ignore_ascii_case(name))
        .map(|f| f.value)
}

fn scheme(seen: &Visible<'_>) -> &'static str {
    if seen.https { "https" } else { "http" }
}

/// The port that a host carries.
fn port_of(host: &str) -> Option<&str> {
    let (_, port) = host.rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())).then_some(port)
}
