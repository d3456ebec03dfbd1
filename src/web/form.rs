//! The fields of a form, as a query has them.

/// A field's value, decoded; empty if it is absent.
pub(crate) fn value(query: &str, name: &str) -> String {
    let raw = query
        .split('&')
        .find_map(|pair| pair.split_once('=').filter(|(n, _)| *n == name))
        .map_or("", |(_, value)| value);
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = if first == b'%' { hex(tail) } else { None };
        bytes.push(escaped.unwrap_or(if first == b'+' { b' ' } else { first }));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The byte that the first two hexadecimal digits stand for.
fn hex(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| char::from(*text.get(at)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_decoded_and_an_absent_one_is_empty() {
        let query = "show=all&host=b%C3%BCcher+%26co%zz&empty=";
        assert_eq!(value(query, "show"), "all");
        assert_eq!(value(query, "host"), "bücher &co%zz");
        assert_eq!(
            (value(query, "empty"), value(query, "how")),
            (String::new(), String::new())
        );
    }
}
