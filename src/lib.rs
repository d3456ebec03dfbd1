//! gatecount stands before a web app, passes its traffic through, sees which requests are page views, and tells
//! Plausible Analytics of them.
//!
//! # The map
//!
//! Imports go one way: `cli → sidecar → services → pure → ground floor`; `config` is read by `cli` and `sidecar` alone.
//!
//! | layer | modules |
//! | --- | --- |
//! | command | [`cli`], one file a command |
//! | composition | [`sidecar`] builds the parts and starts them in order, [`lifecycle`] has signals and the drain, [`telemetry`] logs and metrics, [`config`] alone knows the file format |
//! | services | [`proxy`] the data path, [`delivery`] from the offer to Plausible's answer, [`queue`] what survives, [`admin`] what operators read, [`demo`] a site and a receiver, [`web`] the HTTP server pieces of these two |
//! | pure | [`http1`] the codec, [`facts`] what the heads told, [`headers`] what goes on, [`client`] who it is, [`page`] whether it counts, [`event`] what Plausible is told, [`plausible`] what it accepts |
//! | ground floor | [`field`] the grammar of field names and values, [`clock`], [`timer`] |
//!
//! # A request, straight down
//!
//! 1. `proxy::listener` accepts a connection, `proxy::front` serves it: each request's head is parsed and becomes an `Asked`.
//! 2. `proxy::plan` decides from it: who is the client, what the request says of being a page view, what the app gets.
//! 3. `proxy::app::exchange` carries the request to the app; `front` passes interim heads, the head and the body on as they
//!    come. What can go wrong on the way is a row in `proxy::errors`.
//! 4. `proxy::record` settles the request once, also where the client left or the app failed.
//!
//! # An event, straight down
//!
//! 1. The record offers the verdict and the few values that the event needs to the intake: bounded, never waiting.
//! 2. The intake, on its own thread, builds url and payload and appends to the queue.
//! 3. Delivery takes events oldest first, one at a time per visitor, and sends them; the outcome ends an event or
//!    keeps it for a later try.
//! 4. At a start the events that the queue holds are recovered and sent.

pub mod admin;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod demo;
pub mod event;
pub mod facts;
pub mod field;
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
