//! Page views that wait for the tracker script: `[pages] count = "untracked"`.
//!
//! A server's view and a pixel's are events like any other, accepted and in the queue, each in its visitor's
//! lane. They say of themselves that they are held (`hold`), and for how long. Meanwhile `loads` knows them by
//! visitor and page. The script's own page view goes its way as it came, and releases the oldest view of the
//! same page: that one ends as `tracked`. If none comes in time, it is sent.
//!
//! The lane waits with its first event, so a visitor's events keep their order. The hold stands in the queue's
//! record too, of views and of the script's reports, so that the next process holds again what is not yet due,
//! and finds the views whose script was heard right before a kill.

mod decided;
mod hold;
mod loads;

pub use decided::{DecidedRequest, HeldDecisions, ShownRequest};
pub use hold::{HeldRequest, Hold, Mouth};
pub(super) use loads::{HeldView, LoadKey, Loads, Viewed};
