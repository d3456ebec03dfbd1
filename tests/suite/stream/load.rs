//! Visitors who come through several sidecars at a steady rate, whatever becomes of these.

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::{
    support::{
        client::{Client, NAVIGATION, Request},
        eventually,
    },
    survival::visitor,
};

/// Visitors, each with the pages whose numbers have the same remainder.
pub(super) const VISITORS: usize = 400;
/// Threads, each with visitors of its own, one request after the other: a visitor never asks for two pages at once.
const THREADS: usize = 4;

/// An event is safe so long after its page's answer. `survival::kills` holds it to that.
pub(super) const PROMISED: Duration = Duration::from_millis(50);
/// The same here, where a dozen other processes keep the machine busy, and a sidecar may have to wait for its turn.
pub(super) const SAFE: Duration = Duration::from_millis(500);

/// Where the sidecars are at the moment; one that was started again has another port.
pub(super) type Addresses = Arc<[Mutex<SocketAddr>]>;

/// A page that was answered.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) number: usize,
    /// Which sidecar answered.
    pub(super) sidecar: usize,
    /// When it was asked for.
    pub(super) begun: Instant,
    /// When the answer was read.
    pub(super) at: Instant,
}

impl Asked {
    /// Whether its event had been safe for so long when its sidecar was killed, if it was in any of these times,
    /// each from just before the signal until the process was gone.
    ///
    /// The process may answer until it is gone, and the answer may be read later than that. So what tells whether
    /// it answered is when it was asked.
    pub(super) fn is_safe_at(
        &self,
        kills: impl IntoIterator<Item = RangeInclusive<Instant>>,
        after: Duration,
    ) -> bool {
        !kills
            .into_iter()
            .any(|kill| self.begun <= *kill.end() && *kill.start() < self.at + after)
    }
}

/// The running load.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Vec<Asked>>>,
}

/// Whose page it is.
pub(super) fn visitor_of(number: usize) -> usize {
    number % VISITORS
}

/// Whether a visitor comes through another sidecar each time, as one who is balanced over replicas does. The others
/// keep to one.
pub(super) fn roams(number: usize) -> bool {
    (visitor_of(number) / THREADS).is_multiple_of(4)
}

/// Which sidecar a page goes through.
fn sidecar_of(number: usize, sidecars: usize) -> usize {
    if roams(number) {
        number / VISITORS % sidecars
    } else {
        visitor_of(number) % sidecars
    }
}

/// A page of its visitor's.
pub(super) fn page(number: usize) -> Request {
    Request::get(&format!("/page/{number}"))
        .as_(NAVIGATION)
        .from(&visitor(visitor_of(number)))
}

impl Load {
    /// So many pages a second.
    pub(super) fn through(addresses: &Addresses, rate: u32) -> Load {
        Load::from_page(0, addresses, rate)
    }

    /// So many pages a second, from this one on, which is the first visitor's.
    pub(super) fn from_page(start: usize, addresses: &Addresses, rate: u32) -> Load {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let pace = Duration::from_secs(THREADS as u64) / rate;
        let threads = (0..THREADS).map(|first| {
            let (addresses, stop, answered) =
                (Arc::clone(addresses), Arc::clone(&stop), Arc::clone(&answered));
            thread::spawn(move || run(start + first, &addresses, pace, &stop, &answered))
        });
        Load {
            threads: threads.collect(),
            stop,
            answered,
        }
    }

    /// Waits until so many more pages were answered.
    #[track_caller]
    pub(super) fn goes_on(&self, pages: usize) {
        let enough = self.answered.load(SeqCst) + pages;
        eventually("pages are answered", || match self.answered.load(SeqCst) {
            answered if answered >= enough => Ok(()),
            answered => Err(format!("{answered} of {enough}")),
        });
    }

    /// How many pages were answered so far.
    pub(super) fn answered(&self) -> usize {
        self.answered.load(SeqCst)
    }

    /// Ends, and tells which pages were answered.
    pub(super) fn finish(self) -> Vec<Asked> {
        self.stop.store(true, SeqCst);
        let threads = self.threads.into_iter();
        threads
            .flat_map(|thread| thread.join().expect("a thread of the load"))
            .collect()
    }
}

fn run(
    first: usize,
    addresses: &Addresses,
    pace: Duration,
    stop: &AtomicBool,
    answered: &AtomicUsize,
) -> Vec<Asked> {
    let mut connections: Vec<Option<Client>> = addresses.iter().map(|_| None).collect();
    let mut asked = Vec::new();
    let begun = Instant::now();
    for (turn, number) in (first..).step_by(THREADS).enumerate() {
        if stop.load(SeqCst) {
            break;
        }
        let sidecar = sidecar_of(number, addresses.len());
        let address = *addresses[sidecar].lock().unwrap();
        let connection = &mut connections[sidecar];
        if connection.is_none() {
            *connection = Client::try_to(address).ok();
        }
        let asking = Instant::now();
        let answer = connection.as_mut().map(|client| client.try_ask(&page(number)));
        if let Some(Ok(response)) = answer {
            assert_eq!(response.status(), 200, "page {number}");
            answered.fetch_add(1, SeqCst);
            asked.push(Asked {
                number,
                sidecar,
                begun: asking,
                at: Instant::now(),
            });
        } else {
            *connection = None;
        }
        // A pace, not a wait.
        let due = pace * u32::try_from(turn + 1).expect("few turns");
        thread::sleep(due.saturating_sub(begun.elapsed()));
    }
    asked
}
