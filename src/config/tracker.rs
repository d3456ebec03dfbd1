//! `[tracker]`: which paths are gatecount's own.

use crate::{
    delivery,
    tracker::{ScriptSettings, Settings},
};

use super::{
    forward_proxy,
    mistake::Origin,
    parse::{self, ParseResult},
    reader::KeyReader,
    value,
};

/// Resolves the table. The script comes by the way that events go by to Plausible.
pub(super) fn resolve(r: &mut KeyReader<'_>, delivery: &delivery::Settings) -> Settings {
    let path = r.text("tracker.script", |t, _| own_path(t));
    let source = r.text("tracker.source", |t, _| match t {
        "" => Ok(None),
        text => parse::file_url(text, &delivery.base).map(Some),
    });
    let event = r.text("tracker.event", |t, _| optional_path(t));
    let pixel = r.text("tracker.pixel", |t, _| optional_path(t));
    let script = source.map(|(base, file)| ScriptSettings {
        path,
        proxy: forward_proxy::resolve_for(r, &base, delivery),
        base,
        file,
        ca_file: delivery.ca_file.clone(),
        timeout: delivery.timeout,
    });
    // An app may have an /api/event of its own: by default the path is the tracker's where its script is
    // served.
    let wanted = script.is_some() || *r.origin("tracker.event") != Origin::Default;
    if !wanted {
        r.show("tracker.event", value::quote(""));
    }
    let settings = Settings {
        script,
        event: event.filter(|_| wanted),
        pixel,
    };
    check_different(r, &settings);
    settings
}

/// A path here.
fn own_path(text: &str) -> ParseResult<String> {
    let fits = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'"' | b'<' | b'>' | b'\\');
    if text.len() > 1 && text.starts_with('/') && !text.starts_with("//") && text.bytes().all(fits) {
        return Ok(text.to_owned());
    }
    Err("a path here is wanted, such as \"/js/script.js\", without a query".to_owned())
}

fn optional_path(text: &str) -> ParseResult<Option<String>> {
    match text {
        "" => Ok(None),
        _ => own_path(text)
            .map(Some)
            .map_err(|problem| format!("{problem}; \"\" is off")),
    }
}

/// One path can't be two things.
fn check_different(r: &mut KeyReader<'_>, settings: &Settings) {
    let paths = [
        (
            "tracker.script",
            settings.script.as_ref().map(|script| &script.path),
        ),
        ("tracker.event", settings.event.as_ref()),
        ("tracker.pixel", settings.pixel.as_ref()),
    ];
    for (n, (key, path)) in paths.iter().enumerate() {
        for (other, other_path) in &paths[..n] {
            if path.is_some() && path == other_path {
                r.clash(key, other, format!("{other} and {key} must differ"));
            }
        }
    }
}
