//! Patterns over paths that also take parts of the path out: `/posts/{slug}`, `/docs/{**page}`.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use super::glob::{Glob, GlobError, GlobPiece, push_pieces};

/// A [`Glob`] with named captures. `{name}` takes at least one character within a segment, `{**name}` at
/// least one character across segments. Where a path can be divided in more than one way, the captures on the
/// left take the least.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    glob: Glob,
    captures: Vec<Capture>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Capture {
    name: String,
    /// The pieces of the glob that match what is captured.
    pieces: Range<usize>,
}

/// Why a text is not a [`PathPattern`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// It is no glob.
    #[error(transparent)]
    Glob(#[from] GlobError),
    /// A brace has no partner.
    #[error("a capture is written {{name}} or {{**name}}; a brace in a path is sent as %7B or %7D")]
    Brace,
    /// A capture's name has other characters than letters, digits, `_` and `-`, or none.
    #[error("{{{0}}}: a capture's name has letters, digits, _ and -, as in \"/posts/{{slug}}\"")]
    Name(String),
    /// Two captures have one name.
    #[error("{{{0}}} is there twice: each capture has a name of its own")]
    Twice(String),
    /// Nothing says where the one capture ends and the other begins.
    #[error(
        "{{{0}}} follows another capture at once: something must stand between them, as in \"{{a}}-{{b}}\""
    )]
    Adjacent(String),
}

impl PathPattern {
    /// Whether the path matches.
    pub fn matches(&self, path: &str) -> bool {
        self.glob.matches(path)
    }

    /// The captures' names, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|capture| capture.name.as_str())
    }

    /// What each capture takes of a path, in the order of [`names`](Self::names), as sent. Nothing if the
    /// path does not match.
    pub fn capture<'p>(&self, path: &'p str) -> Vec<&'p [u8]> {
        let bytes = path.as_bytes();
        if self.captures.is_empty() {
            return Vec::new();
        }
        // The states before each byte, and those at the end.
        let mut states = Vec::with_capacity(bytes.len() + 1);
        let mut now = self.glob.enter(0);
        for byte in bytes {
            states.push(now);
            now = self.glob.advance(now, *byte);
        }
        if now & self.glob.accepting() == 0 {
            return Vec::new();
        }
        // From the end to the start: which piece took each byte.
        let mut taken: Vec<Option<Range<usize>>> = vec![None; self.captures.len()];
        let mut reached = self.glob.accepting();
        for (at, byte) in bytes.iter().enumerate().rev() {
            let piece = (0..self.glob.pieces.len())
                .rev()
                .find(|piece| states[at] & (1 << piece) != 0 && self.glob.step(*piece, *byte) & reached != 0);
            let Some(piece) = piece else { return Vec::new() };
            if let Some(capture) = self.captures.iter().position(|c| c.pieces.contains(&piece)) {
                let end = taken[capture].as_ref().map_or(at + 1, |range| range.end);
                taken[capture] = Some(at..end);
            }
            reached = 1 << piece;
        }
        let part = |range: Option<Range<usize>>| range.map_or(&bytes[..0], |range| &bytes[range]);
        taken.into_iter().map(part).collect()
    }
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, PathPatternError> {
        Glob::check(text)?;
        let mut pieces = Vec::new();
        let mut captures: Vec<Capture> = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let inside = rest[open..].strip_prefix('{').ok_or(PathPatternError::Brace)?;
            let (inside, after) = inside.split_once('}').ok_or(PathPatternError::Brace)?;
            push_pieces(&mut pieces, &rest[..open], false);
            rest = after;

            let (across, name) = match inside.strip_prefix("**") {
                Some(name) => (true, name),
                None => (false, inside),
            };
            let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
            if name.is_empty() || !name.bytes().all(known) {
                return Err(PathPatternError::Name(inside.to_owned()));
            }
            if captures.iter().any(|capture| capture.name == name) {
                return Err(PathPatternError::Twice(name.to_owned()));
            }
            let start = pieces.len();
            if captures.last().is_some_and(|before| before.pieces.end == start) {
                return Err(PathPatternError::Adjacent(name.to_owned()));
            }
            pieces.extend(if across {
                [GlobPiece::OneOfAll, GlobPiece::Across]
            } else {
                [GlobPiece::OneWithin, GlobPiece::Within]
            });
            captures.push(Capture {
                name: name.to_owned(),
                pieces: start..pieces.len(),
            });
        }
        push_pieces(&mut pieces, rest, true);
        Ok(PathPattern {
            glob: Glob::of_pieces(text, pieces)?,
            captures,
        })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.glob.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn captured(pattern: &str, path: &str) -> Vec<String> {
        let pattern: PathPattern = pattern.parse().unwrap();
        let parts = pattern.capture(path);
        assert_eq!(pattern.matches(path), !parts.is_empty(), "{pattern} {path}");
        let text = |part: &[u8]| String::from_utf8_lossy(part).into_owned();
        parts.into_iter().map(text).collect()
    }

    #[test]
    fn captures_take_their_part_of_the_path() {
        for (pattern, path, parts) in [
            ("/posts/{slug}", "/posts/first", &["first"][..]),
            ("/posts/{slug}", "/posts/", &[]),
            ("/posts/{slug}", "/posts/a/b", &[]),
            ("/posts/{slug}", "/pages/a", &[]),
            ("/{lang}/posts/{slug}.html", "/de/posts/a.b.html", &["de", "a.b"]),
            ("/docs/{**page}", "/docs/a/b/c", &["a/b/c"]),
            ("/docs/{**page}", "/docs/", &[]),
            ("/{a}-{b}", "/x-y-z", &["x", "y-z"]),
            ("/{user}/**", "/ann", &["ann"]),
            ("/{user}/**", "/ann/x/y", &["ann"]),
            ("/**/{file}.pdf", "/a/b/c.pdf", &["c"]),
            ("/**/{file}.pdf", "/c.pdf", &["c"]),
            ("/*/{id}", "/orders/7", &["7"]),
            ("/{id}*", "/ü", &["\u{fffd}"]),
        ] {
            assert_eq!(captured(pattern, path), parts, "{pattern} {path}");
        }
    }

    #[test]
    fn without_captures_it_is_a_glob() {
        for text in ["/admin/**", "/*.pdf", "/a"] {
            let (pattern, glob): (PathPattern, Glob) = (text.parse().unwrap(), text.parse().unwrap());
            assert_eq!((&pattern.glob, pattern.to_string()), (&glob, text.to_owned()));
            assert!(pattern.capture("/admin/x").is_empty());
        }
    }

    #[test]
    fn a_long_path_is_divided_in_time() {
        let pattern: PathPattern = format!("{}/{{end}}", "/*a".repeat(30)).parse().unwrap();
        let path = format!("{}/z", "/aaaa".repeat(30));
        assert_eq!(pattern.capture(&path), [b"z"]);
        let across: PathPattern = "/{**all}x{**rest}".parse().unwrap();
        let path = format!("/{}", "x".repeat(5_000));
        assert_eq!(across.capture(&path)[0], b"x");
    }

    #[test]
    fn what_is_no_pattern_says_what_would_be() {
        let name = |name: &str| PathPatternError::Name(name.to_owned());
        for (text, error) in [
            ("posts/{slug}", GlobError::NoSlash.into()),
            ("/posts/{slug", PathPatternError::Brace),
            ("/posts/slug}", PathPatternError::Brace),
            ("/posts/{}", name("")),
            ("/posts/{**}", name("**")),
            ("/posts/{a b}", GlobError::Blank.into()),
            ("/posts/{a.b}", name("a.b")),
            ("/{a}/{a}", PathPatternError::Twice("a".to_owned())),
            ("/{a}{b}", PathPatternError::Adjacent("b".to_owned())),
            (&format!("/{}{{a}}", "a".repeat(200)), GlobError::TooLong.into()),
        ] {
            assert_eq!(text.parse::<PathPattern>(), Err(error), "{text}");
        }
    }
}
