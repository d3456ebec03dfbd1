//! The times of log lines, in milliseconds since 1970.

/// `2026-11-26T10:00:00.123Z`, with an offset or without (then it is UTC), or seconds with a fraction.
pub(super) fn parse(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if bytes.get(4) == Some(&b'-') {
        rfc3339(bytes)
    } else {
        seconds(bytes)
    }
}

/// Seconds since 1970 as a number.
pub(super) fn of_number(seconds: f64) -> Option<u64> {
    // Ten thousand years; a number beyond is no time in seconds.
    (0.0..3e11)
        .contains(&seconds)
        .then(|| ((seconds * 1000.0).round() as i64).cast_unsigned())
}

/// `26/Nov/2026:10:00:00 +0000`
pub(super) fn common(text: &str) -> Option<u64> {
    const MONTHS: [&[u8]; 12] = [
        b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
    ];
    let bytes = text.as_bytes();
    if bytes.len() < 20 || [2, 6].iter().any(|at| bytes[*at] != b'/') || bytes[11] != b':' {
        return None;
    }
    let month = MONTHS.iter().position(|month| *month == &bytes[3..6])? as u64 + 1;
    let day = date(digits(&bytes[7..11])?, month, digits(&bytes[..2])?)?;
    let millis = day * 86_400_000 + clock(&bytes[12..20])?;
    match bytes[20..].trim_ascii() {
        [] => Some(millis),
        offset => shifted(millis, offset),
    }
}

fn rfc3339(bytes: &[u8]) -> Option<u64> {
    if bytes.len() < 19 || bytes[7] != b'-' || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let day = date(
        digits(&bytes[..4])?,
        digits(&bytes[5..7])?,
        digits(&bytes[8..10])?,
    )?;
    let mut millis = day * 86_400_000 + clock(&bytes[11..19])?;
    let mut rest = &bytes[19..];
    if let [b'.' | b',', fraction @ ..] = rest {
        let end = fraction
            .iter()
            .position(|b| !b.is_ascii_digit())
            .unwrap_or(fraction.len());
        millis += thousandths(&fraction[..end])?;
        rest = &fraction[end..];
    }
    match rest {
        [] | b"Z" | b"z" => Some(millis),
        offset => shifted(millis, offset),
    }
}

fn seconds(bytes: &[u8]) -> Option<u64> {
    let dot = bytes.iter().position(|b| *b == b'.').unwrap_or(bytes.len());
    let fraction = bytes.get(dot + 1..).unwrap_or_default();
    if dot == 0 || dot > 12 {
        return None;
    }
    Some(
        digits(&bytes[..dot])? * 1000
            + if fraction.is_empty() {
                0
            } else {
                thousandths(fraction)?
            },
    )
}

/// The first three digits after a point, as if there were three.
fn thousandths(fraction: &[u8]) -> Option<u64> {
    let whole = digits(fraction.get(..fraction.len().min(3))?)?;
    digits(fraction)?;
    Some(whole * [0, 100, 10, 1][fraction.len().min(3)])
}

/// `10:00:00` as milliseconds.
fn clock(bytes: &[u8]) -> Option<u64> {
    let [h1, h2, b':', m1, m2, b':', s1, s2] = bytes else {
        return None;
    };
    let (hour, minute, second) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?, digits(&[*s1, *s2])?);
    // A leap second is the next second.
    (hour < 24 && minute < 60 && second < 61).then_some(((hour * 60 + minute) * 60 + second) * 1000)
}

/// `+0100` or `+01:00`: the time in UTC.
fn shifted(millis: u64, offset: &[u8]) -> Option<u64> {
    let (east, digit) = match offset {
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] | [sign @ (b'+' | b'-'), h1, h2, m1, m2] => {
            (*sign == b'+', [*h1, *h2, *m1, *m2])
        }
        _ => return None,
    };
    let (hours, minutes) = (digits(&digit[..2])?, digits(&digit[2..])?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let shift = (hours * 60 + minutes) * 60_000;
    if east {
        millis.checked_sub(shift)
    } else {
        Some(millis + shift)
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn date(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let leaps = |before: u64| (before - 1) / 4 - (before - 1) / 100 + (before - 1) / 400;
    let days = (year - 1970) * 365 + leaps(year) - leaps(1970);
    let after_february = u64::from(month > 2 && leap(year));
    Some(days + BEFORE[month as usize - 1] + after_february + day - 1)
}

/// A number of up to eighteen digits.
fn digits(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 18 {
        return None;
    }
    bytes.iter().try_fold(0, |number, b| {
        b.is_ascii_digit().then(|| number * 10 + u64::from(b - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26T10:00:00Z
    const TEN: u64 = 1_795_687_200_000;

    #[test]
    fn a_time_is_read_as_servers_write_it() {
        for (text, millis) in [
            ("2026-11-26T10:00:00Z", Some(TEN)),
            ("2026-11-26T10:00:00.123Z", Some(TEN + 123)),
            ("2026-11-26T10:00:00.5", Some(TEN + 500)),
            ("2026-11-26T10:00:00.123456789Z", Some(TEN + 123)),
            ("2026-11-26T11:30:00+01:30", Some(TEN)),
            ("2026-11-26 02:00:00-0800", Some(TEN)),
            ("1795687200", Some(TEN)),
            ("1795687200.25", Some(TEN + 250)),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000)),
            ("2000-03-01T00:00:00Z", Some(951_868_800_000)),
            ("1970-01-01T00:00:00Z", Some(0)),
            ("", None),
            ("yesterday", None),
            ("2026-11-26", None),
            ("2026-13-26T10:00:00Z", None),
            ("2026-11-26T25:00:00Z", None),
            ("2026-11-26T10:00:00+1", None),
            ("2026-11-26T10:00:00.Z", None),
            ("17956872000000000000", None),
            ("1.2.3", None),
            ("1970-01-01T00:00:00+01:00", None),
        ] {
            assert_eq!(parse(text), millis, "{text}");
        }
    }

    #[test]
    fn a_common_logs_time_has_names_of_months() {
        for (text, millis) in [
            ("26/Nov/2026:10:00:00 +0000", Some(TEN)),
            ("26/Nov/2026:12:00:00 +0200", Some(TEN)),
            ("26/Nov/2026:10:00:00", Some(TEN)),
            ("26/nov/2026:10:00:00 +0000", None),
            ("26-Nov-2026:10:00:00 +0000", None),
            ("26/Nov/2026", None),
        ] {
            assert_eq!(common(text), millis, "{text}");
        }
    }

    #[test]
    fn a_number_of_seconds_has_a_fraction() {
        assert_eq!(of_number(1_795_687_200.123), Some(TEN + 123));
        assert_eq!(of_number(-1.0), None);
        assert_eq!(of_number(f64::NAN), None);
    }
}
