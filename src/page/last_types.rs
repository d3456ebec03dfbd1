//! Remembers of each path whether its last 200 was a document. A 304 has no type, and a browser that opens an
//! image again sends the same request as for a page.

use std::sync::atomic::{AtomicU64, Ordering};

/// The memory, shared by all threads: a fixed table without locks. A path that takes another one's place makes
/// that one unknown.
#[derive(Debug)]
pub struct LastTypes {
    /// `hash of host and path, without its last bit | document`; 0 is nothing.
    slots: Box<[AtomicU64]>,
}

impl LastTypes {
    /// 64 KiB: the pages of a middling site and what they need.
    const SLOTS: usize = 1 << 13;

    /// Nothing remembered.
    pub fn new() -> Self {
        LastTypes {
            slots: (0..Self::SLOTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// A 200 of this host and path.
    pub fn note(&self, host: &[u8], path: &[u8], is_document: bool) {
        let (slot, mark) = self.slot(host, path);
        let mark = mark | u64::from(is_document);
        // Most are as they were, and a store would take the line from the other threads.
        if slot.load(Ordering::Relaxed) != mark {
            slot.store(mark, Ordering::Relaxed);
        }
    }

    /// Whether the last 200 was a document; `None` if it is not remembered.
    pub fn last(&self, host: &[u8], path: &[u8]) -> Option<bool> {
        let (slot, mark) = self.slot(host, path);
        let found = slot.load(Ordering::Relaxed);
        (found & !1 == mark).then_some(found & 1 == 1)
    }

    fn slot(&self, host: &[u8], path: &[u8]) -> (&AtomicU64, u64) {
        let hash = mix(mix(0, host), path);
        (&self.slots[(hash >> 32) as usize % Self::SLOTS], (hash | 2) & !1)
    }
}

/// Mixes bytes into a hash, eight at a time: a few instructions, for nearly every 200 is noted. Who makes two paths
/// collide gains nothing by it.
fn mix(mut hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = fold(hash ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    fold(hash ^ u64::from_le_bytes(last) ^ (bytes.len() as u64).rotate_left(56))
}

/// A folded multiplication: every bit of the result depends on every bit of the word.
fn fold(word: u64) -> u64 {
    let product = u128::from(word ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93;
    (product >> 64) as u64 ^ product as u64
}

impl Default for LastTypes {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_type_of_each_path_is_known_and_no_others() {
        let types = LastTypes::new();
        types.note(b"a.test", b"/photo", false);
        types.note(b"a.test", b"/page", true);
        assert_eq!(types.last(b"a.test", b"/photo"), Some(false));
        assert_eq!(types.last(b"a.test", b"/page"), Some(true));
        assert_eq!(types.last(b"b.test", b"/page"), None);
        assert_eq!(types.last(b"a.test", b"/other"), None);
        types.note(b"a.test", b"/page", false);
        assert_eq!(types.last(b"a.test", b"/page"), Some(false));
    }

    #[test]
    fn a_full_table_forgets_and_never_mixes_up() {
        let types = LastTypes::new();
        let paths: Vec<String> = (0..10 * LastTypes::SLOTS).map(|n| format!("/{n}")).collect();
        for (number, path) in paths.iter().enumerate() {
            types.note(b"a.test", path.as_bytes(), number % 3 == 0);
        }
        for (number, path) in paths.iter().enumerate() {
            let last = types.last(b"a.test", path.as_bytes());
            assert!(
                last.is_none_or(|document| document == (number % 3 == 0)),
                "{path}"
            );
        }
    }
}
