//! An HTTP/2 client: hyper's server speaks the protocol, and each of its streams is a request that goes the way of any
//! other: [`plan`](crate::proxy::plan), [`exchange`](crate::proxy::app::exchange), [`record`](crate::proxy::record).
//!
//! # What bounds a connection
//!
//! - `[listen] max_streams` at once; `max_head_bytes` for the fields of one.
//! - 256 KiB of request heads, and of request bodies on their way to the app (the connection's flow-control window; half of
//!   it for one stream).
//! - 192 KiB, and 4 KiB a stream, of responses that the client has not taken. A stream that the client's window holds up
//!   for `idle_timeout` loses its connection to the app, and is reset when the window opens; a connection all of whose
//!   streams are held up ends.
//! - Floods of settings, pings, CONTINUATION and empty frames, and of resets before a request was taken, are counted by h2,
//!   hyper's HTTP/2 library, which then ends the connection (CVE-2024-27316). So does gatecount where a client resets more
//!   than a hundred requests, and more than half of all (CVE-2023-44487).
//!
//! 1xx are not passed on, for hyper cannot send them; `gatecount_http2_interim_dropped_total` counts them.

mod body;
mod budget;
mod connection;
mod io;
mod request;
mod streams;
mod transfer;
mod tunnel;
mod upload;

pub(super) use connection::serve;
