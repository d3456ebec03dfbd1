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
//!
//! What is handed in at the [`Desk`] waits for no round, because its sender waits for an answer. It is passed
//! on at once, and before it what was collected of the same visitor's earlier doings.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rtrb::{Consumer, RingBuffer};
use tokio::sync::mpsc::UnboundedReceiver;

use super::{
    account::{Account, Source},
    desk::{Desk, Submission},
    held::Hold,
    outbox::{Outbox, PREFIX, Signal},
};
use crate::{clock::Clock, event::Sighting};

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
    /// The sightings collected and not yet passed on; `ripening` says where each is.
    bytes: Vec<u8>,
    ripening: Vec<Ripening>,
    /// The buffer of the last round, reused.
    spare: Vec<u8>,
    desk: UnboundedReceiver<Submission>,
    /// Taken from the desk and not yet passed on.
    submitted: Vec<Submission>,
    /// Offers ever taken out of the rings, and events from the desk.
    collected: u64,
}

/// What is passed on.
pub(super) enum Offer<'a> {
    /// An encoded sighting.
    Sighting(Source, &'a [u8]),
    /// That of a page view that is to be held.
    Held(Source, &'a [u8], Hold),
    /// An event whose sender waits for it to be stored.
    Submitted(Submission),
}

impl<'a> Offer<'a> {
    /// What a ring brought under this tag.
    fn of(tag: u8, bytes: &'a [u8]) -> Self {
        let source = Source::of_tag(tag);
        let hold = if Source::has_hold(tag) {
            Hold::split(bytes)
        } else {
            None
        };
        match hold {
            Some((sighting, hold)) => Offer::Held(source, sighting, hold),
            None => Offer::Sighting(source, bytes),
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Ripening {
    at_ns: u64,
    start: usize,
    len: usize,
    tag: u8,
}

/// A ring for each of `workers`, and the desk.
pub(super) fn rings(workers: usize, account: &Arc<Account>, clock: Clock) -> (Vec<Outbox>, Desk, Intake) {
    let (desk, submissions) = Desk::new(account, clock);
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
        ripening: Vec::new(),
        spare: Vec::new(),
        desk: submissions,
        submitted: Vec::new(),
        collected: 0,
    };
    (outboxes, desk, intake)
}

impl Intake {
    /// When the next round is due; `None` if an offer has to come first.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Events ever taken over, including those that ripen.
    pub(super) fn collected(&self) -> u64 {
        self.collected
    }

    /// Events taken over and not yet passed on.
    pub(super) fn waiting(&self) -> usize {
        self.ripening.len() + self.submitted.len()
    }

    /// Waits until an offer brings the next round nearer, or something is handed in. It is safe to drop this
    /// and call it again.
    pub(super) async fn signalled(&mut self) {
        tokio::select! {
            biased;
            Some(submission) = self.desk.recv() => self.take_over(submission),
            () = self.signal.plenty() => self.due = Some(Instant::now()),
            () = self.signal.first() => {
                self.due.get_or_insert_with(|| Instant::now() + ROUND / 2);
            }
        }
    }

    /// Passes on what was handed in. If a round is due, takes everything out of the rings and passes on what
    /// is old enough, oldest first.
    pub(super) fn round(&mut self, now: Instant, give: &mut dyn FnMut(Offer<'_>)) {
        self.pass_on_submitted(give);
        let Some(due) = self.due.filter(|due| *due <= now) else {
            return;
        };
        let taken = self.collect();
        let margin = MARGIN.as_nanos() as u64;
        self.pass_on_until(self.clock.nanos_at(now).saturating_sub(margin), give);
        if taken == 0 && self.ripening.is_empty() {
            self.rest();
        } else {
            self.due = Some((due + ROUND).max(now));
        }
    }

    /// Takes and passes on everything, at a stop.
    pub(super) fn last_round(&mut self, give: &mut dyn FnMut(Offer<'_>)) {
        self.pass_on_submitted(give);
        self.collect();
        self.pass_on_until(u64::MAX, give);
    }

    /// Forgets what was taken over and not passed on.
    pub(super) fn forget(&mut self) {
        self.submitted.clear();
        self.ripening.clear();
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

    /// Moves everything from the rings behind what ripens.
    fn collect(&mut self) -> usize {
        let before = self.ripening.len();
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
                self.ripening.push(Ripening {
                    at_ns: u64::from_le_bytes(time),
                    start: at + PREFIX,
                    len,
                    tag,
                });
                at += PREFIX + len;
            }
        }
        let taken = self.ripening.len() - before;
        self.collected += taken as u64;
        taken
    }

    fn take_over(&mut self, submission: Submission) {
        self.submitted.push(submission);
        self.collected += 1;
    }

    /// Passes on what was handed in, and before it the collected sightings of the same visitors that are
    /// older.
    fn pass_on_submitted(&mut self, give: &mut dyn FnMut(Offer<'_>)) {
        while let Ok(submission) = self.desk.try_recv() {
            self.take_over(submission);
        }
        if self.submitted.is_empty() {
            return;
        }
        self.collect();
        self.ripening.sort_by_key(|one| one.at_ns);
        self.submitted.sort_by_key(|submission| submission.at_ns);
        for submission in self.submitted.drain(..) {
            let bytes = &self.bytes;
            let of = |one: &Ripening| &bytes[one.start..one.start + one.len];
            let is_before = |one: &mut Ripening| {
                one.at_ns <= submission.at_ns && Sighting::is_by(of(one), submission.client)
            };
            for one in self.ripening.extract_if(.., is_before) {
                give(Offer::of(one.tag, of(&one)));
            }
            give(Offer::Submitted(submission));
        }
        if self.ripening.is_empty() {
            self.bytes.clear();
        }
    }

    /// Passes on what happened at `until` or before, oldest first; keeps the rest.
    fn pass_on_until(&mut self, until: u64, give: &mut dyn FnMut(Offer<'_>)) {
        // Stable: two events of one worker at the same nanosecond stay in their order.
        self.ripening.sort_by_key(|one| one.at_ns);
        let ripe = self.ripening.partition_point(|one| one.at_ns <= until);
        for one in &self.ripening[..ripe] {
            let bytes = &self.bytes[one.start..one.start + one.len];
            give(Offer::of(one.tag, bytes));
        }
        self.ripening.drain(..ripe);
        self.spare.clear();
        for one in &mut self.ripening {
            let start = self.spare.len();
            self.spare
                .extend_from_slice(&self.bytes[one.start..one.start + one.len]);
            one.start = start;
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
    use crate::{clock::Clock, event::Event, page::EventKind};

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
        let (mut outboxes, _, intake) = rings(2, &account, Clock::start());
        let second = outboxes.pop().unwrap();
        (outboxes.pop().unwrap(), second, intake, account)
    }

    /// What was passed on: a sighting by its target, an event by its body.
    fn name(offer: &Offer<'_>) -> String {
        match offer {
            Offer::Sighting(_, bytes) | Offer::Held(_, bytes, _) => {
                let seen = Sighting::decode(bytes).unwrap();
                String::from_utf8(seen.target.to_vec()).unwrap()
            }
            Offer::Submitted(submission) => {
                let event = Event::decode(&submission.record).unwrap();
                String::from_utf8(event.body.to_vec()).unwrap()
            }
        }
    }

    /// What a round at a time since the clock's start gives out, by target.
    fn round(intake: &mut Intake, at: Duration) -> Vec<String> {
        let mut given = Vec::new();
        let now = intake.clock.instant(0) + at;
        intake.due = Some(now);
        intake.round(now, &mut |offer| given.push(name(&offer)));
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
        assert_eq!((intake.collected(), intake.waiting()), (5, 0));
    }

    #[test]
    fn the_youngest_wait_for_what_another_worker_may_still_bring() {
        let (mut first, mut second, mut intake, _) = two_rings();
        let millis = |n: u64| n * 1_000_000;
        first.offer_sighting(Source::Page, &sighting(millis(10), "/old"));
        first.offer_sighting(Source::Page, &sighting(millis(18), "/young"));
        assert_eq!(round(&mut intake, Duration::from_millis(20)), ["/old"]);
        assert_eq!(intake.waiting(), 1);
        second.offer_sighting(Source::Page, &sighting(millis(17), "/between"));
        assert_eq!(
            round(&mut intake, Duration::from_millis(40)),
            ["/between", "/young"]
        );
        assert_eq!(intake.waiting(), 0);
    }

    #[test]
    fn a_last_round_takes_everything() {
        let (mut first, _second, mut intake, _) = two_rings();
        first.offer_sighting(Source::Rule, &sighting(u64::MAX, "/a"));
        let mut given = Vec::new();
        intake.last_round(&mut |offer| {
            let Offer::Sighting(source, _) = offer else {
                panic!("nothing was handed in");
            };
            given.push(source);
        });
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

    #[tokio::test]
    async fn what_is_handed_in_waits_for_no_round_but_follows_its_visitors_earlier_pages() {
        let account = Arc::new(Account::default());
        let (mut outboxes, desk, mut intake) = rings(1, &account, Clock::start());
        let other = Sighting {
            client: Ipv4Addr::new(203, 0, 113, 8).into(),
            ..sighting(2, "/other")
        };
        outboxes[0].offer_sighting(Source::Page, &sighting(3, "/second"));
        outboxes[0].offer_sighting(Source::Page, &sighting(1, "/first"));
        outboxes[0].offer_sighting(Source::Page, &other);
        outboxes[0].offer_sighting(Source::Page, &sighting(u64::MAX, "/later"));
        let event = Event {
            user_agent: b"another browser".into(),
            client: other.client,
            body: b"{}".into(),
        };
        let receipts = [sighting(0, "").client, other.client].map(|client| {
            desk.submit(
                Source::Tracker,
                &Event {
                    client,
                    ..event.clone()
                },
                None,
            )
        });
        assert!(receipts.iter().all(Result::is_ok));
        intake.due = None;
        intake.signalled().await;
        assert_eq!(intake.waiting(), 1, "one was taken, and waits");
        let mut given = Vec::new();
        intake.round(Instant::now(), &mut |offer| given.push(name(&offer)));
        assert_eq!(given, ["/first", "/second", "{}", "/other", "{}"]);
        assert_eq!((intake.collected(), intake.waiting()), (6, 1));
    }
}
