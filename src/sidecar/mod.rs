//! The composition root: builds the parts, starts them in order, stops them in reverse order.
//!
//! The order is: the admin address, delivery, what observes, the tracker, the data path, readiness. A stop
//! turns readiness off, lets the data path finish its requests, ends observing, then lets delivery store and
//! send what it was offered. The admin address ends last, so that operators can watch the stop.

mod decisions;
mod limits;
mod reader;
mod reloads;
mod start;
mod status;
mod upkeep;

use std::{
    collections::BTreeSet,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use self::{
    decisions::LateDecisions,
    reader::Reader,
    reloads::Reloads,
    status::{Reloadable, StatusParts, decisions_since, explain_request, take_status},
};
pub use status::ExplainPasted;

use crate::{
    admin,
    config::{self, Config, Mistakes, Sources},
    delivery::{self, Delivery},
    lifecycle::{self, Deadline, Readiness, SignalAction, Signals},
    observe::{self, Observe, ObserveRules},
    page,
    proxy::{self, Live, Proxy},
    telemetry::{self, Troubles},
    tracker,
};

/// How long the data path's start waits for the queue to be recovered. Events are stored at once after that.
/// A queue that takes longer does not keep visitors from the app.
const RECOVERY_WAIT: Duration = Duration::from_millis(250);
/// How long the last sends may take once the data path has ended.
const LAST_SENDS: Duration = Duration::from_secs(2);
/// How long the queue may take for its last writes, even if the drain is over. A slow disk may take the rest
/// of the drain.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// How long the admin address may take for its last responses.
const LAST_RESPONSES: Duration = Duration::from_millis(500);

/// Why the sidecar can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Logs or metrics.
    #[error("can't set up logs and metrics")]
    Telemetry(#[from] telemetry::Error),
    /// Delivery, for example because no trusted roots are found.
    #[error("can't start delivery")]
    Delivery(#[from] delivery::DeliveryError),
    /// The data path, for example because the address is in use.
    #[error("can't start the proxy")]
    Proxy(#[from] proxy::Error),
    /// What observes, for example because an address is in use.
    #[error("can't observe requests")]
    Observe(#[from] observe::Error),
    /// The tracker's paths, for example because the script's source can't be asked.
    #[error("can't start the tracker's paths")]
    Tracker(#[from] tracker::Error),
    /// The certificates, for example because one was removed after the configuration was read.
    #[error("can't set up TLS")]
    Tls(#[from] proxy::LoadError),
    /// The admin address is in use, or does not belong to this machine.
    #[error("can't listen on the admin address {at}")]
    Admin {
        /// As configured.
        at: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// No runtime for the main thread.
    #[error("can't start the main thread's runtime")]
    Runtime(#[source] io::Error),
    /// No thread to read the configuration's files again.
    #[error("can't watch the configuration's files")]
    Files(#[source] io::Error),
    /// Signals can't be handled.
    #[error("can't handle signals")]
    Signals(#[source] io::Error),
}

/// Runs a sidecar on this thread until a signal ends it. A reload reads `sources` again. Logging is set up
/// before.
///
/// # Errors
/// [`StartError`]
pub fn run(config: Config, sources: Sources, explain: ExplainPasted) -> Result<(), StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(StartError::Signals)?;
        let sidecar = Sidecar::start(config, explain).await?;
        sidecar.serve(&mut signals, move || config::load(&sources)).await
    });
    // Delivery's thread may be stuck in a system call on the queue's disk; the process ends nevertheless.
    runtime.shutdown_background();
    outcome
}

/// A running sidecar.
pub struct Sidecar {
    config: Config,
    delivery: Delivery,
    /// None without an app.
    proxy: Option<Proxy>,
    /// None where nothing is observed.
    observe: Option<Observe>,
    tls: Option<proxy::Loaded>,
    admin: JoinHandle<()>,
    admin_address: SocketAddr,
    stop_admin: oneshot::Sender<()>,
    readiness: Readiness,
    probes: Arc<admin::Probes>,
    reloads: Reloads,
    reloadable: Arc<RwLock<Reloadable>>,
    upkeep: JoinHandle<()>,
    newest: admin::DecisionsSince,
}

impl Sidecar {
    /// Builds and starts all parts.
    ///
    /// # Errors
    /// [`StartError`]; the parts that were started before it are stopped.
    pub async fn start(mut config: Config, explain: ExplainPasted) -> Result<Self, StartError> {
        let started = Instant::now();
        limits::fit(&mut config);
        let registry = telemetry::registry()?;
        let troubles = Troubles::register(&registry).map_err(telemetry::Error::from)?;
        let reloads = Reloads::register(&registry, troubles.clone()).map_err(telemetry::Error::from)?;
        let tls = load_tls(tls_of(&config), None)?;
        let (admin_listener, admin_address) = bind_admin(config.admin.address).await?;

        let decisions = decisions::register(&registry).map_err(telemetry::Error::from)?;
        let late = LateDecisions::new(&decisions);
        let workers = config.proxy.as_ref().map_or(0, |proxy| proxy.workers);
        let observers = usize::from(config.observe.is_used());
        let (delivery, mut outboxes) = delivery::start(
            config.delivery.clone(),
            config.queue.clone(),
            config.event.clone(),
            workers + observers,
            delivery::DeliveryLinks {
                registry: &registry,
                decisions: late.clone(),
                troubles: troubles.clone(),
            },
        )?;
        delivery.recovered(RECOVERY_WAIT).await;
        let both = config.proxy.is_some() && config.observe.is_used();
        let twins = both.then(|| Arc::new(page::Twins::new()));
        let observe = match outboxes.pop_if(|_| config.observe.is_used()) {
            None => None,
            Some(outbox) => {
                let links = observe::ObserveLinks {
                    outbox,
                    feed: delivery.feed(),
                    registry: &registry,
                    decisions: &decisions,
                    twins: twins.clone(),
                };
                Some(observe::start(&config.observe, observe_rules(&config), links)?)
            }
        };
        let proxy = match &config.proxy {
            None => None,
            Some(settings) => {
                let live = live(&config, tls.clone());
                let links = proxy::ProxyLinks {
                    outboxes,
                    registry: &registry,
                    decisions: &decisions,
                    twins,
                    tracker: tracker::start(config.tracker.clone(), delivery.desk(), &registry)?,
                    troubles: troubles.clone(),
                };
                Some(proxy::start(settings, &live, links)?)
            }
        };

        let readiness = Readiness::default();
        let probes = Arc::new(admin::Probes::default());
        let reloadable = Arc::new(RwLock::new(Reloadable::of(&config)));
        let newest = decisions_since(proxy.as_ref(), observe.as_ref(), &late);
        let inputs = admin::Inputs {
            registry,
            ready: readiness.watch(),
            status: take_status(StatusParts {
                started,
                config: &config,
                readiness: &readiness,
                admin: admin_address,
                proxy: proxy.as_ref(),
                observe: observe.as_ref(),
                delivery: &delivery,
                decisions,
                troubles: &troubles,
                reloadable: &reloadable,
            }),
            decisions: Arc::clone(&newest),
            explain: explain_request(&reloadable, explain),
            probes: Arc::clone(&probes),
        };
        let (stop_admin, stopped) = oneshot::channel::<()>();
        let admin_settings = config.admin.clone();
        let admin = tokio::spawn(async move {
            let shutdown = async {
                // An error means that the sender was dropped, which also asks to stop.
                let _ = stopped.await;
            };
            admin::serve(admin_listener, &admin_settings, inputs, shutdown).await;
        });
        let upkeep = upkeep::start(troubles, delivery.watcher(), proxy.as_ref().map(Proxy::handle));
        readiness.turn_on();
        start::log(
            &config,
            proxy.as_ref().map(Proxy::bound),
            observe.as_ref(),
            admin_address,
        );
        limits::log_memory(&config);
        Ok(Sidecar {
            config,
            delivery,
            proxy,
            observe,
            tls,
            admin,
            admin_address,
            stop_admin,
            readiness,
            probes,
            reloads,
            reloadable,
            upkeep,
            newest,
        })
    }

    /// Where clients connect; none without an app.
    pub fn bound(&self) -> Option<&proxy::Bound> {
        self.proxy.as_ref().map(Proxy::bound)
    }

    /// Where the admin address listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// The newest decisions, as the admin address shows them.
    pub fn decisions(&self) -> admin::DecisionsSince {
        Arc::clone(&self.newest)
    }

    /// Serves until a signal asks to stop, then stops. `load` reads the configuration again after SIGHUP or
    /// when one of its files has changed.
    ///
    /// # Errors
    /// [`StartError::Files`]
    pub async fn serve(
        mut self,
        signals: &mut Signals,
        load: impl Fn() -> Result<Config, Mistakes> + Send + 'static,
    ) -> Result<(), StartError> {
        let reader = Reader::start(&self.config.files, load);
        let outcome = match reader {
            Ok(reader) => {
                self.until_stop(signals, reader).await;
                Ok(())
            }
            Err(error) => Err(StartError::Files(error)),
        };
        self.stop(signals).await;
        outcome
    }

    async fn until_stop(&mut self, signals: &mut Signals, mut reader: Reader) {
        loop {
            tokio::select! {
                action = signals.next() => match action {
                    SignalAction::Stop => return,
                    SignalAction::Reload => reader.read(),
                },
                Some(reading) = reader.next() => {
                    self.reload(reading.config, &reading.changed);
                    reader.watch(&self.config.files);
                }
            }
        }
    }

    fn reload(&mut self, loaded: Result<Config, Mistakes>, files: &BTreeSet<PathBuf>) {
        let new = match loaded {
            Ok(new) => new,
            Err(mistakes) => {
                self.reloads.failed("the configuration was", mistakes.to_string());
                return;
            }
        };
        let needs_restart = self.config.needs_restart(&new);
        if !needs_restart.is_empty() {
            tracing::warn!(
                "these keys have changed and wait for a restart: {}",
                needs_restart.join(", ")
            );
        }
        match load_tls(tls_of(&new), self.tls.as_ref()) {
            Ok(loaded) => {
                self.tls = loaded;
                self.reloads.succeeded();
            }
            Err(error) => self
                .reloads
                .failed("the certificates were", telemetry::chain(&error)),
        }
        if let Some(proxy) = &self.proxy {
            proxy.handle().reload(&live(&new, self.tls.clone()));
        }
        if let Some(observe) = &self.observe {
            observe.reload(observe_rules(&new));
        }
        self.delivery.reload(new.event.clone());
        let changed = match self.config.reloadable_changes(&new) {
            none if none.is_empty() => "nothing".to_owned(),
            some => some.join(", "),
        };
        let trusted = start::trusted(&new.client);
        let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
        let files = files.join(", ");
        tracing::info!(changed, files, trusted, "configuration reloaded");
        start::log_warnings(&new);
        self.config.adopt_reloadable(new);
        // No update is left half done by a panic.
        *self.reloadable.write().unwrap_or_else(PoisonError::into_inner) = Reloadable::of(&self.config);
    }

    /// Stops in reverse order. A second signal ends the drain at once; accepted events are kept nevertheless.
    async fn stop(mut self, signals: &mut Signals) {
        let drain = self.config.drain;
        let deadline = Deadline::after(drain);
        tracing::info!(drain = ?drain, "stopping");
        self.readiness.turn_off();
        if let Some(proxy) = &self.proxy {
            proxy.drain();
        }
        let draining = async {
            let probed = self.probes.ready() > 0;
            lifecycle::wait_for_notice(drain, probed, self.probes.seen_not_ready()).await;
            if let Some(proxy) = &mut self.proxy
                && !proxy.close(deadline.left()).await
            {
                tracing::warn!("the drain is over; connections that are still open are cut");
            }
        };
        let hurried = tokio::select! {
            () = draining => false,
            () = signals.stop() => true,
        };
        if hurried {
            tracing::warn!("asked to stop again: connections that are still open are cut");
        }
        if let Some(proxy) = self.proxy {
            proxy.stop();
        }
        if let Some(observe) = self.observe {
            observe.stop().await;
        }
        let (sends, writes) = if hurried {
            (Duration::ZERO, LAST_WRITES)
        } else {
            let rest = deadline.left().saturating_sub(LAST_RESPONSES);
            (LAST_SENDS.min(deadline.left()), rest.max(LAST_WRITES))
        };
        let now = Instant::now();
        self.delivery.stop(now + sends, now + writes).await;
        self.upkeep.abort();
        drop(self.stop_admin);
        // A reader that is slower than this does not get the rest of its response.
        let _ = tokio::time::timeout(LAST_RESPONSES, self.admin).await;
        tracing::info!("stopped");
    }
}

async fn bind_admin(at: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Admin { at, source };
    let listener = TcpListener::bind(at).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

fn load_tls(
    tls: Option<&proxy::Tls>,
    running: Option<&proxy::Loaded>,
) -> Result<Option<proxy::Loaded>, proxy::LoadError> {
    tls.map(|tls| proxy::load_tls(tls, true, running)).transpose()
}

/// The certificates that are configured.
fn tls_of(config: &Config) -> Option<&proxy::Tls> {
    config.proxy.as_ref()?.tls.as_ref()
}

/// The settings that a reload can change, for what observes.
fn observe_rules(config: &Config) -> ObserveRules {
    ObserveRules {
        client: config.client.clone(),
        page: config.page.clone(),
        sites: config.event.sites.clone(),
    }
}

/// The settings that a reload can change, for the data path.
fn live(config: &Config, tls: Option<proxy::Loaded>) -> Arc<Live> {
    Arc::new(Live {
        client: config.client.clone(),
        page: config.page.clone(),
        sites: config.event.sites.clone(),
        events: config.custom.clone(),
        tls,
    })
}
