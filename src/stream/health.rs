//! Whether the stream can be used, for those who look.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// For how long an error of the connection is believed to be why nothing gets through.
const FRESH: Duration = Duration::from_secs(10);
/// How often the cause of such errors is looked for, at the most.
const LOOK: Duration = Duration::from_secs(5);

/// Why the stream can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFault {
    /// What the servers or the client say.
    pub error: String,
    /// Whether the servers answered, so that somebody has to mend something. Otherwise they may be choosing a
    /// leader, or be away.
    pub is_refusal: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct StreamHealth(Mutex<Standing>);

#[derive(Debug, Default)]
struct Standing {
    /// Why the stream could not be made or found.
    fault: Option<StreamFault>,
    /// Into how many partitions it was divided when it was made, where that is another number than ours. Then a
    /// visitor's events would go to two of them, and some would have no gateway.
    divided_otherwise: Option<u16>,
    /// The last error of the connection, such as that the servers know no such user, and when it was.
    connection: Option<(String, Instant)>,
    /// Why no server could be connected to when that was last tried for the cause's sake, and when it was.
    cause: Option<(String, Instant)>,
    /// When the cause was last looked for.
    looked: Option<Instant>,
}

impl StreamHealth {
    /// The stream is there, or why not.
    pub(super) fn set(&self, fault: Option<StreamFault>) {
        self.standing().fault = fault;
    }

    /// Into how many partitions it was divided when it was made, where that is another number than ours.
    pub(super) fn set_divided_otherwise(&self, theirs: Option<u16>) {
        self.standing().divided_otherwise = theirs;
    }

    /// The connection failed, or the server said that something is wrong with it.
    pub(super) fn connection_failed(&self, error: String) {
        self.standing().connection = Some((error, Instant::now()));
    }

    /// Whether the cause of an error has to be looked for now. It counts as looked for from here on.
    pub(super) fn wants_cause(&self) -> bool {
        let mut standing = self.standing();
        let wants = standing.looked.is_none_or(|looked| looked.elapsed() >= LOOK);
        if wants {
            standing.looked = Some(Instant::now());
        }
        wants
    }

    /// Why no server can be connected to: more than the connection's own errors say.
    pub(super) fn set_cause(&self, cause: String) {
        self.standing().cause = Some((cause, Instant::now()));
    }

    /// The connection is there.
    pub(super) fn connected(&self) {
        let mut standing = self.standing();
        (standing.connection, standing.cause) = (None, None);
    }

    /// What is wrong with the connection, as far as that is known and new.
    pub(super) fn connection_error(&self) -> Option<String> {
        let standing = self.standing();
        let known = [&standing.cause, &standing.connection].into_iter().flatten();
        known
            .filter(|(_, at)| at.elapsed() < FRESH)
            .map(|(error, _)| error.clone())
            .next()
    }

    /// Why nothing may be published, whatever the servers would say.
    pub(super) fn forbids(&self) -> Option<StreamFault> {
        self.standing().divided_otherwise.map(divided_otherwise)
    }

    /// Why the stream can't be used, if it can't.
    pub(super) fn fault(&self) -> Option<StreamFault> {
        let standing = self.standing();
        let fault = standing.fault.clone();
        fault.or_else(|| standing.divided_otherwise.map(divided_otherwise))
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        // No update is left half done by a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn divided_otherwise(theirs: u16) -> StreamFault {
    StreamFault {
        error: format!("it was made with {theirs} partitions, which [stream] partitions has to be"),
        is_refusal: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_that_is_there_and_divided_as_ours_has_no_fault() {
        let health = StreamHealth::default();
        let silent = StreamFault {
            error: "timed out".to_owned(),
            is_refusal: false,
        };
        health.set(Some(silent.clone()));
        assert_eq!((health.fault(), health.forbids()), (Some(silent), None));
        health.set(None);
        health.set_divided_otherwise(Some(32));
        assert!(
            health
                .forbids()
                .is_some_and(|fault| fault.error.contains("32 partitions"))
        );
        assert_eq!(health.fault(), health.forbids());
        health.set_divided_otherwise(None);
        assert_eq!(health.fault(), None);
    }

    #[test]
    fn an_error_of_the_connection_is_known_until_there_is_one() {
        let health = StreamHealth::default();
        assert_eq!(health.connection_error(), None);
        health.connection_failed("authorization violation".to_owned());
        assert_eq!(
            health.connection_error().as_deref(),
            Some("authorization violation")
        );
        health.connected();
        assert_eq!(health.connection_error(), None);
    }

    #[test]
    fn the_cause_of_an_error_is_said_in_its_place() {
        let health = StreamHealth::default();
        health.connection_failed("nats: IO error".to_owned());
        assert!(health.wants_cause() && !health.wants_cause());
        health.set_cause("IO error: Connection refused".to_owned());
        health.connection_failed("nats: IO error".to_owned());
        assert_eq!(
            health.connection_error().as_deref(),
            Some("IO error: Connection refused")
        );
        health.connected();
        assert_eq!(health.connection_error(), None);
    }
}
