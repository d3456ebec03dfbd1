//! The integration tests: the real binary as a process, before real and scripted apps, with a strict stand-in for
//! Plausible behind it. One module a theme.
#![allow(clippy::unwrap_used, reason = "a test that fails is what it is for")]

mod support;
