//! What a relay of visitors' events must never send, though Plausible would accept it.

use std::net::IpAddr;

use httparse::Header;

use super::address::is_address_header;

/// The fields that an event needs. Any other field tells Plausible something about the visitor or the
/// connection that it did not ask for, or lets a client choose its address.
const ALLOWED: [&str; 7] = [
    "host",
    "user-agent",
    "content-type",
    "content-length",
    "accept",
    "x-forwarded-for",
    "x-plausible-ip",
];

/// What is wrong with an event's header lines, in words. Nothing is wrong if they are exactly what Plausible
/// asks for: one bare address in `X-Forwarded-For`, `X-Plausible-IP` or both, the user agent, and the
/// framing. The texts name fields and never quote values.
pub fn breaches(fields: &[Header<'_>]) -> Vec<String> {
    let mut found = Vec::new();
    let mut address: Option<IpAddr> = None;

    for (i, field) in fields.iter().enumerate() {
        let name = field.name.to_ascii_lowercase();
        if !ALLOWED.contains(&name.as_str()) {
            found.push(format!("{name} must not be sent"));
            continue;
        }
        if fields[..i].iter().any(|f| f.name.eq_ignore_ascii_case(&name)) {
            found.push(format!("{name} was sent twice"));
        }
        if !is_address_header(&name) {
            continue;
        }
        let bare = std::str::from_utf8(field.value)
            .ok()
            .and_then(|v| v.parse::<IpAddr>().ok());
        match (bare, address) {
            (None, _) => found.push(format!("{name} is not one bare address")),
            (Some(this), Some(other)) if this != other => {
                found.push(format!("{name} differs from the address before it"));
            }
            (Some(this), _) => address = Some(this),
        }
    }

    for name in ["user-agent", "content-type", "content-length"] {
        if !fields.iter().any(|f| f.name.eq_ignore_ascii_case(name)) {
            found.push(format!("{name} is missing"));
        }
    }
    if !fields.iter().any(|f| is_address_header(f.name)) {
        found.push("the visitor's address is missing".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("host", "plausible.example"),
        ("user-agent", "Mozilla/5.0"),
        ("content-type", "application/json"),
        ("content-length", "2"),
        ("x-forwarded-for", "203.0.113.7"),
    ];

    fn with(more: &[(&'static str, &'static str)]) -> Vec<String> {
        let fields: Vec<_> = GOOD
            .iter()
            .chain(more)
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        breaches(&fields)
    }

    #[test]
    fn what_is_asked_for_is_no_breach() {
        assert_eq!(with(&[]), [""; 0]);
        assert_eq!(
            with(&[("X-Plausible-IP", "203.0.113.7"), ("Accept", "*/*")]),
            [""; 0]
        );
    }

    #[test]
    fn each_field_that_must_not_travel_is_named() {
        for name in [
            "CF-Connecting-IP",
            "B-Forwarded-For",
            "Forwarded",
            "X-Plausible-IP-Type",
            "Cookie",
            "Authorization",
            "X-Real-IP",
            "Referer",
            "Accept-Language",
            "Transfer-Encoding",
        ] {
            assert_eq!(
                with(&[(name, "x")]),
                [format!("{} must not be sent", name.to_ascii_lowercase())]
            );
        }
    }

    #[test]
    fn addresses_are_one_and_bare() {
        for value in [
            "203.0.113.7, 10.0.0.1",
            "203.0.113.7:80",
            "[2001:db8::1]",
            "unknown",
            "",
            " 203.0.113.7",
        ] {
            assert_eq!(
                with(&[("x-plausible-ip", value)]),
                ["x-plausible-ip is not one bare address"],
                "{value}"
            );
        }
        assert_eq!(
            with(&[("x-plausible-ip", "203.0.113.8")]),
            ["x-plausible-ip differs from the address before it"]
        );
        assert_eq!(
            with(&[("X-Forwarded-For", "203.0.113.7")]),
            ["x-forwarded-for was sent twice"]
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            breaches(&[]),
            [
                "user-agent is missing",
                "content-type is missing",
                "content-length is missing",
                "the visitor's address is missing"
            ]
        );
    }
}
