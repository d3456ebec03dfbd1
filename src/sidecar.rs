//! The composition root: builds the parts, starts them in order, stops them in reverse.
//!
//! Order: the admin address, delivery (whose queue recovers on its own thread, and is given a moment for it), the data path,
//! readiness. A stop turns readiness, lets the data path finish what it has, then lets delivery take all that was
//! offered, and ends with the admin address, so that the stop can be watched.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    admin,
    config::{self, Config, Mistakes, Sources},
    delivery::{self, Delivery},
    lifecycle::{self, Asked, Deadline, Readiness, Signals},
    proxy::{self, Live, Proxy},
    telemetry,
};

/// How often the configuration's files are looked at for a change.
const LOOK: Duration = Duration::from_secs(2);
/// How long the data path waits for the queue to be recovered, so that what it offers is stored at once. A queue that takes
/// longer than this does not keep the app from its visitors.
const RECOVERY: Duration = Duration::from_millis(250);
/// How long the last sends may take once the data path has ended.
const LAST_SENDS: Duration = Duration::from_secs(2);
/// How long the queue is given to write its last, be it beyond the drain. A disk that is stuck may take what is left of
/// the drain.
const LAST_WRITES: Duration = Duration::from_secs(1);
/// How long the admin address is given for its last answers.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// Why the sidecar can't start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Logs or metrics.
    #[error("can't set up logs and metrics")]
    Telemetry(#[from] telemetry::Error),
    /// Delivery, as when no trusted roots are found.
    #[error("can't start delivery")]
    Delivery(#[from] delivery::DeliveryError),
    /// The data path, as when the address is in use.
    #[error("can't start the proxy")]
    Proxy(#[from] proxy::Error),
    /// The certificates.
    #[error("can't set up TLS")]
    Tls(#[from] proxy::LoadError),
    /// The admin address is in use, or not this machine's.
    #[error("can't listen on the admin address {at}")]
    Admin {
        /// As configured.
        at: std::net::SocketAddr,
        /// The operating system's word.
        source: io::Error,
    },
    /// No runtime for the main thread.
    #[error("can't start the main thread's runtime")]
    Runtime(#[source] io::Error),
    /// Signals can't be handled.
    #[error("can't handle signals")]
    Signals(#[source] io::Error),
}

/// Runs a sidecar in this thread until a signal ends it; `sources` are what a reload reads again.
///
/// # Errors
/// [`Error`]
pub fn run(config: Config, sources: &Sources) -> Result<(), Error> {
    telemetry::log(config.log.as_deref())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(Error::Signals)?;
        let sidecar = Sidecar::start(config).await?;
        sidecar.serve(&mut signals, || config::load(sources)).await;
        Ok(())
    });
    // Delivery's thread may be stuck in a system call of the queue's disk; the process ends all the same.
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
    admin_address: std::net::SocketAddr,
    end_admin: oneshot::Sender<()>,
    readiness: Readiness,
    probes: Arc<admin::Probes>,
}

impl Sidecar {
    /// Builds and starts all parts.
    ///
    /// # Errors
    /// [`Error`]; what was started before is ended with it.
    pub async fn start(config: Config) -> Result<Self, Error> {
        let started = Instant::now();
        let registry = telemetry::registry()?;
        let tls = match &config.proxy.tls {
            Some(tls) => Some(proxy::load_tls(tls, true, None)?),
            None => None,
        };
        say_whom_we_trust(&config);
        let listener = TcpListener::bind(config.admin.address)
            .await
            .map_err(|source| Error::Admin {
                at: config.admin.address,
                source,
            })?;
        let admin_address = listener.local_addr().map_err(|source| Error::Admin {
            at: config.admin.address,
            source,
        })?;

        let (delivery, outboxes) = delivery::start(
            config.delivery.clone(),
            config.queue.clone(),
            config.event.clone(),
            config.proxy.workers,
            &registry,
        )?;
        delivery.recovered(RECOVERY).await;
        let proxy = proxy::start(&config.proxy, &live(&config, tls.clone()), outboxes, &registry)?;

        let readiness = Readiness::default();
        let probes = Arc::new(admin::Probes::default());
        let sources = admin::Sources {
            registry,
            ready: readiness.watch(),
            status: status(started, &readiness, &proxy, admin_address, &delivery),
            decisions: decisions(&proxy),
            probes: Arc::clone(&probes),
        };
        let (end_admin, end) = oneshot::channel::<()>();
        let admin = tokio::spawn(admin::serve(listener, sources, async {
            // Dropped without a word it ends as well.
            let _ = end.await;
        }));
        readiness.turn_on();
        tracing::info!(listen = %proxy.bound(), admin = %admin_address, "listening");
        Ok(Sidecar {
            config,
            delivery,
            proxy,
            tls,
            admin,
            admin_address,
            end_admin,
            readiness,
            probes,
        })
    }

    /// Where clients connect.
    pub fn bound(&self) -> &proxy::Bound {
        self.proxy.bound()
    }

    /// Where operators look.
    pub fn admin_address(&self) -> std::net::SocketAddr {
        self.admin_address
    }

    /// Serves until a signal asks to stop, and stops. `load` reads the configuration again where a reload is asked for
    /// or one of its files has changed.
    pub async fn serve(mut self, signals: &mut Signals, load: impl Fn() -> Result<Config, Mistakes>) {
        let mut seen = stamps(&self.config.files);
        loop {
            let asked = tokio::select! {
                asked = signals.next() => asked,
                () = changed(&self.config.files, &seen) => Asked::Reload,
            };
            match asked {
                Asked::Stop => break,
                Asked::Reload => {
                    // Taken before the read: a change in between is seen as one more.
                    seen = stamps(&self.config.files);
                    self.reload(load());
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
        let waiting = self.config.needs_restart(&new);
        if !waiting.is_empty() {
            tracing::warn!(
                "these keys have changed and wait for a restart: {}",
                waiting.join(", ")
            );
        }
        self.reload_tls(new.proxy.tls.as_ref());
        self.proxy.handle().reload(&live(&new, self.tls.clone()));
        self.delivery.reload(new.event.clone());
        say_whom_we_trust(&new);
        tracing::info!("configuration reloaded");
        self.config.client = new.client;
        self.config.proxy.tls = new.proxy.tls;
        self.config.page = new.page;
        self.config.event = new.event;
        self.config.files = new.files;
    }

    /// Reads the certificates again. Where that fails, the running ones stay.
    fn reload_tls(&mut self, tls: Option<&proxy::Tls>) {
        self.tls = match tls.map(|tls| proxy::load_tls(tls, true, self.tls.as_ref())) {
            None => None,
            Some(Ok(loaded)) => Some(loaded),
            Some(Err(error)) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "the certificates were not reloaded, the running ones stay");
                return;
            }
        };
    }

    /// Stops in reverse order. A second signal cuts the waiting short; what was accepted is kept all the same.
    async fn stop(self, signals: &mut Signals) {
        let drain = self.config.proxy.drain;
        let deadline = Deadline::after(drain);
        tracing::info!(drain = ?drain, "stopping");
        self.readiness.turn_off();
        self.proxy.drain();
        let gentle = async {
            lifecycle::notice(drain, || (self.probes.green(), self.probes.red())).await;
            if !self.proxy.close(deadline.left()).await {
                tracing::warn!("the drain is over; connections that are still open are cut");
            }
        };
        let hurried = tokio::select! {
            () = gentle => false,
            () = signals.stop() => true,
        };
        if hurried {
            tracing::warn!("asked to stop again: connections that are still open are cut");
        }
        self.proxy.stop();
        let patience = if hurried {
            Duration::ZERO
        } else {
            LAST_SENDS.min(deadline.left())
        };
        let now = Instant::now();
        let rest = deadline.left().saturating_sub(LAST_ANSWERS);
        let limit = if hurried {
            LAST_WRITES
        } else {
            rest.max(LAST_WRITES)
        };
        self.delivery.stop(now + patience, now + limit).await;
        drop(self.end_admin);
        // Whoever still reads there has had its answer, or does not matter at this point.
        let _ = tokio::time::timeout(LAST_ANSWERS, self.admin).await;
        tracing::info!("stopped");
    }
}

fn live(config: &Config, tls: Option<proxy::Loaded>) -> Arc<Live> {
    Arc::new(Live {
        client: config.client.clone(),
        page: config.page.clone(),
        sites: config.event.sites.clone(),
        tls,
    })
}

fn say_whom_we_trust(config: &Config) {
    let client = &config.client;
    if client.trusted_hops > 0 {
        tracing::info!(
            "the {} nearest hops are trusted to name the client",
            client.trusted_hops
        );
    } else {
        let ranges: Vec<&str> = client.trust.ranges().collect();
        tracing::info!(
            "trusted to name the client: {}",
            if ranges.is_empty() {
                "nobody".to_owned()
            } else {
                ranges.join(", ")
            }
        );
    }
}

fn status(
    started: Instant,
    readiness: &Readiness,
    proxy: &Proxy,
    admin: std::net::SocketAddr,
    delivery: &Delivery,
) -> admin::Status {
    let (ready, handle) = (readiness.watch(), proxy.handle());
    let (listen, delivery) = (proxy.bound().to_string(), delivery.watcher());
    Arc::new(move || {
        let mut status = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "uptime_seconds": started.elapsed().as_secs_f64(),
            "ready": *ready.borrow(),
            "listen": listen,
            "admin": admin.to_string(),
        });
        if let (Some(all), Ok(Value::Object(parts))) =
            (status.as_object_mut(), serde_json::to_value(delivery.status()))
        {
            all.extend(parts);
            let counts = handle
                .decision_counts()
                .into_iter()
                .map(|(d, n)| (d.to_owned(), json!(n)));
            all.insert("decisions".into(), Value::Object(counts.collect()));
        }
        status
    })
}

fn decisions(proxy: &Proxy) -> admin::Decisions {
    let handle = proxy.handle();
    Arc::new(move |since| {
        let handle = handle.clone();
        Box::pin(async move { handle.decisions(since).await.iter().map(decision).collect() })
    })
}

fn decision(record: &proxy::Record) -> Value {
    let (method, host, path) = record.request();
    json!({
        "seq": record.seq,
        "at": humantime::format_rfc3339_millis(record.at()).to_string(),
        "decision": record.verdict.decision.label(),
        "why": record.verdict.why,
        "method": method,
        "host": host,
        "path": path,
        "status": record.status,
        "client": record.client.map(admin::masked),
        "client_from": record.from,
    })
}

/// What tells that a file is another one than before.
type Stamp = Option<(SystemTime, u64)>;

fn stamps(files: &[PathBuf]) -> Vec<Stamp> {
    files.iter().map(|f| stamp(f)).collect()
}

fn stamp(file: &Path) -> Stamp {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// Returns when one of the files has changed. They are looked at instead of watched, for that finds a file that was
/// replaced, and one behind the links that Kubernetes swaps.
async fn changed(files: &[PathBuf], seen: &[Stamp]) {
    loop {
        tokio::time::sleep(LOOK).await;
        if stamps(files) != seen {
            return;
        }
    }
}
