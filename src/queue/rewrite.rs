//! Writes again what was in files that somebody removed, replaced or damaged while the queue had them open.

use std::{io, path::Path, sync::Arc};

use super::{
    disk::{Facts, FileHandle, Inode, read_full_at},
    disk_error::{DiskError, Tampering},
    frame::{self, HEADER},
    record::{Gone, Position, Why},
    scan::{self, Contents, Window},
    segment::Place,
    segment_file::SegmentFile,
    store::Queue,
};

/// So many bytes are written again in one go, and at least one segment.
const AT_ONCE: u64 = 8 << 20;
/// How many bytes are given up where the disk can't read.
const PAGE: usize = 4_096;

impl Queue {
    /// Leaves the directory if it is not where it was locked. Then another one has to be attached.
    pub(super) fn leave_if_moved(&mut self) {
        let Some(directory) = &self.directory else { return };
        if let Err(DiskError::Changed {
            how: Tampering::Hidden,
            ..
        }) = directory.look()
        {
            directory.reopen();
        }
        if matches!(directory.look(), Err(DiskError::Changed { .. })) {
            self.directory = None;
            self.unread.clear();
            self.segments
                .retain(|segment| !matches!(segment.place, Place::Closed));
        }
    }

    /// Looks at the files that have pending records, on the caller's thread.
    pub(super) fn look_at_all(&self) -> Result<(), DiskError> {
        let Some(directory) = &self.directory else {
            return Ok(());
        };
        directory.look()?;
        self.pending_files().try_for_each(|file| file.look(&*self.disk))
    }

    /// The files that have pending records.
    pub(super) fn pending_files(&self) -> impl Iterator<Item = &Arc<SegmentFile>> {
        self.segments.iter().filter_map(|segment| match &segment.place {
            Place::File(file) if segment.pending > 0 => Some(file),
            _ => None,
        })
    }

    /// Writes the files again that are not as this process left them. With `all` unset it stops after
    /// [`AT_ONCE`] bytes, and the error says that there is more.
    pub(super) fn rewrite_changed(&mut self, home: &Path, all: bool) -> Result<(), DiskError> {
        let mut written = 0;
        for index in 0..self.segments.len() {
            let Place::File(file) = &self.segments[index].place else {
                continue;
            };
            let mut looked = file.look(&*self.disk);
            if let Err(DiskError::Changed {
                how: Tampering::Hidden,
                ..
            }) = looked
            {
                // If this does not help, the file is written again.
                drop(file.handle.set_mode(0o600));
                looked = file.look(&*self.disk);
            }
            match looked {
                Ok(()) => continue,
                Err(DiskError::Changed { .. }) => {}
                Err(failure) => return Err(failure),
            }
            if self.segments[index].pending == 0 {
                // There is nothing to be written, and nobody misses the file.
                file.retire();
                continue;
            }
            if written >= AT_ONCE && !all {
                return Err(DiskError::Rewriting(home.to_owned()));
            }
            written += u64::from(self.segments[index].end);
            self.rewrite(index)?;
        }
        Ok(())
    }

    /// Writes a segment again: from its open file, where that still has the bytes, and from what was appended
    /// last. Positions stay. Records that are in neither are reported as gone.
    fn rewrite(&mut self, index: usize) -> Result<(), DiskError> {
        let (image, contents) = self.gather(index);
        let segment = &mut self.segments[index];
        let (name, number) = (segment.name, segment.number());
        let whole = contents.records.iter().map(|found| found.offset);
        let kept: Vec<Position> = whole
            .filter(|offset| !segment.ended.contains(*offset))
            .map(|offset| Position::new(number, offset))
            .collect();
        let lost = u64::from(segment.pending).saturating_sub(kept.len() as u64);
        if lost > 0 {
            // Frames that say of records that they have ended may be lost too.
            segment.unwritten = segment.ended.offsets().collect();
        }
        let mut image = image.0;
        segment.write_news(&mut image);
        let Some(directory) = &mut self.directory else {
            return Ok(());
        };
        // What somebody put in the file's place is not written over.
        directory.unlink(name)?;
        let target = directory.create(name)?;
        let write = |file: &dyn FileHandle| super::disk::write_all_at(file, &image, 0);
        if let Err(error) = target.change(image.len() as u64, write) {
            directory.discard(&target, name);
            return Err(DiskError::call("writing", &target.path, error));
        }
        if let Place::File(old) = &segment.place {
            old.retire();
        }
        segment.end = image.len() as u32;
        segment.news_written();
        segment.tail = false;
        directory.syncer.file(&target);
        segment.place = Place::File(target);
        self.read_ahead.forget(number);
        self.rewritten += kept.len() as u64;
        if lost > 0 {
            self.gone.push_back(Gone {
                from: Position::new(number, 0),
                below: Position::new(number + 1, 0),
                kept,
                records: lost,
                why: Why::Damaged,
            });
        }
        Ok(())
    }

    /// The bytes of a segment as far as they are known, and what is whole in them.
    fn gather(&self, index: usize) -> (Image, Contents) {
        let segment = &self.segments[index];
        let mut image = vec![0; segment.end as usize];
        if let Place::File(file) = &segment.place {
            read_what_there_is(&*file.handle, &mut image);
        }
        self.recent.overlay(segment.number(), &mut image);
        if let Some(start) = image.first_chunk_mut::<HEADER>() {
            *start = frame::header(segment.seed, segment.created);
        }
        let image = Image(image);
        let length = image.0.len() as u64;
        let contents = scan::read(&image, segment.seed, length, &mut Window::new(), &mut |_, _| {});
        (image, contents)
    }
}

/// Reads a file page by page where it can't be read as a whole; what can't be read stays as it is.
fn read_what_there_is(file: &dyn FileHandle, into: &mut [u8]) {
    if read_full_at(file, into, 0).is_ok() {
        return;
    }
    for (page, bytes) in into.chunks_mut(PAGE).enumerate() {
        drop(read_full_at(file, bytes, (page * PAGE) as u64));
    }
}

/// The bytes of a file in memory, to be read as a file is.
struct Image(Vec<u8>);

impl Inode for Image {
    fn facts(&self) -> io::Result<Facts> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn set_mode(&self, _: u32) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl FileHandle for Image {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.get(offset as usize..).unwrap_or_default();
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}
