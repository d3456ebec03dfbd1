//! Storage of opaque records with keys, which survives the process. This text is its specification.
//!
//! # What it is for
//!
//! One owner, on one thread, appends records, reads them back, says of each when it has ended, and learns at
//! the next start which have not. The queue knows nothing of what the records mean. `fdatasync` and the looks
//! at the files run on one thread of the queue's own, all other calls of the system on another: the owner
//! waits for each a second at the most, then the disk counts as failed, and while it is stuck nobody waits
//! for it (`bounded_disk`). The queue logs nothing: what an operator has to know is in
//! [`Queue::alarm`] and [`Recovered::notes`].
//!
//! - Opening never fails, and nothing that a file or a disk does is a panic. Where the disk can't be used,
//!   records are kept in memory, with an alarm, and the disk is tried again every second.
//! - The files take up at most `max_bytes` at all times, what is yet to be written to them of ends included;
//!   64 KiB, the smallest segment, where `max_bytes` is less. Only files that an earlier process left under a
//!   higher limit may take up more, until they are recovered. Full, the oldest segment goes. While the disk
//!   is out of use the records in memory take up at most 16 MiB, or `max_bytes` if that is less, beside what
//!   the files hold.
//! - Nothing stays longer than `max_age` after its append.
//! - Memory does not grow with the number of records, but for one bit for each 32 bytes of file, four bytes
//!   for each end that is not in a file yet, and 1.5 MiB of caches; recovery takes 2 MiB and what it knows of
//!   one segment's records, while it runs. The owner holds positions.
//!
//! # The bytes
//!
//! The one process that uses the directory holds an exclusive `flock` on the directory itself, and on an
//! empty file `lock` in it for where a directory can't be locked. The directory has the mode 0700: an
//! existing one gets it, if it is this user's and has nothing else in it, and otherwise there is a note. In
//! it are segment files (mode 0600) called `NUMBER-SALT.seg`: ten decimal digits that grow from segment to
//! segment and are never given out twice, and sixteen hexadecimal ones that are random. Other files are left
//! alone. Integers are little-endian; a check is the CRC-32C of the number (4 bytes), the salt (8 bytes), and
//! then what is said.
//!
//! ```text
//! header   8 magic "gcqueue\n"   4 version (1)   8 created, ms since 1970   4 check of the 20 bytes before
//! frame    4 check of the next 12 bytes   4 check of the body   3 body length   1 kind   4 sequence   the body
//!   R  a record    body: 8 time   8 key   1 tag   the bytes
//!   E  ends        body: 4 for each: where in this file the frame of a record starts that has ended
//!   N  noted       body: 4: how many damaged records of this file have been counted so far
//!   S  sealed      no body: no record follows
//! ```
//!
//! A frame's sequence is the number of records before it in its file, so from any whole frame one sees how
//! many records are missing before it. As the salt goes into every check, neither bytes of another segment (a
//! block that a power cut brings back) nor bytes that a visitor put into a record pass for a frame. A frame's
//! body is at most 1 MiB.
//!
//! # The life of a record
//!
//! **Append.** The batch goes to the newest segment with one `pwrite`, and a new segment's header with its
//! first batch. If that fails, the file is cut back to where it was, and the whole batch goes to memory. A
//! segment takes records until it has its size (an eighth of `max_bytes`, 64 KiB to 8 MiB; a 128th where that
//! is more) or its age (a 64th of `max_age`, 100 ms to 15 min); a batch that does not fit is split. No
//! segment of an earlier process is appended to.
//!
//! **Read.** From what was appended last, 512 KiB of it, batches excepted that were larger or did not go into
//! one segment as a whole; else from blocks read ahead. The checks are made each time.
//!
//! **End.** [`finish`](Queue::finish) notes the end, [`flush`](Queue::flush) writes all that was noted as one
//! frame into the record's own file. So an end can't outlive its record nor hit another one, and a segment
//! with all that is known of it comes and goes with one directory entry. A segment that is no longer appended
//! to and whose records have all ended is unlinked. The newest file is cut back to its header instead, and
//! unlinked when the next one is there: it keeps the number. Neither needs room on the disk.
//!
//! **Eviction and expiry.** A whole segment at a time: the oldest when there is no room, each when `max_age`
//! has passed since it was begun (so a record may go as much early as a segment may be old, but never stays
//! late). [`next_gone`](Queue::next_gone) tells the owner.
//!
//! **Recovery.** [`recover`](Queue::recover) reads each file once, in blocks. Where a head's check holds, its
//! length is believed and a damaged body is stepped over; where it does not, the next head whose check holds
//! is searched byte by byte. So the cost is linear whatever the bytes are. What is missing by the sequences,
//! less what had ended, is counted as corrupt, once: the file notes it. A last frame that was cut short is a
//! write that never returned, and is cut off; longer debris at the end counts as one record. Files that can't
//! be opened, and those of another version, are left where they are and noted; the former count against
//! `max_bytes` and go in their time. An empty file, a header without frames, or garbage under a segment's
//! name is a segment without pending records, which is removed. Where the disk can't read part of a file,
//! that part is as if damaged, but nothing is cut off.
//!
//! **A failing disk.** After any failed call, of whatever kind, appends go to a segment in memory, whose
//! bytes are those of a file. Once a second the disk is tried: ends are written, segments in memory become
//! files by being written out, positions unchanged. If all that succeeds the disk is in use again. Removal of
//! what has ended goes on all the while.
//!
//! **What others do to the files.** While records are pending, the syncing thread looks four times a second,
//! and after each sync, whether the directory and the files are where they were opened and as this process
//! left them: identity, links, mode, length, last bytes, and the time of the last change. If not, the disk
//! counts as failed. At the next try the directory is made anew, modes are restored, and each file concerned
//! is written again, positions unchanged. Memory knows positions and not bytes, so the bytes come from what
//! is still open (all of them, where a file was removed, moved or replaced) and from what was appended last
//! (512 KiB). A segment's size of memory is used meanwhile. Records that are in neither are reported as gone.
//! What is written over in place within 200 ms after the queue's own write shows only when it is read, as
//! damage.
//!
//! **The note.** [`write_note`](Queue::write_note) replaces a few bytes in the file `note`, which say how far
//! the owner has come with a source that it can read again. It is written only while the queue survives the
//! process, so a note that is written after an append covers what was appended. It has 8 KiB, beside
//! `max_bytes`; `note_file` has the format.
//!
//! **A directory in use.** The second process keeps to memory, says so, and tries the lock once a second,
//! since the first may be about to end; when it has the lock, [`needs_recovery`](Queue::needs_recovery) turns
//! true, and what the first one left is recovered in mid-life.
//!
//! # What is promised
//!
//! *After the process was killed, at any moment:* each record whose append has returned while there was no
//! alarm is there, unless its end was flushed. What was flushed is not reported again. A record whose append
//! had not returned may be there.
//!
//! *After a power cut:* the same for all that was written 200 ms before, given that the disk does what
//! `fdatasync` asks within 50 ms; and reopening succeeds whatever is left of the rest. Ends of the last 200
//! ms may be lost: then those records are reported again.
//!
//! *With damaged files:* the other records of the file are there. Of a damaged `E` frame, its records are
//! reported again.
//!
//! *Not promised:* records in memory, while there is an alarm, do not survive the process (at
//! [`close`](Queue::close) the disk is tried once more, and what is lost is returned). Nor do records whose
//! file somebody removed, until they are written again, within two seconds. A record whose `fdatasync` failed
//! may not survive a power cut, though the disk came back. Where a write failed halfway and cutting the file
//! back failed too, and the process ends before that is made good, records may be reported again. Who can
//! write to the directory can do anything to the queue.

mod append;
mod batch;
mod bounded_disk;
mod cache;
mod directory;
mod disk;
mod disk_error;
mod frame;
pub mod inspect;
mod note;
mod note_file;
mod record;
mod recover;
mod rewrite;
mod scan;
mod segment;
mod segment_file;
mod settings;
mod store;
mod sync;
#[cfg(test)]
mod tests;
mod upkeep;

pub use batch::{Batch, Stored};
pub use record::{Gone, Millis, Position, ReadError, Record, Why};
pub use recover::{Pending, Recovered};
pub use settings::{At, Settings};
pub use store::Queue;
pub use upkeep::Closed;
