//! `[client]`, resolved.

use std::str::FromStr;

use crate::field;

use super::{names, trust::Trust};

/// Which proxies are trusted, which header gives the client's address, and what the app gets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The proxies whose forwarding headers are read.
    pub trust: Trust,
    /// The header that gives the client's address.
    pub header: AddressSource,
    /// How many of the nearest hops are our proxies. If above 0, it replaces `trust`.
    pub trusted_hops: usize,
    /// What happens to forwarding headers on the way to the app.
    pub to_app: ToApp,
}

impl Settings {
    /// Whether every visitor is believed about its address.
    pub fn believes_everybody(&self) -> bool {
        self.header != AddressSource::None && self.trusted_hops == 0 && self.trust.is_everybody()
    }

    /// Who could choose the address that is counted for it, as a sentence for operators.
    pub fn who_could_choose(&self) -> String {
        let header = self.header.name();
        if self.header == AddressSource::None {
            return "nobody can choose its address: it is the peer's, which behind a proxy is the proxy's"
                .to_owned();
        }
        if self.trusted_hops > 0 {
            let hops = self.trusted_hops;
            return format!(
                "whoever reaches gatecount by fewer than {hops} of your proxies could choose its address by {header}"
            );
        }
        let ranges: Vec<&str> = self.trust.ranges().collect();
        if ranges.is_empty() {
            return format!("nobody can choose its address: {header} is believed from nobody");
        }
        let ranges = ranges.join(", ");
        if self.trust.is_everybody() {
            return format!("every visitor can choose its address by {header}, for {ranges} is everybody");
        }
        match self.header {
            AddressSource::Single(_) => format!(
                "whoever connects from {ranges} could choose its address by {header}, unless a proxy of yours replaces it"
            ),
            _ => format!("a visitor inside {ranges} could choose its address by {header}"),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            trust: Trust::default(),
            header: AddressSource::XForwardedFor,
            trusted_hops: 0,
            to_app: ToApp::Rewrite,
        }
    }
}

/// Which header gives the client's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressSource {
    /// `X-Forwarded-For`, one entry per hop.
    XForwardedFor,
    /// `Forwarded` (RFC 7239), one element per hop.
    Forwarded,
    /// A header with one address, such as `cf-connecting-ip`; its name in lower case.
    Single(String),
    /// No header is read: the peer is the client.
    None,
}

impl AddressSource {
    /// The header's name in lower case; `none` where no header is read.
    pub fn name(&self) -> &str {
        match self {
            AddressSource::XForwardedFor => names::FOR,
            AddressSource::Forwarded => names::FORWARDED,
            AddressSource::Single(name) => name,
            AddressSource::None => "none",
        }
    }
}

impl FromStr for AddressSource {
    type Err = NotASetting;

    fn from_str(text: &str) -> Result<Self, NotASetting> {
        let name = text.to_ascii_lowercase();
        // These headers exist and hold something else than the client's address.
        let taken = [
            names::PROTO,
            names::HOST,
            names::PORT,
            "host",
            "connection",
            "cookie",
            "authorization",
        ];
        match name.as_str() {
            names::FOR => Ok(AddressSource::XForwardedFor),
            names::FORWARDED => Ok(AddressSource::Forwarded),
            "none" => Ok(AddressSource::None),
            other if field::is_token(other.as_bytes()) && !taken.contains(&other) => {
                Ok(AddressSource::Single(name))
            }
            _ => Err(NotASetting(
                "\"x-forwarded-for\", \"forwarded\", \"none\" or the name of a header with one address such as \
                 \"cf-connecting-ip\"",
            )),
        }
    }
}

/// What happens to forwarding headers on the way to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToApp {
    /// They are written anew from what trust established; nothing that a client invented passes.
    Rewrite,
    /// The peer is appended to what the client sent.
    Append,
    /// They pass unchanged.
    Keep,
}

impl FromStr for ToApp {
    type Err = NotASetting;

    fn from_str(text: &str) -> Result<Self, NotASetting> {
        match text {
            "rewrite" => Ok(ToApp::Rewrite),
            "append" => Ok(ToApp::Append),
            "keep" => Ok(ToApp::Keep),
            _ => Err(NotASetting("\"rewrite\", \"append\" or \"keep\"")),
        }
    }
}

/// The text is not a value of this setting; the error lists what is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct NotASetting(&'static str);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_could_choose_its_address_is_said_for_each_kind_of_trust() {
        let said = |ranges: &[&str], hops, header: &str| {
            Settings {
                trust: Trust::parse(ranges).unwrap(),
                trusted_hops: hops,
                header: header.parse().unwrap(),
                ..Settings::default()
            }
            .who_could_choose()
        };
        for (ranges, hops, header, start) in [
            (
                &["private"][..],
                0,
                "forwarded",
                "a visitor inside private could choose its address by forwarded",
            ),
            (
                &["private"],
                2,
                "x-forwarded-for",
                "whoever reaches gatecount by fewer than 2 ",
            ),
            (
                &["10.0.0.0/8"],
                0,
                "x-real-ip",
                "whoever connects from 10.0.0.0/8 could choose",
            ),
            (
                &["0.0.0.0/0"],
                0,
                "x-forwarded-for",
                "every visitor can choose its address by x-forwarded-for, ",
            ),
            (
                &["0.0.0.0/1", "128.0.0.0/1"],
                0,
                "x-forwarded-for",
                "every visitor can choose its address ",
            ),
            (
                &["::/0"],
                0,
                "x-real-ip",
                "every visitor can choose its address by x-real-ip",
            ),
            (
                &[],
                0,
                "x-forwarded-for",
                "nobody can choose its address: x-forwarded-for is believed from nobody",
            ),
            (
                &["private"],
                0,
                "none",
                "nobody can choose its address: it is the peer's",
            ),
        ] {
            let sentence = said(ranges, hops, header);
            assert!(sentence.starts_with(start), "{sentence}");
        }
    }

    #[test]
    fn a_header_setting_is_a_name_that_can_hold_an_address() {
        let single = AddressSource::Single("cf-connecting-ip".into());
        for (text, source) in [
            ("X-Forwarded-For", AddressSource::XForwardedFor),
            ("forwarded", AddressSource::Forwarded),
            ("none", AddressSource::None),
            ("CF-Connecting-IP", single),
        ] {
            assert_eq!(text.parse(), Ok(source), "{text}");
        }
        for text in ["", "x real ip", "host", "X-Forwarded-Host", "x-real-ip:"] {
            let error = text.parse::<AddressSource>().unwrap_err();
            assert!(error.to_string().contains("cf-connecting-ip"), "{text}");
        }
        assert_eq!("append".parse(), Ok(ToApp::Append));
        assert!("Rewrites".parse::<ToApp>().is_err());
    }
}
