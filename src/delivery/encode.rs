//! Encodes sightings as records of the queue.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{
    account::{Source, WITH_HOLD},
    desk::Submission,
    held::Hold,
};
use crate::{
    event::{Event, EventRules, Sighting},
    queue::Batch,
};

/// No event could be made: the bytes are no sighting, or the code panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotEncoded;

/// Adds the event of an encoded sighting, with what it is held for. A panic loses this event and no other.
pub(super) fn add(
    batch: &mut Batch,
    rules: &EventRules,
    source: Source,
    sighting: &[u8],
    hold: Option<&Hold>,
) -> Result<(), NotEncoded> {
    add_with(batch, source.tag(), sighting, hold, |sighting, out| {
        Event::record(rules, sighting, out)
    })
}

/// As [`add`], with the event's place in its source.
pub(super) fn add_placed(
    batch: &mut Batch,
    rules: &EventRules,
    source: Source,
    sighting: &[u8],
    place: &[u8],
    hold: Option<&Hold>,
) -> Result<(), NotEncoded> {
    add_with(batch, source.placed_tag(), sighting, hold, |sighting, out| {
        Event::record_placed(rules, sighting, place, out)
    })
}

/// Adds an event that was handed in.
pub(super) fn add_submitted(batch: &mut Batch, submission: &Submission) {
    batch.add(submission.tag, |out| {
        out.extend_from_slice(&submission.record);
        Some((submission.visitor, submission.at_ms))
    });
}

fn add_with<'s>(
    batch: &mut Batch,
    tag: u8,
    sighting: &'s [u8],
    hold: Option<&Hold>,
    record: impl FnOnce(&Sighting<'s>, &mut Vec<u8>) -> u64,
) -> Result<(), NotEncoded> {
    let tag = if hold.is_some() { tag | WITH_HOLD } else { tag };
    let made = batch.add(tag, |out| {
        let start = out.len();
        let made = catch_unwind(AssertUnwindSafe(|| {
            let sighting = Sighting::decode(sighting)?;
            let key = record(&sighting, out);
            if let Some(hold) = hold {
                Event::record_hold(out, start, &hold.encoded());
            }
            Some((key, sighting.at_ms))
        }));
        made.ok().flatten()
    });
    if made { Ok(()) } else { Err(NotEncoded) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::page::EventKind;

    fn encoded(target: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        Sighting {
            at_ns: 1,
            at_ms: 2,
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
        .encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_panic_costs_its_event_alone() {
        let rules = EventRules::default();
        let mut batch = Batch::default();
        assert_eq!(
            add(&mut batch, &rules, Source::Page, &encoded("/a"), None),
            Ok(())
        );
        let panicked = add_with(&mut batch, Source::Page.tag(), &encoded("/b"), None, |_, out| {
            out.push(1);
            panic!("a fault in the making")
        });
        assert_eq!(panicked, Err(NotEncoded));
        assert_eq!(
            add(&mut batch, &rules, Source::Page, b"no sighting", None),
            Err(NotEncoded)
        );
        assert_eq!(
            add(&mut batch, &rules, Source::Tracker, &encoded("/c"), None),
            Ok(())
        );
        let records: Vec<_> = batch.records().collect();
        let events: Vec<Event<'_>> = records
            .iter()
            .map(|record| Event::decode(record.bytes).unwrap())
            .collect();
        assert_eq!(records.len(), 2);
        assert!(String::from_utf8_lossy(&events[0].body).contains("example.com/a"));
        assert!(String::from_utf8_lossy(&events[1].body).contains("example.com/c"));
        assert_eq!((records[1].tag, records[1].at), (Source::Tracker.tag(), 2));
        assert_eq!(records[0].key, records[1].key, "one visitor, one key");
    }
}
