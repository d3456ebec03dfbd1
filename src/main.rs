//! The `gatecount` command.

use std::process::ExitCode;

/// Idle connections take half the memory of the system's allocator, at the same speed.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    gatecount::cli::main()
}
