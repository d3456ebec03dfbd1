//! What browsers are told that send events from a page of another host (the Fetch standard, §3.2).

use httparse::Header;

use super::answer::DedicatedAnswer;
use crate::{event::Sites, field};

/// The origin that may send events: that of a page on one of the sites' hosts.
#[derive(Debug, Clone)]
pub(super) struct Cors(Option<String>);

impl Cors {
    /// By the request's `Origin`.
    pub(super) fn read(fields: &[Header<'_>], sites: &Sites) -> Self {
        let origin = field::first(fields, "origin").and_then(|value| std::str::from_utf8(value).ok());
        let known = origin.filter(|origin| {
            let host = origin.split_once("://").map(|(_, host)| host);
            host.is_some_and(|host| !host.is_empty() && sites.find(Some(host)).is_some())
        });
        Cors(known.map(str::to_owned))
    }

    /// Lets the page read the answer. A beacon sends cookies along and needs to be told that it may; nothing
    /// here depends on them.
    pub(super) fn allow(&self, answer: DedicatedAnswer) -> DedicatedAnswer {
        let answer = answer.with("Vary", "Origin");
        match &self.0 {
            Some(origin) => answer
                .with("Access-Control-Allow-Origin", origin.clone())
                .with("Access-Control-Allow-Credentials", "true"),
            None => answer,
        }
    }

    /// Answers a preflight.
    pub(super) fn preflight(&self) -> DedicatedAnswer {
        let answer = self.allow(DedicatedAnswer::new(204, ""));
        match &self.0 {
            Some(_) => answer
                .with("Access-Control-Allow-Methods", "POST")
                .with("Access-Control-Allow-Headers", "Content-Type")
                .with("Access-Control-Max-Age", "86400"),
            None => answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Site;

    #[test]
    fn pages_of_the_sites_hosts_may_send_and_others_are_told_nothing() {
        let sites = Sites::new(vec![Site {
            hosts: vec!["*.example.com".parse().unwrap()],
            domains: vec!["example.com".into()],
        }]);
        for (origin, allowed) in [
            (Some("https://shop.example.com"), true),
            (Some("http://shop.example.com:8080"), true),
            (Some("https://example.org"), false),
            (Some("null"), false),
            (Some("https://"), false),
            (None, false),
        ] {
            let fields: Vec<_> = origin
                .map(|origin| Header {
                    name: "Origin",
                    value: origin.as_bytes(),
                })
                .into_iter()
                .collect();
            let answer = Cors::read(&fields, &sites).preflight();
            let found = answer
                .fields
                .iter()
                .find(|(name, _)| *name == "Access-Control-Allow-Origin");
            assert_eq!(
                found.map(|(_, value)| value.as_ref()),
                origin.filter(|_| allowed),
                "{origin:?}"
            );
        }
    }
}
