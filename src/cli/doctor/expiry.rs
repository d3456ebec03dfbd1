//! How long certificates still hold: Plausible's, and those of `[listen.tls]`.

use std::{
    fs,
    io::{self, Write},
    time::{Duration, SystemTime},
};

use crate::{certificate::Validity, config::Config};

use super::report::{CheckResult, Report};

const DAY: Duration = Duration::from_hours(24);
/// A certificate should have been renewed before so little time is left.
const SOON: Duration = Duration::from_hours(14 * 24);
/// Those with a short life are renewed later: when this part of it is left.
const LAST_PART: u32 = 3;

/// The rest of a certificate's life, in words that follow "the certificate".
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expiry {
    pub(super) result: CheckResult,
    pub(super) said: String,
}

impl Expiry {
    pub(super) fn of(validity: Validity, now: SystemTime) -> Self {
        let Validity {
            not_before,
            not_after,
        } = validity;
        let (result, said) = if let Ok(wait) = not_before.duration_since(now)
            && !wait.is_zero()
        {
            let said = format!(
                "is not valid yet, only in {}, from {}",
                days(wait, ""),
                date(not_before)
            );
            (CheckResult::Failed, said)
        } else if let Ok(left) = not_after.duration_since(now) {
            let life = not_after.duration_since(not_before).unwrap_or_default();
            let is_near = left < SOON.min(life / LAST_PART);
            let said = format!("is valid for {}, until {}", days(left, " more"), date(not_after));
            let result = if is_near {
                CheckResult::Warned
            } else {
                CheckResult::Passed
            };
            (result, said)
        } else {
            let since = now.duration_since(not_after).unwrap_or_default();
            let said = format!("expired {} ago, on {}", days(since, ""), date(not_after));
            (CheckResult::Failed, said)
        };
        Expiry { result, said }
    }
}

/// The certificates that clients are shown.
pub(super) fn own(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let tls = config.proxy.as_ref().and_then(|proxy| proxy.tls.as_ref());
    for pair in tls.into_iter().flat_map(|tls| &tls.pairs) {
        let shown = pair.certificate.display();
        // The configuration has been loaded, so the file can be read, unless it has just changed.
        let Some(validity) = Validity::of_pem(&fs::read(&pair.certificate)?) else {
            let advice = "is the file being replaced? `gatecount check` says more";
            report.failed("certificate", format!("{shown} has no certificate"), advice)?;
            continue;
        };
        let expiry = Expiry::of(validity, SystemTime::now());
        let advice =
            "is its renewal (certbot, cert-manager) still running? A new file is read without a restart";
        report.add_judged(
            "certificate",
            expiry.result,
            format!("{shown} {}", expiry.said),
            advice,
        )?;
    }
    Ok(())
}

/// In whole days, or hours on the last one; `more` stands behind the number.
fn days(time: Duration, more: &str) -> String {
    let many = |count: u64, unit: &str| match count {
        1 => format!("1{more} {unit}"),
        count => format!("{count}{more} {unit}s"),
    };
    match time.as_secs() / DAY.as_secs() {
        0 => many(time.as_secs() / 3_600, "hour"),
        count => many(count, "day"),
    }
}

fn date(time: SystemTime) -> String {
    let mut date = humantime::format_rfc3339_seconds(time).to_string();
    date.truncate("2026-11-26".len());
    date
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn what_is_left_is_told_and_little_of_it_is_a_warning() {
        let at = |days: u32| UNIX_EPOCH + days * DAY;
        let of_90_days = Validity {
            not_before: at(20_000),
            not_after: at(20_090),
        };
        let of_6_days = Validity {
            not_after: at(20_006),
            ..of_90_days
        };
        for (validity, now, result, said) in [
            (
                of_90_days,
                at(20_000),
                CheckResult::Passed,
                "is valid for 90 more days, until 2025-01-02",
            ),
            (
                of_90_days,
                at(20_076),
                CheckResult::Passed,
                "is valid for 14 more days",
            ),
            (
                of_90_days,
                at(20_077),
                CheckResult::Warned,
                "is valid for 13 more days",
            ),
            (
                of_90_days,
                at(20_090) - DAY / 24,
                CheckResult::Warned,
                "is valid for 1 more hour",
            ),
            (
                of_90_days,
                at(20_091) + DAY / 2,
                CheckResult::Failed,
                "expired 1 day ago, on 2025-01-02",
            ),
            (
                of_90_days,
                at(19_998),
                CheckResult::Failed,
                "is not valid yet, only in 2 days, from 2024-10-04",
            ),
            (
                of_6_days,
                at(20_003),
                CheckResult::Passed,
                "is valid for 3 more days",
            ),
            (
                of_6_days,
                at(20_005),
                CheckResult::Warned,
                "is valid for 1 more day",
            ),
        ] {
            let expiry = Expiry::of(validity, now);
            assert_eq!(expiry.result, result, "{expiry:?}");
            assert!(expiry.said.starts_with(said), "{expiry:?}");
        }
    }
}
