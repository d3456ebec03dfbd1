//! Which partition a visitor's events go to, and what the stream calls it.

use std::fmt;

/// A part of the stream. All events of one visitor are in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// All partitions of a stream with so many.
    pub fn all(partitions: u16) -> impl Iterator<Item = Partition> {
        (0..partitions).map(Partition)
    }

    /// A visitor's partition in a stream with so many.
    ///
    /// The key is a keyed hash already, so its upper half, scaled, is as even as it is. Every sidecar has to
    /// come to the same partition, so nothing else goes in.
    pub fn of(visitor: u64, partitions: u16) -> Partition {
        let scaled = (visitor >> 32) * u64::from(partitions.max(1));
        Partition((scaled >> 32) as u16)
    }

    /// Its number, from 0.
    pub fn index(self) -> usize {
        self.0.into()
    }

    /// The subject that its events are published to. The visitor is not in it: a server has to keep something
    /// for each subject, and there are as many visitors as there are people.
    pub fn subject(self, stream: &str) -> String {
        format!("{stream}.p.{}", self.0)
    }

    /// Its consumer's name.
    pub fn consumer(self) -> String {
        format!("p{}", self.0)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The subjects of all partitions.
pub(super) fn wildcard(stream: &str) -> String {
    format!("{stream}.p.*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_has_one_partition_and_partitions_are_even() {
        let mut sizes = [0_u32; 64];
        for n in 0..64_000_u64 {
            let visitor = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n.rotate_left(17);
            let partition = Partition::of(visitor, 64);
            assert_eq!(partition, Partition::of(visitor, 64));
            sizes[usize::from(partition.0)] += 1;
        }
        assert!(sizes.iter().all(|size| (700..1_300).contains(size)), "{sizes:?}");
    }

    proptest::proptest! {
        #[test]
        fn every_visitor_has_one_of_the_partitions(visitor: u64, partitions in 1_u16..) {
            assert!(Partition::of(visitor, partitions).0 < partitions);
        }
    }

    #[test]
    fn partitions_are_numbered_from_none_to_the_last() {
        assert_eq!(Partition::of(0, 64), Partition(0));
        assert_eq!(Partition::of(u64::MAX, 64), Partition(63));
        assert_eq!(Partition::of(u64::MAX, 1), Partition(0));
        assert_eq!(Partition::all(3).last(), Some(Partition(2)));
        assert_eq!(Partition(7).subject("gatecount"), "gatecount.p.7");
    }
}
