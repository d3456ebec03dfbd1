//! The names that a custom event may have.

use crate::plausible::limits::MAX_NAME_CHARS;

/// Whether a custom event may have this name.
///
/// # Errors
/// The reason why not, as the end of a sentence.
pub fn check_name(name: &str) -> Result<(), &'static str> {
    if name.trim().is_empty() {
        return Err("its name is missing or blank");
    }
    if name.chars().count() > MAX_NAME_CHARS {
        return Err("its name has more than 120 characters");
    }
    match name {
        "pageview" => Err("\"pageview\" is a page view's name; the app declares one by Gatecount-Page"),
        "engagement" => Err("\"engagement\" is the tracker script's own event"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_not_blank_not_long_and_not_plausibles_own() {
        for (name, fine) in [
            ("Signup", true),
            ("ü".repeat(120).as_str(), true),
            ("ü".repeat(121).as_str(), false),
            (" ", false),
            ("pageview", false),
            ("engagement", false),
        ] {
            assert_eq!(check_name(name).is_ok(), fine, "{name}");
        }
    }
}
