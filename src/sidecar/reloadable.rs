//! The parts of a configuration that a reload can change, each for the service that it is for.

use std::sync::Arc;

use crate::{
    config::Config,
    observe::ObserveRules,
    proxy::{self, Live},
};

pub(super) fn load_tls(
    tls: Option<&proxy::Tls>,
    running: Option<&proxy::Loaded>,
) -> Result<Option<proxy::Loaded>, proxy::LoadError> {
    tls.map(|tls| proxy::load_tls(tls, true, running)).transpose()
}

/// The certificates that are configured.
pub(super) fn tls_of(config: &Config) -> Option<&proxy::Tls> {
    config.proxy.as_ref()?.tls.as_ref()
}

/// The settings that a reload can change, for what observes.
pub(super) fn observe_rules(config: &Config) -> ObserveRules {
    ObserveRules {
        client: config.client.clone(),
        page: config.page.clone(),
        sites: config.event.sites.clone(),
    }
}

/// The settings that a reload can change, for the data path.
pub(super) fn live(config: &Config, tls: Option<proxy::Loaded>) -> Arc<Live> {
    Arc::new(Live {
        client: config.client.clone(),
        page: config.page.clone(),
        sites: config.event.sites.clone(),
        events: config.custom.clone(),
        tls,
    })
}
