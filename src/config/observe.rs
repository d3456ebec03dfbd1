//! `[observe]`

use std::time::Duration;

use crate::observe::{LineFormat, LogSource, Settings};

use super::{parse, reader::KeyReader, value};

/// Resolves the table. `max_age` is delivery's.
pub(super) fn resolve(r: &mut KeyReader<'_>, max_age: Duration) -> Settings {
    let mirror = r.text("observe.mirror", |text, _| match text {
        "" => Ok(None),
        _ => parse::address(text).map(Some),
    });
    let log = r.text("observe.log", |text, base| match text {
        "" => Ok(None),
        _ => parse::log_source(text, base).map(Some),
    });
    if let Some(log @ (LogSource::File(_) | LogSource::Unixgram(_))) = &log {
        r.show("observe.log", value::quote(&log.to_string()));
    }
    Settings {
        mirror,
        log,
        format: r.text("observe.format", |t, _| parse::word(t, &LineFormat::NAMED)),
        max_age,
    }
}
