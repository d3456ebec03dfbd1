//! What operators read: metrics, health, status, decisions, the live page.
//!
//! Everything is read-only: `GET` and `HEAD` alone are answered. No answer may be stored or read by another origin,
//! and what came from outside (paths, hosts, referrers) is escaped where it is shown.
//!
//! The pieces that put it on the wire (`server`, `answer`, `markup`) also carry the demo's two servers.

pub(crate) mod answer;
#[cfg(test)]
pub(crate) mod ask;
mod live;
pub(crate) mod markup;
mod mask;
mod routes;
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

pub use mask::masked;

/// `[admin]`, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to listen; port 0 is any free one.
    pub address: SocketAddr,
}

/// The value of `/status`, taken when it is asked for.
pub type Status = Arc<dyn Fn() -> Value + Send + Sync>;

/// The decisions after a sequence number, oldest first, as many as are still held; each an object with a `seq` that
/// grows. Zero asks for all.
pub type Decisions = Arc<dyn Fn(u64) -> Pin<Box<dyn Future<Output = Vec<Value>> + Send>> + Send + Sync>;

/// Where the answers come from.
#[derive(Clone)]
pub struct Sources {
    /// What `/metrics` gathers.
    pub registry: prometheus::Registry,
    /// What `/readyz` tells: true while requests are accepted.
    pub ready: watch::Receiver<bool>,
    /// What `/status` and the live page tell.
    pub status: Status,
    /// What `/decisions` and the live page tell.
    pub decisions: Decisions,
    /// Notes how `/readyz` was answered.
    pub probes: Arc<Probes>,
}

/// How often `/readyz` was answered which way: a drain may end its waiting once a prober has seen red.
#[derive(Debug, Default)]
pub struct Probes {
    green: AtomicU64,
    red: AtomicU64,
    seen: Notify,
}

impl Probes {
    /// The number of 200s given.
    pub fn green(&self) -> u64 {
        self.green.load(Ordering::Acquire)
    }

    /// The number of 503s given.
    pub fn red(&self) -> u64 {
        self.red.load(Ordering::Acquire)
    }

    /// Waits until a 503 has been given; at once where one has.
    pub async fn seen_red(&self) {
        loop {
            let mut seen = std::pin::pin!(self.seen.notified());
            seen.as_mut().enable();
            if self.red() > 0 {
                return;
            }
            seen.await;
        }
    }

    fn note(&self, ready: bool) {
        let counter = if ready { &self.green } else { &self.red };
        counter.fetch_add(1, Ordering::AcqRel);
        self.seen.notify_waiters();
    }
}

/// Serves the admin address until `shutdown` ends; streams are closed then, and answers under way get a moment.
pub async fn serve(listener: TcpListener, sources: Sources, shutdown: impl Future<Output = ()>) {
    let routes = Arc::new(routes::Routes::new(sources));
    let handler = move |request, connection| {
        let routes = Arc::clone(&routes);
        async move { routes.answer(&request, connection).await }
    };
    server::serve(listener, handler, shutdown).await;
}
