//! What the visitor used and the app may not see: scheme, host and target. The host is kept as a place in the
//! head, which costs a request nothing.

use memchr::memmem;

use crate::client::Visible;

/// What the visitor's browser shows of scheme and host. The host is in the head that the app gets, so only
/// its place there is kept.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Visited {
    pub(super) https: bool,
    host: HostPlace,
    /// A trusted peer tells another target than the app's; the fields that say so are in the head.
    pub(super) is_rewritten: bool,
}

/// Where the host is.
#[derive(Debug, Clone, Copy)]
enum HostPlace {
    Unknown,
    /// In the `Host` line, the head's second.
    OwnLine,
    /// From here to there, in the field of a proxy in front.
    At(u32, u32),
}

impl Visited {
    /// What is visible of the request that has this head. `arrived` is the host in its `Host` line.
    pub(in crate::proxy) fn new(
        visible: &Visible<'_>,
        arrived: Option<&str>,
        is_rewritten: bool,
        head: &[u8],
    ) -> Self {
        let host = match visible.host {
            None => HostPlace::Unknown,
            host if host == arrived => HostPlace::OwnLine,
            Some(host) => memmem::find(head, host.as_bytes()).map_or(HostPlace::Unknown, |start| {
                HostPlace::At(start as u32, (start + host.len()) as u32)
            }),
        };
        Visited {
            https: visible.https,
            host,
            is_rewritten,
        }
    }

    /// The host, out of the same head.
    pub(super) fn host(self, head: &[u8]) -> Option<&str> {
        let host = match self.host {
            HostPlace::Unknown => return None,
            HostPlace::OwnLine => {
                let line = head.split(|b| *b == b'\n').nth(1)?;
                line.strip_prefix(b"Host: ")?.strip_suffix(b"\r")?
            }
            HostPlace::At(start, end) => head.get(start as usize..end as usize)?,
        };
        std::str::from_utf8(host).ok()
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
            let visited = Visited::new(&Visible { https: true, host }, Some("own.example"), false, head);
            assert_eq!(visited.host(head), found, "{host:?}");
        }
        let nothing = Visited::new(
            &Visible::plain(None),
            None,
            false,
            b"GET / HTTP/1.1\r\nHost: app\r\n\r\n",
        );
        assert_eq!(nothing.host(head), None);
    }
}
