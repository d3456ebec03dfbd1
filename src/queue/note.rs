//! The owner's note: a few bytes beside the segments, each note replacing the one before it. The owner writes
//! down how far it has come with a source that it can read again.

use std::io;

use super::{
    disk_error::DiskError,
    note_file::{MAX_NOTE, NOTE, NoteFile, read},
    store::Queue,
};

impl Queue {
    /// Whether the queue is to be on a disk, in use or not.
    pub fn has_home(&self) -> bool {
        self.home.is_some()
    }

    /// Whether more than three quarters of `max_bytes` are taken: a source that can wait should wait.
    pub fn is_nearly_full(&self) -> bool {
        let limit = if self.home.is_some() {
            self.disk_limit
        } else {
            self.memory_limit
        };
        self.bytes() > limit.bytes / 4 * 3
    }

    /// Whether what is appended now survives the process: the queue is on a disk that is in use, and what
    /// earlier processes left is recovered.
    pub fn survives(&self) -> bool {
        self.home.is_some() && self.is_durable() && !self.needs_recovery()
    }

    /// The note that this process or an earlier one wrote last; none if there is none.
    ///
    /// # Errors
    /// The file is there and can't be read.
    pub fn note(&self) -> io::Result<Option<Vec<u8>>> {
        let Some(home) = &self.home else { return Ok(None) };
        match self.disk.open(&home.join(NOTE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => Ok(read(&*opened?)?.map(|(_, bytes)| bytes)),
        }
    }

    /// Replaces the note, by at most 4,080 bytes. True if the new one survives the process. A power cut may
    /// bring the note before it back that was written 200 ms earlier.
    pub fn write_note(&mut self, bytes: &[u8]) -> bool {
        if !self.survives() || bytes.len() > MAX_NOTE {
            return false;
        }
        match self.try_write_note(bytes) {
            Ok(()) => true,
            Err(failure) => {
                self.fail(&failure);
                false
            }
        }
    }

    fn try_write_note(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        let (Some(home), Some(directory)) = (&self.home, &mut self.directory) else {
            return Ok(());
        };
        // Somebody may have removed the file.
        let is_there = |note: &NoteFile| note.handle.facts().is_ok_and(|facts| facts.links > 0);
        if !directory.note.as_ref().is_some_and(is_there) {
            let path = home.join(NOTE);
            let opened = NoteFile::open(&*self.disk, path.clone());
            let (note, created) = opened.map_err(|error| DiskError::call("opening", &path, error))?;
            directory.note = Some(note);
            if created {
                directory.syncer.directory();
            }
        }
        if let Some(note) = &mut directory.note {
            note.write(bytes)
                .map_err(|error| DiskError::call("writing", &note.path, error))?;
            directory.syncer.note(&note.handle, &note.path);
        }
        Ok(())
    }
}
