//! Which fields of a message are passed on, and which end at this hop.
//!
//! Framing, `Connection`, `Upgrade`, `TE` and `Expect` are never copied: the proxy writes its own. The caller
//! says which other names to skip, because it replaces the forwarding headers.
//!
//! Names are compared by [`field::folds_to`](crate::field::folds_to), so that a `Transfer_Encoding` is not
//! passed on as a field without meaning.

pub mod entity_tag;

mod connection;
mod names;
mod pass;
mod policy;
mod rewritten;

pub use connection::ConnectionOptions;
pub use names::{is_hop_by_hop, may_be_trailer};
pub use pass::{accepts_trailers, for_client, to_app, to_client};
pub use policy::{MissingSource, Policies, WantedScript};
pub use rewritten::{FieldFate, HeadChange, forbids_transform};
