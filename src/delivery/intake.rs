//! The delivery thread's end of the rings.
//!
//! The first offer after a rest wakes the delivery thread. The thread collects all rings soon after that, and
//! goes on in rounds of [`ROUND`] for as long as anything comes. A round is due `ROUND` after the one before
//! was due, however late that one ran. So an offer is written to the disk `ROUND` and [`MARGIN`] later, 30 ms
//! earlier than promised. An offer makes a system call only if the site was quiet before, or if its worker
//! has offered plenty since the last round.
//!
//! Two events of one visitor on two workers must keep their order. So collected sightings are sorted by time,
//! and those younger than [`MARGIN`] stay for the next round: another ring may still get an older one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rtrb::{Consumer, RingBuffer};

use super::{
    account::{Account, Source},
    outbox::{Outbox, PREFIX, Signal},
};
use crate::clock::Clock;

/// The size of one worker's ring in bytes. It holds several rounds of more ordinary pages than a worker can
/// serve.
const RING: usize = 1 << 20;
/// The time between two rounds. The first round after a rest comes after half of it, as the thread may wake
/// late.
const ROUND: Duration = Duration::from_millis(15);
/// How long after its time was taken an offer may reach its ring.
const MARGIN: Duration = Duration::from_millis(5);
/// The capacity that a buffer keeps between rounds, in bytes.
const KEPT: usize = 256 * 1_024;

/// The delivery thread's end of all rings.
#[derive(Debug)]
pub(super) struct Intake {
    rings: Vec<Consumer<u8>>,
    signal: Arc<Signal>,
    clock: Clock,
    /// When the next round is due; `None` while resting.
    due: Option<Instant>,
    /// The sightings collected and not yet passed on; `held` says where each is.
    bytes: Vec<u8>,
    held: Vec<Held>,
    /// The buffer of the last round, reused.
    spare: Vec<u8>,
    /// Offers ever taken out of the rings.
    collected: u64,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    at_ns: u64,
    start: usize,
    len: usize,
    source: Source,
}

/// A ring for each of `workers`.
pub(super) fn rings(workers: usize, account: &Arc<Account>, clock: Clock) -> (Vec<Outbox>, Intake) {
    let signal = Arc::new(Signal::default());
    let (outboxes, rings) = (0..workers)
        .map(|_| {
            let (producer, consumer) = RingBuffer::new(RING);
            let outbox = Outbox::new(producer, signal.clone(), account.clone(), clock);
            (outbox, consumer)
        })
        .unzip();
    let intake = Intake {
        rings,
        signal,
        clock,
        // The first round arms the signal.
        due: Some(Instant::now()),
        bytes: Vec::new(),
        held: Vec::new(),
        spare: Vec::new(),
        collected: 0,
    };
    (outboxes, intake)
}

impl Intake {
    /// When the next round is due; `None` if an offer has to come first.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Offers ever taken out of the rings, including those still held.
    pub(super) fn collected(&self) -> u64 {
        self.collected
    }

    /// Offers taken out of the rings and not yet passed on.
    pub(super) fn held(&self) -> usize {
        self.held.len()
    }

    /// Waits until an offer brings the next round nearer. It is safe to drop this and call it again.
    pub(super) async fn signalled(&mut self) {
        tokio::select! {
            biased;
            () = self.signal.plenty() => self.due = Some(Instant::now()),
            () = self.signal.first() => {
                self.due.get_or_insert_with(|| Instant::now() + ROUND / 2);
            }
        }
    }

    /// If a round is due, takes everything out of the rings and passes on what is old enough, oldest first.
    pub(super) fn round(&mut self, now: Instant, give: &mut dyn FnMut(Source, &[u8])) {
        let Some(due) = self.due.filter(|due| *due <= now) else {
            return;
        };
        let taken = self.collect();
        let margin = MARGIN.as_nanos() as u64;
        self.pass_on_until(self.clock.nanos_at(now).saturating_sub(margin), give);
        if taken == 0 && self.held.is_empty() {
            self.rest();
        } else {
            self.due = Some((due + ROUND).max(now));
        }
    }

    /// Takes and passes on everything, at a stop.
    pub(super) fn last_round(&mut self, give: &mut dyn FnMut(Source, &[u8])) {
        self.collect();
        self.pass_on_until(u64::MAX, give);
    }

    /// Forgets what was collected and not passed on.
    pub(super) fn forget(&mut self) {
        self.held.clear();
        self.bytes.clear();
        self.due = Some(Instant::now());
    }

    /// Arms the signal, unless an offer arrives at the same moment.
    fn rest(&mut self) {
        self.signal.arm();
        if self.rings.iter().all(Consumer::is_empty) {
            self.due = None;
        } else {
            self.signal.disarm();
            self.due = Some(Instant::now() + ROUND);
        }
    }

    /// Moves everything from the rings behind what is held.
    fn collect(&mut self) -> usize {
        let before = self.held.len();
        for ring in &mut self.rings {
            let mut at = self.bytes.len();
            let Ok(chunk) = ring.read_chunk(ring.slots()) else {
                continue;
            };
            let (head, wrapped) = chunk.as_slices();
            self.bytes.extend_from_slice(head);
            self.bytes.extend_from_slice(wrapped);
            chunk.commit_all();
            // Each offer was pushed whole, so the bytes end where an offer ends.
            while let Some((prefix, _)) = self.bytes[at..].split_first_chunk::<PREFIX>() {
                let [l0, l1, l2, l3, tag, time @ ..] = *prefix;
                let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
                self.held.push(Held {
                    at_ns: u64::from_le_bytes(time),
                    start: at + PREFIX,
                    len,
                    source: Source::of_tag(tag),
                });
                at += PREFIX + len;
            }
        }
        let taken = self.held.len() - before;
        self.collected += taken as u64;
        taken
    }

    /// Passes on what happened at `until` or before, oldest first; keeps the rest.
    fn pass_on_until(&mut self, until: u64, give: &mut dyn FnMut(Source, &[u8])) {
        // Stable: two events of one worker at the same nanosecond stay in their order.
        self.held.sort_by_key(|held| held.at_ns);
        let ripe = self.held.partition_point(|held| held.at_ns <= until);
        for held in &self.held[..ripe] {
            give(held.source, &self.bytes[held.start..held.start + held.len]);
        }
        self.held.drain(..ripe);
        self.spare.clear();
        for held in &mut self.held {
            let start = self.spare.len();
            self.spare
                .extend_from_slice(&self.bytes[held.start..held.start + held.len]);
            held.start = start;
        }
        std::mem::swap(&mut self.bytes, &mut self.spare);
        self.bytes.shrink_to(KEPT);
        self.spare.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::{super::account::EventEnd, *};
    use crate::{clock::Clock, event::Sighting, page::EventKind};

    fn sighting(at_ns: u64, target: &str) -> Sighting<'_> {
        Sighting {
            at_ns,
            at_ms: 0,
            kind: EventKind::PageView,
            client: Ipv4Addr::new(203, 0, 113, 7).into(),
            user_agent: b"tester",
            https: true,
            host: b"example.com",
            target: target.as_bytes(),
            referrer: None,
            domain: b"example.com",
            members: b"",
        }
    }

    fn two_rings() -> (Outbox, Outbox, Intake, Arc<Account>) {
        let account = Arc::new(Account::default());
        let (mut outboxes, intake) = rings(2, &account, Clock::start());
        let second = outboxes.pop().unwrap();
        (outboxes.pop().unwrap(), second, intake, account)
    }

    /// What a round at a time since the clock's start gives out, by target.
    fn round(intake: &mut Intake, at: Duration) -> Vec<String> {
        let mut given = Vec::new();
        let now = intake.clock.instant(0) + at;
        intake.due = Some(now);
        intake.round(now, &mut |_, bytes| {
            let seen = Sighting::decode(bytes).unwrap();
            given.push(String::from_utf8(seen.target.to_vec()).unwrap());
        });
        given
    }

    #[test]
    fn two_workers_events_come_out_in_the_order_of_their_times() {
        let (mut first, mut second, mut intake, _) = two_rings();
        for at in [1_000, 3_000, 5_000] {
            first.offer_sighting(Source::Page, &sighting(at, &format!("/{at}")));
        }
        for at in [2_000, 4_000] {
            second.offer_sighting(Source::Page, &sighting(at, &format!("/{at}")));
        }
        assert_eq!(
            round(&mut intake, Duration::from_secs(1)),
            ["/1000", "/2000", "/3000", "/4000", "/5000"]
        );
        assert_eq!((intake.collected(), intake.held()), (5, 0));
    }

    #[test]
    fn the_youngest_wait_for_what_another_worker_may_still_bring() {
        let (mut first, mut second, mut intake, _) = two_rings();
        let millis = |n: u64| n * 1_000_000;
        first.offer_sighting(Source::Page, &sighting(millis(10), "/old"));
        first.offer_sighting(Source::Page, &sighting(millis(18), "/young"));
        assert_eq!(round(&mut intake, Duration::from_millis(20)), ["/old"]);
        assert_eq!(intake.held(), 1);
        second.offer_sighting(Source::Page, &sighting(millis(17), "/between"));
        assert_eq!(
            round(&mut intake, Duration::from_millis(40)),
            ["/between", "/young"]
        );
        assert_eq!(intake.held(), 0);
    }

    #[test]
    fn a_last_round_takes_everything() {
        let (mut first, _second, mut intake, _) = two_rings();
        first.offer_sighting(Source::Rule, &sighting(u64::MAX, "/a"));
        let mut given = Vec::new();
        intake.last_round(&mut |source, _| given.push(source));
        assert_eq!(given, [Source::Rule]);
    }

    #[test]
    fn a_full_ring_drops_and_counts_and_goes_on_after() {
        let (mut outbox, _second, mut intake, account) = two_rings();
        let target = format!("/{}", "x".repeat(10_000));
        for at in 0..150 {
            outbox.offer_sighting(Source::Page, &sighting(at, &target));
        }
        let balance = account.balance();
        let lost = balance.finished[EventEnd::Overflow as usize];
        assert_eq!(balance.offered[Source::Page as usize], 150);
        assert!(
            (40..60).contains(&lost),
            "{lost} of 150 were lost, of which a hundred fit"
        );
        assert_eq!(
            round(&mut intake, Duration::from_secs(1)).len() as u64,
            150 - lost
        );
        outbox.offer_sighting(Source::Page, &sighting(0, "/a"));
        assert_eq!(round(&mut intake, Duration::from_secs(1)), ["/a"]);
    }

    #[test]
    fn offers_after_the_reader_is_gone_are_overflow() {
        let (mut outbox, _second, intake, account) = two_rings();
        drop(intake);
        outbox.offer_sighting(Source::Page, &sighting(0, "/a"));
        assert_eq!(account.balance().finished[EventEnd::Overflow as usize], 1);
    }

    #[tokio::test]
    async fn the_first_offer_after_a_rest_wakes_and_plenty_wakes_at_once() {
        let (mut outbox, _second, mut intake, _) = two_rings();
        assert!(round(&mut intake, Duration::from_secs(1)).is_empty());
        assert_eq!(intake.due(), None, "nothing came: it rests");
        let offered = Instant::now();
        outbox.offer_sighting(Source::Page, &sighting(0, "/a"));
        intake.signalled().await;
        let due = intake.due().unwrap();
        assert!(due > offered && due <= Instant::now() + ROUND);
        for at in 0..30 {
            outbox.offer_sighting(Source::Page, &sighting(at, &"x".repeat(10_000)));
        }
        intake.signalled().await;
        assert!(intake.due().unwrap() <= Instant::now());
    }
}
