//! The configuration: from a TOML file, the environment and flags to each service's settings. Only this
//! module knows the file format.
//!
//! Flags beat the environment, the environment beats the file, the file beats the defaults of [`keys`]. A key
//! `table.name` is `name` in `[table]`, and `GATECOUNT_TABLE_NAME` in the environment, where a list is
//! comma-separated. `[[events]]` has no variable, and neither has `[[sites]]`: `GATECOUNT_DOMAIN`, like
//! `--domain`, replaces it for every host. `[[listen.tls.more]]` has none either.
//!
//! A relative path in the file is relative to the file. Elsewhere it is relative to the working directory.
//!
//! Resolving never stops at the first mistake: [`Mistakes`] holds all of them. Each source's value is
//! checked, even if another source beats it. A key that this version does not know is a mistake and never
//! ignored.
//!
//! The way of a value: [`sources`] → [`gather`] (raw values by key, from [`file`] and others) → [`reader`]
//! (typed by [`keys`], parsed by [`parse`]) → [`resolve`] (settings, table by table) → [`conflicts`].
//!
//! From the table of [`keys`] are made: the file with every key ([`example`]), the JSON schema for editors
//! ([`schema`]) and the manual's part about the configuration ([`reference`]).

mod conflicts;
mod events;
mod example;
mod file;
mod forward_proxy;
mod gather;
mod hints;
mod inject;
mod key;
mod keys;
mod log;
mod mistake;
mod observe;
mod pages;
mod parse;
mod password;
mod pem;
mod queue;
mod reader;
mod reference;
mod resolve;
mod schema;
mod show;
mod sites;
mod sources;
mod stream;
mod tls;
mod tracker;
mod trust;
mod value;
mod watch;

#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use crate::{
    admin, client, delivery, event, observe as observing, page,
    proxy::{self, Upstream},
    telemetry,
};

pub use self::{
    example::every_key,
    mistake::{Mistake, Mistakes, Origin},
    reference::{DescribedKey, DescribedTable, described},
    schema::schema,
    sources::{Flags, Sources},
    watch::FileWatcher,
};

use self::{
    events::ResolvedEvent,
    reader::{KeyReader, ResolvedKey},
    resolve::{Required, ResolvedParts, resolve},
    sites::ResolvedSite,
    tls::ResolvedPair,
};

/// The tables that a reload can apply, besides `[[sites]]` and `[[events]]`. A change of any other key waits
/// for a restart.
const RELOADABLE: [&str; 3] = ["listen.tls", "client", "pages"];

/// A whole configuration, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[listen]` and `[app]`; none without an app, where requests are only seen from aside.
    pub proxy: Option<proxy::Settings>,
    /// How long a stop waits for requests in flight.
    pub drain: Duration,
    /// `[admin]`
    pub admin: admin::Settings,
    /// `[log]`
    pub log: telemetry::Settings,
    /// `[client]`
    pub client: client::Settings,
    /// `[pages]`, without the event's part.
    pub page: page::PageRules,
    /// `[[sites]]` and the query parameters that an event's url keeps.
    pub event: event::EventRules,
    /// `[[events]]`
    pub custom: Vec<event::custom::CustomRule>,
    /// `[plausible]`
    pub delivery: delivery::Settings,
    /// `[queue]`
    pub queue: crate::queue::Settings,
    /// `[observe]`
    pub observe: observing::Settings,
    /// Whether this is a gateway's, which delivers from the stream and does nothing else.
    pub is_gateway: bool,
    /// `[stream]`; none where no server is named.
    pub stream: Option<crate::stream::Settings>,
    /// `[tracker]`
    pub tracker: crate::tracker::Settings,
    /// The files that this configuration consists of, absolute if the working directory is known: the
    /// configuration file and the files that it names. A change of one of them is a reason to load again.
    pub files: Vec<PathBuf>,
    /// What is no mistake, and probably not meant.
    pub warnings: Vec<Mistake>,
    keys: Vec<ResolvedKey>,
    sites: Vec<ResolvedSite>,
    events: Vec<ResolvedEvent>,
    pairs: Vec<ResolvedPair>,
}

/// What is needed to decide about one request.
#[derive(Debug, Clone)]
pub struct DecisionRules {
    /// `[client]`
    pub client: client::Settings,
    /// `[pages]`, without the event's part.
    pub page: page::PageRules,
    /// `[[sites]]` and the query parameters that an event's url keeps.
    pub event: event::EventRules,
    /// `[[events]]`
    pub custom: Vec<event::custom::CustomRule>,
    /// The headers that tell Plausible the visitor's address.
    pub address_headers: Vec<delivery::AddressHeader>,
    /// What is put into pages; `None`: nothing.
    pub inject: Option<crate::tracker::inject::InjectSettings>,
    /// `[tracker]`
    pub tracker: crate::tracker::Settings,
    /// Whether there is any site.
    pub any_site: bool,
    /// Whether nobody set `[pages] exclude`, which has a default that some app may not expect.
    pub excludes_by_default: bool,
    /// `[observe]`
    pub observe: observing::Settings,
    /// The stream that events go through, by its name; `None`: they go to Plausible directly.
    pub stream: Option<String>,
}

/// Resolves the sources, at a start and for a reload.
///
/// # Errors
/// Every mistake at once.
pub fn load(sources: &Sources) -> Result<Config, Mistakes> {
    load_with(sources, Required::AppAndSite)
}

/// Resolves what a gateway needs: `[stream]`, `[plausible]`, `[admin]` and `[log]`. The rest may be there, for
/// one file may serve sidecars and gateways, and does nothing.
///
/// # Errors
/// As [`load`].
pub fn load_gateway(sources: &Sources) -> Result<Config, Mistakes> {
    let config = load_with(sources, Required::Stream)?;
    Ok(Config {
        proxy: None,
        observe: observing::Settings {
            mirror: None,
            log: None,
            ..config.observe
        },
        tracker: crate::tracker::Settings::default(),
        queue: crate::queue::Settings {
            at: crate::queue::At::Memory,
            ..config.queue
        },
        is_gateway: true,
        ..config
    })
}

fn load_with(sources: &Sources, required: Required) -> Result<Config, Mistakes> {
    let ResolvedParts {
        proxy,
        drain,
        admin,
        log,
        client,
        page,
        event,
        custom,
        delivery,
        queue,
        observe,
        stream,
        inject,
        tracker,
        files,
        keys,
        sites,
        events,
        pairs,
        warnings,
    } = resolve(sources, required)?;
    Ok(Config {
        proxy: proxy.map(|proxy| proxy::Settings { inject, ..proxy }),
        drain,
        admin,
        log,
        client,
        page,
        event,
        custom,
        delivery,
        queue,
        observe,
        is_gateway: false,
        stream,
        tracker,
        files,
        warnings,
        keys,
        sites,
        events,
        pairs,
    })
}

/// Resolves what is needed to decide about requests. App and sites may be missing.
///
/// # Errors
/// As [`load`].
pub fn load_rules(sources: &Sources) -> Result<DecisionRules, Mistakes> {
    let parts = resolve(sources, Required::Nothing)?;
    Ok(DecisionRules {
        excludes_by_default: excludes_by_default(&parts.keys),
        client: parts.client,
        page: parts.page,
        event: parts.event,
        custom: parts.custom,
        address_headers: parts.delivery.address_headers,
        inject: parts.inject,
        tracker: parts.tracker,
        any_site: !parts.sites.is_empty(),
        observe: parts.observe,
        stream: parts.stream.map(|stream| stream.name),
    })
}

/// Whether nobody set `[pages] exclude`.
fn excludes_by_default(keys: &[ResolvedKey]) -> bool {
    let exclude = keys.iter().find(|k| k.key == "pages.exclude");
    exclude.is_some_and(|k| k.origin == Origin::Default)
}

/// Resolves `[queue]`. App and sites may be missing.
///
/// # Errors
/// As [`load`].
pub fn load_queue(sources: &Sources) -> Result<crate::queue::Settings, Mistakes> {
    Ok(resolve(sources, Required::Nothing)?.queue)
}

/// Resolves `[log]` whatever else is wrong, so that mistakes can be told in the log's format. What is wrong in
/// `[log]` itself counts as not set.
pub fn load_log(sources: &Sources) -> telemetry::Settings {
    log::resolve(&mut KeyReader::new(sources))
}

/// Resolves `[admin]`. App and sites may be missing.
///
/// # Errors
/// As [`load`].
pub fn load_admin(sources: &Sources) -> Result<admin::Settings, Mistakes> {
    Ok(resolve(sources, Required::Nothing)?.admin)
}

impl Config {
    /// The keys whose values differ in `new` and which a reload can't apply.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        self.keys
            .iter()
            .filter(|old| !RELOADABLE.contains(&keys::table_of(old.key)))
            .filter(|old| {
                let differs = |key: &ResolvedKey| key.key == old.key && key.toml != old.toml;
                // Shown without its password, so two different ones may look the same.
                let other_proxy = old.key == "plausible.proxy" && self.delivery.proxy != new.delivery.proxy;
                let login = |config: &Config| config.stream.as_ref().and_then(|stream| stream.login.clone());
                let other_login = old.key == stream::URL && login(self) != login(new);
                other_proxy || other_login || new.keys.iter().any(differs)
            })
            .map(|old| old.key)
            .collect()
    }

    /// What a reload of `new` changes: keys, and `sites`, `events` and `listen.tls.more` as a whole.
    pub fn reloadable_changes(&self, new: &Config) -> Vec<&'static str> {
        let value = |config: &Config, key: &str| {
            let resolved = config.keys.iter().find(|k| k.key == key);
            resolved.map(|k| k.toml.clone())
        };
        let mut changes: Vec<&'static str> = keys::KEYS
            .iter()
            .map(|key| key.path)
            .filter(|key| RELOADABLE.contains(&keys::table_of(key)))
            .filter(|key| value(self, key) != value(new, key))
            .collect();
        if !self
            .pairs
            .iter()
            .map(|p| &p.files)
            .eq(new.pairs.iter().map(|p| &p.files))
        {
            changes.push(keys::PAIRS);
        }
        if !self
            .sites
            .iter()
            .map(ResolvedSite::named)
            .eq(new.sites.iter().map(ResolvedSite::named))
        {
            changes.push("sites");
        }
        if self.custom != new.custom {
            changes.push(keys::EVENTS);
        }
        changes
    }

    /// Whether nobody set this key.
    pub fn is_default(&self, key: &str) -> bool {
        let resolved = self.keys.iter().find(|k| k.key == key);
        resolved.is_some_and(|k| k.origin == Origin::Default)
    }

    /// A sentence about a key, with where it was set and its value, as mistakes have it.
    pub fn setting(&self, key: &str, said: &str) -> String {
        match self.keys.iter().find(|k| k.key == key) {
            Some(resolved) => Mistake::value(&resolved.origin, key, &*resolved.toml, said).to_string(),
            None => format!("{key}: {said}"),
        }
    }

    /// The hosts and the domains of each site, as configured.
    pub fn sites(&self) -> impl Iterator<Item = (&[String], &[String])> {
        self.sites.iter().map(ResolvedSite::named)
    }

    /// Which hosts are counted for which sites.
    pub fn sites_in_words(&self) -> String {
        let sites: Vec<String> = self.sites.iter().map(ToString::to_string).collect();
        sites.join("; ")
    }

    /// How many sites there are.
    pub fn site_count(&self) -> usize {
        self.sites.len()
    }

    /// What is needed to decide about one request.
    pub fn rules(&self) -> DecisionRules {
        DecisionRules {
            excludes_by_default: excludes_by_default(&self.keys),
            client: self.client.clone(),
            page: self.page.clone(),
            event: self.event.clone(),
            custom: self.custom.clone(),
            address_headers: self.delivery.address_headers.clone(),
            inject: self.proxy.as_ref().and_then(|proxy| proxy.inject.clone()),
            tracker: self.tracker.clone(),
            any_site: !self.sites.is_empty(),
            observe: self.observe.clone(),
            stream: self.stream.as_ref().map(|stream| stream.name.clone()),
        }
    }

    /// What is said where there is no app but for the tracker's paths.
    pub fn says_of_no_app(&self) -> Option<&'static str> {
        let proxy = self.proxy.as_ref()?;
        (proxy.app.upstream == Upstream::Nothing)
            .then_some("only the tracker's paths are answered, everything else gets 404 (app.url is not set)")
    }

    /// Takes from `new` what a reload can apply: `[listen.tls]`, `[client]`, `[pages]`, `[[sites]]`,
    /// `[[events]]` and the list of files. The other keys keep the values that the process runs with.
    pub fn adopt_reloadable(&mut self, new: Config) {
        if let (Some(running), Some(new)) = (&mut self.proxy, new.proxy) {
            running.tls = new.tls;
        }
        self.client = new.client;
        self.page = new.page;
        self.event = new.event;
        self.custom = new.custom;
        self.files = new.files;
        self.warnings = new.warnings;
        for new in new
            .keys
            .into_iter()
            .filter(|k| RELOADABLE.contains(&keys::table_of(k.key)))
        {
            match self.keys.iter_mut().find(|old| old.key == new.key) {
                Some(old) => *old = new,
                None => self.keys.push(new),
            }
        }
        self.sites = new.sites;
        self.events = new.events;
        self.pairs = new.pairs;
    }

    /// The configuration as a TOML file that resolves to the same, with the origin of each value.
    pub fn to_toml(&self) -> String {
        show::to_toml(&self.keys, &self.sites, &self.events, &self.pairs)
    }
}
