//! The configuration: a TOML file, the environment and flags in, each service's settings out. The only place that knows
//! the file's format.
//!
//! Flags beat the environment, the environment beats the file, the file beats the defaults of [`keys`]. A key `table.name`
//! is `name` in `[table]`, and `GATECOUNT_TABLE_NAME` in the environment, where a list is comma-separated. `[[sites]]`
//! has no variable: `GATECOUNT_DOMAIN`, as `--domain`, takes its place for every host.
//!
//! A relative path in the file is relative to the file, elsewhere to the directory that gatecount was started in.
//!
//! Resolving never stops at the first mistake: [`Mistakes`] holds all of them. Each source's value is judged, also where
//! another beats it. What this version does not know is a mistake, never ignored.

mod file;
mod forward_proxy;
mod keys;
mod mistake;
mod parse;
mod password;
mod reader;
mod resolve;
mod show;
mod sites;
mod sources;
mod trust;
mod value;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::{admin, client, delivery, event, page, proxy, queue};

pub use self::{
    mistake::{Mistake, Mistakes, Origin},
    sources::{Flags, Sources},
};

use self::{
    reader::Shown,
    resolve::{Resolved, Wanted, resolve},
    sites::ShownSite,
};

/// The tables that a reload can apply; a change of any other key waits for a restart.
const RELOADABLE: [&str; 2] = ["client", "pages"];

/// A whole configuration, resolved.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[listen]` and `[app]`.
    pub proxy: proxy::Settings,
    /// `[admin]`
    pub admin: admin::Settings,
    /// `[client]`
    pub client: client::Settings,
    /// `[pages]`, without the event's part.
    pub page: page::Rules,
    /// `[[sites]]` and the query parameters that an event's url keeps.
    pub event: event::Rules,
    /// `[plausible]`
    pub delivery: delivery::Settings,
    /// `[queue]`
    pub queue: queue::Settings,
    /// What is logged, as directives of tracing's: `--log`, else `RUST_LOG`, if either says anything.
    pub log: Option<String>,
    /// The files that this configuration was read from (absolute if the working directory is known): the configuration
    /// file and the lists that it names. A change of one of them is a reason to load again.
    pub files: Vec<PathBuf>,
    shown: Vec<Shown>,
    sites: Vec<ShownSite>,
}

/// What deciding about one request needs.
#[derive(Debug, Clone)]
pub struct Rules {
    /// `[client]`
    pub client: client::Settings,
    /// `[pages]`, without the event's part.
    pub page: page::Rules,
    /// `[[sites]]` and the query parameters that an event's url keeps.
    pub event: event::Rules,
    /// The headers that tell Plausible the visitor's address.
    pub address_headers: Vec<delivery::AddressHeader>,
    /// Whether there is any site.
    pub any_site: bool,
}

/// Resolves the sources; also called for a reload. Every mistake at once.
pub fn load(sources: &Sources) -> Result<Config, Mistakes> {
    let Resolved {
        proxy,
        admin,
        client,
        page,
        event,
        delivery,
        queue,
        log,
        files,
        shown,
        sites,
    } = resolve(sources, Wanted::All)?;
    // A missing app is a mistake where all is wanted, and with a mistake nothing was resolved.
    let proxy = proxy.ok_or_else(Mistakes::default)?;
    Ok(Config {
        proxy,
        admin,
        client,
        page,
        event,
        delivery,
        queue,
        log,
        files,
        shown,
        sites,
    })
}

/// Resolves what deciding needs: as [`load`], and every mistake is one here too, but app and sites may be missing.
pub fn load_rules(sources: &Sources) -> Result<Rules, Mistakes> {
    let resolved = resolve(sources, Wanted::Rules)?;
    Ok(Rules {
        client: resolved.client,
        page: resolved.page,
        event: resolved.event,
        address_headers: resolved.delivery.address_headers,
        any_site: !resolved.sites.is_empty(),
    })
}

/// Where the queue is, by `[queue]`: as [`load`], but app and sites may be missing.
pub fn load_queue(sources: &Sources) -> Result<queue::Settings, Mistakes> {
    Ok(resolve(sources, Wanted::Rules)?.queue)
}

impl Config {
    /// The keys whose values differ in `new` and which a reload can't apply. What a reload can: `[client]`, `[pages]`,
    /// `[[sites]]`.
    pub fn needs_restart(&self, new: &Config) -> Vec<&'static str> {
        let fixed = |s: &&Shown| !RELOADABLE.contains(&keys::table_of(s.key));
        self.shown
            .iter()
            .filter(fixed)
            .filter(|old| {
                let differs = |s: &Shown| s.key == old.key && s.toml != old.toml;
                // Shown without its password.
                let other_proxy = old.key == "plausible.proxy" && self.delivery.proxy != new.delivery.proxy;
                other_proxy || new.shown.iter().any(differs)
            })
            .map(|old| old.key)
            .collect()
    }

    /// The configuration as a TOML file that resolves to this one, each value with where it came from.
    pub fn to_toml(&self) -> String {
        show::to_toml(&self.shown, &self.sites)
    }
}
