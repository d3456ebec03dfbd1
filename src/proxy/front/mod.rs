//! Towards the client.

pub(super) mod tls;
