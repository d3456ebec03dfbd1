//! What keeps the data path's repeated log lines few: one throttle a kind of line, for all workers together.

use std::{
    mem::{Discriminant, discriminant},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::errors::Fault;
use crate::{event::custom::DeclarationFault, telemetry::LogThrottle};

/// At most one line about a kind of fault in this time: a dead app or a scanner must not fill the disk.
const FAULTS: Duration = Duration::from_secs(10);
const HANDSHAKES: Duration = Duration::from_secs(10);
const FORGED: Duration = Duration::from_mins(1);
const DECLARATIONS: Duration = Duration::from_secs(10);
const ACCEPTS: Duration = Duration::from_mins(1);
const SCRIPTLESS: Duration = Duration::from_mins(1);
/// How long operators are told of what was logged last.
const LATELY: Duration = Duration::from_mins(10);

/// See the module. Whoever passes a throttle gets the number of occurrences that the line stands for.
#[derive(Debug)]
pub(super) struct Throttles {
    faults: Mutex<Vec<(Discriminant<Fault>, LogThrottle)>>,
    handshakes: Mutex<LogThrottle>,
    forged: Mutex<LogThrottle>,
    declarations: [Mutex<LogThrottle>; DeclarationFault::ALL.len()],
    accepts: Mutex<LogThrottle>,
    fullness: Mutex<LogThrottle>,
    scriptless: Mutex<LogThrottle>,
    /// The last line about a page without the tracker script, and when it was written.
    last_scriptless: Mutex<Option<(Instant, String)>>,
}

impl Throttles {
    pub(super) fn new() -> Self {
        let one_in = |span| Mutex::new(LogThrottle::new(1, span));
        Throttles {
            faults: Mutex::new(Vec::new()),
            handshakes: one_in(HANDSHAKES),
            forged: one_in(FORGED),
            declarations: DeclarationFault::ALL.map(|_| one_in(DECLARATIONS)),
            accepts: one_in(ACCEPTS),
            fullness: one_in(ACCEPTS),
            scriptless: one_in(SCRIPTLESS),
            last_scriptless: Mutex::new(None),
        }
    }

    pub(super) fn fault(&self, fault: &Fault) -> Option<u64> {
        let kind = discriminant(fault);
        let mut faults = lock(&self.faults);
        let at = faults.iter().position(|(other, _)| *other == kind);
        let at = at.unwrap_or_else(|| {
            faults.push((kind, LogThrottle::new(1, FAULTS)));
            faults.len() - 1
        });
        faults[at].1.pass(Instant::now(), 1)
    }

    pub(super) fn handshake(&self) -> Option<u64> {
        lock(&self.handshakes).pass(Instant::now(), 1)
    }

    pub(super) fn forged(&self) -> Option<u64> {
        lock(&self.forged).pass(Instant::now(), 1)
    }

    pub(super) fn declaration(&self, fault: DeclarationFault) -> Option<u64> {
        lock(&self.declarations[fault as usize]).pass(Instant::now(), 1)
    }

    pub(super) fn accept(&self) -> Option<u64> {
        lock(&self.accepts).pass(Instant::now(), 1)
    }

    pub(super) fn full(&self) -> Option<u64> {
        lock(&self.fullness).pass(Instant::now(), 1)
    }

    /// A page goes on without the tracker script, for this reason.
    pub(super) fn scriptless(&self, why: &str) -> Option<u64> {
        let now = Instant::now();
        let occurrences = lock(&self.scriptless).pass(now, 1)?;
        *lock(&self.last_scriptless) = Some((now, why.to_owned()));
        Some(occurrences)
    }

    /// Why pages go on without the tracker script, if any did lately.
    pub(super) fn last_scriptless(&self) -> Option<String> {
        let last = lock(&self.last_scriptless);
        let (_, why) = last.as_ref().filter(|(at, _)| at.elapsed() < LATELY)?;
        Some(why.clone())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No update is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
