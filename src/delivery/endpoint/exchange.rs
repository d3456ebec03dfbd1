//! What one exchange with Plausible has in common over both protocols.

/// The longest response body that is read to keep its connection, in bytes. Plausible's body has two bytes.
pub(super) const LONGEST_BODY: usize = 64 * 1_024;

/// Why no response came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendError {
    /// The connection had ended before the request was written. The server has seen nothing of it, so a new
    /// connection may carry it at once.
    Unsent,
    /// The connection ended after that, or the bytes on it were no HTTP. The server may have the event.
    Lost,
    /// The time was up.
    TimedOut,
}
