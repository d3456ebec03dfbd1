//! What spares reads: the bytes appended last, and blocks read ahead of a backlog.

use std::{collections::VecDeque, io};

use super::disk::{FileHandle, read_full_at};

const RECENT: usize = 512 << 10;
const BLOCK: usize = 128 << 10;
const BLOCKS: usize = 4;

/// What was just appended, and so is about to be sent: in ordinary weather no send reads the disk.
#[derive(Default)]
pub(super) struct RecentWrites {
    /// In the order of their places.
    chunks: VecDeque<RecentChunk>,
    bytes: usize,
    spare: Vec<u8>,
}

struct RecentChunk {
    segment: u32,
    offset: u32,
    /// What was written there starts after so many bytes.
    skip: usize,
    bytes: Vec<u8>,
}

impl RecentWrites {
    /// A buffer to build the next chunk in, which may be about as long as the last one.
    pub(super) fn buffer(&mut self, last: usize) -> Vec<u8> {
        let spare = std::mem::take(&mut self.spare);
        if spare.capacity() == 0 {
            return Vec::with_capacity(last);
        }
        spare
    }

    /// Remembers what was written there: the bytes but for the first `skip`. Places grow from call to call.
    pub(super) fn push(&mut self, segment: u32, offset: u32, mut bytes: Vec<u8>, skip: usize) {
        // A buffer that has held more is not remembered at its former size.
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

    /// The bytes from that place on, as far as they are remembered in one piece.
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

/// Blocks of files, the ones last used.
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
    /// The bytes of the file from `offset` on, to the end of their block: `least` at the least, if the file
    /// has them.
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

    /// A bit of what is before is taken too, as retries and neighbours do not come in order.
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

    /// The segment is gone, or what is known of it may be.
    pub(super) fn forget(&mut self, segment: u32) {
        self.blocks.retain(|block| block.segment != segment);
    }
}
