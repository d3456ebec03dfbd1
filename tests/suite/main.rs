//! The integration tests: the real binary as a process, before real and scripted apps, with a strict stand-in
//! for Plausible behind it. One module a theme.
#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]
#![allow(clippy::cast_sign_loss, reason = "what is counted is never negative")]

/// Who imports whom.
mod architecture;

/// What users are shown works.
mod examples;

/// The command line.
mod cli;

/// Schema, completions and manual, by the programs that read them.
mod generated;

/// What a release is made of.
mod release;

/// The configurations of `deploy/config` with the real parts around them.
mod topologies;
/// What `check` warns of.
mod warnings;

/// What `explain` names.
mod explain;

/// What the doctor finds.
mod doctor;

/// Prometheus, its alerts, and the dashboard.
mod watching;

/// What passes through.
mod traffic;

/// Responses that could be read in two ways.
mod framing;

/// Responses as hyper's client reads them, and as we do.
mod differential;

/// One request over each protocol in front.
mod protocols;

/// TLS and HTTP/2 in front.
mod secure;

/// Requests that could be read in two ways.
mod simulation;
mod smuggling;

/// HTTP/2 frame by frame.
mod http2_wire;

/// Which requests become events, and what these carry.
mod pages;

/// Views that the tracker script counts, and those that it does not.
mod untracked;

/// Pages that scripts show, and pages that are fetched ahead.
mod scripted;

/// Events of rules and of the app's headers.
mod declared;

/// Requests seen from aside.
mod observe;

/// A real browser's visit.
mod browser;

/// The tracker and gatecount count the same browsing.
mod browsing;

/// The tracker script put into pages.
mod inject;

/// The tracker's own paths: script, events, pixel.
mod tracker;

/// Who the client is.
mod clients;

/// From the offer to Plausible's answer.
mod delivery;

/// One visitor's trouble is no other's.
mod poison;

/// Trouble with Plausible, as operators see it.
mod trouble;

/// Through a proxy to Plausible.
mod egress;

/// What the queue survives.
mod survival;

/// The shared queue on real NATS servers.
mod stream;

/// Whatever is wrong with analytics, the app's answers are its own.
mod failopen;

/// What operators read.
mod admin;

/// The live page in a real browser.
mod live;

/// Starts, stops and reloads.
mod lifecycle;

/// Restarts that nobody announces.
mod restarts;

/// An app that gatecount starts.
mod wrapper;

/// Under systemd.
mod systemd;

/// In an image of its own.
mod image;

/// In Kubernetes.
mod kubernetes;

/// The proxies in front that there is a file for.
mod fronts;

/// What the system does not give.
mod limits;

/// Where the app is.
mod addresses;

/// What it takes while it does little.
mod idle;

/// Everything at once, for long.
mod soak;

/// Apps, a Plausible, clients, and the binary as a process.
mod support;
