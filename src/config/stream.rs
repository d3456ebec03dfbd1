//! `[stream]`

use std::{path::PathBuf, time::Duration};

use crate::stream::{Login, Settings};

use super::{
    mistake::{Mistake, Origin},
    parse::{self, ParseResult},
    password::mask_passwords,
    pem,
    reader::KeyReader,
    value,
};

/// The key without which the others do nothing.
pub(super) const URL: &str = "stream.url";
/// The longest that an event may wait for older ones.
const MOST_REORDER: Duration = Duration::from_mins(1);
/// The shortest duplicate window: an event that gets no answer is published again within it.
const LEAST_DUPLICATE_WINDOW: Duration = Duration::from_mins(2);
/// The longest name, in bytes.
const MAX_NAME: usize = 64;

/// Resolves the table; none where no server is named. `attempt` is the longest that one attempt at Plausible
/// takes.
pub(super) fn resolve(r: &mut KeyReader<'_>, attempt: Duration) -> Option<Settings> {
    let ((servers, login), text) = r.text(URL, |text, _| Ok((servers(text)?, text.to_owned())));
    r.show(URL, value::quote(&mask_passwords(&text)));
    let settings = Settings {
        servers,
        login,
        name: r.text("stream.name", |t, _| name(t)),
        replicas: r.integer("stream.replicas") as usize,
        partitions: u16::try_from(r.integer("stream.partitions")).unwrap_or(u16::MAX),
        duplicate_window: r.text("stream.duplicate_window", |t, _| duplicate_window(t)),
        credentials: credentials(r),
        ca_file: pem::certificates(r, "stream.ca_file"),
        reorder: r.text("stream.reorder", |t, _| reorder(t)),
        strict: r.boolean("stream.strict"),
        deliver: r.boolean("stream.deliver"),
        attempt,
    };
    if settings.servers.is_empty() {
        for key in ["stream.deliver", "stream.strict"] {
            if *r.origin(key) != Origin::Default && (settings.deliver || settings.strict) {
                let problem = "does nothing without a server: stream.url names them";
                let mistake = Mistake::key(&r.origin(key).clone(), key, problem);
                r.mistakes.push(mistake);
                break;
            }
        }
        return None;
    }
    Some(settings)
}

/// Says that the servers are missing, to who asks for what is in the stream.
pub(super) fn require(r: &mut KeyReader<'_>, stream: Option<&Settings>) {
    if stream.is_none() && !r.raw.broken && r.mistakes.is_empty() {
        let problem = "missing: say where NATS is, by GATECOUNT_STREAM_URL or url in [stream], such as \
                       \"nats://nats:4222\"";
        r.mistakes.push(Mistake::key(&Origin::Default, URL, problem));
    }
}

/// `nats://a:4222,nats://b:4222`: the servers, and who we are to them.
fn servers(text: &str) -> ParseResult<(Vec<String>, Option<Login>)> {
    if text.is_empty() {
        return Ok((Vec::new(), None));
    }
    let (mut servers, mut login) = (Vec::new(), None);
    for url in text.split(',') {
        let (address, own) = server(url.trim())?;
        servers.push(address);
        if own.is_some() && login.is_some() && own != login {
            return Err("one user and password for all servers is wanted".to_owned());
        }
        login = own.or(login);
    }
    Ok((servers, login))
}

/// `nats://nats:4222`, `tls://USER:PASSWORD@nats:4222`: the server, and who we are to it.
fn server(text: &str) -> ParseResult<(String, Option<Login>)> {
    const WANTED: &str = "nats://HOST:PORT or tls://HOST:PORT is wanted, several with commas";
    let Some((scheme, rest)) = text.split_once("://") else {
        let meant = format!("nats://{text}");
        let hint = match server(&meant) {
            Ok(_) => format!("; did you mean \"{}\"?", mask_passwords(&meant)),
            Err(_) => String::new(),
        };
        return Err(format!("{WANTED}{hint}"));
    };
    if !matches!(scheme, "nats" | "tls") {
        return Err(format!("{WANTED}: {scheme}:// is not spoken"));
    }
    let (authority, path) = parse::split_authority(rest);
    if !matches!(path, "" | "/") {
        return Err(format!(
            "{WANTED}, without a path or query; / ? # , in a password are written %2F %3F %23 %2C"
        ));
    }
    let (login, address) = match authority.rsplit_once('@') {
        None => (None, authority),
        Some((credentials, address)) => {
            let login = credentials.split_once(':').and_then(|(user, password)| {
                Some(Login {
                    user: decoded(user)?,
                    password: decoded(password)?,
                })
            });
            let problem = || format!("{WANTED}; before @ a user and a password are wanted, USER:PASSWORD@");
            (Some(login.ok_or_else(problem)?), address)
        }
    };
    parse::host_and_port(address).map_err(|problem| format!("{WANTED}: {problem}"))?;
    Ok((format!("{scheme}://{address}"), login))
}

/// A text of a URL, in which % and two digits stand for a byte.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = after.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok()
}

/// The stream's name, which subjects begin with and files are called by.
fn name(text: &str) -> ParseResult<String> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if text.is_empty() || text.len() > MAX_NAME || !text.bytes().all(fits) {
        return Err(format!(
            "a stream's name is wanted: letters, digits, - and _, at most {MAX_NAME} of them"
        ));
    }
    Ok(text.to_owned())
}

fn reorder(text: &str) -> ParseResult<Duration> {
    let reorder = parse::duration_or_none(text)?;
    if reorder > MOST_REORDER {
        return Err("at most \"1m\" is accepted: every event waits that long".to_owned());
    }
    Ok(reorder)
}

fn duplicate_window(text: &str) -> ParseResult<Duration> {
    let window = parse::duration(text)?;
    if window < LEAST_DUPLICATE_WINDOW {
        return Err("at least \"2m\" is wanted: what gets no answer is published again within it".to_owned());
    }
    Ok(window)
}

/// A `.creds` file. It is read here once, so that a file of another kind is a mistake in the configuration.
fn credentials(r: &mut KeyReader<'_>) -> Option<PathBuf> {
    let sources = r.sources;
    let file = r.text("stream.credentials", |text, base| {
        if text.is_empty() {
            return Ok(None);
        }
        let path = parse::path_from(text, base)?;
        let content = (sources.read)(&path).map_err(|error| format!("can't be read: {error}"))?;
        let content = String::from_utf8_lossy(&content);
        let has = |part: &str| content.contains(&format!("BEGIN {part}"));
        if has("NATS USER JWT") && has("USER NKEY SEED") {
            Ok(Some(path))
        } else {
            Err("a .creds file is wanted, with a user's JWT and its seed, as nsc writes it".to_owned())
        }
    });
    if let Some(path) = &file {
        r.show("stream.credentials", value::quote(&path.display().to_string()));
    }
    file
}
