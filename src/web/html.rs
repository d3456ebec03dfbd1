//! HTML: escaping, and the frame of a page that refreshes itself.
//!
//! Only the server renders a page. The page's script fetches it again when an event arrives, and replaces the
//! old `<main>` with the new one. So there is one renderer, and the page is complete without JavaScript.

use std::{
    fmt::{self, Display, Write as _},
    hash::{BuildHasher, Hasher, RandomState},
};

use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use hyper::{Response, StatusCode};

use super::response::{self, ResponseBody};

const STYLE: &str = include_str!("assets/style.css");
const SCRIPT: &str = include_str!("assets/live.js");

/// Escapes a text for HTML, between tags and in quoted attributes.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                // Characters that change the text's direction could make one path look like another.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => f.write_char('\u{fffd}')?,
                c if c.is_control() => f.write_char('\u{fffd}')?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A number with commas between its thousands.
pub(crate) struct Grouped(pub(crate) u64);

impl Display for Grouped {
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

/// A list of names, each with a bar as long as its count. `label` says what is counted; `empty` is shown
/// instead of an empty list.
pub(crate) fn bar_list<'a>(
    label: &str,
    empty: &str,
    rows: impl Iterator<Item = (&'a str, u64)> + Clone,
) -> String {
    let longest = rows.clone().map(|(_, count)| count).max().unwrap_or(0).max(1);
    let mut html = String::new();
    for (name, count) in rows {
        let width = (count * 100).div_ceil(longest).min(100);
        let _ = write!(
            html,
            "<li><svg class=bar viewBox=\"0 0 100 1\" preserveAspectRatio=none aria-hidden=true>\
             <rect width={width} height=1></rect></svg><span class=name title=\"{name}\">{name}</span>\
             <span class=n>{count}</span></li>",
            name = Escaped(name),
            count = Grouped(count),
        );
    }
    if html.is_empty() {
        return format!("<p class=none>{}</p>", Escaped(empty));
    }
    format!("<ul class=bars aria-label=\"{}\">{html}</ul>", Escaped(label))
}

/// A page. `title` and `events` (the path of the event stream that announces changes) are text, `main` is
/// HTML.
pub(crate) fn page(title: &str, events: &str, main: &str) -> Response<ResponseBody> {
    let nonce = nonce();
    let title = Escaped(title);
    let html = format!(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
         <meta name=color-scheme content=\"light dark\">\n<title>{title}</title>\n<link rel=icon href=\"data:,\">\n\
         <style nonce={nonce}>\n{STYLE}</style>\n</head>\n<body data-events=\"{events}\">\n<main>\n{main}</main>\n\
         <script nonce={nonce}>\n{SCRIPT}</script>\n</body>\n</html>\n",
        events = Escaped(events),
    );
    let mut response = response::whole(StatusCode::OK, "text/html; charset=utf-8", html);
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let policy = HeaderValue::from_str(&policy).expect("a policy of visible ASCII and a hexadecimal nonce");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

/// A value that no page can guess. The standard library keys each thread's hashers from the system's
/// randomness, and its hash is a pseudo-random function under that key.
fn nonce() -> String {
    let part = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", part(), part())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            Escaped("<script>\"&'\r\n\u{202e}gpj.exe</script>").to_string(),
            "&lt;script&gt;&quot;&amp;&#39;\u{fffd}\u{fffd}\u{fffd}gpj.exe&lt;/script&gt;"
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (n, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(Grouped(n).to_string(), shown);
        }
    }

    #[test]
    fn bars_escape_their_names_and_stay_within_their_box() {
        let html = bar_list("pages", "none", [("/<b>", 4), ("/x", 1)].into_iter());
        assert!(html.contains("/&lt;b&gt;") && !html.contains("<b>"), "{html}");
        assert!(html.contains("width=100") && html.contains("width=25"), "{html}");
        assert_eq!(
            bar_list("pages", "nothing yet", std::iter::empty()),
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
