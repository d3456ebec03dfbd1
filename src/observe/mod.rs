//! Requests seen from aside: copies of requests (`mirror`), and the access log of another server, followed in
//! its file (`follow`) or sent as syslog (`datagram`). Nothing here is ever in a request's way.
//!
//! Each becomes an `Observed`: who sent it, its method, target and fields, and what is known of the response.
//! `format` reads the lines of logs. The `desk` decides, by the client's and the page's rules that the data
//! path has too. An event's time is that of its line.
//!
//! Copies and datagrams can't be asked for again: their events are offered as the data path's are. A file
//! can: its events are stored with their places in it, so that each counts once.

mod datagram;
mod desk;
mod dry_run;
mod follow;
mod format;
mod lines;
mod mirror;
mod observed;
mod rules;
mod settings;
mod syslog;
mod tally;

use std::{
    io,
    net::{self, SocketAddr},
    path::PathBuf,
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
    time::Duration,
};

use prometheus::{IntCounterVec, Registry};
use tokio::{net::TcpListener, runtime::Builder, sync::oneshot, task::spawn_blocking, time::timeout};

use datagram::BoundSocket;
use desk::{Counter, Desk};
use follow::Follower;
use tally::Tally;

pub use dry_run::{DryRun, Example, LineCounts};
pub use rules::ObserveRules;
pub use settings::{LineFormat, LogSource, Settings};
pub use tally::ObservedRequest;

use crate::{
    delivery::{Feed, Outbox},
    page::Twins,
};

/// Connections of copiers at once.
pub const MIRROR_CONNECTIONS: usize = mirror::LIMITS.connections;
/// How long a stop waits for the observers, which may wait for a disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why nothing can be observed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address or the socket can't be had, as when another process has it.
    #[error("can't listen on {at}")]
    Listen {
        /// As configured.
        at: String,
        /// The operating system's word.
        source: io::Error,
    },
    /// No thread could be started.
    #[error("can't start a thread")]
    Thread(#[source] io::Error),
    /// A metric's name is taken.
    #[error("can't register the metrics")]
    Metrics(#[from] prometheus::Error),
}

/// What observing needs of the other parts.
#[derive(Debug)]
pub struct ObserveLinks<'a> {
    /// For copies and datagrams.
    pub outbox: Outbox,
    /// For a file.
    pub feed: Feed,
    /// Where metrics are registered.
    pub registry: &'a Registry,
    /// `gatecount_decisions_total`.
    pub decisions: &'a IntCounterVec,
    /// What the data path has seen; none without one.
    pub twins: Option<Arc<Twins>>,
}

/// Everything that observes, running.
#[derive(Debug)]
pub struct Observe {
    desk: Arc<Desk>,
    mirror: Option<SocketAddr>,
    log: Option<LogSource>,
    stop_sockets: Option<oneshot::Sender<()>>,
    stop_follower: Option<mpsc::Sender<()>>,
    threads: Vec<JoinHandle<()>>,
}

/// The newest decisions, for whoever asks while it runs.
#[derive(Debug, Clone)]
pub struct ObserveWatcher(Arc<Desk>);

impl ObserveWatcher {
    /// The decisions after a sequence number, oldest first.
    pub fn decisions(&self, since: u64) -> Vec<ObservedRequest> {
        self.0.tally.since(since)
    }
}

/// Starts what is configured: a thread for sockets, and one for a file.
///
/// # Errors
/// [`Error`]
pub fn start(settings: &Settings, rules: ObserveRules, links: ObserveLinks<'_>) -> Result<Observe, Error> {
    let clock = links.outbox.clock();
    let tally = Tally::register(links.registry, links.decisions, clock)?;
    let desk = Arc::new(Desk::new(rules, links.twins, tally, clock));
    let mut observe = Observe {
        desk: Arc::clone(&desk),
        mirror: None,
        log: settings.log.clone(),
        stop_sockets: None,
        stop_follower: None,
        threads: Vec::new(),
    };
    if let Some(LogSource::File(log)) = &settings.log {
        observe.follow(log.clone(), settings.format, links.feed)?;
    }
    let counter = Arc::new(Counter::new(desk, links.outbox));
    observe.open_sockets(settings, &counter)?;
    Ok(observe)
}

impl Observe {
    /// Where copies of requests come.
    pub fn mirror(&self) -> Option<SocketAddr> {
        self.mirror
    }

    /// Where lines come from; of a UDP port 0, which port it is.
    pub fn log(&self) -> Option<&LogSource> {
        self.log.as_ref()
    }

    /// For whoever needs to ask while it runs.
    pub fn watcher(&self) -> ObserveWatcher {
        ObserveWatcher(Arc::clone(&self.desk))
    }

    /// Decides by these rules from now on.
    pub fn reload(&self, rules: ObserveRules) {
        self.desk.reload(rules);
    }

    /// Takes no more, and waits until what was taken is stored or offered, two seconds at most.
    pub async fn stop(self) {
        drop((self.stop_sockets, self.stop_follower));
        let threads = self.threads;
        let joined = spawn_blocking(move || threads.into_iter().all(|thread| thread.join().is_ok()));
        if let Ok(Ok(false)) = timeout(PATIENCE, joined).await {
            tracing::error!("a thread that observes panicked");
        }
    }

    fn follow(&mut self, log: PathBuf, format: LineFormat, feed: Feed) -> Result<(), Error> {
        let (stop, stopped) = mpsc::channel();
        let follower = Follower {
            log,
            format,
            desk: Arc::clone(&self.desk),
            feed,
            stop: stopped,
        };
        let thread = thread::Builder::new()
            .name("gatecount-follow".to_owned())
            .spawn(move || follower.run());
        self.threads.push(thread.map_err(Error::Thread)?);
        self.stop_follower = Some(stop);
        Ok(())
    }

    /// Opens the sockets and serves them on a thread of their own, if there are any.
    fn open_sockets(&mut self, settings: &Settings, counter: &Arc<Counter>) -> Result<(), Error> {
        let datagrams = matches!(settings.log, Some(LogSource::Udp(_) | LogSource::Unixgram(_)));
        if settings.mirror.is_none() && !datagrams {
            return Ok(());
        }
        let (listener, sockets) = (self.listen(settings)?, self.bind(settings)?);
        let (stop, stopped) = oneshot::channel();
        let (format, counter) = (settings.format, Arc::clone(counter));
        let serve = async move {
            if let Some(sockets) = sockets {
                tokio::spawn(sockets.into_tokio()?.read(format, Arc::clone(&counter)));
            }
            // An error means that the sender was dropped, which is how it asks to stop.
            let shutdown = async { drop(stopped.await) };
            match listener {
                Some(listener) => mirror::serve(TcpListener::from_std(listener)?, counter, shutdown).await,
                None => shutdown.await,
            }
            Ok(())
        };
        let run = move || {
            let runtime = Builder::new_current_thread().enable_all().build();
            let served: io::Result<()> = runtime.and_then(|runtime| runtime.block_on(serve));
            if let Err(error) = served {
                tracing::error!(%error, "requests can't be observed");
            }
        };
        let thread = thread::Builder::new()
            .name("gatecount-observe".to_owned())
            .spawn(run);
        self.threads.push(thread.map_err(Error::Thread)?);
        self.stop_sockets = Some(stop);
        Ok(())
    }

    fn listen(&mut self, settings: &Settings) -> Result<Option<net::TcpListener>, Error> {
        let Some(at) = settings.mirror else {
            return Ok(None);
        };
        let failed = |source| Error::Listen {
            at: at.to_string(),
            source,
        };
        let listener = net::TcpListener::bind(at).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        self.mirror = Some(listener.local_addr().map_err(failed)?);
        Ok(Some(listener))
    }

    fn bind(&mut self, settings: &Settings) -> Result<Option<BoundSocket>, Error> {
        let Some(source) = &settings.log else {
            return Ok(None);
        };
        let bound = match source {
            LogSource::File(_) => return Ok(None),
            LogSource::Udp(at) => BoundSocket::udp(*at),
            LogSource::Unixgram(path) => BoundSocket::unix(path),
        };
        let datagrams = bound.map_err(|error| Error::Listen {
            at: source.to_string(),
            source: error,
        })?;
        if let Some(address) = datagrams.local_address() {
            self.log = Some(LogSource::Udp(address));
        }
        Ok(Some(datagrams))
    }
}
