//! The composition root: builds the parts, starts them in order, stops them in reverse order.
//!
//! The order is: the admin address, delivery, what observes, the tracker, the data path, readiness. A stop
//! turns readiness off, lets the data path finish its requests, ends observing, then lets delivery store and
//! send what it was offered. The admin address ends last, so that operators can watch the stop.

mod decisions;
mod error;
mod limits;
mod reader;
mod reloadable;
mod reloads;
mod sockets;
mod start;
mod status;
mod upkeep;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub use self::error::StartError;
use self::{
    decisions::LateDecisions,
    reader::Reader,
    reloadable::{live, load_tls, observe_rules, tls_of},
    reloads::Reloads,
    sockets::PassedSockets,
    status::{Reloadable, StatusParts, decisions_since, explain_request, take_status},
};
pub use status::ExplainPasted;

use crate::{
    admin,
    config::{self, Config, Mistakes, Sources},
    delivery::{self, Delivery},
    lifecycle::{self, AppCommand, AppProcess, Deadline, Readiness, ServiceManager, SignalAction, Signals},
    observe::{self, Observe},
    page,
    proxy::{self, Proxy},
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
/// How long an app that we have started may take to end once it was told to, even if the drain is over.
const APP_END: Duration = Duration::from_secs(5);
/// The same where a second signal was sent.
const HURRIED_APP_END: Duration = Duration::from_secs(1);
/// How long the admin address may take for its last responses.
const LAST_RESPONSES: Duration = Duration::from_millis(500);

/// Runs a sidecar on this thread until a signal ends it, or the end of the app if `command` has started it. A
/// reload reads `sources` again. Logging is set up before. Gives the exit status: 0, or the app's.
///
/// # Errors
/// [`StartError`]
pub fn run(
    config: Config,
    sources: Sources,
    explain: ExplainPasted,
    command: Option<&AppCommand>,
) -> Result<u8, StartError> {
    let sockets = PassedSockets::take()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(StartError::Signals)?;
        let mut sidecar = Sidecar::start_with(config, explain, sockets).await?;
        if let Some(command) = command {
            sidecar.start_app(command)?;
        }
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
    manager: ServiceManager,
    /// The app, if this process has started it.
    app: Option<AppProcess>,
}

/// Why a sidecar stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StopReason {
    Signal(rustix::process::Signal),
    /// The app that this process has started is gone.
    AppEnded,
}

/// How the drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DrainEnd {
    /// Everything was answered, or the time was over.
    Over,
    /// A second signal came.
    Hurried,
}

impl Sidecar {
    /// Builds and starts all parts.
    ///
    /// # Errors
    /// [`StartError`]; the parts that were started before it are stopped.
    pub async fn start(config: Config, explain: ExplainPasted) -> Result<Self, StartError> {
        Sidecar::start_with(config, explain, PassedSockets::default()).await
    }

    async fn start_with(
        mut config: Config,
        explain: ExplainPasted,
        sockets: PassedSockets,
    ) -> Result<Self, StartError> {
        let started = Instant::now();
        limits::fit(&mut config);
        let registry = telemetry::registry()?;
        let troubles = Troubles::register(&registry).map_err(telemetry::Error::from)?;
        let reloads = Reloads::register(&registry, troubles.clone()).map_err(telemetry::Error::from)?;
        let tls = load_tls(tls_of(&config), None)?;
        let (admin_listener, admin_address) = bind_admin(config.admin.address, sockets.admin).await?;

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
                    passed: sockets.listen,
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
        let manager = ServiceManager::of_environment();
        manager.ready("Serving");
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
            manager,
            app: None,
        })
    }

    /// Starts the app. From then on its end is the sidecar's.
    fn start_app(&mut self, command: &AppCommand) -> Result<(), StartError> {
        let app = command.start().map_err(|source| StartError::App {
            program: command.program.display().to_string(),
            source,
        })?;
        tracing::info!(
            pid = app.id(),
            port = command.port,
            program = %command.program.display(),
            "the app is started"
        );
        self.app = Some(app);
        Ok(())
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
    /// when one of its files has changed. Gives the exit status: 0, or that of the app which we have started.
    ///
    /// # Errors
    /// [`StartError::Files`]
    pub async fn serve(
        mut self,
        signals: &mut Signals,
        load: impl Fn() -> Result<Config, Mistakes> + Send + 'static,
    ) -> Result<u8, StartError> {
        match Reader::start(&self.config.files, load) {
            Ok(reader) => {
                let reason = self.until_stop(signals, reader).await;
                Ok(self.stop(signals, reason).await)
            }
            Err(error) => {
                let reason = StopReason::Signal(rustix::process::Signal::TERM);
                self.stop(signals, reason).await;
                Err(StartError::Files(error))
            }
        }
    }

    async fn until_stop(&mut self, signals: &mut Signals, mut reader: Reader) -> StopReason {
        loop {
            tokio::select! {
                action = signals.next() => match action {
                    SignalAction::Stop(signal) => return StopReason::Signal(signal),
                    SignalAction::Reload => {
                        self.manager.reloading();
                        reader.read();
                    }
                },
                status = end_of(&mut self.app) => {
                    tracing::info!(status, "the app has ended");
                    return StopReason::AppEnded;
                }
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
                self.manager
                    .ready("Serving by the configuration before the last reload, which failed");
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
                self.manager.ready("Serving");
            }
            Err(error) => {
                self.reloads
                    .failed("the certificates were", telemetry::chain(&error));
                self.manager
                    .ready("Serving with the certificates before the last reload, which failed");
            }
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
    /// An app that we have started serves on until the drain is over, and gets the signal then.
    async fn stop(mut self, signals: &mut Signals, reason: StopReason) -> u8 {
        let drain = self.config.drain;
        let deadline = Deadline::after(drain);
        tracing::info!(drain = ?drain, "stopping");
        self.manager
            .stopping(drain + LAST_WRITES + LAST_RESPONSES + APP_END);
        self.readiness.turn_off();
        if let Some(proxy) = &self.proxy {
            proxy.drain();
        }
        let end = match reason {
            StopReason::Signal(_) => self.drain(signals, drain, deadline).await,
            StopReason::AppEnded => DrainEnd::Over,
        };
        if end == DrainEnd::Hurried {
            tracing::warn!("asked to stop again: connections that are still open are cut");
        } else if let Some(proxy) = &mut self.proxy {
            // Without the app nothing is left but responses on their way.
            let patience = if self.app.as_ref().is_some_and(AppProcess::has_ended) {
                LAST_RESPONSES
            } else {
                deadline.left()
            };
            if !proxy.close(patience).await {
                tracing::warn!("the drain is over; connections that are still open are cut");
            }
        }
        let app_deadline = self.tell_app(reason, end, deadline);
        if let Some(proxy) = self.proxy {
            proxy.stop();
        }
        if let Some(observe) = self.observe {
            observe.stop().await;
        }
        let (sends, writes) = if end == DrainEnd::Hurried {
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
        let status = match self.app {
            Some(mut app) => {
                let ended = tokio::select! {
                    status = app.end_by(app_deadline) => Some(status),
                    () = signals.stop() => None,
                };
                match ended {
                    Some(status) => status,
                    None => app.end_by(tokio::time::Instant::now()).await,
                }
            }
            None => 0,
        };
        tracing::info!("stopped");
        status
    }

    async fn drain(&mut self, signals: &mut Signals, drain: Duration, deadline: Deadline) -> DrainEnd {
        let draining = async {
            let probed = self.probes.ready() > 0;
            lifecycle::wait_for_notice(drain, probed, self.probes.seen_not_ready()).await;
            if let Some(proxy) = &mut self.proxy {
                proxy.close(deadline.left()).await;
            }
        };
        tokio::select! {
            () = draining => DrainEnd::Over,
            () = signals.stop() => DrainEnd::Hurried,
            _ = end_of(&mut self.app) => DrainEnd::Over,
        }
    }

    /// Tells an app that we have started to end; until when it may take.
    fn tell_app(&self, reason: StopReason, end: DrainEnd, deadline: Deadline) -> tokio::time::Instant {
        if let Some(app) = &self.app {
            match reason {
                StopReason::Signal(signal) => app.signal(signal),
                // What it has started may still run.
                StopReason::AppEnded => app.signal(rustix::process::Signal::TERM),
            }
        }
        let patience = match end {
            DrainEnd::Hurried => HURRIED_APP_END,
            DrainEnd::Over => deadline.left().max(APP_END),
        };
        tokio::time::Instant::now() + patience
    }
}

/// Waits for the end of an app that we have started; without one, for ever.
async fn end_of(app: &mut Option<AppProcess>) -> u8 {
    match app {
        Some(app) => app.ended().await,
        None => std::future::pending().await,
    }
}

async fn bind_admin(
    at: SocketAddr,
    passed: Option<std::net::TcpListener>,
) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |source| StartError::Admin { at, source };
    let listener = match passed {
        Some(passed) => passed
            .set_nonblocking(true)
            .and_then(|()| TcpListener::from_std(passed)),
        None => TcpListener::bind(at).await,
    };
    let listener = listener.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}
