//! How many senders there are, by a clock of the test's own.

use std::rc::Rc;

use tokio::task::LocalSet;

use super::{
    super::{
        endpoint::Destination,
        lanes::Ticket,
        senders::{Attempt, Senders},
        target::{Target, TargetParts},
    },
    *,
};

/// Starts as many attempts as may start now.
fn start_all(senders: &mut Senders, now: Instant) -> usize {
    let before = senders.in_flight();
    while senders.ready(now) {
        let attempt = Attempt {
            ticket: Ticket::of(senders.in_flight() as u64),
            stored: Vec::new(),
            publication: None,
            suspect: false,
        };
        senders.send(attempt, now);
    }
    senders.in_flight() - before
}

/// Events for which no sender is free wait for one, so that a burst for a fast Plausible goes over few
/// connections; those that have waited for long get more, at most twice as many each time.
#[test]
fn more_senders_start_only_after_a_wait() {
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    let settings = settings(nobody);
    let parts = TargetParts::Plausible(Destination::new(&settings, None).unwrap());
    let mut senders = Senders::new(Rc::new(Target::new(parts, &settings)), 60);
    // The tasks of the senders do not run: no attempt ends.
    let local = LocalSet::new();
    let _entered = local.enter();
    let start = Instant::now();
    assert_eq!(start_all(&mut senders, start), 16);
    assert_eq!(start_all(&mut senders, start), 0);
    let due = senders.grows_at().unwrap();
    assert_eq!(due, start + Duration::from_millis(5));
    assert_eq!(
        start_all(&mut senders, due.checked_sub(Duration::from_nanos(1)).unwrap()),
        0
    );
    assert_eq!(start_all(&mut senders, due), 16, "twice as many");
    assert_eq!(start_all(&mut senders, due), 0);
    // Whoever waits later waits anew.
    senders.nothing_to_send();
    assert_eq!(senders.grows_at(), None);
    let later = due + Duration::from_secs(1);
    assert_eq!(start_all(&mut senders, later), 0);
    assert_eq!(senders.grows_at(), Some(later + Duration::from_millis(5)));
    let due = senders.grows_at().unwrap();
    assert_eq!(start_all(&mut senders, due), 28, "as many as may be in flight");
    assert!(senders.is_busy());
}
