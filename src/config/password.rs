//! Keeps passwords of URLs out of what is shown.

/// The text with `***` in place of a URL's password, or of all user information if it has no colon.
pub(super) fn mask_password(text: &str) -> String {
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let (scheme, rest) = text.split_at(start);
    // Password and path may contain @ too. The last one ends the password, and without a colon before the
    // path there is no password.
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if !authority.contains(['@', ':']) {
        return text.to_owned();
    }
    match rest.rsplit_once('@') {
        None => text.to_owned(),
        Some((credentials, address)) => match credentials.split_once(':') {
            Some((user, _)) => format!("{scheme}{user}:***@{address}"),
            None => format!("{scheme}***@{address}"),
        },
    }
}

/// The same for several URLs with commas between them.
pub(super) fn mask_passwords(text: &str) -> String {
    let masked: Vec<String> = text.split(',').map(mask_password).collect();
    masked.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_masked_and_nothing_else() {
        for (text, masked) in [
            ("http://gate:secret@proxy:3128", "http://gate:***@proxy:3128"),
            ("gate:secret@proxy:3128", "gate:***@proxy:3128"),
            ("http://gate:se@cr/et@proxy", "http://gate:***@proxy"),
            ("http://token@proxy", "http://***@proxy"),
            ("https://plausible.io", "https://plausible.io"),
            ("https://plausible.io/@stats", "https://plausible.io/@stats"),
            ("http://[::1]:8000/", "http://[::1]:8000/"),
            ("", ""),
        ] {
            assert_eq!(mask_password(text), masked);
        }
        assert_eq!(
            mask_passwords("nats://a:b@c:1,nats://d:e@f:2,tls://g"),
            "nats://a:***@c:1,nats://d:***@f:2,tls://g"
        );
    }
}
