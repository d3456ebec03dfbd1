//! HTML: escaping, and the frame of a page that refreshes itself.
//!
//! Only the server renders a page. The page's script fetches it again when an event arrives, and changes the
//! old `<main>` where the new one differs, so that focus, selection and scrolling stay. So there is one
//! renderer, and the page is complete without JavaScript. What the script heeds: elements with `data-key` are
//! the same from one page to the next, those with `data-keep` are the reader's and stay as they are, `<time
//! data-clock>` is shown in the reader's time zone, which is named in `data-zone`, and `<main>` has the
//! page's title and icon.

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

/// A row of a [`bar_list`].
pub(crate) struct Bar<'a> {
    /// What is counted.
    pub(crate) name: &'a str,
    /// The code word for it, shown small; empty for none.
    pub(crate) code: &'a str,
    /// The colour; empty for the ordinary one.
    pub(crate) kind: &'a str,
    pub(crate) count: u64,
}

/// A list of names, each with a bar as long as its count. `label` says what is counted; `empty` is shown
/// instead of an empty list.
pub(crate) fn bar_list(label: &str, empty: &str, bars: &[Bar<'_>]) -> String {
    if bars.is_empty() {
        return format!("<p class=none>{}</p>", Escaped(empty));
    }
    let longest = bars.iter().map(|bar| bar.count).max().unwrap_or(0).max(1);
    let mut html = format!("<ul class=bars aria-label=\"{}\">", Escaped(label));
    for bar in bars {
        let width = (bar.count * 100).div_ceil(longest).min(100);
        let _ = write!(
            html,
            "<li><svg class=bar viewBox=\"0 0 100 1\" preserveAspectRatio=none aria-hidden=true>\
             <rect data-kind=\"{kind}\" width={width} height=1></rect></svg>\
             <span class=name title=\"{name}\">{name}",
            kind = Escaped(bar.kind),
            name = Escaped(bar.name),
        );
        if !bar.code.is_empty() {
            let _ = write!(html, " <small class=code>{}</small>", Escaped(bar.code));
        }
        let _ = write!(html, "</span><span class=n>{}</span></li>", Grouped(bar.count));
    }
    html.push_str("</ul>");
    html
}

/// The sign in the browser's tab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    /// All is well.
    Calm,
    /// Something wants attention.
    Warning,
    /// Something is wrong.
    Trouble,
}

impl Icon {
    /// As a URL. Two bars of a chart behind a gate, in the colour of how things are.
    fn href(self) -> String {
        let colour = match self {
            Icon::Calm => "%2312805c",
            Icon::Warning => "%23b45309",
            Icon::Trouble => "%23d92d20",
        };
        let sign = match self {
            Icon::Calm => "M9 21v-6h4v6zM15 21V9h4v12z",
            Icon::Warning | Icon::Trouble => "M12.5 7h3v9h-3zM12.5 18h3v3h-3z",
        };
        format!(
            "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 28 28'%3E\
             %3Crect width='28' height='28' rx='7' fill='{colour}'/%3E%3Cpath d='{sign}' fill='white'/%3E%3C/svg%3E"
        )
    }
}

/// A page that refreshes itself.
pub(crate) struct LivePage<'a> {
    /// A text.
    pub(crate) title: &'a str,
    pub(crate) icon: Icon,
    /// The path of the event stream that announces changes; `None` for a page that stays as it is.
    pub(crate) events: Option<&'a str>,
    /// Whether its forms may be sent here; else none may.
    pub(crate) forms: bool,
    /// HTML.
    pub(crate) main: &'a str,
}

impl LivePage<'_> {
    pub(crate) fn response(&self) -> Response<ResponseBody> {
        let nonce = nonce();
        let title = Escaped(self.title);
        let icon = self.icon.href();
        let events = self.events.map_or(String::new(), |path| {
            format!(" data-events=\"{}\"", Escaped(path))
        });
        let main = self.main;
        let html = format!(
            "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n\
             <meta name=viewport content=\"width=device-width, initial-scale=1\">\n\
             <meta name=color-scheme content=\"light dark\">\n<title>{title}</title>\n\
             <link rel=icon href=\"{icon}\">\n<style nonce={nonce}>\n{STYLE}</style>\n</head>\n<body{events}>\n\
             <main data-title=\"{title}\" data-icon=\"{icon}\">\n{main}</main>\n\
             <script nonce={nonce}>\n{SCRIPT}</script>\n</body>\n</html>\n"
        );
        let mut response = response::whole(StatusCode::OK, "text/html; charset=utf-8", html);
        let forms = if self.forms { "'self'" } else { "'none'" };
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action {forms}; frame-ancestors 'none'"
        );
        let policy =
            HeaderValue::from_str(&policy).expect("a policy of visible ASCII and a hexadecimal nonce");
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        response
    }
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
        let bar = |name, code, count| Bar {
            name,
            code,
            kind: "good",
            count,
        };
        let html = bar_list("pages", "none", &[bar("/<b>", "co<de", 4), bar("/x", "", 1)]);
        assert!(html.contains("/&lt;b&gt;") && !html.contains("<b>"), "{html}");
        assert!(html.contains("<small class=code>co&lt;de</small>"), "{html}");
        assert!(html.contains("width=100") && html.contains("width=25"), "{html}");
        assert_eq!(
            bar_list("pages", "nothing yet", &[]),
            "<p class=none>nothing yet</p>"
        );
    }

    #[test]
    fn every_page_has_a_nonce_of_its_own_and_no_unsafe_policy() {
        let policy = || {
            let page = LivePage {
                title: "t",
                icon: Icon::Calm,
                events: Some("e"),
                forms: false,
                main: "",
            };
            page.response().headers()[CONTENT_SECURITY_POLICY]
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
