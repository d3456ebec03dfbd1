//! What a verdict came from, in words for people: the pattern or the sign. The proxy needs none
//! of this, so it is worked out for `explain` alone.

use std::fmt::Display;

use crate::facts::RequestFacts;
use crate::field;

use super::decision::{Decision, Verdict};
use super::rules::{CountMode, PageRules};

/// Patterns of a list that are shown.
const MAX_SHOWN: usize = 8;

/// A sentence that says more of a verdict's reason than [`Verdict::why`]. `path` is the page's.
pub fn details(
    rules: &PageRules,
    request: &RequestFacts<'_>,
    path: &str,
    verdict: &Verdict,
) -> Option<String> {
    match verdict.decision {
        Decision::Excluded if rules.count != CountMode::Never => excluded(rules, request, path),
        Decision::OptedOut => opted_out(request),
        _ => None,
    }
}

/// In the order in which it is decided.
fn excluded(rules: &PageRules, request: &RequestFacts<'_>, path: &str) -> Option<String> {
    if !rules.include.is_empty() && !rules.include.iter().any(|glob| glob.matches(path)) {
        let patterns = quoted(&rules.include);
        return Some(format!(
            "include has no pattern that takes this path: it has {patterns}."
        ));
    }
    if let Some(glob) = rules.exclude.iter().find(|glob| glob.matches(path)) {
        return Some(format!("exclude has \"{glob}\"."));
    }
    let sign = rules
        .exclude_when
        .iter()
        .find(|sign| sign.is_in(request.fields))?;
    Some(format!("exclude_when has \"{sign}\"."))
}

fn opted_out(request: &RequestFacts<'_>) -> Option<String> {
    let said = ["Sec-GPC", "DNT"].into_iter().find(|name| {
        let lower = name.to_ascii_lowercase();
        field::lines(request.fields, &lower).any(|value| field::trim(value) == b"1")
    });
    said.map(|name| format!("It says {name}: 1."))
}

/// `"/a/**", "/b"`, the first of them.
fn quoted(list: &[impl Display]) -> String {
    let shown: Vec<String> = list
        .iter()
        .take(MAX_SHOWN)
        .map(|item| format!("\"{item}\""))
        .collect();
    let more = if list.len() > MAX_SHOWN { ", …" } else { "" };
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use httparse::Header;

    use super::*;
    use crate::page::{RequestVerdict, judge_request};

    fn told(rules: &PageRules, path: &str, more: &[(&str, &str)]) -> Option<String> {
        let browser = (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        );
        let fields: Vec<Header<'_>> = [("Accept", "text/html"), ("Upgrade-Insecure-Requests", "1")]
            .into_iter()
            .chain([browser])
            .chain(more.iter().copied())
            .map(|(name, value)| Header {
                name,
                value: value.as_bytes(),
            })
            .collect();
        let request = RequestFacts::read("GET", path, &fields);
        let client = Some(Ipv4Addr::new(203, 0, 113, 7).into());
        match judge_request(rules, &request, true, client) {
            RequestVerdict::Settled(verdict) => details(rules, &request, path, &verdict),
            RequestVerdict::Open(_) | RequestVerdict::Soft(_) => None,
        }
    }

    #[test]
    fn the_pattern_and_the_sign_are_named() {
        let rules = PageRules {
            include: vec!["/shop/**".parse().unwrap(), "/".parse().unwrap()],
            exclude: vec!["/shop/*.json".parse().unwrap(), "/shop/cart/**".parse().unwrap()],
            exclude_when: vec!["cookie:staff".parse().unwrap(), "header:X-Test".parse().unwrap()],
            respect_gpc: true,
            ..PageRules::default()
        };
        let say = |path, more: &[(&'static str, &'static str)]| told(&rules, path, more);
        assert_eq!(say("/shop/a", &[]), None);
        assert_eq!(
            say("/blog", &[]).unwrap(),
            "include has no pattern that takes this path: it has \"/shop/**\", \"/\"."
        );
        assert_eq!(
            say("/shop/cart/1", &[]).unwrap(),
            "exclude has \"/shop/cart/**\"."
        );
        assert_eq!(
            say("/", &[("x-test", "")]).unwrap(),
            "exclude_when has \"header:x-test\"."
        );
        assert_eq!(
            say("/", &[("cookie", "staff=1")]).unwrap(),
            "exclude_when has \"cookie:staff\"."
        );
        assert_eq!(say("/", &[("dnt", "1")]).unwrap(), "It says DNT: 1.");
    }

    #[test]
    fn a_count_that_is_off_names_no_pattern() {
        let rules = PageRules {
            count: CountMode::Never,
            exclude: vec!["/**".parse().unwrap()],
            ..PageRules::default()
        };
        assert_eq!(told(&rules, "/a", &[]), None);
    }
}
