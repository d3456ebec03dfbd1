//! The formats of access logs: from a line's text to what it says of a request. Pure.
//!
//! Texts are borrowed from the line where they have no escapes. A member that is missing is not known; an
//! empty one, or `-`, says that the request or the response did not have it.

mod caddy;
mod combined;
mod json;
mod line;
#[cfg(test)]
mod tests;
mod time;
mod traefik;
mod value;

pub(super) use line::LogLine;

use super::settings::LineFormat;

impl LineFormat {
    /// Reads a line. `None` if it is none of this format.
    pub(super) fn parse(self, line: &str) -> Option<LogLine<'_>> {
        let parsed = match self {
            LineFormat::Json => json::parse(line),
            LineFormat::Combined => combined::parse(line),
            LineFormat::Caddy => caddy::parse(line),
            LineFormat::Traefik => traefik::parse(line),
        };
        parsed.filter(LogLine::is_sound)
    }
}
