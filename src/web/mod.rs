//! The HTTP server pieces that the admin address, the demo and the address for mirrored requests share, on
//! hyper.
//!
//! - `server` accepts connections, bounds them and drains them; `connections` picks the one to close when
//!   there are too many.
//! - `response` builds responses, whole or as a stream of server-sent events.
//! - `form` reads the fields of a form.
//! - `html` escapes text and frames a page that refreshes itself; `chart` draws columns over time.
//!
//! The data path does not use this module.

pub(crate) mod chart;
pub(crate) mod connections;
pub(crate) mod form;
pub(crate) mod html;
pub(crate) mod response;
pub(crate) mod server;
#[cfg(test)]
pub(crate) mod test_client;
