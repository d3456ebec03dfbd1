//! What a tracker's event becomes on its way to Plausible: nothing else than it was, with two exceptions.
//!
//! - Released editions of Plausible ignore `"i":false`, so the long key is added behind it.
//! - Of a body that is larger than the queue stores, what Plausible ignores is left out.

use std::{borrow::Cow, ops::Range};

use crate::plausible::{MAX_BODY, Members};

const NOT_INTERACTIVE: &[u8] = b",\"interactive\":false";

/// The body for Plausible of an event's body, whose members these are. `None` if it is too large.
pub(super) fn body<'b>(sent: &'b [u8], members: &Members<'b>) -> Option<Cow<'b, [u8]>> {
    let short = members.get("i").filter(|value| value.get() == "false");
    let short = short.filter(|_| members.get("interactive").is_none());
    if sent.len() > MAX_BODY {
        let compact = compact(members, short.is_some());
        return (compact.len() <= MAX_BODY).then_some(Cow::Owned(compact));
    }
    let Some(short) = short else {
        return Some(Cow::Borrowed(sent));
    };
    let end = place(sent, short.get()).end;
    Some(Cow::Owned([&sent[..end], NOT_INTERACTIVE, &sent[end..]].concat()))
}

/// Where a part of the body is in it.
fn place(body: &[u8], part: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - body.as_ptr().addr();
    start..start + part.len()
}

/// The members alone, in their order.
fn compact(members: &Members<'_>, not_interactive: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (key, value) in members.iter() {
        out.extend_from_slice(if out.is_empty() { b"{\"" } else { b",\"" });
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        out.extend_from_slice(value.get().as_bytes());
    }
    if not_interactive {
        out.extend_from_slice(NOT_INTERACTIVE);
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relayed(sent: &str) -> Option<String> {
        let members = Members::read(sent.as_bytes()).unwrap();
        let body = body(sent.as_bytes(), &members)?;
        Some(String::from_utf8(body.into_owned()).unwrap())
    }

    #[test]
    fn a_body_goes_on_byte_for_byte() {
        for sent in [
            r#"{"n":"a","later":{"x":[1, 2 ]},"u":"https://e.example/\u00e4"}"#,
            r#" {"i" : true, "n":"a"} "#,
            r#"{"i":false,"interactive":true}"#,
            r#"{"i":"false"}"#,
            r#"{"p":{"i":false}}"#,
            r#"{"i":false,"i":true}"#,
        ] {
            assert_eq!(relayed(sent).as_deref(), Some(sent));
        }
    }

    #[test]
    fn the_long_key_is_added_behind_the_short_one() {
        for (sent, body) in [
            (
                r#"{"n":"a", "i" : false , "u":"b"}"#,
                r#"{"n":"a", "i" : false,"interactive":false , "u":"b"}"#,
            ),
            (
                r#"{"p":{"interactive":1},"i":false}"#,
                r#"{"p":{"interactive":1},"i":false,"interactive":false}"#,
            ),
            (
                r#"{"i":true,"\u0069":false}"#,
                r#"{"i":true,"\u0069":false,"interactive":false}"#,
            ),
        ] {
            assert_eq!(relayed(sent).as_deref(), Some(body));
        }
    }

    #[test]
    fn of_a_huge_body_goes_on_what_plausible_reads() {
        let huge = "x".repeat(2_000_000);
        let sent = format!(r#"{{"later":"{huge}", "n" : "a","i":false, "p":{{"a": 1}} }}"#);
        assert_eq!(
            relayed(&sent).as_deref(),
            Some(r#"{"n":"a","i":false,"p":{"a": 1},"interactive":false}"#)
        );
        assert_eq!(relayed(&format!(r#"{{"r":"{huge}"}}"#)), None);
    }
}
