//! The forwarding headers that the app gets.

use std::{io::Write, net::IpAddr};

use httparse::Header;

use smallvec::SmallVec;

use crate::field;

use super::{
    forwarded,
    hops::Hop,
    names,
    peer::Peer,
    resolve::{ClientFrom, ResolvedClient},
    settings::{AddressSource, Settings, ToApp},
    visible::{Visible, is_host},
};

/// A value that is being written. Longer ones are rare, and allocate.
type ValueBuffer = SmallVec<[u8; 256]>;

/// Whether a field of the request must not be copied to the app, because [`forward`] writes it or because
/// nobody may send it. Names are compared by [`field::folds_to`].
///
/// With `rewrite`, no `X-Forwarded-*` field of an untrusted peer is copied, and neither is the configured
/// single-address header, whoever sent it: [`forward`] writes it if it was trusted. With `keep` everything is
/// copied.
pub fn is_forwarding(settings: &Settings, resolved: &ResolvedClient, name: &str) -> bool {
    match settings.to_app {
        ToApp::Keep => false,
        ToApp::Append => names::is_written_by_us(name),
        ToApp::Rewrite => {
            names::is_written_by_us(name)
                || (!resolved.peer_trusted && field::folds_to_prefix(name, "x-forwarded-"))
                || matches!(&settings.header, AddressSource::Single(single) if field::folds_to(name, single))
        }
    }
}

/// Emits the forwarding lines for the app: one call per line, the name in lower case. `arrived` is what this
/// connection shows of scheme and host, `visible` the result of [`visible`](super::visible()) for it.
///
/// - `rewrite`: `X-Forwarded-For` lists the addresses from the client to the peer; `X-Real-IP` is the client.
///   `X-Forwarded-Proto`, `-Host`, `-Port` and `Forwarded` are kept if a trusted peer sent them, else set
///   from `visible`. If the client was found in `Forwarded`, only its element and those right of it are kept.
///   A Unix peer has no address to add.
/// - `append`: the peer is appended to the `X-Forwarded-For` that was sent. It is also appended, as a line of
///   its own, to `Forwarded` if that was sent or is configured. The other lines are kept as sent; missing
///   ones are set.
/// - `keep`: nothing is emitted, because every field is copied.
pub fn forward(
    settings: &Settings,
    resolved: &ResolvedClient,
    peer: Peer,
    fields: &[Header<'_>],
    arrived: &Visible<'_>,
    visible: &Visible<'_>,
    emit: &mut impl FnMut(&str, &[u8]),
) {
    match settings.to_app {
        ToApp::Rewrite => rewrite(settings, resolved, peer, fields, visible, emit),
        ToApp::Append => append(settings, resolved, peer, fields, arrived, visible, emit),
        ToApp::Keep => {}
    }
}

fn rewrite(
    settings: &Settings,
    resolved: &ResolvedClient,
    peer: Peer,
    fields: &[Header<'_>],
    visible: &Visible<'_>,
    emit: &mut impl FnMut(&str, &[u8]),
) {
    let mut chain = ValueBuffer::new();
    write_chain(&mut chain, settings, resolved, peer, fields);
    emit_text(names::FOR, &chain, emit);
    // The chain starts with the client. Without a client there is no chain.
    let client = field::members(&chain).next().unwrap_or_default();
    emit_text(names::REAL_IP, client, emit);

    let trusted = if resolved.peer_trusted { fields } else { &[] };
    let sent = SentFields::find(trusted);
    emit_visible(visible, &sent, emit);

    let kept = match settings.header {
        AddressSource::Forwarded => keep_from_client(resolved, trusted, emit),
        _ => emit_sent(names::FORWARDED, sent.forwarded, emit),
    };
    if !kept {
        let mut elements = ValueBuffer::new();
        write_elements(&mut elements, field::members(&chain), visible);
        emit(names::FORWARDED, &elements);
    }
    if let (ClientFrom::Single, AddressSource::Single(name)) = (resolved.from, &settings.header)
        && name != names::REAL_IP
    {
        emit(name, client);
    }
}

fn append(
    settings: &Settings,
    resolved: &ResolvedClient,
    peer: Peer,
    fields: &[Header<'_>],
    arrived: &Visible<'_>,
    visible: &Visible<'_>,
    emit: &mut impl FnMut(&str, &[u8]),
) {
    let (mut list, mut own) = (ValueBuffer::new(), ValueBuffer::new());
    for line in field::lines(fields, names::FOR).filter(|line| !line.is_empty()) {
        separate(&mut list);
        list.extend_from_slice(line);
    }
    if let Some(ip) = peer.ip() {
        write_ip(&mut own, ip);
        separate(&mut list);
        list.extend_from_slice(&own);
    }
    emit_text(names::FOR, &list, emit);

    let sent = SentFields::find(fields);
    if !emit_sent(names::REAL_IP, sent.real_ip, emit)
        && let Some(client) = resolved.client
    {
        let mut text = ValueBuffer::new();
        write_ip(&mut text, client);
        emit(names::REAL_IP, &text);
    }
    emit_visible(visible, &sent, emit);

    let was_sent = emit_sent(names::FORWARDED, sent.forwarded, emit);
    if was_sent || settings.header == AddressSource::Forwarded {
        // Scheme and host of the request as it arrived here.
        let arrived = Visible {
            https: arrived.https,
            host: arrived.host.filter(|h| is_host(h)),
        };
        let mut element = ValueBuffer::new();
        write_elements(&mut element, field::members(&own), &arrived);
        emit(names::FORWARDED, &element);
    }
}

/// For each header that may be kept: the fields from its first line on, empty if it was not sent. Found in
/// one pass.
#[derive(Default)]
struct SentFields<'a> {
    real_ip: &'a [Header<'a>],
    proto: &'a [Header<'a>],
    host: &'a [Header<'a>],
    port: &'a [Header<'a>],
    forwarded: &'a [Header<'a>],
}

impl<'a> SentFields<'a> {
    fn find(fields: &'a [Header<'a>]) -> Self {
        let mut sent = SentFields::default();
        for (at, field) in fields.iter().enumerate() {
            let is = |name| field.name.eq_ignore_ascii_case(name);
            let slot = match field.name.len() {
                9 if is(names::FORWARDED) => &mut sent.forwarded,
                9 if is(names::REAL_IP) => &mut sent.real_ip,
                16 if is(names::HOST) => &mut sent.host,
                16 if is(names::PORT) => &mut sent.port,
                17 if is(names::PROTO) => &mut sent.proto,
                _ => continue,
            };
            if slot.is_empty() {
                *slot = &fields[at..];
            }
        }
        sent
    }
}

/// Scheme, host and port: as sent, else as the client saw them.
fn emit_visible(visible: &Visible<'_>, sent: &SentFields<'_>, emit: &mut impl FnMut(&str, &[u8])) {
    if !emit_sent(names::PROTO, sent.proto, emit) {
        emit(names::PROTO, scheme(visible).as_bytes());
    }
    if !emit_sent(names::HOST, sent.host, emit) {
        emit_text(names::HOST, visible.host.unwrap_or_default().as_bytes(), emit);
    }
    if !emit_sent(names::PORT, sent.port, emit) {
        let port = visible
            .host
            .and_then(port_of)
            .unwrap_or(if visible.https { "443" } else { "80" });
        emit(names::PORT, port.as_bytes());
    }
}

/// Emits the lines of one name as they were sent; returns whether there was one.
fn emit_sent(name: &'static str, fields: &[Header<'_>], emit: &mut impl FnMut(&str, &[u8])) -> bool {
    field::lines(fields, name).for_each(|line| emit(name, line));
    !fields.is_empty()
}

/// Emits a value unless it is empty.
fn emit_text(name: &str, text: &[u8], emit: &mut impl FnMut(&str, &[u8])) {
    if !text.is_empty() {
        emit(name, text);
    }
}

/// Emits the elements of the `Forwarded` in which the client was found, from the client's element on. What is
/// left of it was written by the client. Returns whether there was an element.
fn keep_from_client(
    resolved: &ResolvedClient,
    fields: &[Header<'_>],
    emit: &mut impl FnMut(&str, &[u8]),
) -> bool {
    let kept: SmallVec<[&[u8]; 8]> = forwarded::from_right(fields)
        .take(resolved.position)
        .map(|element| element.text())
        .collect();
    let mut text = ValueBuffer::new();
    for element in kept.iter().rev() {
        separate(&mut text);
        text.extend_from_slice(element);
    }
    emit_text(names::FORWARDED, &text, emit);
    !text.is_empty()
}

/// The addresses from the client to the peer, with `, ` between them.
fn write_chain(
    text: &mut ValueBuffer,
    settings: &Settings,
    resolved: &ResolvedClient,
    peer: Peer,
    fields: &[Header<'_>],
) {
    match (resolved.position, resolved.client) {
        // Nearly always there is no hop between the client and the peer: nothing to parse again.
        (1, Some(client)) => write_ip(text, client),
        (0, Some(client)) if resolved.from == ClientFrom::Single => write_ip(text, client),
        (0, _) => {}
        (position, _) => {
            let ip = |hop: Hop<'_>| hop.address.map(|a| a.ip());
            let nearest_first: SmallVec<[IpAddr; 8]> = match settings.header {
                AddressSource::Forwarded => Hop::in_forwarded(fields).take(position).filter_map(ip).collect(),
                _ => Hop::in_x_forwarded_for(fields)
                    .take(position)
                    .filter_map(ip)
                    .collect(),
            };
            for ip in nearest_first.iter().rev() {
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

/// One `Forwarded` element per hop (RFC 7239 §4); the first one has the scheme and host that the client saw.
fn write_elements<'a>(
    text: &mut ValueBuffer,
    mut hops: impl Iterator<Item = &'a [u8]>,
    visible: &Visible<'_>,
) {
    if let Some(client) = hops.next() {
        write_node(text, client);
        text.push(b';');
    }
    if let Some(host) = visible.host {
        // The colon of a port and brackets are not allowed in a token.
        let (before, after): (&[u8], &[u8]) = if field::is_token(host.as_bytes()) {
            (b"host=", b";")
        } else {
            (b"host=\"", b"\";")
        };
        text.extend_from_slice(before);
        text.extend_from_slice(host.as_bytes());
        text.extend_from_slice(after);
    }
    text.extend_from_slice(if visible.https {
        b"proto=https"
    } else {
        b"proto=http"
    });
    for hop in hops {
        separate(text);
        write_node(text, hop);
    }
}

/// `for=` with an address (RFC 7239 §6).
fn write_node(text: &mut ValueBuffer, address: &[u8]) {
    if address.contains(&b':') {
        text.extend_from_slice(b"for=\"[");
        text.extend_from_slice(address);
        text.extend_from_slice(b"]\"");
    } else {
        text.extend_from_slice(b"for=");
        text.extend_from_slice(address);
    }
}

/// Writes an address on the stack first, because appending its pieces one by one to a buffer that may grow
/// costs more.
fn write_ip(text: &mut ValueBuffer, ip: IpAddr) {
    const LONGEST_IPV6: usize = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".len();
    let mut bytes = [0; LONGEST_IPV6];
    let mut rest = &mut bytes[..];
    // Neither write can fail: there is room for every address.
    match ip {
        IpAddr::V4(ip) => {
            let mut digits = itoa::Buffer::new();
            for (place, octet) in ip.octets().into_iter().enumerate() {
                if place > 0 {
                    let _ = rest.write_all(b".");
                }
                let _ = rest.write_all(digits.format(octet).as_bytes());
            }
        }
        IpAddr::V6(ip) => drop(write!(rest, "{ip}")),
    }
    let len = LONGEST_IPV6 - rest.len();
    text.extend_from_slice(&bytes[..len]);
}

fn separate(text: &mut ValueBuffer) {
    if !text.is_empty() {
        text.extend_from_slice(b", ");
    }
}

fn scheme(visible: &Visible<'_>) -> &'static str {
    if visible.https { "https" } else { "http" }
}

/// The port of a host, if it has one.
fn port_of(host: &str) -> Option<&str> {
    let (_, port) = host.rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())).then_some(port)
}
