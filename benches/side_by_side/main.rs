//! What gatecount costs beside nginx and HAProxy: CPU per request, side by side in one run, as ratios.
//!
//! `cargo bench --bench side_by_side` measures and prints the table; `-- --help` has the options. It needs
//! Linux, two CPUs, `taskset`, for the rows that bear their names nginx and HAProxy, and for those over TLS
//! nghttp2's h2load.
//!
//! # How it measures
//!
//! - The proxies have the first CPU, and nothing else runs there. The app, the stand-in for Plausible and the
//!   load, all of them lean, share the second, so that the proxy is what runs out of CPU. The table says so
//!   where it did not.
//! - Slices of 100 ms go round all contenders, in reversed order every other round. The machine's noise hits
//!   all alike, and what counts is the ratio within a round. A run's figure is the median over its rounds;
//!   every run starts everything afresh.
//! - CPU is that of all threads and children of the contender, in user space and kernel, from `schedstat`. A
//!   contender is charged with all that it used from the start of its slice to the start of its next: what is
//!   delivered after the last response is paid for too. The next contender's slice waits (shortly) until the
//!   one before has come to rest.
//! - Two processes of the same program differ by some 3 %, by where their memory lies: what counting adds is
//!   taken from several pairs of fresh ones.
//! - Every connection comes from an address of its own in 127.0.0.0/8, so each is a visitor. Over TLS, where
//!   h2load asks, all of them are one.
//!
//! # The house
//!
//! The binary runs itself again for the parts that need a process of their own: [`origin`] is the app and the
//! receiver, [`load`] asks, [`h2load`] has h2load ask over TLS, [`crowd`] holds idle connections, and
//! [`hyper_proxy`] is a contender that shows what a proxy on hyper costs. [`session`] puts a measurement
//! together from [`contender`]s, and [`rows`] says which measurement fills which row of the [`table`], and
//! [`report`] prints it.

mod certificate;
mod contender;
mod crowd;
mod h2load;
mod hyper_proxy;
mod interrupt;
mod load;
mod machine;
mod options;
mod origin;
mod process;
mod report;
mod requests;
mod rows;
mod session;
mod statistics;
mod table;

use std::{env, process::ExitCode};

use clap::Parser;

/// As gatecount has it, so that the proxy on hyper differs by its code alone.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What went wrong, in words for whoever runs the bench.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["@app"] => origin::app(),
        ["@receiver", status] => origin::receiver(status),
        ["@load", plan] => load::main(plan),
        ["@h2load", plan] => h2load::main(plan),
        ["@crowd", port, connections] => crowd::main(port, connections, None),
        ["@crowd", port, connections, trusted] => crowd::main(port, connections, Some(trusted)),
        ["@hyper", port, app] => hyper_proxy::main(port, app),
        // `cargo test --benches` runs every bench without arguments: no time to measure anything.
        [] => {
            println!("side_by_side measures under `cargo bench --bench side_by_side`");
            Ok(())
        }
        _ => measure(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("side_by_side: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Failure> {
    let options = options::Options::parse();
    interrupt::listen()?;
    let session = session::Session::new(&options)?;
    let table = rows::measure(&session)?;
    report::print(&session, &table);
    Ok(())
}
