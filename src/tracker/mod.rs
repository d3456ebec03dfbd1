//! The dedicated paths: the tracker script, its event endpoint and the pixel, as files and addresses of the
//! site's own. The proxy asks this module to answer them; everything else of the site's is the app's.
//!
//! - The **script** (`script`) comes from Plausible and is kept in memory.
//! - An **event** (`event`, then `receive`) is judged as Plausible judges it, and goes on byte for byte
//!   (`relay`) by the way of all events: it is answered once the queue has it, before Plausible has. It must
//!   be for a configured domain. A client that sends too many is refused (`flood`).
//! - The **pixel** (`pixel`) is an image whose request is a page view of the page that shows it. This module
//!   says which page that is; the rules for pages are [`crate::page`]'s, and the proxy's record offers it.
//! - [`inject`] puts the script into the app's pages.
//!
//! Nothing that a visitor's browser sends goes on to Plausible, but for the event's body, the user agent and
//! the address.

mod answer;
mod cors;
mod event;
mod flood;
pub mod inject;
mod metrics;
mod pixel;
mod receive;
mod relay;
mod request;
mod script;
mod settings;

use std::{io, sync::Arc, time::Instant};

use prometheus::Registry;
use tokio::sync::Semaphore;

use flood::FloodGate;
use metrics::TrackerMetrics;
use receive::Counter;
use script::Script;
use settings::{LONGEST_SCRIPT, ROOM};

pub use answer::{Answering, DedicatedAnswer};
pub use pixel::ViewedPage;
pub use receive::Receiving;
pub use request::{DedicatedRequest, Reply};
pub use settings::{DedicatedPath, ScriptSettings, Settings};

use crate::{
    delivery::{DeliveryError, Desk, Fetcher},
    event::Sites,
    page::PageRules,
};

/// Why the dedicated paths can't be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The script's source can't be asked, for example because no certificate can name its host.
    #[error("can't fetch the tracker script")]
    Source(#[from] DeliveryError),
    /// No thread could be started.
    #[error("can't start the script's thread")]
    Thread(#[source] io::Error),
    /// A metric's name is taken.
    #[error("can't register the tracker's metrics")]
    Metrics(#[from] prometheus::Error),
}

/// The dedicated paths, for all workers.
#[derive(Debug)]
pub struct Tracker {
    settings: Settings,
    script: Option<Script>,
    gate: FloodGate,
    counter: Arc<Counter>,
}

/// Starts what the dedicated paths need; `None` if there are none.
///
/// # Errors
/// [`Error`]
pub fn start(settings: Settings, desk: Desk, registry: &Registry) -> Result<Option<Arc<Tracker>>, Error> {
    if settings.is_off() {
        return Ok(None);
    }
    let metrics = TrackerMetrics::register(registry)?;
    let script = match &settings.script {
        Some(script) => {
            let fetcher = Fetcher::new(
                (&script.base, &script.file),
                script.proxy.as_ref(),
                script.ca_file.as_deref(),
                script.timeout,
                LONGEST_SCRIPT,
            )?;
            let source = script.source();
            Some(Script::start(fetcher, source, metrics.clone()).map_err(Error::Thread)?)
        }
        None => None,
    };
    let counter = Counter {
        desk,
        room: Arc::new(Semaphore::new(ROOM)),
        metrics,
    };
    Ok(Some(Arc::new(Tracker {
        settings,
        script,
        gate: FloodGate::new((fastrand::u64(..), fastrand::u64(..))),
        counter: Arc::new(counter),
    })))
}

impl Tracker {
    /// Which dedicated path a request's target has.
    pub fn find(&self, target: &str) -> Option<DedicatedPath> {
        self.settings.find(target)
    }

    /// Answers a request for one of them, by the rules that hold now.
    pub fn reply(
        &self,
        path: DedicatedPath,
        request: &DedicatedRequest<'_>,
        sites: &Sites,
        rules: &PageRules,
    ) -> Reply {
        let facts = &request.facts;
        match (path, &self.script) {
            (DedicatedPath::Event, _) => event::reply(&self.counter, &self.gate, request, sites, rules),
            (DedicatedPath::Script, Some(script)) => Reply::Answer(script.reply(facts.method, facts.fields)),
            // A script without settings has no path.
            (DedicatedPath::Script, None) => DedicatedAnswer::words(404, "404 Not Found\n").into(),
            (DedicatedPath::Pixel, _) => self.pixel(request).into(),
        }
    }

    fn pixel(&self, request: &DedicatedRequest<'_>) -> DedicatedAnswer {
        if !matches!(request.facts.method, "GET" | "HEAD") {
            return DedicatedAnswer::wrong_method("GET, HEAD");
        }
        let passed = request
            .client
            .map(|client| self.gate.pass(client, Instant::now()));
        match passed {
            Some(Err(wait)) => DedicatedAnswer::too_many(wait),
            Some(Ok(())) | None => pixel::image(),
        }
    }
}
