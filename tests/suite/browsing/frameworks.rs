//! Frameworks that need a build: their sites in `frameworks/`, built by `tests/run` in full runs, and browsed in
//! Chromium. What they sent is in `tests/corpus/pages`, which every run replays.

use super::{
    compare,
    drive::{Browser, Over, Part, browse},
};
use crate::support::{full, skip};

#[test]
fn next_agrees_page_by_page() {
    agrees("next");
}

#[test]
fn nuxt_agrees_page_by_page() {
    agrees("nuxt");
}

#[test]
fn sveltekit_agrees_page_by_page() {
    agrees("sveltekit");
}

#[test]
fn react_router_agrees_page_by_page() {
    agrees("react-router");
}

#[test]
fn astro_agrees_page_by_page() {
    agrees("astro");
}

/// With `Sec-Fetch-*` and without.
#[track_caller]
fn agrees(framework: &'static str) {
    if !full() {
        return skip("sites of frameworks are built and browsed with GATECOUNT_FULL=1");
    }
    for over in [Over::Https, Over::Http] {
        let recording = match browse(Browser::Chromium, over, Part::Framework(framework)) {
            Ok(recording) => recording,
            Err(missing) => return skip(&missing),
        };
        let tally = compare(&format!("{framework} over {over:?}"), &recording, 1.0);
        assert!(tally.steps >= 15, "{} steps", tally.steps);
        let of_steps = recording
            .counted
            .iter()
            .filter(|view| view.is_of_a_step(&recording.steps));
        assert_eq!(
            of_steps.count(),
            recording.counted.len(),
            "{:#?}",
            recording.counted
        );
    }
}
