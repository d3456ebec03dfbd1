//! Ctrl-C and SIGTERM: noticed wherever the bench waits, so that it stops what it started and leaves nothing
//! behind.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
};

use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Begins to listen for the signals, on a thread of its own.
pub(crate) fn listen() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        INTERRUPTED.store(true, Relaxed);
    });
    Ok(())
}

/// An error once one of the signals has come.
pub(crate) fn check() -> Result<(), Failure> {
    if INTERRUPTED.load(Relaxed) {
        return Err("interrupted".into());
    }
    Ok(())
}
