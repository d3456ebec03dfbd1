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

/// Tells what becomes of a pasted request that comes from a peer (text; empty for a proxy on this machine).
/// What can't be read is an error in words.
pub type ExplainRequest = Arc<dyn Fn(&str, &str) -> Result<Explanation, String> + Send + Sync>;

/// What becomes of a request.
#[derive(Debug, Clone)]
pub struct Explanation {
    /// The decision's label.
    pub decision: String,
    /// The reason in words.
    pub why: String,
    /// The whole story, as `gatecount explain` prints it.
    pub story: String,
}

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
    /// For `/explain`.
    pub explain: ExplainRequest,
    /// Counts the answers of `/readyz`.
    pub probes: Arc<Probes>,
}
