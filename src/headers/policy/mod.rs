//! Whether a page's Content Security Policies (CSP Level 3) let a script of the page's own host run and send.
//!
//! A page may have several policies, and each must allow it. Nothing here loosens one.

use std::fmt;

use httparse::Header;

use crate::field;

/// The policies of one page.
#[derive(Debug, Clone, Default)]
pub struct Policies(Vec<Policy>);

/// One policy: its directives by their names in lower case. Of a name that comes twice the first counts.
#[derive(Debug, Clone)]
struct Policy(Vec<(String, Vec<String>)>);

/// The script that the policies are asked about.
#[derive(Debug, Clone, Copy)]
pub struct WantedScript<'a> {
    /// The page's scheme is `https`. The script's is the same.
    pub https: bool,
    /// The page's host, perhaps with a port, and the script's; empty if it is not known.
    pub host: &'a str,
    /// The script's path.
    pub path: &'a str,
    /// The path that the script sends to.
    pub sends_to: &'a str,
    /// The hash sources that fit the inline script which the page needs beside it, such as `'sha256-…'`;
    /// empty if it needs none.
    pub inline_hashes: &'a [String],
}

/// What a policy does not have, and would have to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingSource {
    /// The directive that decides.
    pub directive: String,
    /// What it lacks.
    pub source: String,
}

impl fmt::Display for MissingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.directive, self.source)
    }
}

/// The directives that decide about a script element, about an inline script, and about what scripts send:
/// the first that a policy has.
const SCRIPT: [&str; 3] = ["script-src-elem", "script-src", "default-src"];
const CONNECT: [&str; 2] = ["connect-src", "default-src"];

impl Policies {
    /// The policies of a response's head. Those that only report are none.
    pub fn read(fields: &[Header<'_>]) -> Self {
        let mut policies = Policies::default();
        for line in field::lines(fields, "content-security-policy") {
            policies.extend(&String::from_utf8_lossy(line));
        }
        // https://w3c.github.io/webappsec-subresource-integrity/#integrity-policy: a script without a known
        // hash is blocked whoever serves it.
        let blocks_scripts = |value: &[u8]| {
            let value = String::from_utf8_lossy(value).to_ascii_lowercase();
            value
                .split_once("blocked-destinations")
                .is_some_and(|(_, list)| list.split(')').next().is_some_and(|list| list.contains("script")))
        };
        if field::lines(fields, "integrity-policy").any(blocks_scripts) {
            policies
                .0
                .push(Policy(vec![("integrity-policy".to_owned(), Vec::new())]));
        }
        policies
    }

    /// Adds the policies of a `<meta http-equiv="Content-Security-Policy">`, which can't sandbox the page.
    pub fn add_meta(&mut self, content: &str) {
        let start = self.0.len();
        self.extend(content);
        for policy in &mut self.0[start..] {
            policy.0.retain(|(name, _)| name != "sandbox");
        }
    }

    fn extend(&mut self, list: &str) {
        let policies = list.split(',').map(Policy::parse);
        self.0.extend(policies.filter(|policy| !policy.0.is_empty()));
    }

    /// Whether every policy allows the script: with the nonce that it must have, if any.
    ///
    /// # Errors
    /// The first source that is missing.
    pub fn allow(&self, wanted: &WantedScript<'_>) -> Result<Option<&str>, MissingSource> {
        let nonces = self.0.iter().filter_map(|policy| policy.directive(&SCRIPT));
        let nonces = nonces.flat_map(|(_, sources)| sources.iter().filter_map(|source| nonce(source)));
        let mut missing = None;
        for nonce in nonces.map(Some).chain([None]) {
            match self.0.iter().try_for_each(|policy| policy.allows(wanted, nonce)) {
                Ok(()) => return Ok(nonce),
                Err(source) => missing = Some(source),
            }
        }
        // Without a nonce at the last, so that what is missing is the same for each page.
        missing.map_or(Ok(None), Err)
    }
}

impl Policy {
    fn parse(text: &str) -> Self {
        let mut directives: Vec<(String, Vec<String>)> = Vec::new();
        for directive in text.split(';') {
            let mut parts = directive.split_ascii_whitespace();
            let Some(name) = parts.next().map(str::to_ascii_lowercase) else {
                continue;
            };
            if directives.iter().all(|(other, _)| *other != name) {
                directives.push((name, parts.map(str::to_owned).collect()));
            }
        }
        Policy(directives)
    }

    /// The first of these directives that the policy has.
    fn directive(&self, names: &[&str]) -> Option<(&str, &[String])> {
        names.iter().find_map(|name| {
            let found = self.0.iter().find(|(other, _)| other == name)?;
            Some((found.0.as_str(), found.1.as_slice()))
        })
    }

    fn allows(&self, wanted: &WantedScript<'_>, with: Option<&str>) -> Result<(), MissingSource> {
        let missing = |directive: &str, source: &str| {
            Err(MissingSource {
                directive: directive.to_owned(),
                source: source.to_owned(),
            })
        };
        if self.directive(&["integrity-policy"]).is_some() {
            return missing("Integrity-Policy", "without \"script\"");
        }
        if let Some((name, flags)) = self.directive(&["sandbox"])
            && !flags
                .iter()
                .any(|flag| flag.eq_ignore_ascii_case("allow-scripts"))
        {
            return missing(name, "allow-scripts");
        }
        if let Some((name, sources)) = self.directive(&SCRIPT) {
            let has = |keyword: &str| sources.iter().any(|source| source.eq_ignore_ascii_case(keyword));
            let has_nonce = with.is_some_and(|with| sources.iter().any(|source| nonce(source) == Some(with)));
            // CSP Level 3 §8.2: then only what a trusted script brings is allowed.
            let strict = has("'strict-dynamic'");
            if !has_nonce && (strict || !fits_any(sources, wanted, wanted.path)) {
                return missing(name, if strict { "'nonce-…'" } else { "'self'" });
            }
            let hashed = |hash: &String| sources.contains(hash);
            let unsafe_inline = || {
                has("'unsafe-inline'") && !strict && !sources.iter().any(|s| nonce(s).is_some() || is_hash(s))
            };
            if let Some(hash) = wanted.inline_hashes.first()
                && !has_nonce
                && !wanted.inline_hashes.iter().any(hashed)
                && !unsafe_inline()
            {
                return missing(name, hash);
            }
        }
        match self.directive(&CONNECT) {
            Some((name, sources)) if !fits_any(sources, wanted, wanted.sends_to) => missing(name, "'self'"),
            _ => Ok(()),
        }
    }
}

/// The nonce of a nonce source. One with a character that nonces do not have is none.
fn nonce(source: &str) -> Option<&str> {
    let is_start = |start: &str| start.eq_ignore_ascii_case("'nonce-");
    let nonce = source
        .split_at_checked(7)
        .filter(|(start, _)| is_start(start))?
        .1
        .strip_suffix('\'')?;
    let known = |b: u8| b.is_ascii_alphanumeric() || b"+/-_=".contains(&b);
    (!nonce.is_empty() && nonce.bytes().all(known)).then_some(nonce)
}

fn is_hash(source: &str) -> bool {
    let source = source.to_ascii_lowercase();
    ["'sha256-", "'sha384-", "'sha512-"]
        .iter()
        .any(|start| source.starts_with(start))
}

/// Whether any source matches a path of the page's own host (CSP Level 3 §6.7.2.7).
fn fits_any(sources: &[String], page: &WantedScript<'_>, path: &str) -> bool {
    sources.iter().any(|source| fits(source, page, path))
}

fn fits(source: &str, page: &WantedScript<'_>, path: &str) -> bool {
    let fits_scheme = |scheme: &str| {
        // A source of the insecure scheme fits the secure one too.
        scheme.eq_ignore_ascii_case("http") || (page.https && scheme.eq_ignore_ascii_case("https"))
    };
    if source == "*" || source.eq_ignore_ascii_case("'self'") {
        return true;
    }
    if source.starts_with('\'') || page.host.is_empty() {
        return source.strip_suffix(':').is_some_and(fits_scheme);
    }
    let (scheme, rest) = match source.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, source),
    };
    if scheme.is_none()
        && let Some(scheme) = source.strip_suffix(':')
    {
        return fits_scheme(scheme);
    }
    let (authority, wanted_path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, ""),
    };
    let (host, port) = split_port(authority);
    let (page_host, page_port) = split_port(page.host);
    let default = if page.https { "443" } else { "80" };
    let page_port = page_port.unwrap_or(default);
    scheme.is_none_or(fits_scheme)
        && fits_host(host, page_host)
        && match port {
            None => page_port == default,
            Some("*") => true,
            Some("80") => page_port == "80" || page_port == "443",
            Some(port) => port == page_port,
        }
        && match wanted_path {
            "" | "/" => true,
            directory if directory.ends_with('/') => path.starts_with(directory),
            exact => path == exact,
        }
}

fn fits_host(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix('*') {
        Some("") => true,
        Some(end) => host
            .len()
            .checked_sub(end.len())
            .and_then(|at| host.get(at..))
            .is_some_and(|rest| {
                end.starts_with('.') && host.len() > end.len() && rest.eq_ignore_ascii_case(end)
            }),
        None => pattern.eq_ignore_ascii_case(host),
    }
}

/// Host and port. An IPv6 address is in brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests;
