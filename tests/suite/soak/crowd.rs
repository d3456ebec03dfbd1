//! Five hundred requests a second of every kind, over connections of every kind, each answer compared.

use std::{
    io,
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::support::{
    client::{Client, Request},
    eventually,
    http2::{Http2, Upload},
    site,
};

/// Threads, each with a hundred requests a second.
const THREADS: usize = 5;
const PACE: Duration = Duration::from_millis(10);

/// Visitors, so that some are busy and none is alone.
const VISITORS: usize = 400;

/// The running crowd.
pub(super) struct Crowd {
    stop: Arc<AtomicBool>,
    failed: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Result<Seen, String>>>,
}

/// What the crowd has seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) requests: usize,
    /// The numbers of the pages that were answered.
    pub(super) pages: Vec<usize>,
}

impl Crowd {
    pub(super) fn through(address: SocketAddr) -> Crowd {
        let (stop, failed) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let answered = Arc::<AtomicUsize>::default();
        let threads = (0..THREADS).map(|thread| {
            let (stop, failed) = (Arc::clone(&stop), Arc::clone(&failed));
            let answered = Arc::clone(&answered);
            thread::spawn(move || {
                let outcome = run(thread, address, &stop, &answered);
                failed.fetch_or(outcome.is_err(), SeqCst);
                outcome
            })
        });
        Crowd {
            threads: threads.collect(),
            stop,
            failed,
            answered,
        }
    }

    /// Whether each answer was right so far.
    pub(super) fn is_well(&self) -> bool {
        !self.failed.load(SeqCst)
    }

    /// Waits until so many requests were answered, or one was answered wrongly.
    pub(super) fn goes_on(&self, requests: usize) {
        eventually("the crowd's requests are answered", || {
            match self.answered.load(SeqCst) {
                answered if answered < requests && self.is_well() => Err(format!("{answered} of {requests}")),
                _ => Ok(()),
            }
        });
    }

    /// Ends, and tells what was seen, or the first wrong answer.
    pub(super) fn finish(self) -> Result<Seen, String> {
        self.stop.store(true, SeqCst);
        let mut all = Seen::default();
        for thread in self.threads {
            let seen = thread.join().map_err(|_| "a thread of the crowd panicked")??;
            all.requests += seen.requests;
            all.pages.extend(seen.pages);
        }
        Ok(all)
    }
}

/// How a thread's requests go.
enum Way {
    /// One connection for all.
    Kept(Client),
    /// A connection for each.
    Fresh(SocketAddr),
    Http2(Http2),
}

impl Way {
    fn of(thread: usize, address: SocketAddr) -> io::Result<Way> {
        Ok(match thread {
            0 => Way::Fresh(address),
            1 => Way::Http2(Http2::over(TcpStream::connect(address)?)?),
            _ => Way::Kept(Client::try_to(address)?),
        })
    }

    fn ask(&mut self, request: &Request) -> Result<(), String> {
        let response = match self {
            Way::Kept(client) => client.try_ask(request),
            Way::Fresh(address) => Client::try_to(*address).and_then(|mut client| client.try_ask(request)),
            Way::Http2(client) => client
                .try_ask(request, Upload::of(request.body()))
                .map_err(|failure| io::Error::other(format!("{failure:?}"))),
        };
        site::compare(request, &response.map_err(|e| e.to_string())?)
    }
}

fn run(
    thread: usize,
    address: SocketAddr,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> Result<Seen, String> {
    let mut way = Way::of(thread, address).map_err(|e| format!("connect: {e}"))?;
    let mut seen = Seen::default();
    let begun = Instant::now();
    while !stop.load(SeqCst) {
        let number = seen.requests * THREADS + thread;
        let request = site::request(number).from(&visitor(number));
        way.ask(&request)
            .map_err(|e| format!("{} {}: {e}", request.method(), request.target()))?;
        if site::is_page(&request) {
            seen.pages.push(number);
        }
        seen.requests += 1;
        answered.fetch_add(1, SeqCst);
        // A pace, not a wait.
        let due = PACE * u32::try_from(seen.requests).unwrap();
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    Ok(seen)
}

fn visitor(number: usize) -> String {
    let visitor = number % VISITORS;
    format!("203.0.{}.{}", visitor / 200, visitor % 200 + 1)
}

/// The page's number in its url.
pub(super) fn number(url: &str) -> Option<usize> {
    url.rsplit('/').next()?.parse().ok()
}
