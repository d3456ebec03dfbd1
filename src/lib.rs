//! gatecount stands in front of a web app, passes its traffic through, recognises page views, and reports
//! them to Plausible Analytics.
//!
//! # The map
//!
//! Imports go one way: `cli → sidecar → services → pure → ground floor`. Only `cli` and `sidecar` import
//! `config`.
//!
//! - Command: [`cli`], one file a command.
//! - Composition: [`sidecar`] builds the parts and starts them in order; [`lifecycle`] has signals and the
//!   drain, [`telemetry`] logs and metrics; [`config`] alone knows the file format.
//! - Services: [`proxy`] is the data path, [`tracker`] answers the tracker script's own paths and puts the
//!   script into pages, [`observe`] sees requests from aside, [`delivery`] goes from the offer of an event to
//!   Plausible's answer, [`queue`] stores events, [`stream`] shares them among machines, [`admin`] is what
//!   operators read, [`demo`] a site and a receiver, [`web`] the HTTP server pieces of those that are no data
//!   path.
//! - Pure: [`http1`] is the codec, [`facts`] what one request head and one response head tell, [`headers`]
//!   which fields are passed on, [`client`] who the client is, [`page`] whether a request counts, [`event`]
//!   what Plausible is told (its `custom` beside page views), [`plausible`] what it accepts.
//! - Ground floor: [`field`] is the grammar of field names and values; [`clock`], [`timer`]; [`priority`] puts
//!   threads behind the traffic; [`lookup`] finds the addresses of names; [`certificate`] tells how long one
//!   holds.
//!
//! # A request, straight down
//!
//! 1. `proxy::listener` accepts a connection and `proxy::front` serves it: each request's head is parsed and
//!    becomes an `Asked`.
//! 2. `proxy::plan` makes a `Route` of it: who the client is, whether the request can be a page view, what
//!    the app gets. What gatecount answers itself, a refusal or a path of [`tracker`], goes no further.
//! 3. `proxy::app::exchange` carries it to the app. `front` passes interim heads, the head and the body on as
//!    they come. What can go wrong on the way is a row in `proxy::errors`.
//! 4. `proxy::record` settles the request once, when the response's head has reached the client; also if the
//!    app failed or the client left.
//!
//! # An event, straight down
//!
//! 1. The record offers the drafted event to its worker's `delivery::Outbox`: bounded, never waiting. The
//!    tracker hands its events in at the `delivery::Desk`, and answers when they are stored.
//! 2. The intake, on delivery's own thread, builds the event and its URL, and appends them to the queue.
//! 3. A page view may wait for the tracker script's own: whichever there is of the two counts.
//! 4. Delivery takes events oldest first, one at a time per visitor, and sends them. The outcome ends an
//!    event, or keeps it for a later try.
//! 5. At a start, the events that the queue holds are recovered and sent.
//!
//! With `[stream]`, step 4 sends events into the shared stream instead, and they end here as published. A
//! gateway (`gatecount gateway`) runs the same delivery over what the stream gives it, and sends to Plausible.

pub mod admin;
pub mod certificate;
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
pub mod lookup;
pub mod observe;
pub mod page;
pub mod plausible;
pub mod priority;
pub mod proxy;
pub mod queue;
pub mod sidecar;
pub mod stream;
pub mod telemetry;
pub mod timer;
pub mod tracker;
pub mod web;
