//! stub
pub mod accept;
