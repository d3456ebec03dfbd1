//! The log's files while they are followed: rotation, reading, and the place.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    file::{Followed, Found},
    find,
    follower::{Follower, Interrupt, PAUSE},
    place::{FilePlace, MAX_FILES, Place},
};
use crate::{
    delivery::{Portion, Taken},
    observe::{
        lines::{self, MAX_LINE, Piece},
        tally::LineResult,
    },
    telemetry::LogThrottle,
};

/// How often the log is looked at.
const POLL: Duration = Duration::from_millis(200);
/// How long an old file is watched after it last grew.
pub(super) const QUIET: Duration = Duration::from_mins(1);
/// Bytes that are read at once: more than the longest line has.
const READ: usize = 2 * MAX_LINE;

/// The files and how far they were read.
pub(super) struct Following<'a> {
    follower: &'a Follower,
    /// The oldest first; the last one has the log's name, or had it.
    files: Vec<Followed>,
    /// The time of the place.
    at: u64,
    /// When the log's directory changed last, and until when files that came up are looked for: a copy may
    /// take a while to be made.
    directory: Option<SystemTime>,
    look_until: Instant,
    /// The place has changed since the queue last noted it.
    unnoted: bool,
    /// A place outlives the process.
    kept: bool,
    portion: Portion,
    buffer: Vec<u8>,
    troubles: LogThrottle,
}

/// What can't be.
pub(super) enum Never {}

impl<'a> Following<'a> {
    /// Follows these files, which are at a place of that time. `kept`: a place outlives the process.
    pub(super) fn new(
        follower: &'a Follower,
        files: Vec<Followed>,
        at: u64,
        kept: bool,
        troubles: LogThrottle,
    ) -> Self {
        Following {
            follower,
            files,
            at,
            directory: None,
            look_until: Instant::now(),
            unnoted: true,
            kept,
            portion: Portion::default(),
            buffer: vec![0; READ],
            troubles,
        }
    }

    /// Follows until it has to stop, or to ask for the place again.
    pub(super) fn until_interrupted(&mut self) -> Result<Never, Interrupt> {
        loop {
            let read = self.poll()?;
            if !read {
                self.follower.pause(POLL)?;
            }
        }
    }

    /// Looks for rotation, and reads what is new in each file. Whether anything was.
    fn poll(&mut self) -> Result<bool, Interrupt> {
        if let Err(error) = self.look_for_rotation() {
            self.follower.report(&mut self.troubles, &error);
        }
        let mut any = false;
        let mut index = 0;
        while index < self.files.len() {
            match self.read_one(index) {
                Ok(true) => any = true,
                Ok(false) => {}
                Err(Trouble::Interrupt(interrupt)) => return Err(interrupt),
                Err(Trouble::File(error)) => self.follower.report(&mut self.troubles, &error),
            }
            index += 1;
        }
        self.let_go()?;
        if self.unnoted {
            self.give(None)?;
        }
        Ok(any)
    }

    /// Opens the files that have come up since: the one under the log's name, and those that came and went
    /// meanwhile.
    fn look_for_rotation(&mut self) -> io::Result<()> {
        self.look_at_name()?;
        let (changed, now) = (find::changed(&self.follower.log), Instant::now());
        if changed != self.directory {
            self.directory = changed;
            self.look_until = now + find::SLACK;
        }
        if now < self.look_until && !self.files.is_empty() {
            let unseen = find::unseen(&self.follower.log, &self.files, self.at)?;
            if !unseen.is_empty() {
                let before = self.files.len() - 1;
                self.files.splice(before..before, unseen);
                self.touch();
            }
        }
        Ok(())
    }

    /// Opens the file that has come in the place of the last one.
    fn look_at_name(&mut self) -> io::Result<()> {
        let log = &self.follower.log;
        let facts = match std::fs::metadata(log) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            facts => facts?,
        };
        if self.files.last().is_some_and(|last| last.is(&facts)) {
            return Ok(());
        }
        let Some(new) = find::open_if_there(log)? else {
            return Ok(());
        };
        // A file may get back the name that it had.
        if let Some(index) = self
            .files
            .iter()
            .position(|file| file.place.inode == new.place.inode)
        {
            let back = self.files.remove(index);
            self.files.push(back);
        } else {
            self.files.push(new);
        }
        self.touch();
        Ok(())
    }

    /// Reads a file to its end. Whether there was anything.
    fn read_one(&mut self, index: usize) -> Result<bool, Trouble> {
        let mut any = false;
        loop {
            let mut buffer = std::mem::take(&mut self.buffer);
            let outcome = self.read_some(index, &mut buffer);
            self.buffer = buffer;
            match outcome? {
                Some(true) => any = true,
                Some(false) => return Ok(any),
                None => return Ok(true),
            }
        }
    }

    /// Reads a portion. Whether there was one; `None` if the file was cut, and is now at its beginning.
    fn read_some(&mut self, index: usize, buffer: &mut [u8]) -> Result<Option<bool>, Trouble> {
        match self.files[index].read(buffer)? {
            Found::Cut => {
                self.begin_again(index)?;
                Ok(None)
            }
            Found::Bytes(read) => {
                let done = self.count(index, &buffer[..read])?;
                Ok(Some(done > 0))
            }
        }
    }

    /// A file was cut: what was not read of it goes on in its copy, and the file begins anew.
    fn begin_again(&mut self, index: usize) -> io::Result<()> {
        let copy = find::copy_of(&self.follower.log, &self.files[index].place)?;
        self.files[index].seek(0, false)?;
        if let Some(copy) = copy {
            self.files.insert(index, copy);
        } else if self.files.len() == 1 {
            tracing::warn!(
                "{} was cut, and no copy of it is found; lines that were not read are lost",
                self.follower.log.display()
            );
        }
        self.touch();
        Ok(())
    }

    /// Counts the lines in bytes that follow a file's place, and moves the place. Returns how many bytes are
    /// done with.
    fn count(&mut self, index: usize, bytes: &[u8]) -> Result<usize, Interrupt> {
        let (desk, format) = (Arc::clone(&self.follower.desk), self.follower.format);
        let rules = desk.rules();
        let mut place = self.place();
        let mut encoded = Vec::new();
        let mut skipping = self.files[index].place.skipping;
        self.portion.clear();
        let (file, portion) = (&self.files[index], &mut self.portion);
        let done = lines::take(bytes, &mut skipping, |piece, done| match piece {
            Piece::TooLong => desk.tally.line(LineResult::TooLong),
            Piece::Line(line) => desk.read_line(&rules, format, line, |sighting, hold| {
                place.files[index] = FilePlace {
                    skipping: false,
                    ..file.place_after(bytes, done)
                };
                place.encode(&mut encoded);
                portion.push(sighting, hold, &encoded);
                true
            }),
        });
        if done > 0 {
            self.at = self.at.max(now());
            self.give(Some((
                index,
                FilePlace {
                    skipping,
                    ..self.files[index].place_after(bytes, done)
                },
            )))?;
        }
        Ok(done)
    }

    /// Gives the portion to the queue, with the place of a file that is reached with it.
    fn give(&mut self, reached: Option<(usize, FilePlace)>) -> Result<(), Interrupt> {
        if let Some((index, place)) = reached {
            self.files[index].place = place;
        } else {
            self.portion.clear();
        }
        let mut encoded = Vec::new();
        self.place().encode(&mut encoded);
        self.portion.set_place(&encoded);
        loop {
            let (taken, portion) = self.follower.feed.store(std::mem::take(&mut self.portion))?;
            self.portion = portion;
            match taken {
                Taken::NotNow => self.follower.pause(PAUSE)?,
                Taken::Noted => {
                    self.unnoted = false;
                    return Ok(());
                }
                Taken::Unnoted => {
                    self.unnoted = self.kept;
                    return Ok(());
                }
            }
        }
    }

    /// Lets go of old files that do not grow any more. The end of the last line of such a file does not come.
    fn let_go(&mut self) -> Result<(), Interrupt> {
        let newest_is_used = self.files.last().is_some_and(|newest| newest.place.offset > 0);
        while self.files.len() > 1
            && (self.files.len() > MAX_FILES || (newest_is_used && self.files[0].grew.elapsed() > QUIET))
        {
            let mut rest = vec![0; MAX_LINE];
            let skipping = self.files[0].place.skipping;
            if let Ok(Found::Bytes(read)) = self.files[0].read(&mut rest)
                && read > 0
                && !skipping
            {
                rest.truncate(read);
                rest.push(b'\n');
                self.count_last(&rest, read)?;
            }
            self.files.remove(0);
            self.touch();
        }
        Ok(())
    }

    /// Counts the last line of the oldest file, which has `length` bytes and no end of its own.
    fn count_last(&mut self, line: &[u8], length: usize) -> Result<(), Interrupt> {
        let before = self.files[0].place;
        self.count(0, line)?;
        self.files[0].place.offset = before.offset + length as u64;
        Ok(())
    }

    /// The place has changed.
    fn touch(&mut self) {
        self.at = self.at.max(now());
        self.unnoted = true;
    }

    fn place(&self) -> Place {
        Place {
            at: self.at,
            files: self.files.iter().map(|file| file.place).collect(),
        }
    }
}

/// Why a file is not read on.
enum Trouble {
    File(io::Error),
    Interrupt(Interrupt),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Trouble::File(error)
    }
}

impl From<Interrupt> for Trouble {
    fn from(interrupt: Interrupt) -> Self {
        Trouble::Interrupt(interrupt)
    }
}

/// Milliseconds since 1970 by the clock that dates files.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
