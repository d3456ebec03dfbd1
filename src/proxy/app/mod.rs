//! Towards the app: its connections, and one request over one of them.

pub(super) mod connect;
pub(super) mod exchange;
pub(super) mod pool;
