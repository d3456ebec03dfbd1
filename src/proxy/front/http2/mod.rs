//! An HTTP/2 client. hyper's server speaks the protocol, and each stream is a request that goes the way of
//! any other: [`plan`](crate::proxy::plan), [`exchange`](crate::proxy::app::exchange) or `own`,
//! [`record`](crate::proxy::record).
//!
//! # What bounds a connection
//!
//! - `[listen] max_streams` at once, and `max_head_bytes` for the fields of each; 256 KiB of request heads in
//!   all. A request's head is kept until it is settled. Streams beyond the limit are refused.
//! - 256 KiB of request bodies on their way to the app (the connection's flow-control window; half of it for
//!   one stream).
//! - 128 KiB, and 2 KiB a stream, of responses that the client has not taken. A stream that the client's
//!   window holds up for `idle_timeout` loses its connection to the app, and is reset when the window opens;
//!   a connection all of whose streams are held up ends.
//! - h2, hyper's HTTP/2 library, ends a connection that floods it with resets of requests that were not taken
//!   yet, CONTINUATION (CVE-2024-27316) or empty DATA. SETTINGS and PING it reads no faster than the client
//!   takes the answers. Where a client resets more than a hundred requests that were taken, and more than
//!   half of all, gatecount ends the connection (CVE-2023-44487).
//! - 16 KiB are read at a time, and then the worker's other connections have their turn.
//!
//! 1xx are not passed on, because hyper can't send them. `gatecount_http2_interim_dropped_total` counts them.

mod body;
mod budget;
mod connection;
mod io;
mod own;
mod request;
mod streams;
mod transfer;
mod tunnel;
mod upload;

pub(super) use connection::serve;
