//! The data path: listener, connections, the app's connections, bodies.

mod settings;

pub use settings::{App, Listen, Settings, Upstream};
