//! `[tracker] inject`.

use crate::{
    delivery::Base,
    tracker::{self, inject::InjectSettings},
};

use super::reader::KeyReader;

/// What is put into pages; `None`: nothing. `plausible` is where events go.
pub(super) fn resolve(
    r: &mut KeyReader<'_>,
    plausible: &Base,
    tracker: &tracker::Settings,
) -> Option<InjectSettings> {
    if !r.boolean("tracker.inject") {
        return None;
    }
    let Some(script) = &tracker.script else {
        let problem = "inject = true puts the tracker script into pages: say where it comes from by tracker.source, \
                       such as \"/js/script.js\"";
        r.clash("tracker.inject", "tracker.source", problem);
        return None;
    };
    let Some(event) = &tracker.event else {
        let problem = "inject = true puts the tracker script into pages, and without tracker.event nothing takes \
                       what it sends";
        r.clash("tracker.inject", "tracker.event", problem);
        return None;
    };
    Some(InjectSettings {
        needs_init: InjectSettings::needs_init(&script.file),
        script: script.path.clone(),
        event: event.clone(),
        plausible: plausible.host.clone(),
    })
}
