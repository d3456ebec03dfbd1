//! What Plausible's answer means for the event that was sent.

use std::time::{Duration, SystemTime};

/// The longest `Retry-After` that is obeyed: a server's mistake must not silence us for a day.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Plausible accepted it.
    Delivered,
    /// The stream has it; another process delivers it. Final here.
    Published,
    /// Plausible accepted and dropped it, for at least one of the event's sites. Final.
    DroppedByPlausible,
    /// Plausible refused it as invalid. Final.
    Rejected,
    /// No request can be made of the stored bytes. Final.
    Unreadable,
    /// It may be accepted later, after this long if the server said so.
    Retry(RetryReason, Option<Duration>),
}

/// Why an event has to be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryReason {
    /// No connection: the name, TCP, the proxy or TLS failed.
    Connect,
    /// The connection ended, or its bytes were no HTTP, before the head of the response was complete.
    Broken,
    /// No answer in time, or 408.
    Timeout,
    /// 429.
    Throttled,
    /// 5xx.
    ServerError(u16),
    /// 3xx, 401, 404, 405, 407: this is not Plausible's event endpoint. The address is wrong, not the event.
    Misconfigured(u16),
    /// Any other answer that does not accept the event.
    Refused(u16),
    /// The stream takes no events: it is full, or is not the one that it should be.
    StreamRefuses,
    /// The stream's servers have not said in time that they have it. They may.
    Unconfirmed,
    /// The event is larger than the stream's servers take.
    TooLarge,
}

impl RetryReason {
    /// What an operator may look into.
    pub(super) fn hint(self) -> &'static str {
        match self {
            RetryReason::Connect => {
                "is [plausible] url right, is Plausible up, and may this host connect to it?"
            }
            RetryReason::Broken => "is that address Plausible's, and does a proxy stand before it?",
            RetryReason::Timeout | RetryReason::Unconfirmed => {
                "is Plausible overloaded, or does a firewall swallow what is sent to it?"
            }
            RetryReason::Throttled => "Plausible, or a proxy before it, limits how many requests it takes",
            RetryReason::ServerError(_) => "Plausible's own log says why, or that of the proxy before it",
            RetryReason::Misconfigured(_) => "is [plausible] url right?",
            RetryReason::Refused(_) | RetryReason::StreamRefuses | RetryReason::TooLarge => {
                "a firewall or a proxy before Plausible may refuse the events"
            }
        }
    }

    /// Whether the event can't be the cause.
    pub(super) fn is_of_no_event(self) -> bool {
        matches!(
            self,
            RetryReason::Connect
                | RetryReason::Misconfigured(_)
                | RetryReason::StreamRefuses
                | RetryReason::Unconfirmed
        )
    }

    /// Whether only the event can be the cause: it is forbidden, too long, or has a field that is (403, 413,
    /// 414, 422, 431). So the answer says nothing about other events.
    pub(super) fn is_of_one_event(self) -> bool {
        matches!(
            self,
            RetryReason::Refused(403 | 413 | 414 | 422 | 431) | RetryReason::TooLarge
        )
    }
}

impl Outcome {
    /// The labels of `gatecount_delivery_attempts_total`.
    pub(super) const LABELS: [&str; 12] = [
        "delivered",
        "dropped_by_plausible",
        "rejected",
        "unreadable",
        "connect",
        "broken",
        "timeout",
        "throttled",
        "server_error",
        "misconfigured",
        "refused",
        "published",
    ];

    /// The index of its label in [`Outcome::LABELS`].
    pub(super) fn index(self) -> usize {
        match self {
            Outcome::Delivered => 0,
            Outcome::DroppedByPlausible => 1,
            Outcome::Rejected => 2,
            Outcome::Unreadable => 3,
            Outcome::Retry(RetryReason::Connect, _) => 4,
            Outcome::Retry(RetryReason::Broken, _) => 5,
            Outcome::Retry(RetryReason::Timeout | RetryReason::Unconfirmed, _) => 6,
            Outcome::Retry(RetryReason::Throttled, _) => 7,
            Outcome::Retry(RetryReason::ServerError(_), _) => 8,
            Outcome::Retry(RetryReason::Misconfigured(_), _) => 9,
            Outcome::Retry(
                RetryReason::Refused(_) | RetryReason::StreamRefuses | RetryReason::TooLarge,
                _,
            ) => 10,
            Outcome::Published => 11,
        }
    }
}

impl std::fmt::Display for RetryReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RetryReason::Connect => f.write_str("no connection"),
            RetryReason::Broken => f.write_str("the connection ended before a whole answer came"),
            RetryReason::Timeout => f.write_str("no answer in time"),
            RetryReason::Unconfirmed => f.write_str("not confirmed in time"),
            RetryReason::Throttled => f.write_str("answered 429 (too many requests)"),
            RetryReason::ServerError(status) => write!(f, "answered {status}"),
            RetryReason::Misconfigured(status) => write!(
                f,
                "answered {status}: this is not Plausible's event endpoint, see [plausible] url"
            ),
            RetryReason::Refused(status) => write!(f, "refused with {status}"),
            RetryReason::StreamRefuses => f.write_str("the stream takes no events"),
            RetryReason::TooLarge => f.write_str("larger than the stream's servers take"),
        }
    }
}

/// Reads the outcome from the head of a response.
///
/// Plausible answers 202. Any other 2xx is a success too: the server has the event, and sending it again
/// would count it twice. `x-plausible-dropped: N` says that N of the event's sites dropped it: with N ≥ 1 the
/// event counts as dropped even if another site recorded it. Otherwise nobody would notice a dashboard that
/// gets nothing. An answer that may concern this event alone (403 of a firewall, 413 of a proxy) is
/// [`RetryReason::Refused`]: the event ends when its tries are used up while others get through, and nothing
/// is lost if all events are refused.
///
/// `field` finds a field's value by its name in lower case. `now` is called only if a date has to be compared
/// with the clock.
pub(super) fn judge<'a>(
    status: u16,
    field: impl Fn(&str) -> Option<&'a [u8]>,
    now: impl FnOnce() -> SystemTime,
) -> Outcome {
    match status {
        200..=299 => match field("x-plausible-dropped") {
            None | Some(b"0") => Outcome::Delivered,
            Some(_) => Outcome::DroppedByPlausible,
        },
        400 => Outcome::Rejected,
        408 => Outcome::Retry(RetryReason::Timeout, retry_after(field, now)),
        429 => Outcome::Retry(RetryReason::Throttled, retry_after(field, now)),
        300..=399 | 401 | 404 | 405 | 407 => Outcome::Retry(RetryReason::Misconfigured(status), None),
        500..=599 => Outcome::Retry(RetryReason::ServerError(status), retry_after(field, now)),
        _ => Outcome::Retry(RetryReason::Refused(status), retry_after(field, now)),
    }
}

/// `Retry-After` in seconds or as a date (RFC 9110 §10.2.3), at most [`LONGEST_RETRY_AFTER`]; `None` if it is
/// neither. A date is compared with the response's own `Date`, so that a wrong clock on either side does no
/// harm.
fn retry_after<'a>(
    field: impl Fn(&str) -> Option<&'a [u8]>,
    now: impl FnOnce() -> SystemTime,
) -> Option<Duration> {
    let text = |name: &str| std::str::from_utf8(field(name)?).ok();
    let date = |value: &str| httpdate::parse_http_date(value).ok();
    let value = text("retry-after")?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let now = text("date").and_then(date).unwrap_or_else(now);
        date(value)?.duration_since(now).unwrap_or_default()
    };
    Some(wait.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(status: u16, fields: &[(&str, &str)]) -> Outcome {
        let field = |name: &str| {
            let found = fields.iter().find(|(field, _)| *field == name);
            found.map(|(_, value)| value.as_bytes())
        };
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        judge(status, field, || now)
    }

    #[test]
    fn statuses_mean_what_the_table_says() {
        use Outcome::{Delivered, DroppedByPlausible, Rejected, Retry};
        for (status, expected) in [
            (202, Delivered),
            (200, Delivered),
            (204, Delivered),
            (400, Rejected),
            (301, Retry(RetryReason::Misconfigured(301), None)),
            (308, Retry(RetryReason::Misconfigured(308), None)),
            (401, Retry(RetryReason::Misconfigured(401), None)),
            (404, Retry(RetryReason::Misconfigured(404), None)),
            (405, Retry(RetryReason::Misconfigured(405), None)),
            (403, Retry(RetryReason::Refused(403), None)),
            (413, Retry(RetryReason::Refused(413), None)),
            (408, Retry(RetryReason::Timeout, None)),
            (429, Retry(RetryReason::Throttled, None)),
            (500, Retry(RetryReason::ServerError(500), None)),
            (503, Retry(RetryReason::ServerError(503), None)),
            (101, Retry(RetryReason::Refused(101), None)),
            (999, Retry(RetryReason::Refused(999), None)),
        ] {
            assert_eq!(judged(status, &[]), expected, "{status}");
        }
        assert_eq!(judged(202, &[("x-plausible-dropped", "1")]), DroppedByPlausible);
        assert_eq!(judged(202, &[("x-plausible-dropped", "2")]), DroppedByPlausible);
        assert_eq!(judged(202, &[("x-plausible-dropped", "0")]), Delivered);
        assert_eq!(judged(400, &[("retry-after", "5")]), Rejected);
    }

    #[test]
    fn retry_after_is_read_in_both_forms_and_bounded() {
        let after = |fields: &[(&str, &str)]| match judged(503, fields) {
            Outcome::Retry(RetryReason::ServerError(503), after) => after,
            other => panic!("{other:?}"),
        };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(after(&[("retry-after", "7")]), seconds(7));
        assert_eq!(after(&[("retry-after", " 0 ")]), seconds(0));
        assert_eq!(
            after(&[("retry-after", "99999999999999999999999")]),
            seconds(3_600)
        );
        assert_eq!(after(&[("retry-after", "-1")]), None);
        assert_eq!(after(&[("retry-after", "soon")]), None);
        assert_eq!(after(&[("retry-after", "")]), None);
        let date = ("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT");
        assert_eq!(after(&[date]), seconds(20));
        assert_eq!(
            after(&[date, ("date", "Sun, 06 Nov 1994 08:49:50 GMT")]),
            seconds(7)
        );
        assert_eq!(
            after(&[("retry-after", "Sun, 06 Nov 1994 08:00:00 GMT")]),
            seconds(0)
        );
    }

    #[test]
    fn labels_are_a_closed_list_without_repetition() {
        let mut labels = Outcome::LABELS.to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Outcome::LABELS.len());
        let label = |outcome: Outcome| Outcome::LABELS[outcome.index()];
        assert_eq!(label(Outcome::Retry(RetryReason::Refused(403), None)), "refused");
        assert_eq!(label(Outcome::Retry(RetryReason::Connect, None)), "connect");
        assert_eq!(label(Outcome::Retry(RetryReason::TooLarge, None)), "refused");
        assert_eq!(label(Outcome::Delivered), "delivered");
        assert_eq!(label(Outcome::Published), "published");
    }
}
