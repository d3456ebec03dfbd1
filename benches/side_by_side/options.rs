//! What can be asked for on the command line.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// What gatecount costs beside nginx and HAProxy, in one run on this machine.
#[derive(Debug, Parser)]
#[command(name = "side_by_side", bin_name = "cargo bench --bench side_by_side --")]
pub(crate) struct Options {
    /// Seconds that each measurement of a run takes
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,

    /// How often everything is started afresh and measured; three at least for a figure to be shown to others
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=50))]
    pub(crate) runs: u64,

    /// Only these rows (comma-separated)
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    pub(crate) only: Vec<Group>,

    /// Also: two workers on two CPUs against one
    #[arg(long)]
    pub(crate) workers: bool,

    /// The gatecount to measure, in place of the one that cargo built for this bench
    #[arg(long, value_name = "PATH", default_value = env!("CARGO_BIN_EXE_gatecount"))]
    pub(crate) binary: PathBuf,

    /// How many visitors the connections are spread over; by default each connection is one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub(crate) visitors: Option<u64>,

    /// Prints the table as benches/README.md has it, with the date and the machine
    #[arg(long)]
    pub(crate) markdown: bool,

    /// Passed by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// Rows that belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    /// A site, one page in twenty requests, 1 KiB each
    Site,
    /// A site with pages of 100 KiB
    Big,
    /// Nothing but pages, 1 KiB each
    Pages,
    /// Median on one connection, 99th percentile on 64
    Latency,
    /// Resident memory with 5,000 idle connections
    Memory,
    /// CPU per event, from the page to its delivery
    Event,
    /// What counting adds to a page while Plausible is down
    Counting,
    /// Over TLS: a site by HTTP/1.1 and HTTP/2, handshakes, memory
    Tls,
    /// Pages of 20 KiB that get the tracker script, plain and by gzip
    Inject,
    /// Two workers against one
    Workers,
}

impl Options {
    /// Whether a row of `group` is to be filled.
    pub(crate) fn wants(&self, group: Group) -> bool {
        match group {
            Group::Workers => self.workers || self.only.contains(&group),
            _ => self.only.is_empty() || self.only.contains(&group),
        }
    }
}
