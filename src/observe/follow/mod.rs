//! Follows a log file, so that each of its lines counts once, whatever becomes of the file and of this process.
//!
//! # Rotation
//!
//! The log is the file under a name. By *rename*, that file gets another name, and a new one comes in its
//! place. The old one stays open and is read on, first of all, for as long as it grows, and a minute longer:
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
mod follower;
mod following;
mod place;

use std::{io, time::Duration};

use self::{
    file::Followed,
    follower::PAUSE,
    following::{Following, now},
    place::{FilePlace, Place},
};
use crate::{delivery::KnownPlace, telemetry::LogThrottle};

pub(super) use follower::Follower;
use follower::Interrupt;

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
                    let kept = known != KnownPlace::NeverKept;
                    return Ok(Following::new(self, files, at, kept, troubles));
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
}
