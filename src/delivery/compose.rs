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
        self.add_with(source, sighting, |sighting| Event::build(rules, sighting))
    }

    fn add_with<'s>(
        &mut self,
        source: Source,
        sighting: &'s [u8],
        build: impl FnOnce(&Sighting<'s>) -> Event<'s>,
    ) -> Result<(), Failed> {
        let start = self.bytes.len();
        let made = catch_unwind(AssertUnwindSafe(|| {
            let sighting = Sighting::decode(sighting)?;
            let event = build(&sighting);
            event.encode(&mut self.bytes);
            Some((event.visitor(), sighting.at_ms))
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
