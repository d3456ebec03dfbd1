//! Role `@load`: a closed loop over all contenders in slices, on one thread.

use std::{
    io::{ErrorKind, Read, Write},
    thread,
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, net::TcpStream};
use serde::{Deserialize, Serialize};

use crate::{
    Failure, process,
    requests::{self, End, LAST_CHUNK, PATIENCE},
    statistics,
};

/// Rounds that a measurement has at least; the first warms up and is not counted.
const LEAST_ROUNDS: usize = 4;

/// A contender that uses less CPU than this share within [`REST`] has come to rest.
const RESTING: f64 = 0.03;
const REST: Duration = Duration::from_millis(10);

/// As many times [`REST`] in a row have to be quiet (events are collected for up to 20 ms), and as many are
/// waited for.
const QUIET: usize = 3;
const LONGEST_REST: usize = 30;

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Connections to each contender, each with one request under way.
    pub(crate) connections: usize,
    /// Addresses that the connections come from.
    pub(crate) visitors: usize,
    /// How long a contender has its turn.
    pub(crate) slice_ms: u64,
    /// How long all of it takes.
    pub(crate) seconds: u64,
    /// One request in so many is a navigation to `page`, the others fetch `image`.
    pub(crate) one_in: usize,
    pub(crate) page: String,
    pub(crate) image: String,
    pub(crate) targets: Vec<Target>,
}

/// A contender, as the load sees it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) port: u16,
    /// The processes whose CPU counts as its own.
    pub(crate) ids: Vec<u32>,
}

/// What came of it for one contender.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    pub(crate) name: String,
    /// Pages asked for in all, those of the warming up with them.
    pub(crate) pages: u64,
    /// Its turns, without the one that warmed it up.
    pub(crate) slices: Vec<Slice>,
}

/// One contender's turn.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) requests: u64,
    /// CPU from this turn's start to the start of the next, in nanoseconds.
    pub(crate) cpu: u64,
    /// CPU from this turn's start to its last answer, in nanoseconds.
    pub(crate) busy: u64,
    /// Time within it that threads were ready and another thread, its own or a stranger's, had the CPU, in
    /// nanoseconds.
    pub(crate) waited: u64,
    /// The most of it that a single thread used, in nanoseconds.
    pub(crate) busiest: u64,
    /// Time from this turn's start to its last answer, in nanoseconds.
    pub(crate) wall: u64,
    /// Median of the answers' times, in nanoseconds.
    pub(crate) p50: u32,
    /// 99th percentile of the answers' times, in nanoseconds.
    pub(crate) p99: u32,
}

/// Carries out a plan given as JSON and prints, as JSON, what was measured.
pub(crate) fn main(plan: &str) -> Result<(), Failure> {
    process::end_with_the_bench();
    let plan: Plan = serde_json::from_str(plan)?;
    let requests = [requests::page(&plan.page), requests::image(&plan.image)];
    let mut sides = Vec::new();
    for target in &plan.targets {
        let side = Side::connect(&plan, target, &requests);
        sides.push(side.map_err(|error| format!("{}: {error}", target.name))?);
    }

    let mut buffer = vec![0; 256 << 10];
    let slice = Duration::from_millis(plan.slice_ms);
    take_turns(&mut sides, plan.seconds, |side| {
        let done = side.turn(slice, plan.one_in, &requests, &mut buffer);
        done.map_err(|error| format!("{}: {error}", side.name).into())
    })?;

    let measured: Vec<Measured> = sides.into_iter().map(Side::finish).collect();
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// Has the sides take turns for so many seconds: round after round, in one order and then in the other.
pub(crate) fn take_turns<S>(
    sides: &mut [S],
    seconds: u64,
    mut turn: impl FnMut(&mut S) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let started = Instant::now();
    let mut round = 0;
    while round < LEAST_ROUNDS || started.elapsed() < Duration::from_secs(seconds) {
        for place in 0..sides.len() {
            let index = if round % 2 == 0 {
                place
            } else {
                sides.len() - 1 - place
            };
            turn(&mut sides[index])?;
        }
        round += 1;
    }
    Ok(())
}

/// A contender with its connections and what has been measured of it.
struct Side {
    name: String,
    ids: Vec<u32>,
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    latencies: Vec<u32>,
    pages: u64,
    slices: Vec<Slice>,
    /// Its CPU at the start of the slice that is being charged.
    charged_from: u64,
}

impl Side {
    fn connect(plan: &Plan, target: &Target, requests: &[Vec<u8>; 2]) -> Result<Self, Failure> {
        let poll = Poll::new()?;
        let mut connections = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let mut stream = requests::connect(target.port, index % plan.visitors)?;
            let ends = [
                requests::ask(&mut stream, &requests[0])?,
                requests::ask(&mut stream, &requests[1])?,
            ];
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            poll.registry()
                .register(&mut stream, Token(index), Interest::READABLE)?;
            // Connections begin at different places of the mix, so that pages do not come in bursts.
            let next = index % plan.one_in;
            connections.push(Connection {
                stream,
                ends,
                next,
                missing: 0,
                tail: [0; LAST_CHUNK.len()],
                in_chunks: false,
                asked: Instant::now(),
            });
        }
        Ok(Self {
            name: target.name.clone(),
            ids: target.ids.clone(),
            poll,
            events: Events::with_capacity(256),
            pages: connections.len() as u64,
            connections,
            latencies: Vec::new(),
            slices: Vec::new(),
            charged_from: 0,
        })
    }

    /// One slice: every connection asks again as soon as it is answered, until time is up; then all answers
    /// are awaited.
    fn turn(
        &mut self,
        slice: Duration,
        one_in: usize,
        requests: &[Vec<u8>; 2],
        buffer: &mut [u8],
    ) -> Result<(), Failure> {
        let before = process::cpu(&self.ids);
        self.charge(before);
        let waited = process::waited(&self.ids);
        let threads = process::cpu_by_thread(&self.ids);
        self.latencies.clear();
        let began = Instant::now();
        let mut outstanding = self.connections.len();
        for connection in &mut self.connections {
            self.pages += u64::from(connection.ask(one_in, requests)?);
        }
        while outstanding > 0 {
            match self.poll.poll(&mut self.events, Some(PATIENCE)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other?,
            }
            if self.events.is_empty() {
                return Err(format!("{outstanding} requests are without an answer for {PATIENCE:?}").into());
            }
            let open = began.elapsed() < slice;
            for event in &self.events {
                let connection = &mut self.connections[event.token().0];
                let Some(latency) = connection.receive(buffer)? else {
                    continue;
                };
                self.latencies
                    .push(latency.as_nanos().try_into().unwrap_or(u32::MAX));
                if open {
                    self.pages += u64::from(connection.ask(one_in, requests)?);
                } else {
                    outstanding -= 1;
                }
            }
        }
        let wall = began.elapsed();
        let now = process::cpu_by_thread(&self.ids).into_iter();
        let used = now.map(|(thread, cpu)| cpu.saturating_sub(threads.get(&thread).copied().unwrap_or(0)));
        self.slices.push(Slice {
            requests: self.latencies.len() as u64,
            cpu: 0,
            busy: process::cpu(&self.ids).saturating_sub(before),
            waited: process::waited(&self.ids).saturating_sub(waited),
            busiest: used.max().unwrap_or(0),
            wall: wall.as_nanos() as u64,
            p50: statistics::quantile(&mut self.latencies, 0.50),
            p99: statistics::quantile(&mut self.latencies, 0.99),
        });
        rest(&self.ids);
        Ok(())
    }

    /// Charges the slice before with all the CPU used until `now`.
    fn charge(&mut self, now: u64) {
        if let Some(slice) = self.slices.last_mut() {
            slice.cpu = now.saturating_sub(self.charged_from);
        }
        self.charged_from = now;
    }

    fn finish(mut self) -> Measured {
        self.charge(process::cpu(&self.ids));
        self.slices.remove(0);
        Measured {
            name: self.name,
            pages: self.pages,
            slices: self.slices,
        }
    }
}

/// Waits until a contender has come to rest, so that what it still has to deliver is not the next one's
/// burden.
pub(crate) fn rest(ids: &[u32]) {
    let mut quiet = 0;
    let mut before = process::cpu(ids);
    for _ in 0..LONGEST_REST {
        thread::sleep(REST);
        let now = process::cpu(ids);
        let used = Duration::from_nanos(now.saturating_sub(before));
        quiet = if used.as_secs_f64() < RESTING * REST.as_secs_f64() {
            quiet + 1
        } else {
            0
        };
        if quiet == QUIET {
            return;
        }
        before = now;
    }
}

/// A connection with one request under way at most.
struct Connection {
    stream: TcpStream,
    /// How the answers to the two requests end.
    ends: [End; 2],
    /// Where in the mix it is.
    next: usize,
    /// Bytes of the answer that have not come yet; of one in chunks, as many as there can be.
    missing: usize,
    /// The last bytes of an answer in chunks.
    tail: [u8; LAST_CHUNK.len()],
    in_chunks: bool,
    asked: Instant,
}

impl Connection {
    /// Sends the next request of the mix; whether it is a page.
    fn ask(&mut self, one_in: usize, requests: &[Vec<u8>; 2]) -> Result<bool, Failure> {
        let which = usize::from(self.next != 0);
        self.next = (self.next + 1) % one_in;
        self.missing = match self.ends[which] {
            End::Length(length) => length,
            End::LastChunk => usize::MAX,
        };
        self.tail = [0; LAST_CHUNK.len()];
        self.in_chunks = self.ends[which] == End::LastChunk;
        self.asked = Instant::now();
        // Under a kilobyte on a connection that has nothing under way: the socket takes it whole.
        self.stream.write_all(&requests[which])?;
        Ok(which == 0)
    }

    fn keep_tail(&mut self, read: &[u8]) {
        let all = self.tail.len();
        if let Some(start) = read.len().checked_sub(all) {
            self.tail.copy_from_slice(&read[start..]);
        } else {
            self.tail.rotate_left(read.len());
            self.tail[all - read.len()..].copy_from_slice(read);
        }
    }

    /// Reads what is there; how long the answer took, once it is whole.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<Duration>, Failure> {
        if self.missing == 0 {
            return Ok(None);
        }
        loop {
            let read = match self.stream.read(buffer) {
                Ok(0) => return Err("closed a connection".into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            self.missing = self
                .missing
                .checked_sub(read)
                .ok_or("sent more than it did the first time")?;
            if self.in_chunks {
                self.keep_tail(&buffer[..read]);
                if self.tail == LAST_CHUNK {
                    self.missing = 0;
                }
            }
            if self.missing == 0 {
                return Ok(Some(self.asked.elapsed()));
            }
            if read < buffer.len() {
                return Ok(None);
            }
        }
    }
}
