//! What the queue needs to know, resolved.

use std::{path::PathBuf, time::Duration};

/// Where records are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// In this process's memory alone.
    Memory,
    /// In segment files under this directory.
    Disk(PathBuf),
}

/// `[queue]`, resolved.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where records are kept.
    pub at: At,
    /// The bound; full, the oldest records go first.
    pub max_bytes: u64,
    /// Nothing is kept longer than this.
    pub max_age: Duration,
}
