//! A host name's addresses, asked of the system's resolver, which may take as long as it likes. It is asked
//! on a thread of its own, and one thread at a time for each name: a resolver that hangs holds that one, and
//! nobody who can do with the addresses known before.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use tokio::sync::Notify;

/// The lookups of one name.
#[derive(Debug)]
pub struct Lookup {
    host: String,
    port: u16,
    state: Mutex<State>,
    /// Told at the end of each lookup.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    under_way: bool,
    /// How the last lookup failed, if it did.
    failure: Option<LookupError>,
    found: Option<Found>,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub struct Found {
    /// At least one, in the resolver's order.
    pub addresses: Arc<[SocketAddr]>,
    /// When the lookup ended.
    pub at: Instant,
}

/// Why a name has no address: in the resolver's words, or the system's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LookupError(String);

impl Lookup {
    /// Looks nothing up yet.
    pub fn new(host: String, port: u16) -> Arc<Self> {
        Arc::new(Lookup {
            host,
            port,
            state: Mutex::default(),
            ended: Notify::new(),
        })
    }

    /// The name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What the last lookup that did not fail has found.
    pub fn found(&self) -> Option<Found> {
        self.state().found.clone()
    }

    /// Begins a lookup, unless one is under way.
    pub fn begin(self: &Arc<Self>) {
        if std::mem::replace(&mut self.state().under_way, true) {
            return;
        }
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return self.end(Ok([SocketAddr::new(address, self.port)].into()));
        }
        let this = Arc::clone(self);
        let thread = thread::Builder::new().name("gatecount-lookup".to_owned());
        if let Err(error) = thread.spawn(move || this.end(this.resolve())) {
            // Other than the runtime's own lookup, which panics.
            self.end(Err(LookupError(format!(
                "no thread may be started to look it up, raise the limit of threads (ulimit -u): {error}"
            ))));
        }
    }

    /// What a lookup finds that ends from now on.
    ///
    /// # Errors
    /// The resolver's, or that no thread may be started.
    pub async fn next(self: &Arc<Self>) -> Result<Found, LookupError> {
        let ended = self.ended.notified();
        self.begin();
        ended.await;
        let state = self.state();
        match (&state.failure, &state.found) {
            (None, Some(found)) => Ok(found.clone()),
            (Some(failure), _) => Err(failure.clone()),
            (None, None) => Err(LookupError("it was not looked up".to_owned())),
        }
    }

    /// Asks the resolver.
    fn resolve(&self) -> Result<Arc<[SocketAddr]>, LookupError> {
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for address in (self.host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(in_words)?
        {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() {
            return Err(LookupError("it has no address".to_owned()));
        }
        Ok(addresses.into())
    }

    fn end(&self, outcome: Result<Arc<[SocketAddr]>, LookupError>) {
        let mut state = self.state();
        state.under_way = false;
        state.failure = outcome.as_ref().err().cloned();
        if let Ok(addresses) = outcome {
            let at = Instant::now();
            state.found = Some(Found { addresses, at });
        }
        drop(state);
        self.ended.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No update is left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The resolver's reason, without the words that say only that it is the resolver's.
#[allow(clippy::needless_pass_by_value)] // as map_err hands it over
fn in_words(error: io::Error) -> LookupError {
    let text = error.to_string();
    let reason = text.strip_prefix("failed to lookup address information: ");
    LookupError(reason.unwrap_or(&text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_is_found_and_kept() {
        let lookup = Lookup::new("127.0.0.1".to_owned(), 80);
        assert!(lookup.found().is_none());
        let expected: [SocketAddr; 1] = ["127.0.0.1:80".parse().unwrap()];
        assert_eq!(*lookup.next().await.unwrap().addresses, expected);
        assert_eq!(*lookup.found().unwrap().addresses, expected);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_told_in_words_to_each_who_waits() {
        let lookup = Lookup::new("nowhere.invalid".to_owned(), 80);
        let (one, other) = tokio::join!(lookup.next(), lookup.next());
        let text = one.unwrap_err().to_string();
        assert!(!text.is_empty() && !text.contains("failed to lookup"), "{text}");
        assert_eq!(other.unwrap_err().to_string(), text);
    }
}
