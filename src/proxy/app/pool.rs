//! Connections to the app: the idle ones of a worker, and how many there may be.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout_at},
};

use super::{connect::Connector, reach::AskedFor};
use crate::proxy::{errors::Fault, settings::App, stream::Stream};

/// Idle connections kept at most, per worker.
const MAX_IDLE: usize = 1024;

/// A place among the connections to the app, of which there are only so many as the limit of open files
/// allows.
pub(in crate::proxy) type Place = OwnedSemaphorePermit;

/// Connections on which a response has ended cleanly. The newest is taken first: it is the least likely to be
/// closing.
#[derive(Debug)]
pub(in crate::proxy) struct Pool {
    idle: RefCell<Vec<Idle>>,
    max_idle: usize,
    sweeping: Cell<bool>,
    wake: Notify,
    places: Arc<Semaphore>,
    connector: Arc<Connector>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    place: Place,
    /// From then on the app is likely to close it soon.
    doubtful: Instant,
    until: Instant,
}

impl Pool {
    /// A pool that keeps `max_idle` connections at most, each with a place of `places`. All workers share
    /// these, and the connector.
    pub(in crate::proxy) fn new(max_idle: usize, places: Arc<Semaphore>, connector: Arc<Connector>) -> Self {
        Pool {
            idle: RefCell::default(),
            max_idle: max_idle.min(MAX_IDLE),
            sweeping: Cell::new(false),
            wake: Notify::new(),
            places,
            connector,
        }
    }

    /// An idle connection that is not known to be dead.
    pub(in crate::proxy) fn take(&self, cx: &mut TaskContext<'_>, now: Instant) -> Option<(Stream, Place)> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut one) = idle.pop() {
            // Bytes or an end on an idle connection: the app has closed it, or speaks out of turn. The
            // runtime may not have heard of it yet; where that is likely, the socket itself is asked.
            if one.until > now
                && one.stream.poll_read(cx, &mut [0]).is_pending()
                && (one.doubtful > now || one.stream.is_silent())
            {
                return Some((one.stream, one.place));
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(in crate::proxy) fn give(&self, stream: Stream, place: Place, now: Instant, keep: Duration) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.max_idle && !keep.is_zero() {
            idle.push(Idle {
                stream,
                place,
                doubtful: now + keep / 2,
                until: now + keep,
            });
            if !self.sweeping.replace(true) {
                self.wake.notify_one();
            }
        }
    }

    /// A new connection to the app.
    ///
    /// # Errors
    /// [`Fault::Connect`], [`Fault::ConnectTimeout`], [`Fault::Unresolved`], and [`Fault::NoPlace`] where as
    /// many are open as there may be.
    pub(in crate::proxy) async fn connect(
        &self,
        app: &App,
        asked_for: AskedFor,
    ) -> Result<(Stream, Place), Fault> {
        let deadline = Instant::now() + app.connect_timeout;
        let place = timeout_at(deadline, self.place()).await;
        let place = place.ok().flatten().ok_or(Fault::NoPlace)?;
        loop {
            match self.connector.connect(app).await {
                // The system's limit is lower than it seemed: an idle connection makes room.
                Err(Fault::Connect(error)) if is_out_of_descriptors(&error) && self.close_oldest() => {}
                Ok(stream) => {
                    self.connector.reach().accepted();
                    return Ok((stream, place));
                }
                Err(fault) => {
                    // Without descriptors nobody knows how the app does.
                    if !matches!(&fault, Fault::Connect(error) if is_out_of_descriptors(error)) {
                        self.connector.reach().failed(&fault, asked_for);
                    }
                    return Err(fault);
                }
            }
        }
    }

    /// A place for another connection: a free one, or that of an idle connection of this worker's, or the
    /// next that one of the workers gives up.
    async fn place(&self) -> Option<Place> {
        loop {
            if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
                return Some(place);
            }
            if !self.close_oldest() {
                return Arc::clone(&self.places).acquire_owned().await.ok();
            }
        }
    }

    /// Closes the connection that has been idle longest; whether there was one.
    fn close_oldest(&self) -> bool {
        let mut idle = self.idle.borrow_mut();
        let any = !idle.is_empty();
        if any {
            idle.remove(0);
        }
        any
    }

    /// Closes what has been idle for too long, for as long as the worker runs; sleeps while there is nothing.
    pub(in crate::proxy) async fn sweep(self: Rc<Self>) {
        loop {
            sleep(Duration::from_millis(500)).await;
            let now = Instant::now();
            self.idle.borrow_mut().retain(|one| one.until > now);
            if self.idle.borrow().is_empty() {
                self.sweeping.set(false);
                self.wake.notified().await;
            }
        }
    }
}

fn is_out_of_descriptors(error: &std::io::Error) -> bool {
    let out = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(rustix::io::Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| out.contains(&code))
}

/// How long the app says it keeps the connection: `Keep-Alive: timeout=N` (seconds), less a second because
/// the next request needs time to arrive.
pub(in crate::proxy) fn keep_alive_hint(value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let seconds = text.split(',').find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("timeout")
            .then(|| value.trim().trim_matches('"').parse::<u32>().ok())?
    })?;
    Some(Duration::from_secs(u64::from(seconds)).saturating_sub(Duration::from_secs(1)))
}

/// Polls a pool without a task's context at hand.
pub(in crate::proxy) async fn take(pool: &Pool, now: Instant) -> Option<(Stream, Place)> {
    // With the task's budget spent, every read would seem to have nothing, and a dead connection alive.
    tokio::task::unconstrained(std::future::poll_fn(|cx| Poll::Ready(pool.take(cx, now)))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The runtime has not looked at its sockets since the app closed.
    #[tokio::test]
    async fn a_connection_that_the_app_may_have_closed_by_now_is_asked_before_it_is_used() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        for (closes, used) in [(false, true), (true, false)] {
            let pool = Pool::new(8, Arc::new(Semaphore::new(8)), Arc::default());
            let place = pool.place().await.unwrap();
            let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            ours.set_nonblocking(true).unwrap();
            let stream = Stream::Tcp(tokio::net::TcpStream::from_std(ours).unwrap());
            let (theirs, _) = listener.accept().unwrap();
            let (now, keep) = (Instant::now(), Duration::from_secs(4));
            pool.give(stream, place, now, keep);
            let theirs = (!closes).then_some(theirs);
            let taken = take(&pool, now + keep * 3 / 4).await;
            assert_eq!(taken.is_some(), used, "closed by the app: {closes}");
            drop(theirs);
        }
    }

    #[tokio::test]
    async fn an_idle_connection_gives_its_place_to_a_new_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let pool = Pool::new(8, Arc::new(Semaphore::new(1)), Arc::default());
        let ours = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = Stream::Tcp(tokio::net::TcpStream::from_std(ours).unwrap());
        let place = pool.place().await.unwrap();
        pool.give(stream, place, Instant::now(), Duration::from_secs(4));
        assert!(pool.place().await.is_some());
        assert!(pool.idle.borrow().is_empty());
    }

    #[test]
    fn the_apps_keep_alive_is_obeyed_with_a_second_to_spare() {
        for (value, expected) in [
            ("timeout=5, max=100", Some(4)),
            ("max=100, Timeout = 72", Some(71)),
            ("timeout=1", Some(0)),
            ("max=1", None),
            ("timeout=x", None),
        ] {
            assert_eq!(
                keep_alive_hint(value.as_bytes()),
                expected.map(Duration::from_secs),
                "{value}"
            );
        }
    }
}
