//! `Forwarded` (RFC 7239), parsed strictly.
//!
//! An element is a list of pairs `token=value`, joined with `;` without white space; a value is a token or a
//! quoted string (RFC 7239 §4). An element is broken if a parameter is given twice, a pair is empty or a
//! character is not allowed. RFC 7239's list rule would accept `a=b;`. Refusing it costs at most an address,
//! so the strict reading is the safe one.
//!
//! A broken element ends at the first comma after its start, even if that comma is inside quotes. So a client
//! cannot hide what our own proxies appended by leaving a quote open. For the same reason each line is parsed
//! by itself.

use httparse::Header;

use smallvec::SmallVec;

use crate::field;

use super::{address::Address, names};

/// The longest `for` node that is parsed, in bytes without quotes and backslashes. An address with a zone and
/// a port takes at most 69; a longer node is an obfuscated name.
const MAX_NODE: usize = 128;

/// One element of the list.
#[derive(Clone, Copy, Debug)]
pub struct Element<'a> {
    text: &'a [u8],
    /// None if the element is broken.
    parameters: Option<Parameters<'a>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Parameters<'a> {
    r#for: Option<ParameterValue<'a>>,
    by: Option<ParameterValue<'a>>,
    host: Option<ParameterValue<'a>>,
    proto: Option<ParameterValue<'a>>,
}

/// A token, or the inside of a quoted string with its backslashes.
#[derive(Clone, Copy, Debug)]
struct ParameterValue<'a>(&'a [u8]);

impl<'a> Element<'a> {
    /// The element as sent, without the white space around it.
    pub fn text(&self) -> &'a [u8] {
        self.text
    }

    /// Whether it breaks the grammar.
    pub fn is_broken(&self) -> bool {
        self.parameters.is_none()
    }

    /// The address of `for`; none if it is missing, `unknown`, obfuscated or no node at all (RFC 7239 §6).
    pub fn address(&self) -> Option<Address> {
        let value = self.parameters?.r#for?;
        let mut node = [0; MAX_NODE];
        node_address(value.unescape(&mut node)?)
    }

    /// `proto`, if it has no backslash.
    pub fn proto(&self) -> Option<&'a [u8]> {
        self.parameters?.proto?.plain()
    }

    /// `host`, if it has no backslash; whether it is a host is not checked.
    pub fn host(&self) -> Option<&'a [u8]> {
        self.parameters?.host?.plain()
    }

    /// `by`, if it has no backslash.
    pub fn by(&self) -> Option<&'a [u8]> {
        self.parameters?.by?.plain()
    }
}

impl<'a> ParameterValue<'a> {
    /// The value if it has no backslash. No proxy has a reason to write one.
    fn plain(self) -> Option<&'a [u8]> {
        (!self.0.contains(&b'\\')).then_some(self.0)
    }

    /// The value without its backslashes; none if it is too long to be an address.
    fn unescape(self, buffer: &mut [u8; MAX_NODE]) -> Option<&[u8]> {
        let mut len = 0;
        let mut bytes = self.0.iter();
        while let Some(mut byte) = bytes.next() {
            if *byte == b'\\' {
                byte = bytes.next()?;
            }
            *buffer.get_mut(len)? = *byte;
            len += 1;
        }
        Some(&buffer[..len])
    }
}

/// The addresses of one line's `for=` nodes, from the left. Nodes without an address and broken elements are
/// left out. The unspecified address is an address by the grammar and stays.
pub fn addresses(line: &[u8]) -> impl Iterator<Item = Address> {
    Elements::of(line).filter_map(|(_, element)| element.address())
}

/// The elements of all `Forwarded` lines, from the right.
pub(super) fn from_right<'a>(fields: &'a [Header<'a>]) -> impl Iterator<Item = Element<'a>> {
    field::lines(fields, names::FORWARDED).rev().flat_map(|line| {
        // Elements are found from the left only. Parsing one again is cheaper than keeping all of them.
        let starts: SmallVec<[usize; 8]> = Elements::of(line).map(|(start, _)| start).collect();
        let element_at = move |start| {
            Elements {
                line,
                at: Some(start),
            }
            .next()
        };
        starts
            .into_iter()
            .rev()
            .filter_map(element_at)
            .map(|(_, element)| element)
    })
}

/// The elements of one line from the left, each with the place where it starts; blank ones are left out.
struct Elements<'a> {
    line: &'a [u8],
    /// Where the next element starts; none at the end of the line.
    at: Option<usize>,
}

impl<'a> Elements<'a> {
    fn of(line: &'a [u8]) -> Self {
        Elements { line, at: Some(0) }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = (usize, Element<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let start = self.at?;
            let rest = &self.line[start..];
            let (len, parameters) = element(rest);
            self.at = (len < rest.len()).then_some(start + len + 1);
            let text = field::trim(&rest[..len]);
            if !text.is_empty() {
                return Some((start, Element { text, parameters }));
            }
        }
    }
}

/// Parses one element from the start of `rest`: its length up to the comma or the end, and its parameters
/// unless it is broken.
fn element(rest: &[u8]) -> (usize, Option<Parameters<'_>>) {
    match valid_element(rest) {
        Some((len, parameters)) => (len, Some(parameters)),
        None => (memchr::memchr(b',', rest).unwrap_or(rest.len()), None),
    }
}

fn valid_element(rest: &[u8]) -> Option<(usize, Parameters<'_>)> {
    let mut parameters = Parameters::default();
    let mut at = skip_space(rest, 0);
    loop {
        let name = token(rest, at)?;
        at += name.len();
        if rest.get(at) != Some(&b'=') {
            return None;
        }
        let (value, end) = value(rest, at + 1)?;
        at = end;
        let slot = match name.len() {
            3 if name.eq_ignore_ascii_case(b"for") => Some(&mut parameters.r#for),
            2 if name.eq_ignore_ascii_case(b"by") => Some(&mut parameters.by),
            4 if name.eq_ignore_ascii_case(b"host") => Some(&mut parameters.host),
            5 if name.eq_ignore_ascii_case(b"proto") => Some(&mut parameters.proto),
            _ => None,
        };
        if slot.is_some_and(|slot| slot.replace(value).is_some()) {
            return None;
        }
        if rest.get(at) == Some(&b';') {
            at += 1;
            continue;
        }
        let end = skip_space(rest, at);
        return matches!(rest.get(end), None | Some(b',')).then_some((end, parameters));
    }
}

fn skip_space(rest: &[u8], at: usize) -> usize {
    at + rest[at..]
        .iter()
        .take_while(|b| matches!(b, b' ' | b'\t'))
        .count()
}

fn token(rest: &[u8], at: usize) -> Option<&[u8]> {
    let len = rest[at..]
        .iter()
        .take_while(|b| field::is_token_byte(**b))
        .count();
    (len > 0).then(|| &rest[at..at + len])
}

/// A token or a quoted string (RFC 9110 §5.6.4), and where it ends.
fn value(rest: &[u8], at: usize) -> Option<(ParameterValue<'_>, usize)> {
    if rest.get(at) != Some(&b'"') {
        let token = token(rest, at)?;
        return Some((ParameterValue(token), at + token.len()));
    }
    let start = at + 1;
    let mut end = start;
    loop {
        match rest.get(end)? {
            b'"' => return Some((ParameterValue(&rest[start..end]), end + 1)),
            b'\\' if rest.get(end + 1).is_some_and(|b| field::is_value_byte(*b)) => end += 2,
            b'\\' => return None,
            b if field::is_value_byte(*b) => end += 1,
            _ => return None,
        }
    }
}

/// A node's address (RFC 7239 §6): bare IPv4 or IPv6 in brackets, perhaps with a zone; then perhaps a port or
/// an obfuscated port.
fn node_address(node: &[u8]) -> Option<Address> {
    let (literal, port, is_v6) = if let [b'[', rest @ ..] = node {
        let close = rest.iter().position(|b| *b == b']')?;
        (&rest[..close], &rest[close + 1..], true)
    } else {
        let colon = node.iter().position(|b| *b == b':').unwrap_or(node.len());
        (&node[..colon], &node[colon..], false)
    };
    // Brackets and colons belong together, also in an IPv4-mapped address.
    if literal.contains(&b':') != is_v6 {
        return None;
    }
    match port {
        [] => {}
        [b':', port @ ..] if is_node_port(port) => {}
        _ => return None,
    }
    Address::parse(literal)
}

/// One to five digits, or an obfuscated port: `_` and at least one letter, digit, `.`, `_` or `-`.
fn is_node_port(port: &[u8]) -> bool {
    match port {
        [b'_', name @ ..] => {
            let allowed = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            !name.is_empty() && name.iter().all(allowed)
        }
        digits => (1..=5).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Vec<String> {
        addresses(line.as_bytes()).map(|a| a.to_string()).collect()
    }

    fn from_right(lines: &[&str]) -> Vec<(String, Option<String>)> {
        let fields: Vec<_> = lines
            .iter()
            .map(|l| Header {
                name: "Forwarded",
                value: l.as_bytes(),
            })
            .collect();
        super::from_right(&fields)
            .map(|e| {
                let text = String::from_utf8_lossy(e.text()).into_owned();
                (text, e.address().map(|a| a.to_string()))
            })
            .collect()
    }

    #[test]
    fn nodes_are_read_by_the_grammar() {
        for (line, addresses) in [
            ("for=192.0.2.60;proto=http;by=203.0.113.43", &["192.0.2.60"][..]),
            ("For=\"[2001:db8:cafe::17]:4711\"", &["2001:db8:cafe::17"]),
            ("for=\"[::ffff:1.2.3.4]\"", &["1.2.3.4"]),
            ("for=\"[fe80::1%eth0]:1\"", &["fe80::1%eth0"]),
            ("for=\"\\1.2\\.3.4\\:_po\\r\\t\"", &["1.2.3.4"]),
            (
                "for=192.0.2.43, for=198.51.100.17",
                &["192.0.2.43", "198.51.100.17"],
            ),
            ("secret=abc;for=1.2.3.4;ext=\"a,b;c\"", &["1.2.3.4"]),
            (",, for=1.2.3.4 ,\t,", &["1.2.3.4"]),
            ("for=unknown, for=_hidden, for=\"_gazonk\", for=", &[]),
            ("for=2001:db8::1", &[]),
            ("for=[2001:db8::1]", &[]),
            ("for=\"2001:db8::1\"", &[]),
            ("for=\"[1.2.3.4]\"", &[]),
            (
                "for=\"1.2.3.4:\", for=\"1.2.3.4:123456\", for=\"1.2.3.4:_\", for=\"1.2.3.4:a\"",
                &[],
            ),
            ("for=1.2.3.4;", &[]),
            (";for=1.2.3.4", &[]),
            ("for=1.2.3.4;;proto=http", &[]),
            ("for=1.2.3.4; proto=http", &[]),
            ("for=1.2.3.4;for=2.3.4.5", &[]),
            ("for=1.2.3.4;proto=a;Proto=b", &[]),
            ("for = 1.2.3.4", &[]),
            ("for=1.2.3.4 for=2.3.4.5", &[]),
            ("1.2.3.4", &[]),
            ("for=\"1.2.3.4\u{7f}\"", &[]),
            ("for=\"1.2.3.4\\\"", &[]),
        ] {
            assert_eq!(read(line), addresses, "{line}");
        }
    }

    #[test]
    fn a_broken_element_costs_no_other_its_address() {
        assert_eq!(
            read("for=1.2.3.4, for=[::1], for=5.6.7.8"),
            ["1.2.3.4", "5.6.7.8"]
        );
        assert_eq!(read("for=\"1.2.3.4, for=5.6.7.8"), ["5.6.7.8"]);
    }

    #[test]
    fn an_open_quote_does_not_swallow_what_was_written_behind_it() {
        let ours = "for=\"[2001:db8::7]:4711\"".to_owned();
        let address = Some("2001:db8::7".to_owned());
        for made_up in [
            "by=\"",
            "for=9.9.9.9;by=\"",
            "for=9.9.9.9;by=\"\\",
            "\"",
            "for=9.9.9.9;host=\"a\\\"",
        ] {
            let joined = format!("{made_up}, {ours}");
            for lines in [&[joined.as_str()][..], &[made_up, ours.as_str()]] {
                assert_eq!(from_right(lines)[0], (ours.clone(), address.clone()), "{lines:?}");
            }
        }
    }

    #[test]
    fn elements_come_from_the_right_over_all_lines() {
        let many: Vec<String> = (0..40).map(|n| format!("for=10.0.0.{n}")).collect();
        let (first, second) = (many[..25].join(","), many[25..].join(" , "));
        let read: Vec<String> = from_right(&[&first, &second])
            .into_iter()
            .map(|(text, _)| text)
            .collect();
        assert_eq!(read, many.into_iter().rev().collect::<Vec<_>>());
    }

    #[test]
    fn the_other_parameters_are_read_too() {
        let line = "proto=HTTPS;host=\"example.com:8443\";by=_me;for=unknown";
        let (_, e) = Elements::of(line.as_bytes()).next().unwrap();
        assert!(!e.is_broken());
        assert_eq!(e.proto(), Some(&b"HTTPS"[..]));
        assert_eq!(e.host(), Some(&b"example.com:8443"[..]));
        assert_eq!(e.by(), Some(&b"_me"[..]));
    }

    /// Escapes, quotes and commas in any order must not make the reading start over again and again: with
    /// lines of this length it would take hours.
    #[test]
    fn a_hostile_line_is_read_in_linear_time() {
        for unit in [
            "\",",
            "a=\",",
            "a=\",b=\";",
            "\\\",",
            "a=\"\\\",",
            "a=\"\\\\,\"",
            "a=\"x\",b=\";c=\"",
        ] {
            let line = unit.repeat((1 << 20) / unit.len());
            let lines = [Header {
                name: "forwarded",
                value: line.as_bytes(),
            }];
            assert!(super::from_right(&lines).all(|e| e.address().is_none()), "{unit}");
        }
    }
}
