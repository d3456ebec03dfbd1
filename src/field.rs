//! The grammar of field names and values (RFC 9110 §5), written once. Pure, and importable from everywhere.
//!
//! Names are compared in one of two ways:
//!
//! - [`lines`], [`first`] and `eq_ignore_ascii_case` compare as HTTP does: without case.
//! - [`folds_to`] and [`folds_to_prefix`] also take `_` for `-`. CGI and WSGI hand a field to the app as an
//!   environment variable (RFC 3875 §4.1.18), so `X_Forwarded_For` and `X-Forwarded-For` arrive there under
//!   one name. What must not reach the app is compared this way.

use std::iter;

use httparse::Header;

/// Whether `name` is `other` for an app behind CGI or WSGI: without case, and with `_` for `-`.
#[inline]
pub fn folds_to(name: &str, other: &str) -> bool {
    name.len() == other.len() && folds_to_prefix(name, other)
}

/// Whether `name` starts with `prefix`, compared as in [`folds_to`].
#[inline]
pub fn folds_to_prefix(name: &str, prefix: &str) -> bool {
    let fold = |b: u8| if b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    name.len() >= prefix.len() && name.bytes().zip(prefix.bytes()).all(|(n, p)| fold(n) == fold(p))
}

/// The values of all lines of one name, in the order in which they were sent.
pub fn lines<'a>(fields: &'a [Header<'a>], name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(move |f| f.name.eq_ignore_ascii_case(name))
        .map(|f| f.value)
}

/// The value of the first line of that name, optional white space cut off.
pub fn first<'a>(fields: &'a [Header<'a>], name: &str) -> Option<&'a [u8]> {
    lines(fields, name).next().map(trim)
}

/// The members of a list field over all its lines (RFC 9110 §5.3), empty ones left out.
pub fn list<'a>(fields: &'a [Header<'a>], name: &str) -> impl Iterator<Item = &'a [u8]> {
    lines(fields, name).flat_map(members)
}

/// As [`list`], from the right. Its own iterator, because reversing that one takes half as long again.
pub fn list_from_right<'a>(fields: &'a [Header<'a>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    ListFromRight {
        name,
        fields,
        line: None,
    }
}

/// The iterator of [`list_from_right`].
struct ListFromRight<'a> {
    name: &'a str,
    /// The lines that have not been started.
    fields: &'a [Header<'a>],
    /// What is left of the current line.
    line: Option<&'a [u8]>,
}

impl<'a> Iterator for ListFromRight<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let Some(line) = self.line.take() else {
                let is_named = |f: &Header<'_>| f.name.eq_ignore_ascii_case(self.name);
                let at = self.fields.iter().rposition(is_named)?;
                self.line = Some(self.fields[at].value);
                self.fields = &self.fields[..at];
                continue;
            };
            let member = match memchr::memrchr(b',', line) {
                Some(comma) => {
                    self.line = Some(&line[..comma]);
                    trim(&line[comma + 1..])
                }
                None => trim(line),
            };
            if !member.is_empty() {
                return Some(member);
            }
        }
    }
}

/// The members of one comma-separated value (RFC 9110 §5.6.1), empty ones left out.
///
/// For lists of tokens and addresses: a comma inside a quoted string separates members too.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    iter::from_fn(move || {
        loop {
            let line = rest.take()?;
            // Members are short: to look for the comma byte by byte is faster than a vectorized search.
            let end = line.iter().position(|b| *b == b',').unwrap_or(line.len());
            rest = line.get(end + 1..);
            let member = trim(&line[..end]);
            if !member.is_empty() {
                return Some(member);
            }
        }
    })
}

/// A value up to its first `;`, where parameters begin (RFC 9110 §5.6.6): the type of a `Content-Type`.
pub fn without_parameters(value: &[u8]) -> &[u8] {
    let end = value.iter().position(|b| *b == b';');
    trim(end.map_or(value, |end| &value[..end]))
}

/// Cuts optional white space (`OWS`, RFC 9110 §5.6.3: spaces and tabs) off both ends.
#[inline]
pub fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether a text is a `token` (RFC 9110 §5.6.2), as every field name is.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| is_token_byte(*b))
}

/// A `tchar` (RFC 9110 §5.6.2).
#[inline]
pub fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// Whether a text may be a field's value (RFC 9110 §5.5). Every byte is looked at, without a branch: over
/// texts of a user agent's length that is faster than stopping at the first wrong one.
pub fn is_value(text: &[u8]) -> bool {
    text.iter().fold(true, |fits, b| fits & is_value_byte(*b))
}

/// A byte that may stand in a field's value: a visible character, a space, a tab, or a byte beyond ASCII
/// (RFC 9110 §5.5).
#[inline]
pub fn is_value_byte(b: u8) -> bool {
    b == b'\t' || (b >= b' ' && b != 0x7f)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>(lines: &[(&'a str, &'a str)]) -> Vec<Header<'a>> {
        let field = |(name, value): &(&'a str, &'a str)| Header {
            name,
            value: value.as_bytes(),
        };
        lines.iter().map(field).collect()
    }

    #[test]
    fn case_and_underscores_do_not_make_another_name() {
        for name in ["x-forwarded-for", "X_Forwarded_For", "X-FORWARDED_FOR"] {
            assert!(folds_to(name, "x-forwarded-for"), "{name}");
            assert!(folds_to(name, "X_Forwarded-For"), "{name}");
        }
        for name in ["x-forwarded-fo", "x-forwarded-for2", "xxforwarded-for", ""] {
            assert!(!folds_to(name, "x-forwarded-for"), "{name}");
        }
        assert!(folds_to_prefix("X_FORWARDED_Ssl", "x-forwarded-"));
        assert!(!folds_to_prefix("X-Forwarded", "x-forwarded-"));
    }

    #[test]
    fn the_lines_of_a_name_are_one_list_in_either_direction() {
        let fields = fields(&[
            ("Via", "1, 2"),
            ("X-Other", "x"),
            ("v_ia", "no"),
            ("VIA", ",\t3 ,, a b\t,"),
            ("via", ""),
        ]);
        assert_eq!(
            list(&fields, "via").collect::<Vec<_>>(),
            [&b"1"[..], b"2", b"3", b"a b"]
        );
        assert_eq!(
            list_from_right(&fields, "via").collect::<Vec<_>>(),
            [&b"a b"[..], b"3", b"2", b"1"]
        );
        assert_eq!(list(&fields, "te").count(), 0);
        assert_eq!(lines(&fields, "via").next_back(), Some(&b""[..]));
        assert_eq!(first(&fields, "VIA"), Some(&b"1, 2"[..]));
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim(b" \t a b\t "), b"a b");
        assert_eq!(trim(b"\t \t"), b"");
        assert_eq!(trim(b"\x0ba\x0c"), b"\x0ba\x0c");
        assert_eq!(without_parameters(b" text/html ; charset=utf-8"), b"text/html");
        assert_eq!(without_parameters(b""), b"");
    }

    #[test]
    fn a_value_holds_no_control_character_but_the_tab() {
        assert!(is_value("Mozilla/5.0\t(é)".as_bytes()) && is_value(b""));
        for wrong in [b"a\r".as_slice(), b"\n", b"a\0b", b"\x7f", b"\x1f"] {
            assert!(!is_value(wrong), "{}", wrong.escape_ascii());
        }
        assert!(is_token(b"X-Odd_Name!") && !is_token(b"") && !is_token(b"a b") && !is_token(b"a:"));
    }
}
