//! Follows a log file, so that each of its lines counts once, whatever becomes of the file and of this process.
//!
//! # Rotation
//!
//! The log is the file under a name. By *rename*, that file gets another name, and a new one comes in its
//! place. The old one stays open and is read on, first of all, for as long as it grows, and [`QUIET`] longer:
//! its writer may keep it open after the rename. By *copy and cut*, the file is copied and cut to nothing.
//! What was not read of it yet is read from the copy, which is found by what it begins with. A file that was
//! rotated while nobody followed it is found by its beginning too, as is one that came and went meanwhile, by
//! its time. Compressed files are not read.
//!
//! # The place
//!
//! `place` says for each file how far it was read. It goes to the queue with every event and with every
//! portion ([`delivery::Feed`](crate::delivery::Feed)), and a start goes on from the last one there. So the
//! queue's directory has to live as long as the log. Where no place is known, the log is read from its
//! beginning; lines older than `max_age` make no events. Where the queue is in memory, no place outlives the
//! process, and a start begins at the log's end.
//!
//! While the queue's disk is out of use, or the queue is nearly full, nothing is read: the log itself keeps
//! the lines.
//!
//! # What is promised
//!
//! After `kill -9` at any moment, no line is lost and none makes a second event. After a power cut, lines of
//! the last 200 ms may make a second one. Where somebody damages the queue's files, lines may be read again.
//! A line that is written between copying and cutting is lost by whoever cuts.

mod file;
mod find;
mod place;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use self::{
    file::{Followed, Found},
    place::{FilePlace, MAX_FILES, Place},
};
use super::{
    desk::Desk,
    lines::{self, MAX_LINE, Piece},
    settings::LineFormat,
    tally::LineResult,
};
use crate::{
    delivery::{Feed, FeedLost, KnownPlace, Portion, Taken},
    telemetry::LogThrottle,
};

/// How often the log is looked at.
const POLL: Duration = Duration::from_millis(200);
/// How long to wait where the queue takes nothing.
const PAUSE: Duration = Duration::from_millis(500);
/// How long an old file is watched after it last grew.
const QUIET: Duration = Duration::from_mins(1);
/// Bytes that are read at once: more than the longest line has.
const READ: usize = 2 * MAX_LINE;

/// A log that is followed, on a thread of its own.
pub(super) struct Follower {
    pub(super) log: PathBuf,
    pub(super) format: LineFormat,
    pub(super) desk: Arc<Desk>,
    pub(super) feed: Feed,
    /// A message, or the other end's going, asks to stop.
    pub(super) stop: Receiver<()>,
}

/// Why following is interrupted.
enum Interrupt {
    Stop,
    /// It is not known what was stored: the place has to be asked for again.
    Lost,
}

impl From<FeedLost> for Interrupt {
    fn from(_: FeedLost) -> Self {
        Interrupt::Lost
    }
}

/// The files and how far they were read.
struct Following<'a> {
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

impl Follower {
    /// Follows until it is asked to stop.
    pub(super) fn run(self) {
        loop {
            match self.follow() {
                Interrupt::Stop => return,
                Interrupt::Lost => {
                    if self.pause(PAUSE).is_err() {
                        return;
                    }
                }
            }
        }
    }

    fn follow(&self) -> Interrupt {
        match self
            .begin()
            .and_then(|mut following| following.until_interrupted())
        {
            Err(interrupt) => interrupt,
            Ok(never) => match never {},
        }
    }

    /// Waits; an error if it is to stop.
    fn pause(&self, time: Duration) -> Result<(), Interrupt> {
        match self.stop.recv_timeout(time) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => Err(Interrupt::Stop),
        }
    }

    /// Learns the place, and opens the files.
    fn begin(&self) -> Result<Following<'_>, Interrupt> {
        let mut troubles = LogThrottle::new(1, Duration::from_secs(10));
        let known = loop {
            match self.feed.place()? {
                KnownPlace::NotNow => self.pause(PAUSE)?,
                known => break known,
            }
        };
        loop {
            match self.open(&known) {
                Ok((files, at)) => {
                    return Ok(Following {
                        follower: self,
                        files,
                        at,
                        directory: None,
                        look_until: Instant::now(),
                        unnoted: true,
                        kept: known != KnownPlace::NeverKept,
                        portion: Portion::default(),
                        buffer: vec![0; READ],
                        troubles,
                    });
                }
                Err(error) => {
                    self.report(&mut troubles, &error);
                    self.pause(PAUSE)?;
                }
            }
        }
    }

    /// The files at the place, and the place's time.
    fn open(&self, known: &KnownPlace) -> io::Result<(Vec<Followed>, u64)> {
        let log = self.log.display();
        let place = match known {
            KnownPlace::At(bytes) => Place::decode(bytes),
            _ => None,
        };
        let Some(place) = place else {
            let mut files: Vec<Followed> = find::open_if_there(&self.log)?.into_iter().collect();
            if let Some(file) = files.first_mut() {
                if *known == KnownPlace::NeverKept {
                    tracing::info!("{log} is read from its end on, as the queue is in memory");
                    file.seek(file.length()?, false)?;
                } else {
                    tracing::info!("{log} is read from its beginning, as it was never read before");
                }
            }
            return Ok((files, now()));
        };
        let gone = |file: &FilePlace| {
            tracing::warn!(
                "a file that {log} was rotated into is gone; it had been read up to byte {}",
                file.offset
            );
        };
        Ok((find::from_place(&self.log, &place, gone)?, place.at))
    }

    fn report(&self, troubles: &mut LogThrottle, error: &io::Error) {
        if let Some(times) = troubles.pass(Instant::now(), 1) {
            tracing::error!(%error, times, "{} can't be read", self.log.display());
        }
    }
}

/// What can't be.
enum Never {}

impl Following<'_> {
    fn until_interrupted(&mut self) -> Result<Never, Interrupt> {
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
            Piece::Line(line) => desk.read_line(&rules, format, line, |decided| {
                if let Some(sighting) = &decided.sighting {
                    place.files[index] = FilePlace {
                        skipping: false,
                        ..file.place_after(bytes, done)
                    };
                    place.encode(&mut encoded);
                    portion.push(sighting, &encoded);
                }
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
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_millis() as u64
}
