//! The open connections of a server, and which of them to close when there are too many.
//!
//! A connection is busy from the moment its request is read until the response's body is handed to the kernel
//! or to hyper's buffer; otherwise it is idle. A connection whose head has not arrived is idle too. When the
//! server is full, the connection that has been idle longest is closed. So clients that connect and say
//! nothing can't keep a health probe out.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use tokio::sync::Notify;

/// The open connections. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Connections(Arc<Mutex<Open>>);

#[derive(Default)]
struct Open {
    entries: BTreeMap<u64, OpenConnection>,
    next_id: u64,
}

struct OpenConnection {
    /// Requests that are being answered: 0 or 1 in HTTP/1.1 without pipelining.
    busy: usize,
    idle_since: Instant,
    evict: Arc<Notify>,
}

impl Connections {
    /// Adds a connection.
    pub(super) fn open(&self) -> ConnectionGuard {
        let evict = Arc::new(Notify::new());
        let mut open = self.lock();
        let id = open.next_id;
        open.next_id += 1;
        open.entries.insert(
            id,
            OpenConnection {
                busy: 0,
                idle_since: Instant::now(),
                evict: Arc::clone(&evict),
            },
        );
        ConnectionGuard {
            connections: self.clone(),
            id,
            evict,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lock().entries.len()
    }

    /// Evicts the connection that has been idle longest. False if all are busy.
    pub(super) fn evict_idle(&self) -> bool {
        let mut open = self.lock();
        let oldest = open
            .entries
            .iter()
            .filter(|(_, connection)| connection.busy == 0)
            .min_by_key(|(_, connection)| connection.idle_since)
            .map(|(id, _)| *id);
        match oldest.and_then(|id| open.entries.remove(&id)) {
            Some(connection) => {
                connection.evict.notify_one();
                true
            }
            None => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        // Every update is complete before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open connection; it is removed when this is dropped.
pub(super) struct ConnectionGuard {
    connections: Connections,
    id: u64,
    evict: Arc<Notify>,
}

impl ConnectionGuard {
    /// Waits until the connection should close to make room.
    pub(super) async fn evicted(&self) {
        self.evict.notified().await;
    }

    /// Marks the connection as busy until the result is dropped.
    pub(super) fn busy(&self) -> BusyGuard {
        if let Some(connection) = self.connections.lock().entries.get_mut(&self.id) {
            connection.busy += 1;
        }
        BusyGuard {
            connections: self.connections.clone(),
            id: self.id,
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.connections.lock().entries.remove(&self.id);
    }
}

/// Marks a connection as busy.
pub(super) struct BusyGuard {
    connections: Connections,
    id: u64,
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        if let Some(connection) = self.connections.lock().entries.get_mut(&self.id) {
            connection.busy -= 1;
            connection.idle_since = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_evicted(guard: &ConnectionGuard) -> bool {
        let evicted = std::pin::pin!(guard.evicted());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        evicted.poll(&mut cx).is_ready()
    }

    #[test]
    fn the_connection_that_has_been_idle_longest_is_evicted() {
        let connections = Connections::default();
        let [first, second, third] = [(); 3].map(|()| connections.open());
        let busy = second.busy();
        drop(first.busy());
        assert!(connections.evict_idle());
        assert!(is_evicted(&third), "it has been idle since it was opened");
        assert!(!is_evicted(&first) && !is_evicted(&second));
        assert!(connections.evict_idle());
        assert!(is_evicted(&first));
        assert!(!connections.evict_idle(), "a busy connection is not evicted");
        drop(busy);
        assert!(connections.evict_idle());
        assert!(is_evicted(&second));
    }

    #[test]
    fn a_closed_connection_is_not_counted() {
        let connections = Connections::default();
        let (first, second) = (connections.open(), connections.open());
        let busy = first.busy();
        drop(first);
        drop(busy);
        assert_eq!(connections.len(), 1);
        assert!(connections.evict_idle());
        assert_eq!(
            connections.len(),
            0,
            "an evicted connection frees its place at once"
        );
        drop(second);
    }
}
