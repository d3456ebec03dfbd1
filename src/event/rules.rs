//! The rules by which events are made.

use super::sites::Sites;
use super::url::QueryRule;

/// `[[sites]]` and `[pages] query`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventRules {
    /// Which host belongs to which domain.
    pub sites: Sites,
    /// Which query parameters stay in the url.
    pub query: QueryRule,
}
