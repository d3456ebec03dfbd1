//! How far a log was read: the binary form that goes into the queue with each event.
//!
//! ```text
//! 1 version   8 time, ms since 1970   1 number of files, then of each, the oldest first:
//! 8 device   8 inode   8 offset   4 CRC-32C of the file's first bytes   2 how many bytes these are   1 skipping
//! ```

/// The most files that are followed at once: the newest, and older ones that may still be written to.
pub(super) const MAX_FILES: usize = 64;

const VERSION: u8 = 1;
const FILE: usize = 31;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// When this was the place, in milliseconds since 1970. Files that were last written earlier and are not
    /// among these have been read to their end.
    pub(super) at: u64,
    /// The files, the oldest first.
    pub(super) files: Vec<FilePlace>,
}

/// How far a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FilePlace {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Bytes done with.
    pub(super) offset: u64,
    pub(super) head: Head,
    /// The bytes before the offset are of a line that is too long, and whose end has not been read.
    pub(super) skipping: bool,
}

/// What a file begins with. A log grows at its end alone, so this tells it from every other, whatever name,
/// inode or device it has: from a new one in the place of a removed one, and from itself after it was cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// CRC-32C of the first bytes.
    pub(super) check: u32,
    /// How many there are: all that were done with, but at most [`Head::MAX`].
    pub(super) length: u16,
}

impl Head {
    /// Enough to hold the time of a line, and of most lines two.
    pub(super) const MAX: usize = 512;

    pub(super) fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(Self::MAX)];
        Head {
            check: crc32c::crc32c(bytes),
            length: bytes.len() as u16,
        }
    }
}

impl Place {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.clear();
        out.push(VERSION);
        out.extend_from_slice(&self.at.to_le_bytes());
        out.push(self.files.len() as u8);
        for file in &self.files {
            out.extend_from_slice(&file.device.to_le_bytes());
            out.extend_from_slice(&file.inode.to_le_bytes());
            out.extend_from_slice(&file.offset.to_le_bytes());
            out.extend_from_slice(&file.head.check.to_le_bytes());
            out.extend_from_slice(&file.head.length.to_le_bytes());
            out.push(file.skipping.into());
        }
    }

    /// Reads what [`encode`](Self::encode) wrote; `None` for any other bytes.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let ([VERSION], rest) = bytes.split_first_chunk()? else {
            return None;
        };
        let (at, rest) = rest.split_first_chunk()?;
        let ([count], rest) = rest.split_first_chunk()?;
        if rest.len() != usize::from(*count) * FILE {
            return None;
        }
        let files = rest.chunks_exact(FILE).map(FilePlace::decode);
        Some(Place {
            at: u64::from_le_bytes(*at),
            files: files.collect::<Option<_>>()?,
        })
    }
}

impl FilePlace {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (device, rest) = bytes.split_first_chunk()?;
        let (inode, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let (check, rest) = rest.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some(FilePlace {
            device: u64::from_le_bytes(*device),
            inode: u64::from_le_bytes(*inode),
            offset: u64::from_le_bytes(*offset),
            head: Head {
                check: u32::from_le_bytes(*check),
                length: u16::from_le_bytes(*length),
            },
            skipping: rest == [1],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let file = |inode| FilePlace {
            device: 7,
            inode,
            offset: 1 << 40,
            head: Head::of(b"the first line"),
            skipping: inode == 2,
        };
        let place = Place {
            at: 1_795_687_200_000,
            files: vec![file(1), file(2)],
        };
        let mut bytes = vec![9; 3];
        place.encode(&mut bytes);
        assert_eq!(Place::decode(&bytes), Some(place));
        for length in 0..bytes.len() {
            assert_eq!(Place::decode(&bytes[..length]), None, "{length}");
        }
        assert_eq!(Place::decode(b"rubbish"), None);
    }
}
