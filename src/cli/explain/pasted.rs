//! A request as somebody pasted it: a curl command, the head of a request, a browser's list of header lines,
//! an address, or the JSON object of a batch.

use std::ffi::OsString;

use crate::{admin::Explanation, config::DecisionRules};

use super::{
    curl,
    request::{AppResponse, Case, peer},
    shell_words::shell_words,
    story::Story,
    words,
};

/// What a browser says when somebody enters an address.
const BROWSER: [(&str, &str); 3] = [
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("upgrade-insecure-requests", "1"),
];

/// Tells what becomes of a pasted request. `from` is its peer, the default one if it is empty.
///
/// # Errors
/// What can't be read, or why the proxy would refuse the request.
pub(in crate::cli) fn explain(rules: &DecisionRules, text: &str, from: &str) -> Result<Explanation, String> {
    let mut case = read(text)?;
    if !from.trim().is_empty() {
        case.peer = peer(Some(from.trim()))?;
    }
    let story = Story::tell(rules, &case).map_err(|none| none.to_string())?;
    Ok(Explanation {
        decision: story.decision.to_owned(),
        why: story.why.clone(),
        story: words::tell(rules, &case, &story),
    })
}

/// Reads a pasted request.
fn read(text: &str) -> Result<Case, String> {
    let text = text.trim();
    let first = text.split_whitespace().next().unwrap_or_default();
    if text.starts_with('{') {
        Case::from_json(text.as_bytes())
    } else if first == "curl" || first.ends_with("/curl") {
        let words: Vec<OsString> = shell_words(text)?
            .into_iter()
            .skip(1)
            .map(OsString::from)
            .collect();
        let curl::CurlRequest { method, url, headers } = curl::read(&words)?;
        case(&method, &url, headers)
    } else if first == text {
        address(text)
    } else {
        head(text)
    }
}

/// An address alone, as a browser asks for it.
fn address(url: &str) -> Result<Case, String> {
    let fields = BROWSER.map(|(name, value)| (name.to_owned(), value.to_owned()));
    case("GET", url, fields.into())
}

/// A request line, or a browser's pseudo-header lines, and header lines.
fn head(text: &str) -> Result<Case, String> {
    let (mut method, mut target, mut scheme, mut host) = ("GET", "", "", "");
    let mut fields = Vec::new();
    // What follows an empty line is the body, which decides nothing.
    for (nth, line) in text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.is_empty())
        .enumerate()
    {
        let pseudo = line.strip_prefix(':').and_then(|line| line.split_once(':'));
        if let Some((name, value)) = pseudo {
            match (name, value.trim()) {
                ("method", value) => method = value,
                ("path", value) => target = value,
                ("scheme", value) => scheme = value,
                ("authority", value) => host = value,
                _ => {}
            }
        } else if nth == 0 && line.contains(' ') && !line.split(' ').next().unwrap_or_default().ends_with(':')
        {
            let mut parts = line.split(' ').filter(|part| !part.is_empty());
            method = parts.next().unwrap_or_default();
            target = parts.next().unwrap_or_default();
        } else {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("{line:?} is no header line: NAME: VALUE is wanted"))?;
            fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
    if target.is_empty() {
        return Err(
            "that is no request: begin with a line as GET /page HTTP/1.1, or paste a curl command".to_owned(),
        );
    }
    if !host.is_empty() && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        fields.insert(0, ("host".to_owned(), host.to_owned()));
    }
    let host = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("host"));
    let url = match host {
        Some((_, host)) if scheme == "https" => format!("https://{host}{target}"),
        _ => target.to_owned(),
    };
    case(method, &url, fields)
}

fn case(method: &str, url: &str, headers: Vec<(String, String)>) -> Result<Case, String> {
    Ok(Case {
        peer: peer(None)?,
        method: method.to_owned(),
        url: url.to_owned(),
        headers,
        response: AppResponse::page(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(case: &Case) -> Vec<(&str, &str)> {
        case.headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .collect()
    }

    #[test]
    fn a_requests_head_is_read_line_by_line() {
        let case = read("POST /form?a=b HTTP/1.1\r\nHost: example.com\r\nAccept: text/html\r\n\r\nthe=body")
            .unwrap();
        assert_eq!((case.method.as_str(), case.url.as_str()), ("POST", "/form?a=b"));
        assert_eq!(fields(&case), [("Host", "example.com"), ("Accept", "text/html")]);
    }

    #[test]
    fn a_browsers_list_of_header_lines_says_scheme_and_host() {
        let case = read(
            ":authority: example.com\n:method: GET\n:path: /a\n:scheme: https\nsec-fetch-dest: document",
        )
        .unwrap();
        assert_eq!(case.url, "https://example.com/a");
        assert_eq!(
            fields(&case),
            [("host", "example.com"), ("sec-fetch-dest", "document")]
        );
        assert!(case.is_https());
    }

    #[test]
    fn an_address_alone_is_asked_for_by_a_browser() {
        let case = read(" https://example.com/a ").unwrap();
        assert_eq!(case.url, "https://example.com/a");
        assert!(
            fields(&case)
                .iter()
                .any(|(name, value)| *name == "accept" && value.contains("text/html"))
        );
    }

    #[test]
    fn what_is_no_request_is_told_in_words() {
        assert!(
            read("Host: example.com\nAccept: text/html")
                .unwrap_err()
                .contains("begin with a line")
        );
        assert!(
            read("GET / HTTP/1.1\nnonsense")
                .unwrap_err()
                .contains("is no header line")
        );
        assert!(read("").and_then(|case| case.head()).is_err());
        assert!(read("{\"url\": 7}").is_err());
    }
}
