//! Caches that save reads: the bytes appended last, and blocks of files.

use std::{collections::VecDeque, io};

use super::disk::{FileHandle, read_full_at};

const RECENT: usize = 512 << 10;
const BLOCK: usize = 128 << 10;
const BLOCKS: usize = 4;

/// The bytes appended last. They are usually sent next, so normally no send reads the disk.
#[derive(Default)]
pub(super) struct RecentWrites {
    /// Ordered by place.
    chunks: VecDeque<RecentChunk>,
    bytes: usize,
    spare: Vec<u8>,
}

struct RecentChunk {
    segment: u32,
    offset: u32,
    /// How many bytes to skip; what was written starts after them.
    skip: usize,
    bytes: Vec<u8>,
}

impl RecentWrites {
    /// A buffer for the next chunk, which is probably about as long as the last one.
    pub(super) fn buffer(&mut self, last: usize) -> Vec<u8> {
        let spare = std::mem::take(&mut self.spare);
        if spare.capacity() == 0 {
            return Vec::with_capacity(last);
        }
        spare
    }

    /// Remembers what was written at that place: `bytes` without the first `skip`. Places must grow from call
    /// to call.
    pub(super) fn push(&mut self, segment: u32, offset: u32, mut bytes: Vec<u8>, skip: usize) {
        // A buffer that once held more gives the difference back.
        if bytes.capacity() > bytes.len() + bytes.len() / 4 {
            bytes.shrink_to_fit();
        }
        self.bytes += bytes.capacity();
        self.chunks.push_back(RecentChunk {
            segment,
            offset,
            skip,
            bytes,
        });
        while self.bytes > RECENT
            && let Some(oldest) = self.chunks.pop_front()
        {
            self.bytes -= oldest.bytes.capacity();
            if oldest.bytes.capacity() <= RECENT / 2 {
                self.spare = oldest.bytes;
            }
        }
    }

    /// Puts what was written to a segment last where it belongs in the file's `image`.
    pub(super) fn overlay(&self, segment: u32, image: &mut [u8]) {
        for chunk in self.chunks.iter().filter(|chunk| chunk.segment == segment) {
            let bytes = &chunk.bytes[chunk.skip..];
            let start = chunk.offset as usize;
            if let Some(place) = image.get_mut(start..start + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
    }

    /// The bytes from that place on, to the end of their chunk.
    pub(super) fn find(&self, segment: u32, offset: u32) -> Option<&[u8]> {
        let after = self
            .chunks
            .partition_point(|chunk| (chunk.segment, chunk.offset) <= (segment, offset));
        let chunk = self
            .chunks
            .get(after.checked_sub(1)?)
            .filter(|chunk| chunk.segment == segment)?;
        chunk
            .bytes
            .get(chunk.skip + (offset - chunk.offset) as usize..)
            .filter(|bytes| !bytes.is_empty())
    }
}

/// The blocks of files that were used last.
#[derive(Default)]
pub(super) struct ReadAhead {
    blocks: Vec<Block>,
    clock: u64,
}

struct Block {
    segment: u32,
    start: u64,
    bytes: Vec<u8>,
    used: u64,
}

impl ReadAhead {
    /// The bytes of the file from `offset` to the end of their block: at least `least`, if the file has so
    /// many.
    pub(super) fn read(
        &mut self,
        file: &dyn FileHandle,
        segment: u32,
        offset: u32,
        least: usize,
    ) -> io::Result<&[u8]> {
        self.clock += 1;
        let offset = u64::from(offset);
        let holds = |block: &Block| {
            block.segment == segment
                && (block.start..block.start + block.bytes.len() as u64).contains(&offset)
                && block.start + block.bytes.len() as u64 >= offset + least as u64
        };
        let index = match self.blocks.iter().position(holds) {
            Some(index) => index,
            None => self.load(file, segment, offset, least)?,
        };
        let block = &mut self.blocks[index];
        block.used = self.clock;
        Ok(&block.bytes[(offset - block.start) as usize..])
    }

    /// Reads a little of what is before, too, because retries and neighbours do not come in order.
    fn load(&mut self, file: &dyn FileHandle, segment: u32, offset: u64, least: usize) -> io::Result<usize> {
        let start = offset.saturating_sub(BLOCK as u64 / 8);
        let mut bytes = if self.blocks.len() < BLOCKS {
            Vec::new()
        } else {
            let oldest = (0..BLOCKS)
                .min_by_key(|&index| self.blocks[index].used)
                .unwrap_or(0);
            self.blocks.swap_remove(oldest).bytes
        };
        bytes.clear();
        bytes.resize(BLOCK.max((offset - start) as usize + least), 0);
        let read = read_full_at(file, &mut bytes, start)?;
        bytes.truncate(read.max((offset - start) as usize));
        bytes.shrink_to(BLOCK);
        self.blocks.push(Block {
            segment,
            start,
            bytes,
            used: self.clock,
        });
        Ok(self.blocks.len() - 1)
    }

    /// Forgets a segment that is gone.
    pub(super) fn forget(&mut self, segment: u32) {
        self.blocks.retain(|block| block.segment != segment);
    }
}
