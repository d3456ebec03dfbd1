//! The upstream side: connections to the app (`pool`), and one request over one of them (`exchange`).

pub(super) mod connect;
pub(super) mod exchange;
pub(super) mod pool;
pub(super) mod reach;
