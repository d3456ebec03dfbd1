//! What is put into pages, from the configuration.

/// `[tracker]`, as far as it concerns the script's tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InjectSettings {
    /// The script's path on the site's own hosts.
    pub script: String,
    /// The path that the script sends events to.
    pub event: String,
    /// Whether the script does nothing until the page calls `plausible.init`, as those do that Plausible makes
    /// for one site (`pa-….js`).
    pub needs_init: bool,
    /// The host of `[plausible] url`, without its port.
    pub plausible: String,
}

impl InjectSettings {
    /// Whether a script from this source does nothing until the page calls `plausible.init`.
    pub fn needs_init(source: &str) -> bool {
        let path = source.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with("pa-"))
    }
}
