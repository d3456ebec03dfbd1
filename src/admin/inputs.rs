//! Where the admin address gets what it shows.

use std::{pin::Pin, sync::Arc};

use tokio::sync::watch;

use super::{decision::DecisionRecord, probes::Probes, status::StatusReport};

/// Takes the status at this moment.
pub type TakeStatus = Arc<dyn Fn() -> StatusReport + Send + Sync>;

/// Returns the decisions after a sequence number, oldest first, as many as are still kept. 0 asks for all of
/// them.
pub type DecisionsSince =
    Arc<dyn Fn(u64) -> Pin<Box<dyn Future<Output = Vec<DecisionRecord>> + Send>> + Send + Sync>;

/// Everything that the admin address reads.
#[derive(Clone)]
pub struct Inputs {
    /// For `/metrics`.
    pub registry: prometheus::Registry,
    /// For `/readyz`: true while requests are accepted.
    pub ready: watch::Receiver<bool>,
    /// For `/status` and the live page.
    pub status: TakeStatus,
    /// For `/decisions` and the live page.
    pub decisions: DecisionsSince,
    /// Counts the answers of `/readyz`.
    pub probes: Arc<Probes>,
}
