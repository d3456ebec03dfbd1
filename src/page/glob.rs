//! Patterns for paths: `*` stands for any characters within a segment, `**` for any at all.

use std::{fmt, str::FromStr};

/// A pattern that a path matches or not. `/admin/**` also matches `/admin`, for it means the place and all below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob(String);

/// The text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a path pattern that begins with / is wanted, such as \"/admin/**\" (* within a segment, ** across them)"
)]
pub struct NotAGlob;

impl FromStr for Glob {
    type Err = NotAGlob;

    fn from_str(text: &str) -> Result<Self, NotAGlob> {
        let fine = (text.starts_with('/') || text == "**") && !text.contains(['?', '#', '\n', '\r']);
        if fine {
            Ok(Glob(text.to_owned()))
        } else {
            Err(NotAGlob)
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Glob {
    /// Whether `path`, without its query, matches.
    pub fn matches(&self, path: &str) -> bool {
        let pattern = self.0.as_bytes();
        pattern == b"/**"
            || matches(pattern, path.as_bytes())
            || pattern
                .strip_suffix(b"/**")
                .is_some_and(|place| matches(place, path.as_bytes()))
    }
}

/// Greedy with one place to come back to for each kind of star: no more than pattern × path steps for `*`, and `**`
/// takes up where it last stood, so a hostile path costs no more than its length times the pattern's.
fn matches(pattern: &[u8], path: &[u8]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut within: Option<(usize, usize)> = None;
    let mut across: Option<(usize, usize)> = None;
    loop {
        if pattern[p..].starts_with(b"**") {
            p += 2;
            across = Some((p, s));
            within = None;
            continue;
        }
        match (pattern.get(p), path.get(s)) {
            (Some(b'*'), _) => {
                p += 1;
                within = Some((p, s));
                continue;
            }
            (Some(a), Some(b)) if a == b => {
                p += 1;
                s += 1;
                continue;
            }
            (None, None) => return true,
            _ => {}
        }
        if let Some((after, from)) = within
            && path.get(from).is_some_and(|b| *b != b'/')
        {
            within = Some((after, from + 1));
            (p, s) = (after, from + 1);
        } else if let Some((after, from)) = across
            && from < path.len()
        {
            across = Some((after, from + 1));
            within = None;
            (p, s) = (after, from + 1);
        } else {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_in_its_segment_and_two_cross() {
        for (pattern, path, expected) in [
            ("/**", "/", true),
            ("/**", "/a/b.html", true),
            ("**", "/a", true),
            ("/admin/**", "/admin", true),
            ("/admin/**", "/admin/", true),
            ("/admin/**", "/admin/a/b", true),
            ("/admin/**", "/administrator", false),
            ("/admin/**", "/x/admin/a", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/b/b/c", false),
            ("/*.html", "/a.html", true),
            ("/*.html", "/a/b.html", false),
            ("/**/*.html", "/a/b.html", true),
            ("/**.html", "/a/b.html", true),
            ("/**/x/*/y", "/1/x/2/x/3/y", true),
            ("/**/x/*/y", "/1/x/2/3/y", false),
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a", "/A", false),
            ("/a*", "/a", true),
            ("/é*", "/été", false),
            ("/é*", "/éa", true),
        ] {
            assert_eq!(
                pattern.parse::<Glob>().unwrap().matches(path),
                expected,
                "{pattern} {path}"
            );
        }
        assert!("admin/**".parse::<Glob>().is_err());
        assert!("/a?b".parse::<Glob>().is_err());
    }
}
