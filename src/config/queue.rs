//! `[queue]`, and the directory of a queue that has none configured.

use std::{path::PathBuf, time::Duration};

use crate::queue::{At, Settings};

use super::{parse, reader::KeyReader, sources::Sources, value};

/// The system's place for the queue, if it can be written.
const SYSTEM_DIRECTORY: &str = "/var/lib/gatecount";

/// Resolves the table. `max_age` is delivery's: the queue keeps records that long.
pub(super) fn resolve(r: &mut KeyReader<'_>, max_age: Duration) -> Settings {
    let disk = r.text("queue.at", |t, _| {
        parse::word(t, &[("disk", true), ("memory", false)])
    });
    let path = r.text("queue.path", |text, base| match text {
        "" => Ok(None),
        _ => parse::path_from(text, base).map(Some),
    });
    let wanted = "a size from \"64KiB\" to \"1TiB\" is wanted";
    let max_bytes = r.size("queue.max_bytes", 64 << 10..=1 << 40, wanted);
    let at = if disk {
        let path = path.unwrap_or_else(|| state_directory(r.sources));
        r.show("queue.path", value::quote(&path.display().to_string()));
        At::Disk(path)
    } else {
        At::Memory
    };
    Settings {
        at,
        max_bytes,
        max_age,
    }
}

/// The directory that systemd gives, else the system's, else the user's (XDG Base Directory Specification).
fn state_directory(sources: &Sources) -> PathBuf {
    // Colons separate several directories (systemd.exec(5), StateDirectory=).
    let from_systemd = sources
        .variable("STATE_DIRECTORY")
        .and_then(|directories| directories.split(':').next())
        .filter(|directory| !directory.is_empty());
    if let Some(directory) = from_systemd {
        return directory.into();
    }
    if (sources.writable)(SYSTEM_DIRECTORY.as_ref()) {
        return SYSTEM_DIRECTORY.into();
    }
    let absolute = |name| {
        sources
            .variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map_or_else(|| SYSTEM_DIRECTORY.into(), |state| state.join("gatecount"))
}
