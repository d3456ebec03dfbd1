//! From sightings to records of the queue.

use std::{
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
};

use super::account::Source;
use crate::{
    event::{Event, Rules, Sighting},
    queue::Record,
};

/// Encoded events on their way into the queue, in one buffer that is used again.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    key: u64,
    at: u64,
    tag: u8,
    bytes: Range<usize>,
}

/// What is kept of the buffers between batches, in bytes and in events.
const KEPT: (usize, usize) = (256 * 1_024, 1_024);

/// An event could not be made of a sighting: it is no sighting, or the making panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failed;

impl Batch {
    /// Makes the event of an encoded sighting. A panic costs this event, and nothing else.
    pub(super) fn add(&mut self, rules: &Rules, source: Source, sighting: &[u8]) -> Result<(), Failed> {
        self.add_with(source, sighting, |sighting, out| {
            Event::record(rules, sighting, out)
        })
    }

    fn add_with<'s>(
        &mut self,
        source: Source,
        sighting: &'s [u8],
        record: impl FnOnce(&Sighting<'s>, &mut Vec<u8>) -> u64,
    ) -> Result<(), Failed> {
        let start = self.bytes.len();
        let made = catch_unwind(AssertUnwindSafe(|| {
            let sighting = Sighting::decode(sighting)?;
            Some((record(&sighting, &mut self.bytes), sighting.at_ms))
        }));
        let Ok(Some((key, at))) = made else {
            self.bytes.truncate(start);
            return Err(Failed);
        };
        self.parts.push(Part {
            key,
            at,
            tag: source.tag(),
            bytes: start..self.bytes.len(),
        });
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn records(&self) -> Vec<Record<'_>> {
        let record = |part: &Part| Record {
            key: part.key,
            at: part.at,
            tag: part.tag,
            bytes: &self.bytes[part.bytes.clone()],
        };
        self.parts.iter().map(record).collect()
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT.0);
        self.parts.clear();
        self.parts.shrink_to(KEPT.1);
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::page::What;

    fn encoded(target: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        Sighting {
            at_ns: 1,
            at_ms: 2,
            what: What::PageView,
            client: Ipv4Addr::new(203, 0, 113, 7).into(),
            user_agent: b"tester",
            https: true,
            host: b"example.com",
            target: target.as_bytes(),
            referrer: None,
            domain: b"example.com",
        }
        .encode(&mut bytes);
        bytes
    }

    #[test]
    fn a_panic_costs_its_event_alone() {
        let rules = Rules::default();
        let mut batch = Batch::default();
        assert_eq!(batch.add(&rules, Source::Page, &encoded("/a")), Ok(()));
        let panicked = batch.add_with(Source::Page, &encoded("/b"), |_, out| {
            out.push(1);
            panic!("a fault in the making")
        });
        assert_eq!(panicked, Err(Failed));
        assert_eq!(batch.add(&rules, Source::Page, b"no sighting"), Err(Failed));
        assert_eq!(batch.add(&rules, Source::Tracker, &encoded("/c")), Ok(()));
        let records = batch.records();
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
