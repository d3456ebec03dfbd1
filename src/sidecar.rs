//! The composition root: builds the parts, starts them in order, stops them in reverse order.
//!
//! The order is: the admin address, delivery, the data path, readiness. A stop turns readiness off, lets the data path
//! finish its requests, then lets delivery store and send what it was offered. The admin address ends last, so that
//! operators can watch the stop.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    admin, client,
    config::{self, Config, FileWatcher, Mistakes, Sources},
    delivery::{self, Delivery},
    lifecycle::{self, Deadline, Readiness, SignalAction, Signals},
    proxy::{self, Live, Proxy},
    queue, telemetry,
};

/// How long the data path's start waits for the queue to be recovered. Events are stored at once after that. A queue
/// that takes longer does not keep visitors from the app.
const RECOVERY_WAIT: Duration = Duration::from_millis(250);
/// How long the last sends may take once the data path has ended.
const LAST_SENDS: Duration = Duration::from_secs(2);
/// How long the queue may take for its last writes, even if the drain is over. A slow disk may take the rest of the
/// drain.
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
    /// Signals can't be handled.
    #[error("can't handle signals")]
    Signals(#[source] io::Error),
}

/// Runs a sidecar on this thread until a signal ends it. A reload reads `sources` again.
///
/// # Errors
/// [`StartError`]
pub fn run(config: Config, sources: &Sources) -> Result<(), StartError> {
    telemetry::init_logging(&config.log)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(StartError::Signals)?;
        let sidecar = Sidecar::start(config).await?;
        sidecar.serve(&mut signals, || config::load(sources)).await;
        Ok(())
    });
    // Delivery's thread may be stuck in a system call on the queue's disk; the process ends nevertheless.
    runtime.shutdown_background();
    outcome
}

/// A running sidecar.
pub struct Sidecar {
    config: Config,
    delivery: Delivery,
    proxy: Proxy,
    tls: Option<proxy::Loaded>,
    admin: JoinHandle<()>,
    admin_address: SocketAddr,
    stop_admin: oneshot::Sender<()>,
    readiness: Readiness,
    probes: Arc<admin::Probes>,
}

impl Sidecar {
    /// Builds and starts all parts.
    ///
    /// # Errors
    /// [`StartError`]; the parts that were started before it are stopped.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let started = Instant::now();
        let registry = telemetry::registry()?;
        let tls = load_tls(config.proxy.tls.as_ref(), None)?;
        log_trust(&config.client);
        let (admin_listener, admin_address) = bind_admin(config.admin.address).await?;

        let (delivery, outboxes) = delivery::start(
            config.delivery.clone(),
            config.queue.clone(),
            config.event.clone(),
            config.proxy.workers,
            &registry,
        )?;
        delivery.recovered(RECOVERY_WAIT).await;
        let proxy = proxy::start(&config.proxy, &live(&config, tls.clone()), outboxes, &registry)?;

        let readiness = Readiness::default();
        let probes = Arc::new(admin::Probes::default());
        let inputs = admin::Inputs {
            registry,
            ready: readiness.watch(),
            status: take_status(started, &config, &readiness, admin_address, &proxy, &delivery),
            decisions: decisions_since(&proxy),
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
        readiness.turn_on();
        tracing::info!(listen = %proxy.bound(), admin = %admin_address, "listening");
        Ok(Sidecar {
            config,
            delivery,
            proxy,
            tls,
            admin,
            admin_address,
            stop_admin,
            readiness,
            probes,
        })
    }

    /// Where clients connect.
    pub fn bound(&self) -> &proxy::Bound {
        self.proxy.bound()
    }

    /// Where the admin address listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin_address
    }

    /// Serves until a signal asks to stop, then stops. `load` reads the configuration again after SIGHUP or when one of
    /// its files has changed.
    pub async fn serve(mut self, signals: &mut Signals, load: impl Fn() -> Result<Config, Mistakes>) {
        let mut files = FileWatcher::new(&self.config.files);
        loop {
            let action = tokio::select! {
                action = signals.next() => action,
                () = files.changed() => SignalAction::Reload,
            };
            match action {
                SignalAction::Stop => break,
                SignalAction::Reload => {
                    files.refresh();
                    self.reload(load());
                    files.set_files(&self.config.files);
                }
            }
        }
        self.stop(signals).await;
    }

    fn reload(&mut self, loaded: Result<Config, Mistakes>) {
        let new = match loaded {
            Ok(new) => new,
            Err(mistakes) => {
                tracing::error!("the configuration was not reloaded, the running one stays: {mistakes}");
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
        self.reload_tls(new.proxy.tls.as_ref());
        self.proxy.handle().reload(&live(&new, self.tls.clone()));
        self.delivery.reload(new.event.clone());
        log_trust(&new.client);
        tracing::info!("configuration reloaded");
        self.config.adopt_reloadable(new);
    }

    /// Reads the certificates again. If they can't be used, the running ones stay.
    fn reload_tls(&mut self, tls: Option<&proxy::Tls>) {
        match load_tls(tls, self.tls.as_ref()) {
            Ok(loaded) => self.tls = loaded,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "the certificates were not reloaded, the running ones stay");
            }
        }
    }

    /// Stops in reverse order. A second signal ends the drain at once; accepted events are kept nevertheless.
    async fn stop(self, signals: &mut Signals) {
        let drain = self.config.proxy.drain;
        let deadline = Deadline::after(drain);
        tracing::info!(drain = ?drain, "stopping");
        self.readiness.turn_off();
        self.proxy.drain();
        let draining = async {
            let probed = self.probes.ready() > 0;
            lifecycle::wait_for_notice(drain, probed, self.probes.seen_not_ready()).await;
            if !self.proxy.close(deadline.left()).await {
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
        self.proxy.stop();
        let (sends, writes) = if hurried {
            (Duration::ZERO, LAST_WRITES)
        } else {
            let rest = deadline.left().saturating_sub(LAST_RESPONSES);
            (LAST_SENDS.min(deadline.left()), rest.max(LAST_WRITES))
        };
        let now = Instant::now();
        self.delivery.stop(now + sends, now + writes).await;
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

/// The settings that a reload can change, for the data path.
fn live(config: &Config, tls: Option<proxy::Loaded>) -> Arc<Live> {
    Arc::new(Live {
        client: config.client.clone(),
        page: config.page.clone(),
        sites: config.event.sites.clone(),
        tls,
    })
}

fn log_trust(client: &client::Settings) {
    if client.trusted_hops > 0 {
        tracing::info!(
            "the {} nearest hops are trusted to name the client",
            client.trusted_hops
        );
        return;
    }
    let ranges: Vec<&str> = client.trust.ranges().collect();
    let trusted = if ranges.is_empty() {
        "nobody".to_owned()
    } else {
        ranges.join(", ")
    };
    tracing::info!("trusted to name the client: {trusted}");
}

/// What the admin address calls to take a status.
fn take_status(
    started: Instant,
    config: &Config,
    readiness: &Readiness,
    admin: SocketAddr,
    proxy: &Proxy,
    delivery: &Delivery,
) -> admin::TakeStatus {
    let storage = match config.queue.at {
        queue::At::Disk(_) => admin::Storage::Disk,
        queue::At::Memory => admin::Storage::Memory,
    };
    let (ready, listen) = (readiness.watch(), proxy.bound().to_string());
    let (proxy, delivery) = (proxy.handle(), delivery.watcher());
    Arc::new(move || {
        let delivery::Status { queue, delivery } = delivery.status();
        admin::StatusReport {
            version: env!("CARGO_PKG_VERSION"),
            uptime_seconds: started.elapsed().as_secs_f64(),
            ready: *ready.borrow(),
            listen: listen.clone(),
            admin: admin.to_string(),
            queue: admin::QueueReport {
                at: storage,
                events: queue.events,
                bytes: queue.bytes,
                oldest_seconds: queue.oldest_seconds,
                alarm: queue.alarm,
            },
            delivery: admin::DeliveryReport {
                state: sending_state(delivery.state),
                since: delivery.since,
                last_error: delivery.last_error,
                last_error_seconds: delivery.last_error_seconds,
                last_error_over: delivery.last_error_over,
                hint: delivery.hint,
                warnings: delivery.warnings,
                finished: delivery.finished,
                in_flight: delivery.in_flight,
            },
            decisions: admin::DecisionCounts(proxy.decision_counts()),
        }
    })
}

fn sending_state(state: delivery::DeliveryState) -> admin::SendingState {
    match state {
        delivery::DeliveryState::Starting => admin::SendingState::Starting,
        delivery::DeliveryState::Passing => admin::SendingState::Passing,
        delivery::DeliveryState::Failing => admin::SendingState::Failing,
        delivery::DeliveryState::Tripped => admin::SendingState::Tripped,
        delivery::DeliveryState::Probing => admin::SendingState::Probing,
        delivery::DeliveryState::Restarting => admin::SendingState::Restarting,
        delivery::DeliveryState::Stopped => admin::SendingState::Stopped,
    }
}

/// What the admin address calls to get decisions.
fn decisions_since(proxy: &Proxy) -> admin::DecisionsSince {
    let proxy = proxy.handle();
    Arc::new(move |since| {
        let proxy = proxy.clone();
        Box::pin(async move { proxy.decisions(since).await.iter().map(decision_record).collect() })
    })
}

fn decision_record(record: &proxy::RecentRequest) -> admin::DecisionRecord {
    let (method, host, path) = record.request();
    admin::DecisionRecord {
        seq: record.seq,
        at: record.at(),
        decision: record.verdict.decision,
        why: record.verdict.why,
        method,
        host,
        path,
        status: record.status,
        client: record.client.map(admin::masked),
        client_from: record.from,
    }
}
