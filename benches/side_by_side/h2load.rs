//! Role `@h2load`: what [`load`](crate::load) is for plain HTTP/1.1, for TLS and HTTP/2: turns go round the
//! contenders, and in each nghttp2's h2load asks so many requests.
//!
//! A turn includes its handshakes, a few hundredths of what it costs; h2load's connections come from one
//! address.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use serde::{Deserialize, Serialize};

use crate::{
    Failure,
    load::{self, Measured, Slice, Target},
    process, requests,
};

/// URLs in a list: one in so many requests is a page where there are pages.
pub(crate) const MIX: usize = 20;

/// What to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    pub(crate) manner: Manner,
    /// How long all of it takes.
    pub(crate) seconds: u64,
    /// Where the lists of URLs are written.
    pub(crate) directory: PathBuf,
    pub(crate) targets: Vec<Target>,
}

/// How h2load asks.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Manner {
    pub(crate) http2: bool,
    pub(crate) connections: usize,
    /// Requests under way on each connection.
    pub(crate) streams: usize,
    /// Requests of a turn; with pages a multiple of [`MIX`] for each connection.
    pub(crate) requests: usize,
    /// Whether one in [`MIX`] requests is for a page, or all are for images.
    pub(crate) pages: bool,
}

impl Manner {
    fn pages(&self) -> u64 {
        if self.pages {
            (self.requests / MIX) as u64
        } else {
            0
        }
    }
}

/// Carries out a plan given as JSON and prints, as JSON, what was measured.
pub(crate) fn main(plan: &str) -> Result<(), Failure> {
    process::end_with_the_bench();
    let plan: Plan = serde_json::from_str(plan)?;
    let mut sides: Vec<Side> = Vec::new();
    for target in &plan.targets {
        sides.push(Side::new(&plan, target)?);
    }
    load::take_turns(&mut sides, plan.seconds, |side| {
        let done = side.turn(&plan.manner);
        done.map_err(|error| format!("{}: {error}", side.measured.name).into())
    })?;
    let measured: Vec<Measured> = sides.into_iter().map(Side::finish).collect();
    println!("{}", serde_json::to_string(&measured)?);
    Ok(())
}

/// A contender and what has been measured of it.
struct Side {
    ids: Vec<u32>,
    urls: PathBuf,
    measured: Measured,
    /// Its CPU at the start of the slice that is being charged.
    charged_from: u64,
}

impl Side {
    fn new(plan: &Plan, target: &Target) -> Result<Self, Failure> {
        let urls = plan.directory.join(format!("{}.urls", target.name));
        let url = |n: usize| match n {
            // In the midst, so that a connection's first request is like most.
            7 if plan.manner.pages => format!("https://127.0.0.1:{}/\n", target.port),
            n => format!("https://127.0.0.1:{}/i{n}.webp\n", target.port),
        };
        fs::write(&urls, (0..MIX).map(url).collect::<String>())?;
        Ok(Self {
            ids: target.ids.clone(),
            urls,
            measured: Measured {
                name: target.name.clone(),
                pages: 0,
                slices: Vec::new(),
            },
            charged_from: 0,
        })
    }

    fn turn(&mut self, manner: &Manner) -> Result<(), Failure> {
        let before = process::cpu(&self.ids);
        self.charge(before);
        let waited = process::waited(&self.ids);
        let began = Instant::now();
        ask(manner, &self.urls)?;
        let wall = began.elapsed();
        self.measured.pages += manner.pages();
        self.measured.slices.push(Slice {
            requests: manner.requests as u64,
            busy: process::cpu(&self.ids).saturating_sub(before),
            waited: process::waited(&self.ids).saturating_sub(waited),
            wall: wall.as_nanos() as u64,
            ..Slice::default()
        });
        load::rest(&self.ids);
        Ok(())
    }

    /// Charges the slice before with all the CPU used until `now`.
    fn charge(&mut self, now: u64) {
        if let Some(slice) = self.measured.slices.last_mut() {
            slice.cpu = now.saturating_sub(self.charged_from);
        }
        self.charged_from = now;
    }

    fn finish(mut self) -> Measured {
        self.charge(process::cpu(&self.ids));
        self.measured.slices.remove(0);
        self.measured
    }
}

/// Lets h2load ask all requests of a turn, each of which must be answered 2xx.
fn ask(manner: &Manner, urls: &PathBuf) -> Result<(), Failure> {
    let mut command = Command::new("h2load");
    command
        .args(["-t", "1", "-n", &manner.requests.to_string()])
        .args(["-c", &manner.connections.to_string()])
        .args(["-m", &manner.streams.to_string()])
        .arg("-i")
        .arg(urls)
        .stdin(Stdio::null());
    if !manner.http2 {
        command.arg("--h1");
    }
    for field in requests::fields() {
        command.args(["-H", field]);
    }
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let well = format!("status codes: {} 2xx", manner.requests);
    if !said.contains(&well) {
        let last: Vec<&str> = said.lines().filter(|line| line.contains(':')).collect();
        return Err(format!("not all were answered 2xx: {}", last.join(" | ")).into());
    }
    Ok(())
}
