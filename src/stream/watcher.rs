//! What is seen of the stream from other threads.

use super::{connection::Connection, health::StreamFault, metrics::StreamMetrics, owned::OwnedPartitions};

/// A view of the stream. Clones are the same view.
#[derive(Debug, Clone)]
pub struct StreamWatcher {
    connection: Connection,
    metrics: StreamMetrics,
    owned: OwnedPartitions,
}

/// The stream at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamStatus {
    /// The servers, as configured, without passwords.
    pub servers: String,
    /// The stream's name.
    pub name: String,
    /// Whether a server is connected.
    pub connected: bool,
    /// What is wrong with the connection, as far as that is known.
    pub connection_error: Option<String>,
    /// Why the stream can't be used, if it can't.
    pub fault: Option<StreamFault>,
    /// Events that this process published since its start.
    pub published: u64,
    /// Into how many partitions it is divided.
    pub partitions: u16,
    /// How many of them this process delivers.
    pub owned: usize,
    /// Events that wait in those, beside what this process has of them.
    pub waiting: u64,
    /// Messages that this process got and somebody had got before, since its start.
    pub redelivered: u64,
}

impl StreamWatcher {
    pub(super) fn new(connection: Connection, metrics: StreamMetrics, owned: OwnedPartitions) -> Self {
        StreamWatcher {
            connection,
            metrics,
            owned,
        }
    }

    /// The stream now.
    pub fn status(&self) -> StreamStatus {
        let settings = &self.connection.settings;
        StreamStatus {
            servers: settings.servers_in_words(),
            name: settings.name.clone(),
            connected: self.connection.is_connected(),
            connection_error: self.connection.health.connection_error(),
            fault: self.connection.health.fault(),
            published: self.metrics.accepted(),
            partitions: settings.partitions,
            owned: self.owned.list().len(),
            waiting: self.owned.waiting(),
            redelivered: self.metrics.redelivered.get(),
        }
    }
}
