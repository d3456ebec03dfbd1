//! A record, its place, and why it may be lost.

use std::{fmt, io, path::PathBuf};

/// Milliseconds since 1970. The owner's clock: it should not jump while the process runs.
pub type Millis = u64;

/// Where a record is, in this process's queue. Ordered by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The place at an offset of a segment.
    pub const fn new(segment: u32, offset: u32) -> Self {
        Self((segment as u64) << 32 | offset as u64)
    }

    /// The position as a number, ordered likewise. It means the same in each process that uses the directory.
    pub const fn to_number(self) -> u64 {
        self.0
    }

    pub(super) const fn segment(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) const fn offset(self) -> u32 {
        self.0 as u32
    }
}

/// The segment's number, a colon, the offset in it.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment(), self.offset())
    }
}

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The key given to [`Batch::add`](super::Batch::add).
    pub key: u64,
    /// The time given to [`Batch::add`](super::Batch::add). The queue itself goes by the time of the append.
    pub at: Millis,
    /// The tag given to [`Batch::add`](super::Batch::add).
    pub tag: u8,
    /// The bytes appended in [`Batch::add`](super::Batch::add).
    pub bytes: &'a [u8],
}

/// Why a record can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its bytes are damaged. The owner should count it as corrupt, and finish it.
    #[error("the record is damaged")]
    Corrupt,
    /// It was evicted or has expired. [`Queue::next_gone`](super::Queue::next_gone) reports why.
    #[error("the record is gone")]
    Gone,
    /// The disk failed. It may work later.
    #[error("can't read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// Why records went that had not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// There was no room for newer ones.
    Evicted,
    /// They were older than `max_age`.
    Expired,
    /// Somebody changed the file that they were in.
    Damaged,
}

/// Records that went before they ended: every record in `from..below` that was not finished, except for those
/// in `kept`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// The first position that is gone.
    pub from: Position,
    /// The first position after that is not.
    pub below: Position,
    /// Those between that are still there, in their order.
    pub kept: Vec<Position>,
    /// How many are gone.
    pub records: u64,
    /// Why they went. The owner has to finish damaged ones, as their segment is still there.
    pub why: Why,
}

impl Gone {
    /// Whether the record at this position is gone.
    pub fn contains(&self, position: Position) -> bool {
        (self.from..self.below).contains(&position) && self.kept.binary_search(&position).is_err()
    }
}
