//! The forwarding headers by name, in any spelling.

pub(super) const FOR: &str = "x-forwarded-for";
pub(super) const REAL_IP: &str = "x-real-ip";
pub(super) const PROTO: &str = "x-forwarded-proto";
pub(super) const HOST: &str = "x-forwarded-host";
pub(super) const PORT: &str = "x-forwarded-port";
pub(super) const FORWARDED: &str = "forwarded";

/// Whether [`forward`](super::forward) speaks for a field, in any spelling of its name.
#[inline]
pub(super) fn is_spoken_for(name: &str) -> bool {
    match name.len() {
        9 => folds_to(name, FORWARDED) || folds_to(name, REAL_IP),
        15 => folds_to(name, FOR),
        16 => folds_to(name, HOST) || folds_to(name, PORT),
        17 => folds_to(name, PROTO),
        _ => false,
    }
}

/// Whether a field's name is `lower` for an app behind CGI or WSGI: these fold case and make `-` and `_` one, so that
/// `X_Forwarded_For` arrives there as `X-Forwarded-For` does (RFC 3875 §4.1.18).
pub(super) fn folds_to(name: &str, lower: &str) -> bool {
    name.len() == lower.len() && begins_with(name, lower)
}

/// As [`folds_to`], for the name's first letters.
pub(super) fn begins_with(name: &str, lower: &str) -> bool {
    let fold = |b: u8| if b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    name.len() >= lower.len() && name.bytes().zip(lower.bytes()).all(|(n, l)| fold(n) == fold(l))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_underscores_make_no_other_name() {
        for name in ["x-forwarded-for", "X_Forwarded_For", "X-FORWARDED_FOR"] {
            assert!(folds_to(name, FOR), "{name}");
        }
        for name in ["x-forwarded-fo", "x-forwarded-for2", "xxforwarded-for", ""] {
            assert!(!folds_to(name, FOR), "{name}");
        }
        assert!(begins_with("X_FORWARDED_Ssl", "x-forwarded-"));
    }
}
