//! One file of a log, open, with how far it was read.

use std::{
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    time::Instant,
};

use super::place::{FilePlace, Head};

/// See the module.
#[derive(Debug)]
pub(super) struct Followed {
    file: File,
    pub(super) place: FilePlace,
    /// When it was last seen to grow.
    pub(super) grew: Instant,
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// So many bytes, from the place on.
    Bytes(usize),
    /// The file was cut, and may have been written anew.
    Cut,
}

impl Followed {
    /// Opens a file at its beginning.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Opening a pipe would wait for its writer.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "it is no regular file",
            ));
        }
        let file = File::open(path)?;
        let facts = file.metadata()?;
        let (device, inode) = identity(&facts);
        Ok(Followed {
            file,
            place: FilePlace {
                device,
                inode,
                offset: 0,
                head: Head::default(),
                skipping: false,
            },
            grew: Instant::now(),
        })
    }

    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Whether the file still begins as it did.
    pub(super) fn begins_with(&self, head: Head) -> io::Result<bool> {
        Ok(self.head(u64::from(head.length))? == head)
    }

    /// Whether this is a copy of the other file, perhaps one that is being made: it begins as that one did, or
    /// as that one does as far as this one goes.
    pub(super) fn is_copy_of(&self, other: &Followed) -> bool {
        let known = other.place.head;
        if known != Head::default() && self.begins_with(known).unwrap_or(true) {
            return true;
        }
        let heads = self
            .length()
            .and_then(|length| Ok((self.head(length)?, other.head(length)?)));
        heads.is_ok_and(|(own, others)| own == others)
    }

    fn head(&self, done: u64) -> io::Result<Head> {
        let mut bytes = [0; Head::MAX];
        let wanted = done.min(Head::MAX as u64) as usize;
        let read = read_at(&self.file, &mut bytes[..wanted], 0)?;
        Ok(Head::of(&bytes[..read]))
    }

    /// Goes on from there. The head is that of the file.
    pub(super) fn seek(&mut self, offset: u64, skipping: bool) -> io::Result<()> {
        self.place.head = self.head(offset)?;
        self.place.offset = offset;
        self.place.skipping = skipping;
        Ok(())
    }

    /// Reads from the place on, without moving it. The bytes are the file's own though it is cut meanwhile.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<Found> {
        let length = self.length()?;
        if length < self.place.offset {
            return Ok(Found::Cut);
        }
        let read = if length > self.place.offset {
            read_at(&self.file, into, self.place.offset)?
        } else {
            0
        };
        // After the read: if it was cut before, this shows it.
        if read > 0 && !self.begins_with(self.place.head)? {
            return Ok(Found::Cut);
        }
        if read > 0 {
            self.grew = Instant::now();
        }
        Ok(Found::Bytes(read))
    }

    /// The place, `done` of the bytes that were read further on.
    pub(super) fn place_after(&self, read: &[u8], done: usize) -> FilePlace {
        let mut place = self.place;
        place.offset += done as u64;
        if usize::from(place.head.length) < Head::MAX && done > 0 {
            place.head = self.grown_head(&read[..done]);
        }
        place
    }

    /// The head once these bytes from the place on are done with.
    fn grown_head(&self, done: &[u8]) -> Head {
        let before = self.place.head;
        let missing = (Head::MAX - usize::from(before.length)).min(done.len());
        Head {
            check: crc32c::crc32c_append(before.check, &done[..missing]),
            length: before.length + missing as u16,
        }
    }

    /// Whether this is the file with these facts.
    pub(super) fn is(&self, facts: &Metadata) -> bool {
        (self.place.device, self.place.inode) == identity(facts)
    }
}

fn identity(facts: &Metadata) -> (u64, u64) {
    (facts.dev(), facts.ino())
}

/// Reads until `into` is full or the file ends.
fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match file.read_at(&mut into[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _};

    use super::*;

    #[test]
    fn the_head_grows_with_what_is_done_and_tells_a_cut() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let line = format!("{}\n", "x".repeat(299));
        fs::write(&path, line.repeat(3)).unwrap();
        let mut file = Followed::open(&path).unwrap();
        let mut buffer = vec![0; 4096];
        for (done, length) in [(300, 300), (300, 512), (300, 512)] {
            let Found::Bytes(read) = file.read(&mut buffer).unwrap() else {
                panic!("cut");
            };
            file.place = file.place_after(&buffer[..read], done);
            assert_eq!(file.place.head.length, length);
            assert!(file.begins_with(file.place.head).unwrap());
        }
        assert_eq!(file.place.offset, 900);
        assert_eq!(file.read(&mut buffer).unwrap(), Found::Bytes(0));
        // Cut, and grown beyond where it was.
        fs::write(&path, "y".repeat(2000)).unwrap();
        assert_eq!(file.read(&mut buffer).unwrap(), Found::Cut);
        let mut again = Followed::open(&path).unwrap();
        again.seek(1000, false).unwrap();
        fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"z")
            .unwrap();
        assert_eq!(again.read(&mut buffer).unwrap(), Found::Bytes(1001));
        fs::write(&path, "y").unwrap();
        assert_eq!(again.read(&mut buffer).unwrap(), Found::Cut);
    }
}
