//! HTTP/2 in front, by hyper's client and frame by frame.

/// Bodies both ways.
mod bodies;

/// Requests that are answered, refused, or malformed.
mod requests;

/// Ends: of a stream, of a response, of a connection, of the process.
mod ends;

/// WebSockets.
mod tunnels;
