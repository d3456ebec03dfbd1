//! HTTP/2 frame by frame, over TLS and in plain text: what RFC 9113 forbids is answered as it says, and what
//! would wear gatecount out costs little and leaves the other connections alone (P15).

mod app;
mod conformance;
mod connection;
mod floods;
mod frames;
mod holds;
mod siege;
