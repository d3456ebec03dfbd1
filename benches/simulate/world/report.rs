//! What came of a day.

use std::collections::BTreeMap;

use super::Trace;

/// Why an event may be counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// No answer came to an attempt that counted.
    Unanswered,
    /// Its gateway was killed.
    Killed,
    /// Its gateway was paused.
    Paused,
    /// Its gateway was cut off from the servers.
    Cut,
    /// The servers changed their leader.
    Servers,
}

/// What came of a day. Times are in milliseconds; lists are in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) events: u64,
    pub(crate) failures: u64,
    /// Events that Plausible counted.
    pub(crate) counted: u64,
    pub(crate) lost: u64,
    /// Events that it counted again, by the cause.
    pub(crate) twice: BTreeMap<&'static str, u64>,
    /// What was on the wire, or not confirmed, at all failures together.
    pub(crate) at_risk: u64,
    /// Events that came after a newer one of their visitor: how many, and by how much they were older at most.
    pub(crate) turned: BTreeMap<&'static str, (u64, u32)>,
    /// Such an event and the newer one, where the gateway had both.
    pub(crate) faults: Vec<(u32, u32)>,
    /// Attempts at an event while another of the visitor was on the wire; and those that are owed to a pause
    /// or a change of the servers' leader.
    pub(crate) overlaps: u64,
    pub(crate) overlaps_in_doubt: u64,
    /// From the page to Plausible.
    pub(crate) delays: Vec<u32>,
    /// Events at a gateway, each second.
    pub(crate) held: Vec<u32>,
    /// From each change of the gateways until they share evenly.
    pub(crate) settled: Vec<u32>,
    /// Pins that the servers gave, partitions that were left, messages delivered again.
    pub(crate) pins: u64,
    pub(crate) left: u64,
    pub(crate) redelivered: u64,
}

impl Trace {
    /// Why it was counted twice.
    pub(super) fn cause(self) -> &'static str {
        let causes = [
            (Doubt::Unanswered, "no answer"),
            (Doubt::Killed, "gateway killed"),
            (Doubt::Paused, "gateway paused"),
            (Doubt::Cut, "gateway cut off"),
            (Doubt::Servers, "servers"),
        ];
        let cause = causes.into_iter().find(|(doubt, _)| self.has(*doubt));
        cause.map_or("fault", |(_, words)| words)
    }
}
