//! Patterns over paths: `*` stands for anything within a segment, `**` for anything across segments.

use std::fmt;
use std::str::FromStr;

/// A pattern over a path as the client sent it, case-sensitive, without the query.
///
/// `/blog/*` is one segment below `/blog`; `/admin/**` is `/admin` and all below it; `/**/print` ends in a
/// segment `print`; `/*.pdf` is a file at the root. A trailing slash matters: `/a` is not `/a/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    text: String,
    pieces: Vec<Piece>,
    /// How many bytes of the text, from its start, stand for themselves.
    literal: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    /// `*`: any bytes but `/`, or none.
    Within,
    /// `**`: any bytes, or none.
    Across,
    /// `**/`: nothing, or any bytes that end in `/`.
    Segments,
    /// The `/` of a last `/**`: here the path may end.
    MayEnd,
}

/// Why a text is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It does not begin with a slash.
    #[error("a path pattern begins with \"/\", as in \"/admin/**\"")]
    NoSlash,
    /// It has a query or a fragment.
    #[error("a path pattern has no \"?\" and no \"#\": it is compared with the path alone")]
    Query,
    /// It has a blank or a control character.
    #[error("a path pattern has no blanks: write them as the client sends them, \"%20\"")]
    Blank,
    /// It is too long to match quickly.
    #[error("a path pattern has at most {} characters", Glob::MAX)]
    TooLong,
}

impl Glob {
    /// The most pieces of a pattern: the states of its automaton and the accepting one fit a `u128`.
    const MAX: usize = 127;

    /// `/**`: every path.
    pub fn all() -> Self {
        Glob {
            text: "/**".to_owned(),
            pieces: vec![Piece::MayEnd, Piece::Across],
            literal: 0,
        }
    }

    /// Whether the path matches. Takes time in the product of both lengths at the worst, whatever the path.
    pub fn matches(&self, path: &str) -> bool {
        if self.pieces == [Piece::MayEnd, Piece::Across] {
            return true;
        }
        // Most patterns begin with the name of a directory, and most paths with another that differs in its
        // first letters.
        let literal = &self.text.as_bytes()[..self.literal];
        let Some((start, rest)) = path.as_bytes().split_at_checked(literal.len()) else {
            return false;
        };
        // Letter by letter, which is sooner done than a call that compares all of them.
        if std::iter::zip(start, literal).any(|(a, b)| a != b) {
            return false;
        }
        let mut states = self.enter(self.literal);
        for &byte in rest {
            let mut next = 0;
            let mut left = states & !self.accepting();
            while left != 0 {
                let at = left.trailing_zeros() as usize;
                left &= left - 1;
                next |= self.step(at, byte);
            }
            if next == 0 {
                return false;
            }
            states = next;
        }
        states & self.accepting() != 0
    }

    fn accepting(&self) -> u128 {
        1 << self.pieces.len()
    }

    /// The states after `byte` from the state before piece `at`.
    fn step(&self, at: usize, byte: u8) -> u128 {
        match self.pieces[at] {
            Piece::Byte(b) if b == byte => self.enter(at + 1),
            Piece::Within if byte != b'/' => self.enter(at),
            Piece::Across => self.enter(at),
            Piece::Segments if byte == b'/' => 1 << at | self.enter(at + 1),
            Piece::Segments => 1 << at,
            Piece::MayEnd if byte == b'/' => self.enter(at + 1),
            Piece::Byte(_) | Piece::Within | Piece::MayEnd => 0,
        }
    }

    /// The state before piece `at`, and those reached from it without a byte.
    fn enter(&self, mut at: usize) -> u128 {
        let mut states = 1 << at;
        while let Some(Piece::Within | Piece::Across | Piece::Segments) = self.pieces.get(at) {
            at += 1;
            states |= 1 << at;
        }
        if self.pieces.get(at) == Some(&Piece::MayEnd) {
            states |= self.accepting();
        }
        states
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(text: &str) -> Result<Self, GlobError> {
        if !text.starts_with('/') {
            return Err(GlobError::NoSlash);
        }
        if text.contains(['?', '#']) {
            return Err(GlobError::Query);
        }
        if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(GlobError::Blank);
        }
        let (body, open) = text
            .strip_suffix("/**")
            .map_or((text, false), |body| (body, true));
        let mut pieces = Vec::new();
        let mut rest = body.as_bytes();
        while let [first, tail @ ..] = rest {
            let (piece, used) = match (first, tail) {
                (b'*', [b'*', b'/', ..]) if pieces.last() == Some(&Piece::Byte(b'/')) => (Piece::Segments, 3),
                (b'*', [b'*', ..]) => (Piece::Across, 2),
                (b'*', _) => (Piece::Within, 1),
                (byte, _) => (Piece::Byte(*byte), 1),
            };
            pieces.push(piece);
            rest = &rest[used..];
        }
        if open {
            pieces.extend([Piece::MayEnd, Piece::Across]);
        }
        if pieces.len() > Self::MAX {
            return Err(GlobError::TooLong);
        }
        Ok(Glob {
            text: text.to_owned(),
            literal: pieces
                .iter()
                .take_while(|piece| matches!(piece, Piece::Byte(_)))
                .count(),
            pieces,
        })
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
        // A matcher that tries every way would not end before the sun does.
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
