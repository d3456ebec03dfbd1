//! The rules by which observed requests are decided.

use crate::{client, event, page};

/// What a reload can change.
#[derive(Debug, Clone)]
pub struct ObserveRules {
    /// Whom to believe about addresses.
    pub client: client::Settings,
    /// What counts.
    pub page: page::PageRules,
    /// Whose hosts they are.
    pub sites: event::Sites,
}
