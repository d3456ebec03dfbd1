//! Steady traffic beside what a test does to the rest: failing open means that it never notices.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    client::{Client, FETCH, Request},
    eventually, site,
};

/// Two hundred requests a second before a [`site`], none of them a page view.
pub(crate) struct Steady {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    thread: JoinHandle<Result<Calm, String>>,
}

/// What the traffic saw.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calm {
    /// Requests answered, byte for byte.
    pub(crate) requests: usize,
    /// Of a hundred waits for an answer, 99 were shorter.
    pub(crate) p99: Duration,
}

impl Steady {
    /// Begins, over one connection.
    pub(crate) fn through(address: SocketAddr) -> Steady {
        Steady::begin(false, move || Client::try_to(address))
    }

    /// Begins, over one connection that is made so.
    pub(crate) fn over(connect: impl Fn() -> io::Result<Client> + Send + 'static) -> Steady {
        Steady::begin(false, connect)
    }

    /// Begins, with a connection made so for each request.
    pub(crate) fn over_fresh(connect: impl Fn() -> io::Result<Client> + Send + 'static) -> Steady {
        Steady::begin(true, connect)
    }

    fn begin(fresh: bool, connect: impl Fn() -> io::Result<Client> + Send + 'static) -> Steady {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicUsize::new(0));
        let thread = thread::spawn({
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            move || run(fresh, &connect, &stop, &answered)
        });
        Steady {
            stop,
            answered,
            thread,
        }
    }

    /// Waits until a request that is made from now on is answered, or the traffic has ended.
    #[track_caller]
    pub(crate) fn goes_on(&self) {
        // The next answer may be to a request that was on its way.
        let enough = self.answered.load(Ordering::SeqCst) + 2;
        eventually("the traffic goes on", || {
            match self.answered.load(Ordering::SeqCst) {
                answered if answered >= enough || self.thread.is_finished() => Ok(()),
                answered => Err(format!("{answered} of {enough}")),
            }
        });
    }

    /// Ends, and fails the test if one answer was wrong.
    #[track_caller]
    pub(crate) fn finish(self) -> Calm {
        self.stop.store(true, Ordering::SeqCst);
        let outcome = self.thread.join().expect("the steady traffic's thread");
        outcome.unwrap_or_else(|e| panic!("the app's traffic noticed: {e}"))
    }
}

fn run(
    fresh: bool,
    connect: &dyn Fn() -> io::Result<Client>,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> Result<Calm, String> {
    let connect = || connect().map_err(|e| format!("connect: {e}"));
    let mut client = connect()?;
    let mut waits = Vec::new();
    let begun = Instant::now();
    while !stop.load(Ordering::SeqCst) {
        let request = Request::get(&format!("/api/{}", waits.len())).as_(FETCH);
        let asked = Instant::now();
        if fresh {
            client = connect()?;
        }
        let response = client
            .try_ask(&request)
            .map_err(|e| format!("request {}: {e}", waits.len()))?;
        let waited = asked.elapsed();
        site::compare(&request, &response).map_err(|e| format!("request {}: {e}", waits.len()))?;
        waits.push(waited);
        answered.store(waits.len(), Ordering::SeqCst);
        // A pace, not a wait: the nth request is due at n × 5 ms.
        let due = Duration::from_millis(5) * waits.len() as u32;
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    waits.sort_unstable();
    let p99 = waits.get(waits.len() * 99 / 100).copied().unwrap_or_default();
    Ok(Calm {
        requests: waits.len(),
        p99,
    })
}
