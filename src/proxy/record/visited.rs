//! Where the host is that the visitor used, in a place that costs a request nothing.

use memchr::memmem;

use crate::client::Visible;

/// What the visitor's browser shows of scheme and host. The host is in the head that the app gets, so only its
/// place there is kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Visited {
    pub(super) https: bool,
    /// Start and end; the same if the host is unknown.
    host: (u32, u32),
}

impl Visited {
    /// What is visible of the request that has this head. `arrived` is the host in its `Host` line.
    pub(in crate::proxy) fn new(visible: &Visible<'_>, arrived: Option<&str>, head: &[u8]) -> Self {
        let host = visible.host.unwrap_or_default().as_bytes();
        let start = if visible.host == arrived {
            // The usual case: the second line has it, after the request line.
            memchr::memchr(b'\n', head).map(|end| end + "\nHost: ".len())
        } else {
            // A proxy in front tells another one, and its field is passed to the app.
            memmem::find(head, host)
        };
        Visited {
            https: visible.https,
            host: start.map_or((0, 0), |start| (start as u32, (start + host.len()) as u32)),
        }
    }

    /// The host, out of the same head.
    pub(super) fn host(self, head: &[u8]) -> Option<&str> {
        let host = head.get(self.host.0 as usize..self.host.1 as usize)?;
        std::str::from_utf8(host).ok().filter(|host| !host.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_found_wherever_the_head_has_it() {
        let head = b"GET /a?b HTTP/1.1\r\nHost: own.example\r\nx-forwarded-host: site.example:8443\r\n\r\n";
        for (host, found) in [
            (Some("own.example"), Some("own.example")),
            (Some("site.example:8443"), Some("site.example:8443")),
            (Some("lost.example"), None),
            (None, None),
        ] {
            let visited = Visited::new(&Visible { https: true, host }, Some("own.example"), head);
            assert_eq!(visited.host(head), found, "{host:?}");
        }
        let nothing = Visited::new(
            &Visible::plain(None),
            None,
            b"GET / HTTP/1.1\r\nHost: app\r\n\r\n",
        );
        assert_eq!(nothing.host(head), None);
    }
}
