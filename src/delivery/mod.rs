//! From the offer of an event to Plausible's answer.

mod settings;

pub use settings::{AddressHeader, Base, Settings};
