//! TLS towards the client, on rustls.
//!
//! - [`pair`]: one certificate chain with its key, from PEM.
//! - [`config`]: `[listen.tls]` to rustls' configuration, at a start and at each reload.
//! - [`accept`]: the handshake, and how many of them may take a worker's CPU at once.
//! - [`stream`]: the connection after it: plaintext in and out without a task of its own.
//!
//! # Buffers
//! rustls' buffered API is used. Measured beside the unbuffered one with the worker's shared buffers: the
//! same time for small messages (0.55 µs for a request of 450 bytes and a response of 1,300), 15 % less for
//! large responses (the unbuffered API copies each record once more), and 4 KiB more of memory per connection
//! (7.0 KiB against 3.2 KiB).
//!
//! Reading takes one `recv` for up to 64 KiB: ciphertext is read into the caller's buffer, handed to rustls,
//! and the plaintext is written over it. Writing takes one `send` or `writev` for a whole response: rustls
//! encrypts head and body into records of up to 16 KiB and keeps what the socket does not take.

pub(in crate::proxy) mod accept;
pub(in crate::proxy) mod config;
mod pair;
pub(in crate::proxy) mod stream;

pub use config::{LoadError, Loaded, load};
pub use pair::{PairError, check as check_pair, check_authorities};

#[cfg(test)]
mod tests;
