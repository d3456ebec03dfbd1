//! Why a sidecar does not start.

use std::{io, net::SocketAddr};

use crate::{delivery, observe, proxy, stream, telemetry, tracker};

/// Why the sidecar can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Logs or metrics.
    #[error("can't set up logs and metrics")]
    Telemetry(#[from] telemetry::Error),
    /// Delivery, for example because no trusted roots are found.
    #[error("can't start delivery")]
    Delivery(#[from] delivery::DeliveryError),
    /// The shared stream, for example because its credentials can't be read.
    #[error("can't use the stream")]
    Stream(#[from] stream::StreamError),
    /// The data path, for example because the address is in use.
    #[error("can't start the proxy")]
    Proxy(#[from] proxy::Error),
    /// What observes, for example because an address is in use.
    #[error("can't observe requests")]
    Observe(#[from] observe::Error),
    /// The tracker's paths, for example because the script's source can't be asked.
    #[error("can't start the tracker's paths")]
    Tracker(#[from] tracker::Error),
    /// The certificates, for example because one was removed after the configuration was read.
    #[error("can't set up TLS")]
    Tls(#[from] proxy::LoadError),
    /// Systemd passes on a socket that can't be used.
    #[error("can't use socket {number} of those that systemd passes on")]
    Sockets {
        /// Its place among them, from 0.
        number: usize,
        /// Why not.
        source: io::Error,
    },
    /// The app's command can't be started.
    #[error("can't start {program}")]
    App {
        /// The program.
        program: String,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The admin address is in use, or does not belong to this machine.
    #[error("can't listen on the admin address {at}")]
    Admin {
        /// As configured.
        at: SocketAddr,
        /// The operating system's reason.
        source: io::Error,
    },
    /// No runtime for the main thread.
    #[error("can't start the main thread's runtime")]
    Runtime(#[source] io::Error),
    /// No thread to read the configuration's files again.
    #[error("can't watch the configuration's files")]
    Files(#[source] io::Error),
    /// Signals can't be handled.
    #[error("can't handle signals")]
    Signals(#[source] io::Error),
}
