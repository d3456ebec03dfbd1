//! `[log]`, and `RUST_LOG` in place of the default level.

use tracing_subscriber::filter::Targets;

use crate::telemetry::{LogFormat, Settings};

use super::{
    keys,
    mistake::Origin,
    parse::{self, ParseResult},
    reader::KeyReader,
    value,
};

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Resolves the table.
pub(super) fn resolve(r: &mut KeyReader<'_>) -> Settings {
    let mut level = r.text("log.level", |t, _| self::level(t));
    if *r.origin("log.level") == Origin::Default
        && let Some(general) = rust_log(r)
    {
        let origin = Origin::Environment("RUST_LOG".to_owned());
        r.show_from("log.level", value::quote(&general), origin);
        level = general;
    }
    let formats = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
    ];
    Settings {
        level,
        format: r.text("log.format", |t, _| parse::word(t, &formats)),
    }
}

/// A level, or directives such as `info,gatecount=debug`.
fn level(text: &str) -> ParseResult<String> {
    // A single word that is not a level would be taken for a module's name, and silence all other modules.
    let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_level = LEVELS.contains(&text.to_ascii_lowercase().as_str());
    if (is_word && !is_level) || !is_readable(text) {
        return Err(format!(
            "{} or directives such as \"info,gatecount=debug\" are wanted",
            keys::listed(&LEVELS)
        ));
    }
    Ok(text.to_owned())
}

/// `RUST_LOG` belongs to every Rust program, so an unreadable one is ignored.
fn rust_log(r: &KeyReader<'_>) -> Option<String> {
    r.sources
        .variable("RUST_LOG")
        .filter(|text| !text.is_empty() && is_readable(text))
        .map(str::to_owned)
}

fn is_readable(text: &str) -> bool {
    text.parse::<Targets>().is_ok()
}
