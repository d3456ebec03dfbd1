//! What the `Connection` lines of a message say (RFC 9110 §7.6.1).

use httparse::Header;

use super::names;

/// The options of all `Connection` lines, in any order and case. Nothing is copied: the lines are looked at again
/// only when they name more than `close`, `keep-alive` and `upgrade`.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// Empty unless something else is named too.
    others: &'a [Header<'a>],
}

impl<'a> Connection<'a> {
    /// Reads every `Connection` line among the fields.
    pub fn read(fields: &'a [Header<'a>]) -> Self {
        let mut connection = Connection {
            close: false,
            keep_alive: false,
            upgrade: false,
            others: &[],
        };
        for option in options(fields) {
            if option.eq_ignore_ascii_case(b"close") {
                connection.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                connection.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                connection.upgrade = true;
            } else {
                connection.others = fields;
            }
        }
        connection
    }

    /// `close`: the connection ends after this message. It wins over `keep-alive` (RFC 9112 §9.3).
    pub fn close(&self) -> bool {
        self.close
    }

    /// `keep-alive`: an HTTP/1.0 peer would like the connection to go on.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// `upgrade`: the `Upgrade` field is meant for this hop.
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }

    /// Whether a field's name was named, in any case.
    pub fn names(&self, field: &str) -> bool {
        (self.close && field.eq_ignore_ascii_case("close"))
            || (self.keep_alive && field.eq_ignore_ascii_case("keep-alive"))
            || (self.upgrade && field.eq_ignore_ascii_case("upgrade"))
            || options(self.others).any(|option| option.eq_ignore_ascii_case(field.as_bytes()))
    }

    /// Whether a field ends at this hop because it was named.
    ///
    /// A field that the message means something else without cannot be taken out: `Host`, what describes the content,
    /// and what is for every recipient, such as `Cache-Control`. The standard forbids to name these, and a request
    /// that does is trying to make the app see another message than we did.
    #[inline]
    pub fn removes(&self, field: &str) -> bool {
        !self.others.is_empty() && self.names(field) && !names::is_for_all(field)
    }
}

/// The members of all `Connection` lines, blank ones left out.
fn options<'a>(fields: &'a [Header<'a>]) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(|f| f.name.eq_ignore_ascii_case("connection"))
        .flat_map(|f| f.value.split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|option| !option.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_lines_are_read() {
        let fields = [
            ("connection", ", Keep-Alive ,"),
            ("Host", "close"),
            ("CONNECTION", "x-a,UPGRADE"),
        ];
        let fields = fields.map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        });
        let connection = Connection::read(&fields);
        assert!(connection.keep_alive() && connection.upgrade() && !connection.close());
        assert!(connection.names("X-A") && connection.names("keep-alive"));
        assert!(!connection.names("close") && !connection.names("x_a") && !connection.names(""));
        assert!(connection.removes("X-A"));
    }

    #[test]
    fn the_three_options_alone_name_themselves() {
        let fields = [Header {
            name: "Connection",
            value: b"close, upgrade",
        }];
        let connection = Connection::read(&fields);
        assert!(connection.names("Close") && connection.names("upgrade") && !connection.names("keep-alive"));
        assert!(!connection.removes("x-a"));
        assert!(!Connection::read(&[]).names("close"));
    }
}
