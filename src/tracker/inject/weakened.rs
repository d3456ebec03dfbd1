//! Which entity tags were made weak here. An app that compares the tags of `If-None-Match` as texts must get
//! its own back; one whose tags are weak already must get those.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::headers::entity_tag;

/// Tags that are remembered, at most. Which others they push out is chance, and costs a whole page where a
/// 304 would have done.
const TAGS: usize = 4096;

/// See the module. Shared by all workers.
#[derive(Debug)]
pub(super) struct WeakenedTags {
    hashes: Box<[AtomicU32]>,
    hasher: RandomState,
}

impl WeakenedTags {
    pub(super) fn new() -> Self {
        WeakenedTags {
            hashes: (0..TAGS).map(|_| AtomicU32::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// A strong tag goes to a client as a weak one.
    pub(super) fn note(&self, strong: &[u8]) {
        let (place, hash) = self.place(strong);
        place.store(hash, Ordering::Relaxed);
    }

    /// A list of tags as the app knows them. `None` where that is the same.
    pub(super) fn undo(&self, list: &[u8]) -> Option<Vec<u8>> {
        let is_ours = |tag: &[u8]| {
            entity_tag::is_weak(tag) && {
                let (place, hash) = self.place(&tag[2..]);
                place.load(Ordering::Relaxed) == hash
            }
        };
        if !entity_tag::tags(list).any(is_ours) {
            return None;
        }
        let tags = entity_tag::tags(list).map(|tag| if is_ours(tag) { &tag[2..] } else { tag });
        Some(tags.collect::<Vec<_>>().join(&b", "[..]))
    }

    fn place(&self, strong: &[u8]) -> (&AtomicU32, u32) {
        let hash = self.hasher.hash_one(strong);
        let place = &self.hashes[hash as usize % TAGS];
        // Zero stands for none.
        (place, (hash >> 32) as u32 | 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_weakened_here_becomes_strong_again() {
        let tags = WeakenedTags::new();
        tags.note(b"\"a\"");
        let undo = |list: &str| tags.undo(list.as_bytes()).map(|l| String::from_utf8(l).unwrap());
        assert_eq!(undo("W/\"a\""), Some("\"a\"".to_owned()));
        assert_eq!(
            undo("W/\"b\",W/\"a\", \"c\""),
            Some("W/\"b\", \"a\", \"c\"".to_owned())
        );
        assert_eq!(undo("W/\"b\""), None);
        assert_eq!(undo("\"a\""), None);
        assert_eq!(undo("*"), None);
    }
}
