//! New connections to the app: which addresses its name has, and in which order they are tried.
//!
//! # The name
//!
//! A name is looked up off the workers' threads, one lookup at a time for all of them, so a resolver that
//! hangs holds one thread, and no request that could do without it. An answer counts for [`FRESH`]. After
//! that the next connect has the name looked up again, and meanwhile goes on with the old addresses, for
//! [`STALE`] at most. Where none of the old addresses takes the connection, it waits for the lookup and tries
//! the new ones.
//!
//! # Several addresses
//!
//! They are tried one after another, the next one after [`STAGGER`] at most, while the ones before go on: an
//! address that swallows connections takes the others no time away. The address that answers is tried first
//! from then on, and after [`REMEMBERED`] all have the same chance again.
//!
//! # An app that this process has started
//!
//! It takes a while until it listens. A connection that is refused is tried again until the time for it is
//! over.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpStream, UnixStream},
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

use super::reach::Reach;
use crate::{
    lookup::Lookup,
    proxy::{
        errors::Fault,
        settings::{App, Upstream},
        stream::Stream,
    },
};

/// How long a name's addresses are used without another lookup.
const FRESH: Duration = Duration::from_secs(5);
/// How long they are used while another lookup goes on or fails.
const STALE: Duration = Duration::from_mins(1);
/// How long an address may take alone before the next one is tried beside it.
const STAGGER: Duration = Duration::from_millis(250);
/// How long the address that answered is tried before the others.
const REMEMBERED: Duration = Duration::from_mins(1);
/// The pauses between tries while nobody listens yet: the shortest, and the longest.
const ABSENT_PAUSE: [Duration; 2] = [Duration::from_millis(10), Duration::from_millis(160)];
/// The pause before a Unix socket is tried again whose queue is full.
const FULL_QUEUE_PAUSE: Duration = Duration::from_millis(10);

/// Connects to the app. All workers share one, for what it knows of the app's name.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Connector {
    /// Of an app that has a name, and no address.
    name: Option<Arc<Lookup>>,
    /// The address that answered, and since when it is tried first.
    preferred: Mutex<Option<(SocketAddr, Instant)>>,
    /// Whether it can be reached.
    reach: Arc<Reach>,
}

impl Connector {
    pub(in crate::proxy) fn new(upstream: &Upstream, reach: Arc<Reach>) -> Self {
        let name = match upstream {
            Upstream::Tcp(host, port) if host.parse::<IpAddr>().is_err() => {
                Some(Lookup::new(host.clone(), *port))
            }
            Upstream::Tcp(..) | Upstream::Unix(_) | Upstream::Nothing => None,
        };
        Connector {
            name,
            preferred: Mutex::default(),
            reach,
        }
    }

    /// Whether the app can be reached.
    pub(super) fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Opens a connection within the app's time for it.
    ///
    /// # Errors
    /// [`Fault::Connect`], [`Fault::ConnectTimeout`], [`Fault::Unresolved`] and [`Fault::NoApp`].
    pub(super) async fn connect(&self, app: &App) -> Result<Stream, Fault> {
        let deadline = Instant::now() + app.connect_timeout;
        let [shortest, longest] = ABSENT_PAUSE;
        let (mut pause, mut absence) = (shortest, None);
        loop {
            match (self.connect_by(app, deadline).await, absence.take()) {
                (Err(Fault::Connect(error)), _) if app.is_ours && is_absence(&error) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left < shortest {
                        return Err(Fault::Connect(error));
                    }
                    absence = Some(error);
                    sleep(pause.min(left / 2)).await;
                    pause = longest.min(pause * 2);
                }
                // The last try had too little time to be refused.
                (Err(Fault::ConnectTimeout), Some(error)) => return Err(Fault::Connect(error)),
                (connected, _) => return connected,
            }
        }
    }

    async fn connect_by(&self, app: &App, deadline: Instant) -> Result<Stream, Fault> {
        match &app.upstream {
            Upstream::Unix(path) => timeout_at(deadline, unix(path))
                .await
                .map_err(|_| Fault::ConnectTimeout)?
                .map(Stream::Unix)
                .map_err(Fault::Connect),
            Upstream::Tcp(host, port) => {
                let stream = match &self.name {
                    Some(name) => self.by_name(app, name, deadline).await?,
                    None => within(deadline, TcpStream::connect((host.as_str(), *port))).await?,
                };
                stream.set_nodelay(true).map_err(Fault::Connect)?;
                Ok(Stream::Tcp(stream))
            }
            Upstream::Nothing => Err(Fault::NoApp),
        }
    }

    async fn by_name(&self, app: &App, name: &Arc<Lookup>, deadline: Instant) -> Result<TcpStream, Fault> {
        let (addresses, age) = addresses(name, deadline).await?;
        let failed = match self.first_of(&addresses, app, deadline).await {
            Err(fault) if age >= FRESH => fault,
            connected => return connected,
        };
        // The app may have moved since the name was looked up.
        match renewed(name, deadline).await {
            Ok(newer) if newer != addresses => self.first_of(&newer, app, deadline).await,
            _ => Err(failed),
        }
    }

    /// Connects to the first of these that answers, as far as the time goes.
    async fn first_of(
        &self,
        addresses: &[SocketAddr],
        app: &App,
        deadline: Instant,
    ) -> Result<TcpStream, Fault> {
        if let [one] = addresses {
            return within(deadline, TcpStream::connect(*one)).await;
        }
        let mut order = addresses.to_vec();
        let mut stagger = STAGGER.min(app.connect_timeout / (addresses.len() as u32 + 1));
        let preferred = *lock(&self.preferred);
        if let Some((preferred, since)) = preferred {
            if since.elapsed() < REMEMBERED {
                order.sort_by_key(|address| *address != preferred);
            } else {
                // All at once: the time to find out whether the first one is back is no request's.
                stagger = Duration::ZERO;
            }
        }
        let (stream, address) = within(deadline, race(order, stagger)).await?;
        let mut preferred = lock(&self.preferred);
        if !preferred.is_some_and(|(before, since)| before == address && since.elapsed() < REMEMBERED) {
            *preferred = Some((address, Instant::now()));
        }
        Ok(stream)
    }
}

/// Whether nobody listens there.
fn is_absence(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound
    )
}

async fn within<T>(deadline: Instant, connecting: impl Future<Output = io::Result<T>>) -> Result<T, Fault> {
    match timeout_at(deadline, connecting).await {
        Ok(connected) => connected.map_err(Fault::Connect),
        Err(_) => Err(Fault::ConnectTimeout),
    }
}

/// Connects to whichever address answers first. Each gets `stagger` before the next one is tried beside it;
/// one that fails is followed at once.
async fn race(addresses: Vec<SocketAddr>, stagger: Duration) -> io::Result<(TcpStream, SocketAddr)> {
    let mut error = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    let mut rest = addresses.into_iter();
    let mut tries = JoinSet::new();
    loop {
        let next = rest.next();
        let is_last = next.is_none();
        if let Some(address) = next {
            tries.spawn_local(async move { (TcpStream::connect(address).await, address) });
        }
        let ended = if is_last {
            tries.join_next().await
        } else {
            match timeout(stagger, tries.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok((Ok(stream), address))) => return Ok((stream, address)),
            Some(Ok((Err(failed), _))) => error = failed,
            None if is_last => return Err(error),
            // A try never panics, and is not aborted before the race is over.
            Some(Err(_)) | None => {}
        }
    }
}

/// Connects to a Unix socket. A full queue is told at once, other than with TCP: it is waited for.
async fn unix(path: &std::path::Path) -> io::Result<UnixStream> {
    loop {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => sleep(FULL_QUEUE_PAUSE).await,
            connected => return connected,
        }
    }
}

/// The addresses, and how old they are: at once where they are known.
async fn addresses(name: &Arc<Lookup>, deadline: Instant) -> Result<(Arc<[SocketAddr]>, Duration), Fault> {
    if let Some(found) = name.found() {
        let age = found.at.elapsed();
        if age >= FRESH {
            name.begin();
        }
        if age < STALE {
            return Ok((found.addresses, age));
        }
    }
    Ok((renewed(name, deadline).await?, Duration::ZERO))
}

/// The addresses that a lookup gives which ends from now on.
async fn renewed(name: &Arc<Lookup>, deadline: Instant) -> Result<Arc<[SocketAddr]>, Fault> {
    let reason = match timeout_at(deadline, name.next()).await {
        Ok(Ok(found)) => return Ok(found.addresses),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    Err(Fault::Unresolved {
        name: name.host().to_owned(),
        reason,
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No update is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// An address on which nobody listens.
    fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    fn app(connect_timeout: Duration) -> App {
        App {
            upstream: Upstream::Tcp("app.test".to_owned(), 80),
            connect_timeout,
            response_timeout: Duration::from_secs(1),
            keep_alive: Duration::from_secs(1),
            is_ours: false,
        }
    }

    fn on_a_worker(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default());
        runtime.unwrap().block_on(test);
    }

    #[test]
    fn the_address_that_answers_is_tried_first_from_then_on() {
        on_a_worker(async {
            let (answers, refuses) = (TcpListener::bind("127.0.0.1:0").unwrap(), refusing());
            let addresses = [refuses, answers.local_addr().unwrap()];
            let deadline = Instant::now() + Duration::from_secs(10);
            let app = app(Duration::from_secs(10));
            let connector = Connector::new(&app.upstream, Arc::default());
            connector.first_of(&addresses, &app, deadline).await.unwrap();
            let (preferred, _) = lock(&connector.preferred).unwrap();
            assert_eq!(preferred, addresses[1]);
        });
    }

    #[test]
    fn an_app_of_ours_gets_its_time_to_listen_and_another_does_not() {
        on_a_worker(async {
            let address = refusing();
            let mut app = app(Duration::from_secs(20));
            app.upstream = Upstream::Tcp(address.ip().to_string(), address.port());
            let connector = Connector::new(&app.upstream, Arc::default());
            let fault = connector.connect(&app).await.unwrap_err();
            assert!(matches!(fault, Fault::Connect(_)), "{fault}");

            app.is_ours = true;
            let listening = async {
                sleep(Duration::from_millis(50)).await;
                TcpListener::bind(address).unwrap()
            };
            let (connected, _listener) = tokio::join!(connector.connect(&app), listening);
            connected.unwrap();

            app.connect_timeout = Duration::from_millis(100);
            app.upstream = Upstream::Unix("/nonexistent/app.sock".into());
            let fault = Connector::new(&app.upstream, Arc::default())
                .connect(&app)
                .await
                .unwrap_err();
            assert!(matches!(fault, Fault::Connect(_)), "{fault}");
        });
    }

    #[test]
    fn a_name_without_an_address_is_told_in_words() {
        on_a_worker(async {
            let app = app(Duration::from_secs(20));
            let fault = Connector::new(&app.upstream, Arc::default())
                .connect(&app)
                .await
                .unwrap_err();
            let text = fault.to_string();
            assert!(
                text.starts_with("the app's name \"app.test\" can't be resolved: "),
                "{text}"
            );
            assert!(!text.contains("uncategorized"), "{text}");
        });
    }
}
