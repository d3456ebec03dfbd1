//! What keeps the data path's repeated log lines few: one throttle a kind of line, for all workers together.
//! What lasts is a trouble: the log has its beginning and its end.

use std::{
    mem::{Discriminant, discriminant},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::errors::Fault;
use crate::{
    event::custom::DeclarationFault,
    telemetry::{LogThrottle, TroubleKind, TroubleWords, Troubles},
    tracker::inject::Scriptless,
};

/// At most one line about a kind of fault in this time: a dead app or a scanner must not fill the disk.
const FAULTS: Duration = Duration::from_secs(10);
const HANDSHAKES: Duration = Duration::from_secs(10);
const FORGED: Duration = Duration::from_mins(1);
const DECLARATIONS: Duration = Duration::from_secs(10);
const ACCEPTS: Duration = Duration::from_mins(1);
const SCRIPTLESS: Duration = Duration::from_mins(1);

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
    troubles: Troubles,
}

impl Throttles {
    pub(super) fn new(troubles: Troubles) -> Self {
        let one_in = |span| Mutex::new(LogThrottle::new(1, span));
        Throttles {
            faults: Mutex::new(Vec::new()),
            handshakes: one_in(HANDSHAKES),
            forged: one_in(FORGED),
            declarations: DeclarationFault::ALL.map(|_| one_in(DECLARATIONS)),
            accepts: one_in(ACCEPTS),
            fullness: one_in(ACCEPTS),
            scriptless: one_in(SCRIPTLESS),
            troubles,
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

    /// An untrusted peer in a range of proxies sends forwarding headers: the usual mistake behind statistics
    /// with one visitor.
    pub(super) fn forged(&self, range: &str) {
        if lock(&self.forged).pass(Instant::now(), 1).is_none() {
            return;
        }
        let words = TroubleWords {
            what: format!(
                "an untrusted peer in the range {range} sends forwarding headers, which are not read"
            ),
            error: None,
            cure: format!(
                "if it is a proxy of yours, trust it with [client] trusted_proxies = [\"{range}\"]; if not, nothing \
                 needs to be done"
            ),
        };
        self.troubles.begin(TroubleKind::UntrustedProxy, range, words);
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
    pub(super) fn scriptless(&self, why: &Scriptless) {
        if lock(&self.scriptless).pass(Instant::now(), 1).is_none() {
            return;
        }
        let words = TroubleWords {
            what: format!("a page goes on without the tracker script: {why}"),
            error: None,
            cure: "allow it in the page's Content-Security-Policy, or let the page go without".to_owned(),
        };
        self.troubles.begin(TroubleKind::ScriptMissing, "", words);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No update is left half done by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
