//! Parses the texts of values. An error says what would be accepted.

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use rustls_pki_types::ServerName;

use crate::{
    client::AddressSource,
    delivery::{AddressHeader, Base},
    observe::LogSource,
    proxy::{Listen, Upstream},
};

use super::keys;

/// Longer durations are a slip, and would overflow clocks.
const MAX_DURATION: Duration = Duration::from_hours(365 * 24);

/// The longest path of a Unix socket, in bytes: `sun_path` without its final zero.
const MAX_SOCKET_PATH: usize = 107;

/// The headers that hold a list of addresses. A slip in such a name must not make it a single-address header.
const LIST_HEADERS: [&str; 2] = ["x-forwarded-for", "forwarded"];

/// A value, or the problem with its text.
pub(super) type ParseResult<T> = Result<T, String>;

/// `25s`, `500ms`, `1h 30m`; more than zero.
pub(super) fn duration(text: &str) -> ParseResult<Duration> {
    let duration = duration_or_none(text)?;
    if duration.is_zero() {
        return Err("more than 0s is wanted".to_owned());
    }
    Ok(duration)
}

/// A duration that may be `0s`.
pub(super) fn duration_or_none(text: &str) -> ParseResult<Duration> {
    let duration = humantime::parse_duration(text)
        .map_err(|_| "a duration is wanted, such as \"500ms\", \"25s\" or \"24h\"".to_owned())?;
    if duration > MAX_DURATION {
        return Err("at most \"365d\" is accepted".to_owned());
    }
    Ok(duration)
}

/// `64KiB`, `256 MiB`, `1GB`, or plain bytes.
///
/// Written by hand because of `64K`: nginx and HAProxy mean 65,536 by it, bytesize reads 64,000. It is
/// refused.
pub(super) fn size(text: &str) -> ParseResult<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(keys::ValueKind::Size.wanted().to_owned()),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(factor))
        .ok_or_else(|| keys::ValueKind::Size.wanted().to_owned())
}

/// `1KiB/s`, in bytes a second; `0` is none.
pub(super) fn rate(text: &str) -> ParseResult<u64> {
    let wanted = || "a size a second is wanted, such as \"1KiB/s\"; \"0\" for no least rate".to_owned();
    match text.trim() {
        "0" => Ok(0),
        text => text
            .strip_suffix("/s")
            .and_then(|size_text| size(size_text).ok())
            .ok_or_else(wanted),
    }
}

/// `0.0.0.0:8080`, `[::]:8080`, `unix:/path`.
pub(super) fn listen(text: &str, base: &Path) -> ParseResult<Listen> {
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Listen::Unix(socket_path(path, base)?));
    }
    text.parse().map(Listen::Tcp).map_err(|_| {
        format!(
            "ADDRESS:PORT or unix:/PATH is wanted, such as \"0.0.0.0:8080\"{}",
            hint(text)
        )
    })
}

/// `file:/path`, `udp:127.0.0.1:5514`, `unixgram:/path`.
pub(super) fn log_source(text: &str, base: &Path) -> ParseResult<LogSource> {
    const WANTED: &str = "file:/PATH, udp:ADDRESS:PORT or unixgram:/PATH is wanted";
    let (kind, place) = text.split_once(':').unwrap_or(("", text));
    match kind {
        "file" => path_from(place, base).map(LogSource::File),
        "udp" => address(place).map(LogSource::Udp),
        "unixgram" => socket_path(place, base).map(LogSource::Unixgram),
        _ if text.starts_with('/') => Err(format!("{WANTED}; did you mean \"file:{text}\"?")),
        _ => Err(WANTED.to_owned()),
    }
}

/// `127.0.0.1:9090`
pub(super) fn address(text: &str) -> ParseResult<SocketAddr> {
    text.parse()
        .map_err(|_| format!("ADDRESS:PORT is wanted, such as \"127.0.0.1:9090\"{}", hint(text)))
}

/// The listening address that was probably meant.
fn hint(text: &str) -> String {
    let port = text.rsplit(':').next().unwrap_or(text);
    let meant = match text.strip_suffix(port) {
        Some("" | ":" | "*:") => format!("0.0.0.0:{port}"),
        Some("localhost:") => format!("127.0.0.1:{port}"),
        _ => return String::new(),
    };
    if meant.parse::<SocketAddr>().is_err() {
        return String::new();
    }
    format!("; did you mean \"{meant}\"?")
}

/// `http://127.0.0.1:3000`, `unix:/path`.
pub(super) fn upstream(text: &str, base: &Path) -> ParseResult<Upstream> {
    const WANTED: &str = "http://HOST:PORT or unix:/PATH is wanted";
    if let Some(path) = text.strip_prefix("unix:") {
        return Ok(Upstream::Unix(socket_path(path, base)?));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        let meant = format!("http://{text}");
        let hint = match upstream(&meant, base) {
            Ok(_) => format!("; did you mean \"{meant}\"?"),
            Err(_) => String::new(),
        };
        return Err(format!("{WANTED}{hint}"));
    };
    if scheme.eq_ignore_ascii_case("https") {
        return Err(format!("{WANTED}: the app is spoken to in plain HTTP"));
    }
    if !scheme.eq_ignore_ascii_case("http") {
        return Err(WANTED.to_owned());
    }
    let (authority, path) = split_authority(rest);
    if !matches!(path, "" | "/") {
        return Err(format!(
            "{WANTED}, without a path or query: the app gets the client's"
        ));
    }
    let (host, port) = host_and_port(authority).map_err(|problem| format!("{WANTED}: {problem}"))?;
    Ok(Upstream::Tcp(host, port.unwrap_or(80)))
}

/// `https://plausible.io`, with a path prefix or without.
pub(super) fn base_url(text: &str) -> ParseResult<Base> {
    const WANTED: &str = "https://HOST or http://HOST is wanted";
    let Some((scheme, rest)) = text.split_once("://") else {
        let meant = format!("https://{text}");
        let hint = match base_url(&meant) {
            Ok(_) => format!("; did you mean \"{meant}\"?"),
            Err(_) => String::new(),
        };
        return Err(format!("{WANTED}{hint}"));
    };
    let https = match scheme.to_ascii_lowercase().as_str() {
        "https" => true,
        "http" => false,
        _ => return Err(WANTED.to_owned()),
    };
    let (authority, path) = split_authority(rest);
    let (host, port) = host_and_port(authority).map_err(|problem| format!("{WANTED}: {problem}"))?;
    if path.contains(['?', '#']) {
        return Err(format!("{WANTED}, without a query or fragment"));
    }
    if format!("http://a{path}").parse::<http::Uri>().is_err() {
        return Err(format!(
            "{WANTED}, with nothing in its path that a URL can't have"
        ));
    }
    if https && ServerName::try_from(host.as_str()).is_err() {
        return Err(format!("{WANTED}: no certificate can name this host"));
    }
    let path = path.trim_end_matches('/');
    if path.ends_with("/api/event") {
        return Err("Plausible's own address is wanted, without /api/event".to_owned());
    }
    Ok(Base {
        https,
        host,
        port: port.unwrap_or(if https { 443 } else { 80 }),
        path: path.to_owned(),
    })
}

/// `/js/script.js` of `server`, or a file by its whole URL: the server that has it, and path and query there.
pub(super) fn file_url(text: &str, server: &Base) -> ParseResult<(Base, String)> {
    const WANTED: &str = "a path of Plausible's such as \"/js/pa-XXXXX.js\", or a whole URL, is wanted";
    let fits = |file: &str| file.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    if text.starts_with('/') && !text.starts_with("//") && fits(text) {
        let base = Base {
            path: String::new(),
            ..server.clone()
        };
        return Ok((base, format!("{}{text}", server.path)));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(WANTED.to_owned());
    };
    let (authority, file) = split_authority(rest);
    let base =
        base_url(&format!("{scheme}://{authority}")).map_err(|problem| format!("{WANTED}: {problem}"))?;
    if !file.starts_with('/') || file.len() < 2 || !fits(file) {
        return Err(format!("{WANTED}: the script's path is missing or malformed"));
    }
    Ok((base, file.to_owned()))
}

/// Splits a URL without its scheme into the authority and the rest.
pub(super) fn split_authority(rest: &str) -> (&str, &str) {
    rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()))
}

/// Host (without brackets) and port of an authority (RFC 3986 §3.2). User information is refused.
pub(super) fn host_and_port(authority: &str) -> ParseResult<(String, Option<u16>)> {
    if authority.contains('@') {
        return Err("no user name or password".to_owned());
    }
    let (host, port) = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or("a ] is missing")?;
        address
            .parse::<Ipv6Addr>()
            .map_err(|_| "no IPv6 address between [ and ]".to_owned())?;
        let port = match port.strip_prefix(':') {
            None if port.is_empty() => None,
            Some(port) => Some(port),
            None => return Err("nothing but a port after ]".to_owned()),
        };
        (address, port)
    } else {
        match authority.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("an IPv6 address goes between [ and ]".to_owned());
            }
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    if host.is_empty() {
        return Err("the host is missing".to_owned());
    }
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':');
    if host.len() > 253 || !host.bytes().all(fits) {
        return Err("the host is no name or address".to_owned());
    }
    let port = port
        .map(|p| {
            p.parse::<u16>()
                .ok()
                .filter(|p| *p > 0)
                .ok_or("the port is 1 to 65535")
        })
        .transpose()?;
    Ok((host.to_ascii_lowercase(), port))
}

/// A Unix socket's path.
fn socket_path(path: &str, base: &Path) -> ParseResult<PathBuf> {
    let path = path_from(path, base)?;
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(format!("a socket's path may have {MAX_SOCKET_PATH} bytes"));
    }
    Ok(path)
}

/// A path; a relative one is relative to `base`.
pub(super) fn path_from(path: &str, base: &Path) -> ParseResult<PathBuf> {
    if path.is_empty() || path.contains('\0') {
        return Err("a path is wanted".to_owned());
    }
    Ok(base.join(path))
}

/// A name by which the admin address may be asked, in lower case.
pub(super) fn host_name(text: &str) -> ParseResult<String> {
    let name = text.trim_end_matches('.').to_ascii_lowercase();
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(
            "a host name is wanted, such as \"gatecount.internal\", without scheme and port".to_owned(),
        );
    }
    Ok(name)
}

/// One of a few words.
pub(super) fn word<T: Copy>(text: &str, words: &[(&str, T)]) -> ParseResult<T> {
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Ok(*value);
    }
    let names: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
    Err(match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last} is wanted", rest.join(", ")),
        _ => format!("only {} is accepted", names.concat()),
    })
}

/// `[client] header`: a name of the two list headers, of any single-address header, or `none`.
pub(super) fn address_source(text: &str) -> ParseResult<AddressSource> {
    let source = text.parse::<AddressSource>().map_err(|error| error.to_string())?;
    // A misspelt list header would be a single-address header that never comes, and every visitor would be
    // the proxy.
    if let AddressSource::Single(name) = &source
        && let Some(meant) = LIST_HEADERS
            .iter()
            .find(|known| strsim::damerau_levenshtein(known, name) <= 2)
    {
        return Err(format!("no such header; did you mean \"{meant}\"?"));
    }
    Ok(source)
}

/// A range of addresses, or a single one.
pub(super) fn range(text: &str) -> ParseResult<IpNet> {
    let single = || {
        text.parse::<IpAddr>()
            .map(|address| IpNet::from(address.to_canonical()))
    };
    text.parse::<IpNet>()
        .or_else(|_| single())
        .map_err(|_| "a range such as \"203.0.113.0/24\", or a single address, is wanted".to_owned())
}

/// `[plausible] address_header`
pub(super) fn address_header(text: &str) -> ParseResult<AddressHeader> {
    let words = [
        ("x-forwarded-for", AddressHeader::XForwardedFor),
        ("x-plausible-ip", AddressHeader::XPlausibleIp),
    ];
    word(&text.to_ascii_lowercase(), &words)
}

/// A site's name at Plausible: a domain, possibly with a path.
pub(super) fn domain(text: &str) -> ParseResult<String> {
    const WANTED: &str = "a site's name at Plausible is wanted, such as \"example.com\"";
    if text.contains("://") {
        return Err(format!("{WANTED}, without a scheme"));
    }
    if text.contains(',') {
        return Err(format!("{WANTED}; several are a list"));
    }
    if text.starts_with('/') || text.ends_with('/') {
        return Err(format!("{WANTED}, without a slash at its end"));
    }
    let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '/' | ':');
    if text.is_empty() || !text.chars().all(fits) {
        return Err(WANTED.to_owned());
    }
    Ok(text.to_owned())
}

/// A file name's extension in lower case, without its dot.
pub(super) fn extension(text: &str) -> ParseResult<String> {
    let bare = text.strip_prefix('.').unwrap_or(text);
    if bare.is_empty()
        || !bare
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    {
        return Err("a file name's extension is wanted, such as \"pdf\"".to_owned());
    }
    Ok(bare.to_ascii_lowercase())
}

/// Whether a listener at `a` gets what is sent to `b`: the same port, and the same or any address.
pub(super) fn covers(a: SocketAddr, b: SocketAddr) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || any(a.ip()) || any(b.ip()))
}
