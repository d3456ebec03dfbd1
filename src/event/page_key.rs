//! Which page a view is of, for those who report one view without knowing of each other: the server, the
//! tracker script, the pixel.

use std::hash::Hasher as _;

use siphasher::sip::SipHasher13;

use super::sites::name_of;

/// A page by its host and path. Scheme, port, query and fragment do not matter, nor does a leading `www.`: a
/// proxy in front may hide them from the server, and a script may remove them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PageKey(u64);

impl PageKey {
    /// The page of this host, which may have a port, and this target or path. Escapes in the path are
    /// compared as the bytes that they stand for.
    pub fn of(host: &str, target: &str) -> Self {
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        let host = name_of(host).to_ascii_lowercase();
        hasher.write(host.strip_prefix("www.").unwrap_or(&host).as_bytes());
        hasher.write_u8(0xff);
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let path = if path.is_empty() { "/" } else { path };
        let mut rest = path.as_bytes();
        while let Some((first, tail)) = rest.split_first() {
            let escaped = tail
                .first_chunk()
                .filter(|_| *first == b'%')
                .copied()
                .and_then(unescaped);
            hasher.write_u8(escaped.unwrap_or(*first));
            rest = if escaped.is_some() { &tail[2..] } else { tail };
        }
        PageKey(hasher.finish())
    }

    /// The key that [`to_number`](Self::to_number) gave.
    pub fn from_number(number: u64) -> Self {
        PageKey(number)
    }

    /// The same number in every process, because queues on disk store it.
    pub fn to_number(self) -> u64 {
        self.0
    }
}

fn unescaped([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |b: u8| char::from(b).to_digit(16);
    Some((digit(high)? * 16 + digit(low)?) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_its_host_and_path() {
        let page = PageKey::of("example.com", "/a%C3%A4/b");
        for (host, target) in [
            ("EXAMPLE.com:8443", "/a%C3%A4/b?ref=x#y"),
            ("www.example.com.", "/a%c3%a4/%62"),
            ("example.com", "/aä/b"),
        ] {
            assert_eq!(PageKey::of(host, target), page, "{host} {target}");
        }
        for (host, target) in [
            ("shop.example.com", "/a%C3%A4/b"),
            ("example.com", "/a%C3%A4/b/"),
            ("example.com", "/A%C3%A4/b"),
            ("example.com/a%C3%A4", "/b"),
        ] {
            assert_ne!(PageKey::of(host, target), page, "{host} {target}");
        }
        assert_eq!(PageKey::of("a.example", ""), PageKey::of("a.example", "/"));
        assert_ne!(
            PageKey::of("a.example", "/100%"),
            PageKey::of("a.example", "/100")
        );
        assert_eq!(PageKey::of("[::1]:80", "/"), PageKey::of("[::1]", "/"));
    }

    #[test]
    fn the_key_is_the_same_in_every_process() {
        let key = PageKey::of("example.com", "/");
        assert_eq!(PageKey::from_number(key.to_number()), key);
        assert_eq!(key.to_number(), KNOWN);
    }

    /// Of `example.com` and `/`.
    const KNOWN: u64 = 1_278_079_888_714_967_274;
}
