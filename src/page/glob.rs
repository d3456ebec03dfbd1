//! Patterns over paths: `*` matches within a segment, `**` across segments.
//!
//! Not `globset`: there `[id]`, `{a}` and `\` in a path are syntax, `/admin/**` does not match `/admin`, and
//! `/**.pdf` matches one segment only. Each would be a surprise in a list of paths. It also takes 65 ns where
//! the first letters already differ, as they do for nearly every request; here that is 4 ns.

use std::fmt;
use std::str::FromStr;

/// A pattern for the path as the client sent it, without the query. Case-sensitive.
///
/// `/blog/*` is one segment below `/blog`; `/admin/**` is `/admin` and all below it; `/**/print` ends in a
/// segment `print`; `/*.pdf` is a file at the root. A trailing slash matters: `/a` is not `/a/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    pub(super) pieces: Vec<GlobPiece>,
    /// The length of the literal start, in bytes.
    literal: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GlobPiece {
    Byte(u8),
    /// One byte other than `/`. Only patterns with captures have it, as the next one.
    OneWithin,
    /// One byte.
    OneOfAll,
    /// `*`: any number of bytes other than `/`.
    Within,
    /// `**`: any number of bytes.
    Across,
    /// `**/`: nothing, or any bytes up to a `/`.
    Segments,
    /// The `/` of a final `/**`: the path may end before it.
    MayEnd,
}

/// Why a text is not a [`Glob`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It does not start with a slash.
    #[error("a path pattern begins with \"/\", as in \"/admin/**\"")]
    NoSlash,
    /// It has a query or a fragment.
    #[error("a path pattern has no \"?\" and no \"#\": it is compared with the path alone")]
    Query,
    /// It has white space or a control character.
    #[error("a path pattern has no blanks: write them as the client sends them, \"%20\"")]
    Blank,
    /// It is too long to match quickly.
    #[error("a path pattern has at most {} characters", Glob::MAX)]
    TooLong,
}

impl Glob {
    /// The most pieces of a pattern, so that the states of its automaton and the accepting one fit into a
    /// `u128`.
    const MAX: usize = 127;

    /// `/**`: every path.
    pub fn all() -> Self {
        Glob {
            text: "/**".to_owned(),
            pieces: vec![GlobPiece::MayEnd, GlobPiece::Across],
            literal: 0,
        }
    }

    /// What holds for the text of every pattern.
    pub(super) fn check(text: &str) -> Result<(), GlobError> {
        if !text.starts_with('/') {
            return Err(GlobError::NoSlash);
        }
        if text.contains(['?', '#']) {
            return Err(GlobError::Query);
        }
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(GlobError::Blank);
        }
        Ok(())
    }

    /// The pattern of a text that has these pieces.
    pub(super) fn of_pieces(text: &str, pieces: Vec<GlobPiece>) -> Result<Self, GlobError> {
        if pieces.len() > Self::MAX {
            return Err(GlobError::TooLong);
        }
        Ok(Glob {
            text: text.to_owned(),
            literal: pieces
                .iter()
                .take_while(|piece| matches!(piece, GlobPiece::Byte(_)))
                .count(),
            pieces,
        })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the path matches. The time is at most proportional to the product of both lengths.
    pub fn matches(&self, path: &str) -> bool {
        if self.pieces == [GlobPiece::MayEnd, GlobPiece::Across] {
            return true;
        }
        // Most patterns start with a directory, and most paths differ from it in their first letters.
        let literal = &self.text.as_bytes()[..self.literal];
        let Some((start, rest)) = path.as_bytes().split_at_checked(literal.len()) else {
            return false;
        };
        // Byte by byte: this stops at the first difference, where a call of memcmp would cost more.
        if std::iter::zip(start, literal).any(|(a, b)| a != b) {
            return false;
        }
        let mut states = self.enter(self.literal);
        for &byte in rest {
            states = self.advance(states, byte);
            if states == 0 {
                return false;
            }
        }
        states & self.accepting() != 0
    }

    /// The states after `byte` from any of these states.
    pub(super) fn advance(&self, states: u128, byte: u8) -> u128 {
        let mut next = 0;
        let mut left = states & !self.accepting();
        while left != 0 {
            let at = left.trailing_zeros() as usize;
            left &= left - 1;
            next |= self.step(at, byte);
        }
        next
    }

    pub(super) fn accepting(&self) -> u128 {
        1 << self.pieces.len()
    }

    /// The states after `byte` from the state before piece `at`.
    pub(super) fn step(&self, at: usize, byte: u8) -> u128 {
        match self.pieces[at] {
            GlobPiece::Byte(b) if b == byte => self.enter(at + 1),
            GlobPiece::OneWithin if byte != b'/' => self.enter(at + 1),
            GlobPiece::OneOfAll => self.enter(at + 1),
            GlobPiece::Within if byte != b'/' => self.enter(at),
            GlobPiece::Across => self.enter(at),
            GlobPiece::Segments if byte == b'/' => 1 << at | self.enter(at + 1),
            GlobPiece::Segments => 1 << at,
            GlobPiece::MayEnd if byte == b'/' => self.enter(at + 1),
            GlobPiece::Byte(_) | GlobPiece::OneWithin | GlobPiece::Within | GlobPiece::MayEnd => 0,
        }
    }

    /// The state before piece `at`, and the states that are reached from it without reading a byte.
    pub(super) fn enter(&self, mut at: usize) -> u128 {
        let mut states = 1 << at;
        while let Some(GlobPiece::Within | GlobPiece::Across | GlobPiece::Segments) = self.pieces.get(at) {
            at += 1;
            states |= 1 << at;
        }
        if self.pieces.get(at) == Some(&GlobPiece::MayEnd) {
            states |= self.accepting();
        }
        states
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        Glob::check(text)?;
        let mut pieces = Vec::new();
        push_pieces(&mut pieces, text, true);
        Glob::of_pieces(text, pieces)
    }
}

/// Appends the pieces of a pattern's part. Only the `last` part can end in `/**`.
pub(super) fn push_pieces(pieces: &mut Vec<GlobPiece>, text: &str, last: bool) {
    let (body, open) = match text.strip_suffix("/**") {
        Some(body) if last => (body, true),
        _ => (text, false),
    };
    let mut rest = body.as_bytes();
    while let [first, tail @ ..] = rest {
        let (piece, used) = match (first, tail) {
            (b'*', [b'*', b'/', ..]) if pieces.last() == Some(&GlobPiece::Byte(b'/')) => {
                (GlobPiece::Segments, 3)
            }
            (b'*', [b'*', ..]) => (GlobPiece::Across, 2),
            (b'*', _) => (GlobPiece::Within, 1),
            (byte, _) => (GlobPiece::Byte(*byte), 1),
        };
        pieces.push(piece);
        rest = &rest[used..];
    }
    if open {
        pieces.extend([GlobPiece::MayEnd, GlobPiece::Across]);
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stays_within_a_segment_and_two_go_across() {
        for (pattern, yes, no) in [
            ("/**", &["/", "/a", "/a/b/c.html", "//"][..], &[][..]),
            ("/", &["/"], &["/a", ""]),
            (
                "/admin/**",
                &["/admin", "/admin/", "/admin/a/b"],
                &["/administrator", "/a/admin", "/"],
            ),
            ("/blog/*", &["/blog/a", "/blog/"], &["/blog", "/blog/a/b"]),
            ("/*.pdf", &["/a.pdf", "/.pdf"], &["/a/b.pdf", "/a.pdf2"]),
            ("/**/*.pdf", &["/a.pdf", "/a/b/c.pdf"], &["/a.pd"]),
            ("/**.pdf", &["/a.pdf", "/a/b/c.pdf"], &["/a.txt"]),
            (
                "/a/**/b",
                &["/a/b", "/a/x/b", "/a/x/y/b"],
                &["/a/xb", "/ab", "/a/b/"],
            ),
            ("/a/**/b/**", &["/a/b", "/a/x/b/c"], &["/a/xb"]),
            ("/*/edit", &["/1/edit", "//edit"], &["/1/2/edit", "/edit"]),
            ("/caf%C3%A9", &["/caf%C3%A9"], &["/caf%c3%a9", "/café"]),
        ] {
            let glob: Glob = pattern.parse().unwrap();
            assert_eq!(glob == Glob::all(), pattern == "/**");
            assert_eq!(glob.to_string(), pattern);
            for path in yes {
                assert!(glob.matches(path), "{pattern} {path}");
            }
            for path in no {
                assert!(!glob.matches(path), "{pattern} {path}");
            }
        }
    }

    #[test]
    fn many_stars_over_a_long_path_come_to_an_end() {
        // A backtracking matcher would practically never end here.
        let glob: Glob = format!("/{}b", "*a".repeat(40)).parse().unwrap();
        assert!(!glob.matches(&format!("/{}", "a".repeat(5_000))));
        assert!(glob.matches(&format!("/{}b", "a".repeat(5_000))));
    }

    #[test]
    fn what_is_no_pattern_says_what_would_be() {
        for (text, error) in [
            ("", GlobError::NoSlash),
            ("admin/**", GlobError::NoSlash),
            ("https://example.com/", GlobError::NoSlash),
            ("/a?b=*", GlobError::Query),
            ("/a#b", GlobError::Query),
            ("/a b", GlobError::Blank),
        ] {
            assert_eq!(text.parse::<Glob>(), Err(error), "{text}");
        }
        assert_eq!(
            format!("/{}", "a".repeat(200)).parse::<Glob>(),
            Err(GlobError::TooLong)
        );
    }
}
