//! Durations, sizes and times as people read them.

use std::{
    fmt::{self, Display, Formatter},
    time::{Duration, SystemTime},
};

/// Seconds as text, in the two largest units.
pub(super) fn duration(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

/// A size as text.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", n as f64 / 1_024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

/// `one` of something, `many` of them.
pub(super) fn plural(n: u64, one: &'static str, many: &'static str) -> &'static str {
    if n == 1 { one } else { many }
}

/// A time of day in UTC as HTML. The page's script shows it in the reader's time zone.
pub(super) struct Clock {
    pub(super) at: SystemTime,
    /// Without the seconds.
    pub(super) to_the_minute: bool,
}

impl Display for Clock {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let time = humantime::format_rfc3339_seconds(self.at).to_string();
        let (clock, shown) = if self.to_the_minute {
            ("minute", time.get(11..16))
        } else {
            ("second", time.get(11..19))
        };
        let shown = shown.unwrap_or(&time);
        write!(f, "<time datetime=\"{time}\" data-clock={clock}>{shown}</time>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_are_read_at_a_glance() {
        for (seconds, shown) in [
            (5.9, "5 s"),
            (61.0, "1 min 1 s"),
            (7_260.0, "2 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), shown);
        }
        for (n, shown) in [(12, "12 bytes"), (2_048, "2.0 KiB"), (3_145_728, "3.0 MiB")] {
            assert_eq!(bytes(n), shown);
        }
    }

    #[test]
    fn times_of_day_say_which_moment_they_are() {
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let clock = |to_the_minute| Clock { at, to_the_minute }.to_string();
        assert_eq!(
            clock(false),
            "<time datetime=\"2023-11-14T22:13:20Z\" data-clock=second>22:13:20</time>"
        );
        assert!(clock(true).ends_with("data-clock=minute>22:13</time>"));
    }
}
