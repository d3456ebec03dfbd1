//! Entity tags and the lists of them (RFC 9110 §8.8.3, §13.1.2).

/// Whether a tag is weak: equal in meaning to another one, and not byte for byte.
pub fn is_weak(tag: &[u8]) -> bool {
    tag.starts_with(b"W/\"")
}

/// Whether a text is a strong entity tag.
pub fn is_strong(tag: &[u8]) -> bool {
    matches!(tag, [b'"', inner @ .., b'"'] if !inner.contains(&b'"'))
}

/// The tags of an `If-None-Match` value. A tag may contain commas.
pub fn tags(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = value;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        while let [b',' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        let prefix = if rest.starts_with(b"W/") { 2 } else { 0 };
        let quoted = rest.get(prefix..).filter(|tag| tag.first() == Some(&b'"'))?;
        let end = quoted[1..].iter().position(|b| *b == b'"')? + prefix + 2;
        let (tag, after) = rest.split_at(end);
        rest = after;
        Some(tag)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_cut_at_the_commas_between_its_tags() {
        let all = |value: &'static str| -> Vec<String> {
            let tags = tags(value.as_bytes());
            tags.map(|tag| String::from_utf8_lossy(tag).into_owned())
                .collect()
        };
        assert_eq!(all("\"a\""), ["\"a\""]);
        assert_eq!(all("W/\"a,b\" ,, \"c\",W/\"\""), ["W/\"a,b\"", "\"c\"", "W/\"\""]);
        assert_eq!(all("*"), [""; 0]);
        assert_eq!(all("\"a\", b, \"c\""), ["\"a\""], "it ends at what is none");
        assert_eq!(all("\"open"), [""; 0]);
    }

    #[test]
    fn weak_and_strong_are_told_apart() {
        assert!(is_strong(b"\"a\"") && !is_strong(b"W/\"a\"") && !is_strong(b"a") && !is_strong(b"\""));
        assert!(is_weak(b"W/\"a\"") && !is_weak(b"w/\"a\"") && !is_weak(b"\"W/\""));
    }
}
