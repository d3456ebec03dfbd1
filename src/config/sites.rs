//! `[[sites]]`, or the domains that stand for every host.

use std::fmt;

use crate::event::{HostPattern, Site, Sites};

use super::{
    file::RawSite,
    keys::ValueKind,
    mistake::{Mistake, Origin},
    parse::{self, ParseResult},
    reader::{KeyReader, each},
    value::{self, Located, RawValue, TypedValue},
};

/// One site as `check` shows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ResolvedSite {
    pub(super) hosts: Vec<String>,
    pub(super) domains: Vec<String>,
    pub(super) origin: Origin,
}

impl ResolvedSite {
    /// Its hosts and domains, without where they came from.
    pub(super) fn named(&self) -> (&[String], &[String]) {
        (&self.hosts, &self.domains)
    }
}

/// `hosts as domains`, for the log.
impl fmt::Display for ResolvedSite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let domains = self.domains.join(", ");
        if self.hosts.iter().any(|host| host == EVERY_HOST) {
            write!(f, "every host as {domains}")
        } else {
            write!(f, "{} as {domains}", self.hosts.join(", "))
        }
    }
}

/// The host pattern that matches every host.
const EVERY_HOST: &str = "*";

/// The sites. `--domain` replaces the file's, which are checked nevertheless.
pub(super) fn resolve(r: &mut KeyReader<'_>, required: bool) -> (Sites, Vec<ResolvedSite>) {
    let mut sites = Vec::new();
    let mut shown = Vec::new();
    let tables = std::mem::take(&mut r.raw.sites);
    let is_set = !tables.is_empty() || r.raw.domain.is_some();
    for table in tables {
        let hosts = list(
            r,
            "sites.hosts",
            table.hosts.as_ref(),
            &table,
            ValueKind::List,
            |text| {
                let pattern = text.parse::<HostPattern>().map_err(|e| e.to_string())?;
                Ok((pattern, text.to_owned()))
            },
        );
        let domains = list(
            r,
            "sites.domain",
            table.domain.as_ref(),
            &table,
            ValueKind::TextOrList,
            parse::domain,
        );
        let (patterns, hosts): (Vec<HostPattern>, Vec<String>) = hosts.into_iter().unzip();
        if let Some(problem) = hidden(&patterns, &sites, &shown) {
            let quoted = value::list(hosts.iter().map(String::as_str));
            r.mistakes
                .push(Mistake::value(&table.origin, "sites.hosts", quoted, problem));
        } else {
            for (pattern, host) in patterns.iter().zip(&hosts) {
                if let Some(taker) = taker(pattern, &sites) {
                    let problem = format!(
                        "this site gets no request for it: the first match counts, and the one before it ({}) has it",
                        shown[taker].origin
                    );
                    let quoted = value::quote(host);
                    r.warnings
                        .push(Mistake::value(&table.origin, "sites.hosts", quoted, problem));
                }
            }
        }
        shown.push(ResolvedSite {
            hosts,
            domains: domains.clone(),
            origin: table.origin,
        });
        sites.push(Site {
            hosts: patterns,
            domains,
        });
    }
    if let Some(located) = r.raw.domain.take() {
        if let Some(unused) = shown.first() {
            let problem = format!(
                "stands for every host, so [[sites]] ({}) is not used",
                unused.origin
            );
            let quoted = located.value.quoted();
            r.warnings
                .push(Mistake::value(&located.origin, "sites.domain", quoted, problem));
        }
        let domains = domains(r, &located);
        let shown = ResolvedSite {
            hosts: vec![EVERY_HOST.to_owned()],
            domains: domains.clone(),
            origin: located.origin,
        };
        return (Sites::every(&domains), vec![shown]);
    }
    if !is_set && required && !r.raw.broken {
        let problem = "missing: say which site at Plausible this is, by --domain example.com or GATECOUNT_DOMAIN (for \
                       every host), or [[sites]] with hosts and domain";
        r.mistakes.push(Mistake::key(&Origin::Default, "sites", problem));
    }
    (Sites::new(sites), shown)
}

/// The problem of a site that no request reaches, because sites before it have all of its hosts.
fn hidden(hosts: &[HostPattern], before: &[Site], shown: &[ResolvedSite]) -> Option<String> {
    let takers: Vec<usize> = hosts
        .iter()
        .map(|host| taker(host, before))
        .collect::<Option<_>>()?;
    let taker = &shown[*takers.first()?];
    Some(format!(
        "this site is never reached: the first match counts, and the one before it ({}) has its hosts; put this one first",
        taker.origin
    ))
}

/// The first of the sites that has every host of this pattern.
fn taker(host: &HostPattern, sites: &[Site]) -> Option<usize> {
    sites
        .iter()
        .position(|site| site.hosts.iter().any(|earlier| earlier.covers(host)))
}

/// A list of one site, with at least one item.
fn list<T>(
    r: &mut KeyReader<'_>,
    key: &'static str,
    raw: Option<&Located<RawValue>>,
    table: &RawSite,
    kind: ValueKind,
    parse: impl Fn(&str) -> ParseResult<T>,
) -> Vec<T> {
    let Some(located) = raw else {
        let example = if key == "sites.hosts" {
            "hosts = [\"example.com\"]"
        } else {
            "domain = \"example.com\""
        };
        r.mistakes.push(Mistake::key(
            &table.origin,
            key,
            format!("missing: each site has {example}"),
        ));
        return Vec::new();
    };
    let outcome = match located.typed(kind) {
        Ok(TypedValue::List(items)) if items.is_empty() => Err(vec![Mistake::value(
            &located.origin,
            key,
            "[]",
            "at least one is wanted",
        )]),
        Ok(TypedValue::List(items)) => each(key, &items, |item, _| parse(item)),
        Ok(_) => Err(Vec::new()),
        Err((part, wanted)) => Err(vec![Mistake::value(&part.origin, key, part.value, wanted)]),
    };
    outcome.unwrap_or_else(|found| {
        r.mistakes.extend(found);
        Vec::new()
    })
}

/// The domains of `--domain` or its variable.
fn domains(r: &mut KeyReader<'_>, located: &Located<RawValue>) -> Vec<String> {
    let outcome = match located.typed(ValueKind::List) {
        Ok(TypedValue::List(items)) if items.is_empty() => {
            let problem = "a site's name at Plausible is wanted, such as \"example.com\"";
            Err(vec![Mistake::value(
                &located.origin,
                "sites.domain",
                located.value.quoted(),
                problem,
            )])
        }
        Ok(TypedValue::List(items)) => each("sites.domain", &items, |item, _| parse::domain(item)),
        _ => Err(Vec::new()),
    };
    outcome.unwrap_or_else(|found| {
        r.mistakes.extend(found);
        Vec::new()
    })
}
