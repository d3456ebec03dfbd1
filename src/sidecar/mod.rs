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
mod running;
mod sockets;
mod start;
mod status;
mod stop;
mod upkeep;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, PoisonError},
};

pub use self::error::StartError;
use self::{
    reader::Reader,
    reloadable::{live, load_tls, observe_rules, tls_of},
    running::Running,
    sockets::PassedSockets,
    status::Reloadable,
    stop::{StopReason, end_of},
};
pub use status::ExplainPasted;

use crate::{
    admin,
    config::{self, Config, Mistakes, Sources},
    lifecycle::{AppCommand, SignalAction, Signals},
    proxy::{self, Proxy},
    telemetry,
};

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
            sidecar.running.start_app(command)?;
        }
        let load = if sidecar.running.is_gateway {
            config::load_gateway
        } else {
            config::load
        };
        sidecar.serve(&mut signals, move || load(&sources)).await
    });
    // Delivery's thread may be stuck in a system call on the queue's disk; the process ends nevertheless.
    runtime.shutdown_background();
    outcome
}

/// A running sidecar.
pub struct Sidecar {
    config: Config,
    running: Running,
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
        let running = Running::start(&mut config, explain, sockets).await?;
        Ok(Sidecar { config, running })
    }

    /// Where clients connect; none without an app.
    pub fn bound(&self) -> Option<&proxy::Bound> {
        self.running.proxy.as_ref().map(Proxy::bound)
    }

    /// Where the admin address listens.
    pub fn admin_address(&self) -> SocketAddr {
        self.running.admin_address
    }

    /// The newest decisions, as the admin address shows them.
    pub fn decisions(&self) -> admin::DecisionsSince {
        Arc::clone(&self.running.newest)
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
                Ok(self.running.stop(signals, reason, self.config.drain).await)
            }
            Err(error) => {
                let reason = StopReason::Signal(rustix::process::Signal::TERM);
                self.running.stop(signals, reason, self.config.drain).await;
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
                        self.running.manager.reloading();
                        reader.read();
                    }
                },
                status = end_of(&mut self.running.app) => {
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
                self.running
                    .reloads
                    .failed("the configuration was", mistakes.to_string());
                self.running
                    .manager
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
        match load_tls(tls_of(&new), self.running.tls.as_ref()) {
            Ok(loaded) => {
                self.running.tls = loaded;
                self.running.reloads.succeeded();
                self.running.manager.ready("Serving");
            }
            Err(error) => {
                self.running
                    .reloads
                    .failed("the certificates were", telemetry::chain(&error));
                self.running
                    .manager
                    .ready("Serving with the certificates before the last reload, which failed");
            }
        }
        if let Some(proxy) = &self.running.proxy {
            proxy.handle().reload(&live(&new, self.running.tls.clone()));
        }
        if let Some(observe) = &self.running.observe {
            observe.reload(observe_rules(&new));
        }
        self.running.delivery.reload(new.event.clone());
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
        *self
            .running
            .reloadable
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Reloadable::of(&self.config);
    }
}
