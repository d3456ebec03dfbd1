//! The options of a message's `Connection` lines (RFC 9110 §7.6.1).

use httparse::Header;

use crate::field;

use super::names;

/// The options of all `Connection` lines, in any order and case. Nothing is copied. The lines are searched
/// again only if they have options beside `close`, `keep-alive` and `upgrade`.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionOptions<'a> {
    close: bool,
    keep_alive: bool,
    upgrade: bool,
    /// All fields if there are other options, else empty.
    others: &'a [Header<'a>],
}

impl<'a> ConnectionOptions<'a> {
    /// Reads every `Connection` line among the fields.
    pub fn read(fields: &'a [Header<'a>]) -> Self {
        let mut connection = ConnectionOptions {
            close: false,
            keep_alive: false,
            upgrade: false,
            others: &[],
        };
        // Each message passes here twice, few of its fields have so long a name, and most lines have one option.
        for line in fields.iter().filter(|line| line.name.len() == 10) {
            if !line.name.eq_ignore_ascii_case("connection") {
                continue;
            }
            match line.value {
                b"keep-alive" => connection.keep_alive = true,
                b"close" => connection.close = true,
                options => field::members(options).for_each(|option| connection.add(option, fields)),
            }
        }
        connection
    }

    fn add(&mut self, option: &[u8], fields: &'a [Header<'a>]) {
        if option.eq_ignore_ascii_case(b"close") {
            self.close = true;
        } else if option.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
        } else if option.eq_ignore_ascii_case(b"upgrade") {
            self.upgrade = true;
        } else {
            self.others = fields;
        }
    }

    /// `close`: the connection ends after this message. It overrides `keep-alive` (RFC 9112 §9.3).
    pub fn close(&self) -> bool {
        self.close
    }

    /// `keep-alive`: an HTTP/1.0 peer asks to keep the connection open.
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// `upgrade`: the `Upgrade` field is for this hop.
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }

    /// Whether a field's name is among the options.
    pub fn names(&self, field: &str) -> bool {
        (self.close && field.eq_ignore_ascii_case("close"))
            || (self.keep_alive && field.eq_ignore_ascii_case("keep-alive"))
            || (self.upgrade && field.eq_ignore_ascii_case("upgrade"))
            || field::list(self.others, "connection")
                .any(|option| option.eq_ignore_ascii_case(field.as_bytes()))
    }

    /// Whether a field must be removed because it is among the options.
    ///
    /// Some fields can't be removed this way: `Host`, those that describe the content, and those for every
    /// recipient, such as `Cache-Control`. Without them the message has another meaning. RFC 9110 §7.6.1
    /// forbids to list them; a request that does so wants the app to see another message than we saw.
    #[inline]
    pub fn removes(&self, field: &str) -> bool {
        !self.others.is_empty() && self.names(field) && !names::is_for_every_recipient(field)
    }
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
        let connection = ConnectionOptions::read(&fields);
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
        let connection = ConnectionOptions::read(&fields);
        assert!(connection.names("Close") && connection.names("upgrade") && !connection.names("keep-alive"));
        assert!(!connection.removes("x-a"));
        assert!(!ConnectionOptions::read(&[]).names("close"));
    }
}
