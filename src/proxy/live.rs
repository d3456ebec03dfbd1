//! What a reload can change.

use super::front::tls::Loaded;
use crate::{client, event, page};

/// Applies to requests and connections that begin after the reload.
#[derive(Debug)]
pub struct Live {
    /// Whom to believe about addresses, and what the app is told.
    pub client: client::Settings,
    /// What counts.
    pub page: page::PageRules,
    /// Whose hosts they are.
    pub sites: event::Sites,
    /// Which requests are events beside that.
    pub events: Vec<event::custom::CustomRule>,
    /// What TLS is accepted with; none: plain text.
    pub tls: Option<Loaded>,
}
