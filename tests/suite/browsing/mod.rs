//! A real browser with the real tracker on a site behind gatecount: both count the same browsing, and agree
//! page by page.
//!
//! `driver/` is a program for Node.js. It serves the site, moves the browser, and says what the tracker sent;
//! `steps/` has what a person does. Each step's pages have paths of their own, so every view belongs to one
//! step.

mod corpus;
mod drive;
mod frameworks;
mod peers;
mod tally;

use self::{
    drive::{Browsed, Browser, Over, Part, browse},
    peers::Rule,
    tally::Tally,
};
use crate::support::{full, skip};

/// How many steps a browser takes at least, of those that its mode allows: all of them, or its share.
const STEPS: usize = 80;

/// The same of the brief part.
const BRIEF: usize = 30;

#[test]
fn chromium_over_http_agrees_page_by_page() {
    agrees_in(all_if_full(Part::Share), Browser::Chromium, Over::Http, 0.99);
}

#[test]
fn chromium_on_localhost_agrees_page_by_page() {
    agrees_in(all_if_full(Part::Share), Browser::Chromium, Over::Localhost, 0.99);
}

#[test]
fn chromium_over_https_agrees_page_by_page() {
    agrees_in(all_if_full(Part::Share), Browser::Chromium, Over::Https, 0.99);
}

#[test]
fn firefox_on_localhost_agrees_page_by_page() {
    agrees_in(all_if_full(Part::Brief), Browser::Firefox, Over::Localhost, 0.98);
}

#[test]
fn firefox_over_http_agrees_page_by_page() {
    // The others have each of its requests already, by this browser or without `Sec-Fetch-*`.
    if full() {
        agrees(Browser::Firefox, Over::Http, 0.98);
    }
}

#[test]
fn webkit_on_localhost_agrees_page_by_page() {
    agrees_in(all_if_full(Part::Brief), Browser::WebKit, Over::Localhost, 0.98);
}

#[test]
fn webkit_over_http_agrees_page_by_page() {
    // What it leaves out there, the corpus has.
    if full() {
        agrees(Browser::WebKit, Over::Http, 0.98);
    }
}

#[test]
fn webkit_over_https_agrees_page_by_page() {
    if full() {
        agrees(Browser::WebKit, Over::Https, 0.98);
    }
}

/// All the steps take minutes in each mode.
fn all_if_full(part: Part) -> Part {
    if full() { Part::Whole } else { part }
}

/// Browses, and asks for this share of the views that a server can see, and for not one view too many.
#[track_caller]
fn agrees(browser: Browser, over: Over, share: f64) {
    agrees_in(Part::Whole, browser, over, share);
}

/// As [`agrees`], in a part of the steps.
#[track_caller]
fn agrees_in(part: Part, browser: Browser, over: Over, share: f64) {
    let recording = match browse(browser, over, part) {
        Ok(recording) => recording,
        Err(missing) => return skip(&missing),
    };
    let tally = compare(&format!("{browser:?} over {over:?}"), &recording, share);
    let least = if part == Part::Brief { BRIEF } else { STEPS };
    assert!(tally.steps >= least, "{} steps", tally.steps);
}

/// Prints how far others agree with the tracker, and asks for this share and for no view too many.
#[track_caller]
fn compare(name: &str, recording: &Browsed, share: f64) -> Tally {
    let tally = Tally::of(&recording.steps, &recording.counted);
    tally.print(name);
    for missed in &tally.missed {
        eprintln!("{name}: missed {missed}");
    }
    for rule in Rule::ALL {
        rule.tally(recording).print(&format!("{name}, {}", rule.words()));
    }
    tally.print_beyond(name);
    if let Some(slowest) = recording.steps.iter().max_by_key(|step| step.took) {
        eprintln!("{name}: the slowest step is {}, {} ms", slowest.id, slowest.took);
    }
    let broken: Vec<&String> = recording
        .steps
        .iter()
        .filter_map(|step| step.error.as_ref())
        .collect();
    assert!(broken.is_empty(), "steps that could not be taken: {broken:#?}");
    assert!(
        tally.unneeded.is_empty(),
        "seen all the same: {:#?}",
        tally.unneeded
    );
    assert!(
        tally.invented.is_empty() && tally.share() >= share,
        "{:.4} agree; missed {:#?}, invented {:#?}",
        tally.share(),
        tally.missed,
        tally.invented
    );
    tally
}
