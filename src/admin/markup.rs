//! HTML: escaping, and the frame of a page that keeps itself fresh.
//!
//! A page is drawn by the server alone. The script in it fetches the page anew when an event arrives and puts the new
//! `<main>` in the old one's place, so that there is one way to draw it, and it is complete without JavaScript.

use std::fmt::{self, Display, Write as _};
use std::hash::{BuildHasher, Hasher, RandomState};

use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use hyper::{Response, StatusCode};

use super::answer::{self, Body};

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/live.js");

/// Text for HTML, between tags and in quoted attributes alike.
pub(crate) struct Text<'a>(pub(crate) &'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Characters that turn the direction of what follows could make one path look like another.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_char('\u{fffd}')?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A count with its thousands apart.
pub(crate) struct Count(pub(crate) u64);

impl Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// A list of names with bars as long as their counts; `what` says what is counted, `none` stands for an empty list.
pub(crate) fn bars<'a>(what: &str, none: &str, rows: impl Iterator<Item = (&'a str, u64)> + Clone) -> String {
    let longest = rows.clone().map(|(_, count)| count).max().unwrap_or(0).max(1);
    let mut html = String::new();
    for (name, count) in rows {
        let width = (count * 100).div_ceil(longest).min(100);
        let _ = write!(
            html,
            "<li><svg class=bar viewBox=\"0 0 100 1\" preserveAspectRatio=none aria-hidden=true>\
             <rect width={width} height=1></rect></svg><span class=name title=\"{name}\">{name}</span>\
             <span class=n>{count}</span></li>",
            name = Text(name),
            count = Count(count),
        );
    }
    if html.is_empty() {
        return format!("<p class=none>{}</p>", Text(none));
    }
    format!("<ul class=bars aria-label=\"{}\">{html}</ul>", Text(what))
}

/// A whole page. `title` and `events` (the path of the stream that announces news) are text, `main` is HTML.
pub(crate) fn page(title: &str, events: &str, main: &str) -> Response<Body> {
    let nonce = nonce();
    let title = Text(title);
    let html = format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <meta name=color-scheme content=\"light dark\">\n<title>{title}</title>\n<link rel=icon href=\"data:,\">\n\
         <style nonce={nonce}>\n{STYLE}</style>\n</head>\n<body data-events=\"{events}\">\n<main>\n{main}</main>\n\
         <script nonce={nonce}>\n{SCRIPT}</script>\n</body>\n</html>\n",
        events = Text(events),
    );
    let mut response = answer::whole(StatusCode::OK, "text/html; charset=utf-8", html);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).expect("a policy of visible ASCII and a hexadecimal nonce");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// A fresh value that no page can guess: the standard library keys each thread's hashers from the system's
/// randomness, and its hash is a pseudo-random function under its key.
fn nonce() -> String {
    let part = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", part(), part())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(
            Text("<script>\"&'\r\n\u{202e}gpj.exe</script>").to_string(),
            "&lt;script&gt;&quot;&amp;&#39;\u{fffd}\u{fffd}\u{fffd}gpj.exe&lt;/script&gt;"
        );
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (n, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Count(n).to_string(), shown);
        }
    }

    #[test]
    fn bars_escape_their_names_and_never_pass_their_box() {
        let html = bars("pages", "none", [("/<b>", 4), ("/x", 1)].into_iter());
        assert!(html.contains("/&lt;b&gt;") && !html.contains("<b>"), "{html}");
        assert!(html.contains("width=100") && html.contains("width=25"), "{html}");
        assert_eq!(
            bars("pages", "nothing yet", std::iter::empty()),
            "<p class=none>nothing yet</p>"
        );
    }

    #[test]
    fn every_page_has_a_nonce_of_its_own_and_no_unsafe_policy() {
        let policy = || {
            page("t", "e", "").headers()[CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .to_owned()
        };
        let (one, other) = (policy(), policy());
        assert_ne!(one, other);
        assert!(
            !one.contains("unsafe") && one.starts_with("default-src 'none'"),
            "{one}"
        );
    }

    #[test]
    fn the_inlined_files_cannot_close_their_own_tags() {
        for file in [STYLE, SCRIPT] {
            assert!(!file.contains("</"), "a closing tag within an inlined file");
        }
    }
}
