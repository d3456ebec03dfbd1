//! What the app is told: the forwarding headers on the way to it.

use std::{fmt::Write, net::IpAddr};

use httparse::Header;

use super::{
    entries::{Entries, elements},
    few::Few,
    names,
    peer::Peer,
    resolve::{From, Resolved},
    settings::{AddressSource, Settings, ToApp},
    visible::{Visible, is_host, visible},
};

/// A value being written; longer ones than this are rare.
type Text = Few<u8, 256>;

/// Whether a field of the client's must not be copied to the app, as [`forward`] speaks for it or nobody may. Names
/// are compared as an app behind CGI or WSGI would: without case, `_` being `-`.
///
/// With `rewrite` an untrusted peer's whole `X-Forwarded-*` family stays behind, and the configured single-address
/// header does whoever sent it: it is written anew if it was believed. With `keep` everything goes on.
pub fn is_forwarding(settings: &Settings, resolved: &Resolved, name: &str) -> bool {
    // Every one of them begins with these letters, but for the header that is configured.
    let first = name.as_bytes().first().map(u8::to_ascii_lowercase);
    let spoken_for =
        || matches!(first, Some(b'x' | b'f')) && names::SPOKEN_FOR.iter().any(|n| names::folds_to(name, n));
    match settings.to_app {
        ToApp::Keep => false,
        ToApp::Append => spoken_for(),
        ToApp::Rewrite => {
            spoken_for()
                || (!resolved.peer_trusted && names::begins_with(name, "x-forwarded-"))
                || matches!(&settings.header, AddressSource::Single(single) if names::folds_to(name, single))
        }
    }
}

/// Emits the forwarding lines for the app, name in lower case and value, one call a line.
///
/// - `rewrite`: `X-Forwarded-For` is the chain from the client to the peer, bare addresses; `X-Real-IP` the client;
///   `X-Forwarded-Proto`, `-Host`, `-Port` and `Forwarded` are kept as a trusted peer sent them, else set from what
///   [`visible`] says. Of a `Forwarded` that the walk was made by, only the client's element and those right of it
///   are kept. A Unix peer has no address to add.
/// - `append`: the peer is appended to the `X-Forwarded-For` that came, and to a `Forwarded` if one came or is
///   configured, as a line of its own; what else came goes on, and what did not come is set.
/// - `keep`: nothing is emitted; what came goes on by itself.
pub fn forward(
    settings: &Settings,
    resolved: &Resolved,
    peer: Peer,
    fields: &[Header<'_>],
    host: Option<&str>,
    emit: &mut impl FnMut(&str, &[u8]),
) {
    let rewrite = match settings.to_app {
        ToApp::Keep => return,
        ToApp::Append => false,
        ToApp::Rewrite => true,
    };
    let seen = visible(settings, resolved, fields, host);
    let hops = chain(settings, resolved, peer, fields);
    let mut text = Text::new(0);

    if rewrite {
        join_addresses(&mut text, &hops);
    } else {
        join_lines(&mut text, names::FOR, fields);
        join_addresses(&mut text, peer.ip().as_slice());
    }
    if !text.is_empty() {
        emit(names::FOR, &text);
    }

    let real_ip = text_of(|text| resolved.client.map_or(Ok(()), |ip| write!(text, "{ip}")));
    if rewrite || !emit_lines(names::REAL_IP, fields, emit) {
        emit_text(names::REAL_IP, &real_ip, emit);
    }

    let believed = resolved.peer_trusted || !rewrite;
    let came = |name, emit: &mut _| believed && emit_lines(name, fields, emit);
    if !came(names::PROTO, emit) {
        emit(names::PROTO, scheme(&seen).as_bytes());
    }
    if !came(names::HOST, emit) {
        emit_text(names::HOST, seen.host.unwrap_or_default().as_bytes(), emit);
    }
    if !came(names::PORT, emit) {
        let port = seen
            .host
            .and_then(port_of)
            .unwrap_or(if seen.https { "443" } else { "80" });
        emit(names::PORT, port.as_bytes());
    }

    if rewrite {
        let kept = resolved.peer_trusted && keep_forwarded(settings, resolved, fields, emit);
        if !kept {
            emit_text(
                names::FORWARDED,
                &text_of(|text| elements_of(text, &hops, &seen)),
                emit,
            );
        }
    } else {
        let came = emit_lines(names::FORWARDED, fields, emit);
        if came || settings.header == AddressSource::Forwarded {
            let own = Visible {
                https: false,
                host: host.filter(|h| is_host(h)),
            };
            let element = text_of(|text| elements_of(text, peer.ip().as_slice(), &own));
            emit_text(names::FORWARDED, &element, emit);
        }
    }

    if let (true, From::Single, AddressSource::Single(name)) = (rewrite, resolved.from, &settings.header)
        && name != names::REAL_IP
    {
        emit(name, &real_ip);
    }
}

/// The addresses from the client to the peer.
fn chain(settings: &Settings, resolved: &Resolved, peer: Peer, fields: &[Header<'_>]) -> Few<IpAddr, 8> {
    let mut hops = Few::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    if let Some(ip) = peer.ip() {
        hops.push(ip);
    }
    match resolved.client {
        Some(client) if resolved.from == From::Single => hops.push(client),
        _ => {
            let entries = Entries::of(&settings.header, fields).take(resolved.position);
            entries.filter_map(|e| e.address).for_each(|a| hops.push(a.ip()));
        }
    }
    hops.reverse();
    hops
}

/// Appends addresses to a list.
fn join_addresses(text: &mut Text, addresses: &[IpAddr]) {
    for ip in addresses {
        separate(text);
        // Writing into memory cannot fail.
        let _ = write!(text, "{ip}");
    }
}

/// Appends the values of all lines of a name to a list.
fn join_lines(text: &mut Text, name: &str, fields: &[Header<'_>]) {
    for line in lines(name, fields).filter(|line| !line.is_empty()) {
        separate(text);
        text.extend(line);
    }
}

fn separate(text: &mut Text) {
    if !text.is_empty() {
        text.extend(b", ");
    }
}

fn lines<'a>(name: &str, fields: &'a [Header<'a>]) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |f| f.name.eq_ignore_ascii_case(name))
        .map(|f| f.value)
}

/// Emits the lines of a name as they came, and says whether there were any.
fn emit_lines(name: &'static str, fields: &[Header<'_>], emit: &mut impl FnMut(&str, &[u8])) -> bool {
    let mut any = false;
    for line in lines(name, fields) {
        emit(name, line);
        any = true;
    }
    any
}

/// Emits a value unless it is empty.
fn emit_text(name: &str, text: &[u8], emit: &mut impl FnMut(&str, &[u8])) {
    if !text.is_empty() {
        emit(name, text);
    }
}

fn text_of(write: impl FnOnce(&mut Text) -> std::fmt::Result) -> Text {
    let mut text = Text::new(0);
    // Writing into memory cannot fail.
    let _ = write(&mut text);
    text
}

/// Keeps a trusted peer's `Forwarded`, and says whether there was something to keep. Of the one that was walked, the
/// part left of the client is the client's own word.
fn keep_forwarded(
    settings: &Settings,
    resolved: &Resolved,
    fields: &[Header<'_>],
    emit: &mut impl FnMut(&str, &[u8]),
) -> bool {
    if settings.header != AddressSource::Forwarded {
        return emit_lines(names::FORWARDED, fields, emit);
    }
    let mut kept = Few::<&[u8], 8>::new(&[]);
    elements(fields)
        .take(resolved.position)
        .for_each(|e| kept.push(e.text()));
    kept.reverse();
    let mut text = Text::new(0);
    for element in kept.iter() {
        separate(&mut text);
        text.extend(element);
    }
    emit_text(names::FORWARDED, &text, emit);
    !text.is_empty()
}

/// One element a hop (RFC 7239 §4), the first with what the client saw.
fn elements_of(text: &mut Text, hops: &[IpAddr], seen: &Visible<'_>) -> std::fmt::Result {
    match hops.first() {
        Some(IpAddr::V4(ip)) => write!(text, "for={ip};")?,
        Some(IpAddr::V6(ip)) => write!(text, "for=\"[{ip}]\";")?,
        None => {}
    }
    if let Some(host) = seen.host {
        // A port or a bracket is no token character.
        let quote = if host.bytes().all(super::settings::is_tchar) {
            ""
        } else {
            "\""
        };
        write!(text, "host={quote}{host}{quote};")?;
    }
    write!(text, "proto={}", scheme(seen))?;
    for hop in hops.iter().skip(1) {
        match hop {
            IpAddr::V4(ip) => write!(text, ", for={ip}")?,
            IpAddr::V6(ip) => write!(text, ", for=\"[{ip}]\"")?,
        }
    }
    Ok(())
}

fn scheme(seen: &Visible<'_>) -> &'static str {
    if seen.https { "https" } else { "http" }
}

/// The port that a host carries.
fn port_of(host: &str) -> Option<&str> {
    let (_, port) = host.rsplit_once(':')?;
    (!port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())).then_some(port)
}
