//! The stream's settings, resolved.

use std::{fmt, path::PathBuf, time::Duration};

use super::ownership::{Terms, UNSIGNED};

/// `[stream]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The servers, `nats://` or `tls://`, without user and password; any of them will do.
    pub servers: Vec<String>,
    /// Who we are to the servers, where they go by that.
    pub login: Option<Login>,
    /// The stream's name, which its subjects begin with.
    pub name: String,
    /// How many servers keep each event.
    pub replicas: usize,
    /// Into how many parts the visitors are divided. Fixed for the stream's life.
    pub partitions: u16,
    /// How long the servers remember an event's id, so that one that is published again is no second one.
    pub duplicate_window: Duration,
    /// A `.creds` file.
    pub credentials: Option<PathBuf>,
    /// PEM, trusted beside the system's roots.
    pub ca_file: Option<PathBuf>,
    /// How long an event waits at a gateway for older ones of its visitor.
    pub reorder: Duration,
    /// Whether only one event of a partition is out at a time.
    pub strict: bool,
    /// Whether this process delivers from the stream beside publishing into it.
    pub deliver: bool,
    /// The longest that one attempt at Plausible takes.
    pub attempt: Duration,
}

/// A user of the servers'.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub user: String,
    /// What nobody is to read.
    pub password: String,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// How long a lease lasts from the servers' last answer, and after how long without a request the servers give
/// a client's pin to another one.
pub(super) const TERM: Duration = Duration::from_secs(5);

/// How many events of a partition may be delivered in a second.
const PACE: u128 = 512;
/// How many messages of a partition may be out, at the least and at the most: they are in a gateway's memory.
const LEAST_OUT: u16 = 256;
const MOST_OUT: u16 = 1_024;

impl Settings {
    /// The servers, with commas between them.
    pub fn servers_in_words(&self) -> String {
        self.servers.join(", ")
    }

    /// After how long without a sign of life a message is given to another gateway (`AckWait`).
    ///
    /// An attempt that begins under a lease ends before that: the lease lasts [`TERM`] from the servers' last
    /// answer on, the attempt no longer than its limit, and the last sign of life is no older than
    /// [`UNSIGNED`].
    pub(super) fn ack_wait(&self) -> Duration {
        self.attempt + TERM + Duration::from_millis(UNSIGNED)
    }

    /// What a gateway has to keep to.
    pub(super) fn terms(&self) -> Terms {
        let millis = |duration: Duration| duration.as_millis() as u64;
        Terms {
            // While one event is out no older one can come.
            reorder: if self.strict { 0 } else { millis(self.reorder) },
            lease: millis(TERM),
            ack_wait: millis(self.ack_wait()),
        }
    }

    /// How many messages of a partition may be out. Each waits for `reorder`, so this is what limits how many
    /// events of a partition are delivered in a second: [`PACE`], fewer where `reorder` is longer than two seconds.
    pub(super) fn out_at_once(&self) -> u16 {
        if self.strict {
            return 1;
        }
        let during_reorder = self.reorder.as_millis() * PACE / 1_000;
        u16::try_from(during_reorder)
            .unwrap_or(MOST_OUT)
            .clamp(LEAST_OUT, MOST_OUT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(strict: bool) -> Settings {
        Settings {
            servers: vec!["nats://a:4222".to_owned(), "tls://b".to_owned()],
            login: Some(Login {
                user: "gate".to_owned(),
                password: "secret".to_owned(),
            }),
            name: "gatecount".to_owned(),
            replicas: 3,
            partitions: 64,
            duplicate_window: Duration::from_hours(2),
            credentials: None,
            ca_file: None,
            reorder: Duration::from_millis(500),
            strict,
            deliver: false,
            attempt: Duration::from_secs(10),
        }
    }

    #[test]
    fn an_attempt_under_a_lease_ends_before_its_message_goes_to_another_gateway() {
        let settings = settings(false);
        let terms = settings.terms();
        assert!(terms.ack_wait >= terms.lease + settings.attempt.as_millis() as u64 + UNSIGNED);
    }

    #[test]
    fn strict_has_one_event_out_and_waits_for_no_older_one() {
        let settings = settings(true);
        assert_eq!((settings.out_at_once(), settings.terms().reorder), (1, 0));
    }

    #[test]
    fn a_longer_reorder_has_more_out() {
        let out = |reorder| {
            let reorder = Duration::from_millis(reorder);
            Settings {
                reorder,
                ..settings(false)
            }
            .out_at_once()
        };
        assert_eq!([0, 500, 1_500, 60_000].map(out), [256, 256, 768, 1_024]);
    }

    #[test]
    fn nobody_reads_a_password() {
        let settings = settings(false);
        assert_eq!(settings.servers_in_words(), "nats://a:4222, tls://b");
        assert!(!format!("{settings:?}").contains("secret"));
    }
}
