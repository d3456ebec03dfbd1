//! The url and the referrer of an event, within Plausible's limits.

/// The longest url, in bytes, as Plausible's code takes it.
const MAX_URL: usize = 2_000;
/// The longest referrer, in characters.
const MAX_REFERRER: usize = 2_000;
/// A host longer than any name in the DNS (RFC 1035 §2.3.4) with its port is nobody's.
const MAX_HOST: usize = 262;

/// The query parameters that stay in the url.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// All of them.
    All,
    /// Those with these names.
    Allowed(Vec<String>),
}

impl Default for Query {
    fn default() -> Self {
        let names = [
            "ref",
            "source",
            "utm_source",
            "utm_medium",
            "utm_campaign",
            "utm_content",
            "utm_term",
        ];
        Query::Allowed(names.map(str::to_owned).to_vec())
    }
}

impl Query {
    fn keeps(&self, parameter: &str) -> bool {
        match self {
            Query::All => !parameter.is_empty(),
            Query::Allowed(names) => {
                let name = parameter.split('=').next().unwrap_or_default();
                names.iter().any(|n| n == name)
            }
        }
    }
}

/// The url as the visitor's address bar shows it: absolute, the default port left out, the allowed parameters byte for
/// byte in their order, no fragment. Too long, it loses parameters from the end, then the path is cut at a character.
/// `fallback` stands for a host that is missing or impossible.
pub(super) fn page_url(https: bool, host: &str, fallback: &str, target: &str, query: &Query) -> String {
    let mut url = String::with_capacity(64 + target.len().min(MAX_URL));
    push_origin(https, host, fallback, &mut url);
    let target = target.split('#').next().unwrap_or_default();
    let (path, parameters) = target.split_once('?').unwrap_or((target, ""));
    if !path.starts_with('/') {
        url.push('/');
    }
    let room = MAX_URL - url.len();
    if path.len() > room {
        url.push_str(cut(path, room));
        return url;
    }
    url.push_str(path);
    let mut separator = '?';
    for parameter in parameters.split('&').filter(|p| query.keeps(p)) {
        if url.len() + 1 + parameter.len() > MAX_URL {
            break;
        }
        url.push(separator);
        url.push_str(parameter);
        separator = '&';
    }
    url
}

fn push_origin(https: bool, host: &str, fallback: &str, url: &mut String) {
    let host = if host.is_empty() || host.len() > MAX_HOST {
        fallback
    } else {
        host
    };
    let default_port = if https { ":443" } else { ":80" };
    let host = host.strip_suffix(default_port).unwrap_or(host);
    url.push_str(if https { "https://" } else { "http://" });
    url.extend(host.chars().map(|c| c.to_ascii_lowercase()));
}

/// As much of a path as fits, no character and no percent-escape (RFC 3986 §2.1) cut in two.
fn cut(path: &str, room: usize) -> &str {
    let mut end = room.min(path.len());
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    if let Some(percent) = path.as_bytes()[..end].iter().rposition(|b| *b == b'%')
        && end - percent < 3
    {
        end = percent;
        // The escape may be within a sequence that encodes one character: 110xxxxx and up lead, 10xxxxxx follow.
        while let Some(before) = end.checked_sub(3)
            && is_continuation(&path[end..])
            && path.as_bytes()[before] == b'%'
        {
            end = before;
        }
    } else if is_continuation(&path[end..]) {
        while let Some(before) = end.checked_sub(3)
            && path.as_bytes()[before] == b'%'
            && is_continuation(&path[end..])
        {
            end = before;
        }
    }
    &path[..end]
}

/// Whether the text begins with the escape of a byte that continues a UTF-8 sequence.
fn is_continuation(text: &str) -> bool {
    let b = text.as_bytes();
    b.len() >= 3
        && b[0] == b'%'
        && matches!(b[1], b'8' | b'9' | b'a' | b'b' | b'A' | b'B')
        && b[2].is_ascii_hexdigit()
}

/// The path of a target, for the prop of the event `404`.
pub(super) fn path_of(target: &str) -> &str {
    target.split(['?', '#']).next().unwrap_or_default()
}

/// A prop's value within its limit in bytes.
pub(super) fn within(value: &str, bytes: usize) -> &str {
    cut(value, bytes)
}

/// The referrer: as sent, without query, fragment and credentials; none where nothing is left.
pub(super) fn referrer(sent: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(sent);
    let text = text.split(['?', '#']).next().unwrap_or_default().trim();
    let mut whole = String::with_capacity(text.len());
    match text.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            let host = authority.rsplit('@').next().unwrap_or_default();
            whole.extend([scheme, "://", host, path]);
        }
        None => whole.push_str(text),
    }
    if let Some((at, _)) = whole.char_indices().nth(MAX_REFERRER) {
        whole.truncate(at);
    }
    (!whole.is_empty()).then_some(whole)
}
