//! `[tracker]`, resolved.

use std::{path::PathBuf, time::Duration};

use crate::delivery::{Base, DESK_ROOM, ForwardProxy};

/// The longest script, in bytes.
pub(super) const LONGEST_SCRIPT: usize = 1 << 20;
/// Bytes that the bodies of large events may take together, over all workers.
pub(super) const ROOM: usize = 32 << 20;

/// Which paths are gatecount's own, and where the script comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The tracker script; `None`: it is not served.
    pub script: Option<ScriptSettings>,
    /// The path that takes the script's events.
    pub event: Option<String>,
    /// The path of the pixel.
    pub pixel: Option<String>,
}

/// The script and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptSettings {
    /// The path here.
    pub path: String,
    /// The server that has the script.
    pub base: Base,
    /// The script's path and query there.
    pub file: String,
    /// The proxy that stands between; none if the server is reached directly.
    pub proxy: Option<ForwardProxy>,
    /// PEM file trusted beside the system's roots.
    pub ca_file: Option<PathBuf>,
    /// How long a fetch may take.
    pub timeout: Duration,
}

/// A path that gatecount answers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DedicatedPath {
    /// The tracker script.
    Script,
    /// The endpoint of its events.
    Event,
    /// The pixel.
    Pixel,
}

impl ScriptSettings {
    /// The script's URL.
    pub fn source(&self) -> String {
        let base = &self.base;
        format!("{}://{}{}", base.scheme(), base.authority(), self.file)
    }
}

impl Settings {
    /// Which of its own paths a request's target has.
    pub fn find(&self, target: &str) -> Option<DedicatedPath> {
        let is = |path: Option<&str>| {
            path.is_some_and(|path| {
                target
                    .strip_prefix(path)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('?'))
            })
        };
        if is(self.event.as_deref()) {
            Some(DedicatedPath::Event)
        } else if is(self.script.as_ref().map(|script| script.path.as_str())) {
            Some(DedicatedPath::Script)
        } else if is(self.pixel.as_deref()) {
            Some(DedicatedPath::Pixel)
        } else {
            None
        }
    }

    /// The most memory that the paths may take beside their connections, in bytes.
    pub fn most_memory(&self) -> u64 {
        // Fetched, kept, and compressed.
        let script = self.script.as_ref().map_or(0, |_| 4 * LONGEST_SCRIPT);
        let events = self.event.as_ref().map_or(0, |_| ROOM + DESK_ROOM);
        (script + events) as u64
    }

    /// Whether there is no path at all.
    pub fn is_off(&self) -> bool {
        self.script.is_none() && self.event.is_none() && self.pixel.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_with_a_query_and_not_below() {
        let settings = Settings {
            event: Some("/api/event".into()),
            pixel: Some("/p.gif".into()),
            ..Settings::default()
        };
        for (target, path) in [
            ("/api/event", Some(DedicatedPath::Event)),
            ("/api/event?a", Some(DedicatedPath::Event)),
            ("/p.gif?url=/p.gif", Some(DedicatedPath::Pixel)),
            ("/api/event/", None),
            ("/api/events", None),
            ("/api", None),
            ("/js/script.js", None),
            ("*", None),
        ] {
            assert_eq!(settings.find(target), path, "{target}");
        }
        assert!(Settings::default().is_off() && !settings.is_off());
        assert_eq!(Settings::default().find("/"), None);
    }
}
