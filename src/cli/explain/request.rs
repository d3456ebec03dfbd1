//! The request to explain and the response to it, as given.

use serde::Deserialize;

use crate::{
    client::Peer,
    page::{Doubt, Known},
};

/// The default peer: a proxy on this machine.
const DEFAULT_PEER: &str = "127.0.0.1";

/// One request with its response.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Case {
    pub(in crate::cli) peer: Peer,
    pub(in crate::cli) method: String,
    /// A path, or an absolute `http` or `https` URL.
    pub(in crate::cli) url: String,
    pub(in crate::cli) headers: Vec<(String, String)>,
    pub(in crate::cli) response: AppResponse,
}

/// What the app answered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::cli) struct AppResponse {
    pub(in crate::cli) status: u16,
    #[serde(default)]
    pub(in crate::cli) headers: Vec<(String, String)>,
    /// How the body begins, which decides about a few responses.
    #[serde(default)]
    pub(in crate::cli) body: Option<String>,
}

/// A line of a batch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchLine {
    peer: Option<String>,
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: Vec<(String, String)>,
    response: Option<AppResponse>,
}

impl AppResponse {
    /// A page: 200 with `text/html`.
    pub(in crate::cli) fn page() -> Self {
        AppResponse {
            status: 200,
            headers: vec![("content-type".to_owned(), "text/html; charset=utf-8".to_owned())],
            body: None,
        }
    }

    /// What is known of it that settles a doubt.
    pub(super) fn known(&self, doubt: Option<Doubt>) -> Known<'_> {
        match (doubt, &self.body) {
            (Some(Doubt::BodyStart), Some(body)) => Known::BodyStart(body.as_bytes()),
            _ => Known::Nothing,
        }
    }
}

impl Case {
    /// Reads a line of a batch.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(super) fn from_json(line: &[u8]) -> Result<Self, String> {
        if line.trim_ascii().is_empty() {
            return Err("an empty line is no request".to_owned());
        }
        let line: BatchLine = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        Ok(Case {
            peer: peer(line.peer.as_deref())?,
            method: line.method.unwrap_or_else(|| "GET".to_owned()),
            url: line.url,
            headers: line.headers,
            response: line.response.unwrap_or_else(AppResponse::page),
        })
    }

    /// Whether the request came over TLS: its URL is an `https` one.
    pub(super) fn is_https(&self) -> bool {
        split_url(&self.url).is_ok_and(|parts| parts.https)
    }

    /// The request's head as bytes. Without a `Host` it is HTTP/1.0, because HTTP/1.1 requires one. If no
    /// `Host` is given and the URL is absolute, its host is used, as a client that fetches the URL would do.
    ///
    /// # Errors
    /// A part that can't stand in a request head.
    pub(super) fn head(&self) -> Result<Vec<u8>, String> {
        let UrlParts {
            authority, target, ..
        } = split_url(&self.url)?;
        let mut host = self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let mut lines = String::new();
        if let Some(authority) = authority.filter(|_| !host) {
            host = true;
            push_line(&mut lines, "Host", authority)?;
        }
        for (name, value) in &self.headers {
            push_line(&mut lines, name, value)?;
        }
        for part in [self.method.as_str(), target] {
            if part.is_empty() || part.contains([' ', '\t', '\r', '\n']) {
                return Err(format!("{part:?} can't stand in a request line"));
            }
        }
        let version = if host { "HTTP/1.1" } else { "HTTP/1.0" };
        Ok(format!("{} {target} {version}\r\n{lines}\r\n", self.method).into_bytes())
    }
}

impl AppResponse {
    /// # Errors
    /// A status that can't be the final one, or a field that can't stand in a head.
    pub(super) fn check(&self) -> Result<(), String> {
        // 101 ends the request; the other 1xx come before the response (RFC 9110 §15.2).
        if self.status != 101 && !(200..=999).contains(&self.status) {
            return Err(format!(
                "status {}: a response's is 200 to 999, or 101",
                self.status
            ));
        }
        let mut lines = String::new();
        self.headers
            .iter()
            .try_for_each(|(name, value)| push_line(&mut lines, name, value))
    }
}

/// The peer from its text, or the default one.
pub(super) fn peer(text: Option<&str>) -> Result<Peer, String> {
    let text = text.unwrap_or(DEFAULT_PEER);
    text.parse().map_err(|error| format!("peer {text:?}: {error}"))
}

/// `Name: value` or, as in curl, `Name;` for an empty value.
pub(super) fn field(line: &str) -> Result<(String, String), String> {
    let (name, value) = line
        .split_once(':')
        .or_else(|| Some((line.strip_suffix(';')?, "")))
        .ok_or_else(|| format!("header {line:?}: NAME: VALUE is wanted"))?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// What a URL says of its request.
struct UrlParts<'u> {
    https: bool,
    /// None where the URL is a path.
    authority: Option<&'u str>,
    /// The path with its query.
    target: &'u str,
}

/// Takes a URL apart. A fragment is not part of a request.
fn split_url(url: &str) -> Result<UrlParts<'_>, String> {
    let url = url.split('#').next().unwrap_or(url);
    let after_scheme = [("http://", false), ("https://", true)]
        .iter()
        .find_map(|(scheme, https)| {
            let (start, rest) = url.split_at_checked(scheme.len())?;
            start.eq_ignore_ascii_case(scheme).then_some((*https, rest))
        });
    let Some((https, rest)) = after_scheme else {
        return if url.starts_with('/') || url == "*" {
            Ok(UrlParts {
                https: false,
                authority: None,
                target: url,
            })
        } else {
            Err(format!("url {url:?}: a path or http://HOST/PATH is wanted"))
        };
    };
    let (authority, target) = match rest.find(['/', '?']) {
        Some(at) if rest[at..].starts_with('/') => rest.split_at(at),
        None => (rest, "/"),
        Some(_) => return Err(format!("url {url:?}: the path is missing before the query")),
    };
    Ok(UrlParts {
        https,
        authority: Some(authority),
        target,
    })
}

/// Appends a header line. A line break would start another line, and a colon in a name would end the name.
fn push_line(lines: &mut String, name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || name.contains([':', '\r', '\n', ' ', '\t']) || value.contains(['\r', '\n', '\0']) {
        return Err(format!("header {name:?}: {value:?} can't stand in a head"));
    }
    lines.push_str(name);
    lines.push_str(": ");
    lines.push_str(value);
    lines.push_str("\r\n");
    Ok(())
}
