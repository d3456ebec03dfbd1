//! Log lines on their way to standard error. Whoever logs puts a line into memory and goes on; a thread
//! writes them out. Standard error may be a pipe that nobody reads or a terminal that somebody has stopped:
//! then lines wait, up to [`CAPACITY`] bytes, and further ones are dropped and counted. Once there is room
//! again, a line says how many.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait.
const CAPACITY: usize = 1 << 20;
/// A batch's memory is kept for the next one up to this size, in bytes.
const KEPT: usize = 64 * 1024;
/// The pause before standard error is tried again where it is set not to block, and is full.
const FULL_PAUSE: Duration = Duration::from_millis(20);

/// See the module. Clones are the same buffer.
#[derive(Debug, Clone)]
pub(super) struct LogBuffer(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Told when lines come.
    filled: Condvar,
    /// Told when all lines are written.
    written: Condvar,
    dropped: IntCounter,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    lines: u64,
    /// Lines were taken out and are not written yet.
    writing: bool,
    /// Lines that were dropped since the last line that said so.
    dropped: u64,
}

impl LogBuffer {
    /// A buffer and its thread.
    ///
    /// # Errors
    /// The system's, where it refuses a thread or a descriptor.
    pub(super) fn start(dropped: IntCounter) -> io::Result<LogBuffer> {
        // Another descriptor, as the standard library's own is locked while it is written to: whoever else
        // uses it, as for the message of an abort, must not wait for a full pipe.
        let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        let buffer = LogBuffer::new(dropped);
        let shared = Arc::clone(&buffer.0);
        thread::Builder::new()
            .name("gatecount-log".to_owned())
            .spawn(move || shared.write_out(out))?;
        Ok(buffer)
    }

    fn new(dropped: IntCounter) -> LogBuffer {
        LogBuffer(Arc::new(Shared {
            waiting: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
            dropped,
        }))
    }

    /// Waits until all lines are written, for `patience` at most.
    pub(super) fn flush(&self, patience: Duration) {
        let shared = &self.0;
        let is_busy = |waiting: &mut Waiting| waiting.writing || !waiting.bytes.is_empty();
        // Lines that are not written by then stay unwritten.
        let _ = shared
            .written
            .wait_timeout_while(shared.lock(), patience, is_busy);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Every update is complete before anything can panic.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > CAPACITY {
            waiting.dropped += 1;
            self.dropped.inc();
            return;
        }
        waiting.bytes.extend_from_slice(line);
        waiting.lines += 1;
        self.filled.notify_one();
    }

    /// The thread's body: writes for as long as the process runs.
    fn write_out(&self, mut out: impl Write) {
        let (mut batch, mut lines) = (Vec::new(), 0);
        loop {
            self.next(&mut batch, &mut lines);
            if write_all(&mut out, &batch).is_ok() {
                let dropped = std::mem::take(&mut self.lock().dropped);
                if dropped > 0 {
                    tracing::warn!(
                        lines = dropped,
                        "log lines were dropped: nobody read standard error"
                    );
                }
            } else {
                // Standard error is closed, or its disk is full.
                self.dropped.inc_by(lines);
                self.lock().dropped += lines;
            }
            batch.clear();
            batch.shrink_to(KEPT);
        }
    }

    /// Takes what waits into `batch`, which is empty; waits until there is something.
    fn next(&self, batch: &mut Vec<u8>, lines: &mut u64) {
        let mut waiting = self.lock();
        waiting.writing = false;
        if waiting.bytes.is_empty() {
            self.written.notify_all();
        }
        let is_empty = |waiting: &mut Waiting| waiting.bytes.is_empty();
        waiting = self
            .filled
            .wait_while(waiting, is_empty)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::swap(batch, &mut waiting.bytes);
        *lines = std::mem::take(&mut waiting.lines);
        waiting.writing = true;
    }
}

fn write_all(out: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process may have set it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(FULL_PAUSE),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

impl<'a> MakeWriter<'a> for LogBuffer {
    type Writer = LogLine<'a>;

    fn make_writer(&'a self) -> LogLine<'a> {
        LogLine(&self.0)
    }
}

/// One line, which tracing writes in one piece.
pub(super) struct LogLine<'a>(&'a Shared);

impl Write for LogLine<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Instant};

    use super::*;

    /// Takes what is written as messages, one at a time: the writer waits for the reader.
    struct Pipe(mpsc::SyncSender<Vec<u8>>);

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let sent = self.0.send(bytes.to_vec());
            sent.map(|()| bytes.len())
                .map_err(|_| io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn buffer() -> (LogBuffer, mpsc::Receiver<Vec<u8>>) {
        let buffer = LogBuffer::new(IntCounter::new("dropped", "Lines.").unwrap());
        let (pipe, reader) = mpsc::sync_channel(0);
        let shared = Arc::clone(&buffer.0);
        thread::spawn(move || shared.write_out(Pipe(pipe)));
        (buffer, reader)
    }

    fn log(buffer: &LogBuffer, line: &[u8]) {
        buffer.make_writer().write_all(line).unwrap();
    }

    #[test]
    fn lines_are_written_in_their_order() {
        let (buffer, reader) = buffer();
        for n in 0..1000 {
            log(&buffer, format!("{n}\n").as_bytes());
        }
        let mut text = Vec::new();
        while text.len() < 3890 {
            text.extend(reader.recv().unwrap());
        }
        let text = String::from_utf8(text).unwrap();
        let expected = (0..1000).map(|n| n.to_string());
        assert!(text.lines().eq(expected), "{text}");
        buffer.flush(Duration::from_secs(30));
        assert!(!buffer.0.lock().writing);
    }

    #[test]
    fn lines_beyond_the_capacity_are_dropped_and_counted_and_nobody_waits() {
        let (buffer, _reader) = buffer();
        let line = [b'x'; 1024];
        for _ in 0..3 * CAPACITY / line.len() {
            log(&buffer, &line);
        }
        let dropped = buffer.0.dropped.get() as usize;
        // One batch may be on its way beside what waits.
        assert!((1024..=2 * 1024).contains(&dropped), "{dropped}");
        let begun = Instant::now();
        buffer.flush(Duration::from_millis(10));
        assert!(begun.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn lines_that_cant_be_written_are_counted() {
        let (buffer, reader) = buffer();
        drop(reader);
        log(&buffer, b"one\n");
        buffer.flush(Duration::from_secs(30));
        assert_eq!(buffer.0.dropped.get(), 1);
    }
}
