//! What happens next.

use std::cmp::Ordering;

use gatecount::{delivery::Ticket, stream::Outstanding};

use super::{Failure, servers::Word};

/// What happens at a time.
#[derive(Debug, Clone, Copy)]
pub(super) enum Happening {
    TakenIn {
        sidecar: usize,
        life: u32,
        event: u32,
    },
    Publish {
        sidecar: usize,
        life: u32,
        ticket: Ticket,
    },
    PublishAgain(usize),
    SidecarStarts(usize),
    SidecarIsBack(usize),
    LeaderIsThere(usize),
    Overdue(usize),
    PinLapses {
        partition: usize,
        pin: u64,
    },
    Asked {
        gateway: usize,
        life: u32,
        partition: usize,
        asked: u64,
    },
    Told {
        gateway: usize,
        life: u32,
        partition: usize,
        sequence: u64,
        word: Word,
    },
    Unpin {
        gateway: usize,
        partition: usize,
    },
    Answered(usize, u64),
    GatewayStarts(usize),
    GatewayIsBack(usize),
    GatewayGoes {
        gateway: usize,
        life: u32,
        starts: bool,
    },
    Fails(Failure),
    Second,
    // What a gateway that is paused does later.
    Message {
        gateway: usize,
        life: u32,
        partition: usize,
        sequence: u64,
        pin: u64,
        again: bool,
    },
    Due {
        gateway: usize,
        life: u32,
        partition: usize,
    },
    Ask {
        gateway: usize,
        life: u32,
        partition: usize,
    },
    Standing {
        gateway: usize,
        life: u32,
        partition: usize,
        pin: Option<u64>,
        out: Outstanding,
        asked: u64,
    },
    Confirmed {
        gateway: usize,
        life: u32,
        partition: usize,
        sequence: u64,
    },
    Dispatch {
        gateway: usize,
        life: u32,
    },
    SendsAtLast {
        gateway: usize,
        life: u32,
        number: usize,
    },
    Stale {
        gateway: usize,
        life: u32,
        partition: usize,
    },
    Tick {
        gateway: usize,
        life: u32,
    },
    Turn {
        gateway: usize,
        life: u32,
    },
    AttemptEnds(usize),
}

/// What happens, when, and in which order at that time.
#[derive(Debug)]
pub(super) struct Planned(pub(super) u64, pub(super) u64, pub(super) Happening);

impl Ord for Planned {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

impl PartialOrd for Planned {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Planned {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Planned {}
