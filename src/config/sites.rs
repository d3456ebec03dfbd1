//! `[[sites]]`, or the domains that stand for every host.

use crate::event::{HostPattern, Site, Sites};

use super::{
    file,
    keys::Kind,
    mistake::{Mistake, Origin},
    parse::{self, Parsed},
    reader::{Reader, each},
    value::{Settled, Spot, Value},
};

/// One site as `check` shows it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShownSite {
    pub(super) hosts: Vec<String>,
    pub(super) domains: Vec<String>,
    pub(super) origin: Origin,
}

/// The host pattern that every host matches.
const EVERY: &str = "*";

/// The sites; `--domain` takes the place of the file's, which are judged nevertheless.
pub(super) fn resolve(r: &mut Reader<'_>, wanted: bool) -> (Sites, Vec<ShownSite>) {
    let mut sites = Vec::new();
    let mut shown = Vec::new();
    let tables = std::mem::take(&mut r.given.sites);
    let said = !tables.is_empty() || r.given.domain.is_some();
    for table in tables {
        let hosts = list(
            r,
            "sites.hosts",
            table.hosts.as_ref(),
            &table,
            Kind::List,
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
            Kind::TextOrList,
            parse::domain,
        );
        let (patterns, hosts) = hosts.into_iter().unzip();
        shown.push(ShownSite {
            hosts,
            domains: domains.clone(),
            origin: table.origin,
        });
        sites.push(Site {
            hosts: patterns,
            domains,
        });
    }
    if let Some(spot) = r.given.domain.take() {
        let domains = domains(r, &spot);
        let shown = ShownSite {
            hosts: vec![EVERY.to_owned()],
            domains: domains.clone(),
            origin: spot.origin,
        };
        return (Sites::every(&domains), vec![shown]);
    }
    if !said && wanted && !r.given.broken {
        let problem = "missing: say which site at Plausible this is, by --domain example.com or GATECOUNT_DOMAIN (for \
                       every host), or [[sites]] with hosts and domain";
        r.mistakes.push(Mistake::key(&Origin::Default, "sites", problem));
    }
    (Sites::new(sites), shown)
}

/// A list of one site's, with at least one item.
fn list<T>(
    r: &mut Reader<'_>,
    key: &'static str,
    given: Option<&Spot<Value>>,
    table: &file::Site,
    kind: Kind,
    parse: impl Fn(&str) -> Parsed<T>,
) -> Vec<T> {
    let Some(spot) = given else {
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
    let outcome = match spot.settle(kind) {
        Ok(Settled::List(items)) if items.is_empty() => Err(vec![Mistake::value(
            &spot.origin,
            key,
            "[]",
            "at least one is wanted",
        )]),
        Ok(Settled::List(items)) => each(key, &items, |item, _| parse(item)),
        Ok(_) => Err(Vec::new()),
        Err((part, wanted)) => Err(vec![Mistake::value(&part.origin, key, part.what, wanted)]),
    };
    outcome.unwrap_or_else(|found| {
        r.mistakes.extend(found);
        Vec::new()
    })
}

/// The domains of `--domain` or its variable.
fn domains(r: &mut Reader<'_>, spot: &Spot<Value>) -> Vec<String> {
    let outcome = match spot.settle(Kind::List) {
        Ok(Settled::List(items)) if items.is_empty() => {
            let problem = "a site's name at Plausible is wanted, such as \"example.com\"";
            Err(vec![Mistake::value(
                &spot.origin,
                "sites.domain",
                spot.what.quoted(),
                problem,
            )])
        }
        Ok(Settled::List(items)) => each("sites.domain", &items, |item, _| parse::domain(item)),
        _ => Err(Vec::new()),
    };
    outcome.unwrap_or_else(|found| {
        r.mistakes.extend(found);
        Vec::new()
    })
}
