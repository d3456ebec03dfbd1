//! The data path: one thread per core, each with its own listener, runtime, connections to the app and
//! buffers. Threads share nothing on a request's way but counters.
//!
//! A request enters at `front`, which reads its head. `plan` decides what becomes of it, `app` carries it to
//! the app, and `record` settles it.

mod activation;
mod app;
mod asked;
mod context;
mod errors;
mod front;
mod heads;
mod inject;
mod listener;
mod live;
mod metrics;
mod plan;
mod recent;
mod record;
mod settings;
mod stream;
mod throttles;
mod worker;

use std::{io, sync::Arc, thread, time::Duration};

use tokio::sync::{Semaphore, mpsc, oneshot};

pub use app::reach::AppState;
pub use front::tls::{LoadError, Loaded, PairError, check_authorities, check_pair, load as load_tls};
pub use listener::{Bound, Listener};
pub use live::Live;
pub use recent::RecentRequest;
pub use settings::{App, KeyPair, Listen, Settings, Tls, Upstream};

use crate::{
    delivery::Outbox,
    page,
    telemetry::Troubles,
    tracker::{Tracker, inject::Injection},
};
use app::{connect::Connector, reach::Reach};
use context::Shared;
use metrics::Metrics;
use throttles::Throttles;
use worker::{Control, Parts};

/// Why the data path can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address can't be listened on, as when another process has it. Another address, or ending that
    /// process, helps.
    #[error("can't listen on {at}")]
    Listen {
        /// The address as configured.
        at: String,
        /// The operating system's word.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("can't start a worker thread")]
    Thread(#[source] io::Error),
    /// A metric's name is taken.
    #[error("can't register the proxy's metrics")]
    Metrics(#[from] prometheus::Error),
}

/// The running data path.
pub struct Proxy {
    bound: Bound,
    handle: Handle,
    threads: Vec<thread::JoinHandle<()>>,
    /// A Unix socket's path is gone, or is another process's to remove.
    removed: bool,
}

/// Controls the data path while it runs.
#[derive(Clone)]
pub struct Handle {
    controls: Vec<mpsc::UnboundedSender<Control>>,
    reach: Arc<Reach>,
    metrics: Metrics,
}

/// What the data path needs of the other parts.
#[derive(Debug)]
pub struct ProxyLinks<'a> {
    /// For each worker.
    pub outboxes: Vec<Outbox>,
    /// Where metrics are registered.
    pub registry: &'a prometheus::Registry,
    /// `gatecount_decisions_total`.
    pub decisions: &'a prometheus::IntCounterVec,
    /// What was seen from aside; none where nothing is.
    pub twins: Option<Arc<page::Twins>>,
    /// Answers the dedicated paths; none where there are none.
    pub tracker: Option<Arc<Tracker>>,
    /// Where trouble is told.
    pub troubles: Troubles,
    /// A socket that another process has bound and keeps, in place of `[listen] address`.
    pub passed: Option<Listener>,
}

/// Binds, and starts one worker for each outbox.
///
/// # Errors
/// [`Error`]
pub fn start(settings: &Settings, live: &Arc<Live>, links: ProxyLinks<'_>) -> Result<Proxy, Error> {
    let ProxyLinks {
        outboxes,
        twins,
        tracker,
        troubles,
        passed,
        ..
    } = links;
    let metrics = Metrics::register(links.registry, links.decisions)?;
    let is_shared = passed.is_some();
    let bound = match passed {
        Some(passed) => listener::share(passed, outboxes.len()),
        None => listener::bind(&settings.listen, outboxes.len()),
    };
    let (listeners, bound) = bound.map_err(|source| {
        let at = match &settings.listen {
            Listen::Tcp(address) => address.to_string(),
            Listen::Unix(path) => format!("unix:{}", path.display()),
        };
        Error::Listen { at, source }
    })?;
    let permits = Arc::new(Semaphore::new(settings.max_connections));
    let app_places = Arc::new(Semaphore::new(settings.max_app_connections));
    let reach = Arc::new(Reach::new(troubles.clone()));
    let connector = Arc::new(Connector::new(&settings.app.upstream, Arc::clone(&reach)));
    let memory = Arc::new(page::PageMemory::default());
    let throttles = Arc::new(Throttles::new(troubles));
    let injection = settings
        .inject
        .clone()
        .map(|inject| Arc::new(Injection::new(inject)));
    let (mut controls, mut threads) = (Vec::new(), Vec::new());
    for (number, (listener, outbox)) in listeners.into_iter().zip(outboxes).enumerate() {
        let (tell, control) = mpsc::unbounded_channel();
        let parts = Parts {
            shared: Shared {
                worker: number,
                settings: settings.clone(),
                live: Arc::clone(live),
                outbox,
                metrics: metrics.clone(),
                permits: Arc::clone(&permits),
                app_places: Arc::clone(&app_places),
                connector: Arc::clone(&connector),
                memory: Arc::clone(&memory),
                twins: twins.clone(),
                throttles: Arc::clone(&throttles),
                injection: injection.clone(),
                tracker: tracker.clone(),
            },
            listener,
            is_shared,
            control,
        };
        let thread = thread::Builder::new()
            .name(format!("gatecount-{number}"))
            .spawn(move || {
                if let Err(error) = worker::run(parts) {
                    tracing::error!(%error, "a worker can't run");
                }
            });
        threads.push(thread.map_err(Error::Thread)?);
        controls.push(tell);
    }
    Ok(Proxy {
        bound,
        handle: Handle {
            controls,
            reach,
            metrics,
        },
        threads,
        removed: is_shared,
    })
}

impl Handle {
    /// Replaces the rules, for requests from now on.
    pub fn reload(&self, live: &Arc<Live>) {
        self.tell(|| Control::Reload(Arc::clone(live)));
    }

    /// The newest decisions after a sequence number, oldest first.
    pub async fn decisions(&self, since: u64) -> Vec<RecentRequest> {
        let mut answers = Vec::new();
        for control in &self.controls {
            let (answer, records) = oneshot::channel();
            if control.send(Control::Decisions(since, answer)).is_ok() {
                answers.push(records);
            }
        }
        let mut all = Vec::new();
        for records in answers {
            // A worker that has ended has no decisions any more.
            all.extend(records.await.unwrap_or_default());
        }
        all.sort_by_key(|r| r.seq);
        all
    }

    /// Whether the app can be reached, as far as requests have shown it.
    pub fn app_state(&self) -> AppState {
        self.reach.state()
    }

    /// Requests that the app failed since the start.
    pub fn app_errors(&self) -> u64 {
        self.metrics.app_errors()
    }

    /// Sees whether an app that is down is back, so that its trouble ends without a request.
    pub fn try_app(&self) {
        if let Some(control) = self.controls.first()
            && self.app_state() == AppState::Down
        {
            // A worker that is gone tries nothing.
            let _ = control.send(Control::TryApp);
        }
    }

    fn tell(&self, order: impl Fn() -> Control) {
        for control in &self.controls {
            // A worker that is gone can't be told; its thread's end was logged.
            let _ = control.send(order());
        }
    }
}

impl Proxy {
    /// Where it listens.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// For whoever needs to ask while it runs.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// From now on each response is its connection's last. New connections are still served.
    pub fn drain(&self) {
        self.handle.tell(|| Control::Drain);
    }

    /// Accepts what is on its way and then no more, closes idle connections, and waits until requests and
    /// tunnels have ended, no longer than `patience`. Whether all had ended.
    pub async fn close(&mut self, patience: Duration) -> bool {
        self.remove_socket();
        let mut ends = Vec::new();
        for control in &self.handle.controls {
            let (answer, end) = oneshot::channel();
            if control.send(Control::Close(answer)).is_ok() {
                ends.push(end);
            }
        }
        let all = async {
            for end in ends {
                let _ = end.await;
            }
        };
        tokio::time::timeout(patience, all).await.is_ok()
    }

    /// Drops what is left and ends the threads; their outboxes go with them.
    pub fn stop(mut self) {
        self.remove_socket();
        self.handle.tell(|| Control::Stop);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a worker thread panicked");
            }
        }
    }

    /// Removes the path of a Unix socket, once: from then on nobody connects, and the next process may have
    /// its own there.
    fn remove_socket(&mut self) {
        if let Bound::Unix(path) = &self.bound
            && !std::mem::replace(&mut self.removed, true)
        {
            // Left behind it would be replaced at the next start.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests;
