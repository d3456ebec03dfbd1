//! gatecount stands before a web app, passes its traffic through, sees which requests are page views, and tells
//! Plausible Analytics of them.
//!
//! # The map
//!
//! Imports go one way: `cli → sidecar → services → pure`; `config` is read by `cli` and `sidecar` alone.
//!
//! | layer | modules |
//! | --- | --- |
//! | command | [`cli`], one file a command |
//! | composition | [`sidecar`] builds the parts and starts them in order, [`lifecycle`] has signals and the drain, [`telemetry`] logs and metrics, [`config`] alone knows the file format |
//! | services | [`proxy`] the data path, [`delivery`] from the offer to Plausible's answer, [`queue`] what survives, [`admin`] what operators read, [`demo`] a site and a receiver, [`web`] the HTTP server pieces of these two |
//! | pure | [`http1`] the codec, [`facts`] what the heads told, [`headers`] what goes on, [`client`] who it is, [`page`] whether it counts, [`event`] what Plausible is told |
//!
//! # A request, straight down
//!
//! 1. `proxy::listener` accepts under a limit and backs off when descriptors run out.
//! 2. `proxy::connection` serves the connection until the drain.
//! 3. `proxy::service`: who is the client → request facts → headers to the app → send → page verdict → headers back →
//!    the body streams through untouched.
//! 4. `proxy::errors` turns an error into a response, names whose fault it was, and counts it.
//!
//! # An event, straight down
//!
//! 1. The verdict and the few values that the event needs are offered to the intake: bounded, never awaits.
//! 2. The intake, on its own thread, builds url and payload and appends to the queue.
//! 3. Delivery takes events oldest first, one at a time per visitor, and sends them; the outcome ends an event or
//!    keeps it for a later try.
//! 4. At a start what the queue holds is recovered and sent.

pub mod admin;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod demo;
pub mod event;
pub mod facts;
pub mod headers;
pub mod http1;
pub mod lifecycle;
pub mod page;
pub mod plausible;
pub mod proxy;
pub mod queue;
pub mod sidecar;
pub mod telemetry;
pub mod timer;
pub mod web;
