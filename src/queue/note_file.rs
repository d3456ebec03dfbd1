//! The file of the owner's note.
//!
//! ```text
//! the file    two slots of 4 KiB, written in turns
//! a slot      4 check of what follows   8 turn   4 length   the bytes
//! ```
//!
//! The whole slot with the higher turn counts. So a write that was cut short leaves the note before it.

use std::{io, path::PathBuf, sync::Arc};

use super::disk::{Disk, FileHandle, read_full_at, write_all_at};

/// The file's name.
pub(super) const NOTE: &str = "note";
/// The most bytes of a note.
pub(super) const MAX_NOTE: usize = SLOT - HEAD;

const SLOT: usize = 4096;
const HEAD: usize = 16;

/// The open file.
pub(super) struct NoteFile {
    pub(super) handle: Arc<dyn FileHandle>,
    pub(super) path: PathBuf,
    /// The turn of the note that counts; 0 for none.
    turn: u64,
}

impl NoteFile {
    /// Opens the file, or creates it; whether it was created.
    pub(super) fn open(disk: &dyn Disk, path: PathBuf) -> io::Result<(Self, bool)> {
        let (handle, created) = match disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (disk.create(&path)?, true),
            opened => (opened?, false),
        };
        let turn = read(&*handle)?.map_or(0, |(turn, _)| turn);
        Ok((NoteFile { handle, path, turn }, created))
    }

    /// Replaces the note.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let turn = self.turn + 1;
        let mut slot = vec![0; 4];
        slot.extend_from_slice(&turn.to_le_bytes());
        slot.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
        slot.extend_from_slice(bytes);
        let check = crc32c::crc32c(&slot[4..]);
        slot[..4].copy_from_slice(&check.to_le_bytes());
        write_all_at(&*self.handle, &slot, turn % 2 * SLOT as u64)?;
        self.turn = turn;
        Ok(())
    }
}

/// The note that counts, with its turn.
pub(super) fn read(handle: &dyn FileHandle) -> io::Result<Option<(u64, Vec<u8>)>> {
    let mut file = vec![0; 2 * SLOT];
    let length = read_full_at(handle, &mut file, 0)?;
    let (first, second) = file[..length].split_at(length.min(SLOT));
    Ok([first, second]
        .into_iter()
        .filter_map(whole)
        .max_by_key(|(turn, _)| *turn))
}

/// The turn and the bytes of a slot; none if the slot is not whole.
fn whole(slot: &[u8]) -> Option<(u64, Vec<u8>)> {
    let (check, rest) = slot.split_first_chunk()?;
    let (turn, after) = rest.split_first_chunk()?;
    let (length, bytes) = after.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    let bytes = bytes.get(..length)?;
    let checked = &rest[..HEAD - 4 + length];
    (crc32c::crc32c(checked) == u32::from_le_bytes(*check))
        .then(|| (u64::from_le_bytes(*turn), bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(turn: u64, bytes: &[u8]) -> Vec<u8> {
        let mut slot = [
            &turn.to_le_bytes()[..],
            &(bytes.len() as u32).to_le_bytes(),
            bytes,
        ]
        .concat();
        let check = crc32c::crc32c(&slot);
        slot.splice(..0, check.to_le_bytes());
        slot
    }

    #[test]
    fn a_slot_that_is_cut_or_changed_is_none() {
        let good = slot(7, b"how far");
        assert_eq!(whole(&good), Some((7, b"how far".to_vec())));
        for length in 0..good.len() {
            assert_eq!(whole(&good[..length]), None, "{length}");
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            assert_eq!(whole(&bad), None, "{at}");
        }
    }
}
