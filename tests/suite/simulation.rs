//! The short form of `benches/simulate`: what the shared stream promises holds for the rules themselves, whatever
//! goes wrong. Two bad days by default, twenty with `GATECOUNT_FULL=1`.

#[path = "../../benches/simulate/world/mod.rs"]
mod world;

use crate::support::full;
use world::{Report, Settings, World, crowd};

fn live(seed: u64, reorder: u64, strict: bool, trouble: f64) -> Report {
    let settings = Settings {
        seed,
        hours: 1,
        sidecars: 6,
        gateways: 3,
        partitions: 16,
        reorder,
        strict,
        trouble,
    };
    let day = crowd::day(seed, 2_000, settings.hours);
    World::live(&settings, &day)
}

fn check(report: &Report, what: &str) {
    assert_eq!(
        (report.counted, report.lost),
        (report.events, 0),
        "{what}: nothing is lost"
    );
    assert!(
        report.faults.is_empty(),
        "{what}: {:?} were turned round",
        report.faults
    );
    assert_eq!(report.overlaps, 0, "{what}: one event of a visitor at a time");
    assert_eq!(
        report.twice.get("fault"),
        None,
        "{what}: each twice has its cause"
    );
}

#[test]
fn on_a_good_day_everything_is_counted_once_and_in_order() {
    let report = live(1, 2_000, false, 0.0);
    check(&report, "a good day");
    assert!(
        report.turned.keys().all(|why| *why == "clocks"),
        "{:?}",
        report.turned
    );
    assert!(
        report.twice.keys().all(|why| *why == "no answer"),
        "{:?}",
        report.twice
    );
    assert!(report.events > 5_000, "{}", report.events);
}

#[test]
fn on_bad_days_nothing_is_lost_and_order_is_kept() {
    let seeds = if full() { 20 } else { 2 };
    for seed in 1..=seeds {
        for (reorder, strict) in [(0, false), (500, false), (0, true)] {
            let report = live(seed, reorder, strict, 0.5);
            check(
                &report,
                &format!("seed {seed}, reorder {reorder}, strict {strict}"),
            );
            assert!(report.failures > 50 && report.redelivered > 0, "{report:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_day() {
    assert_eq!(live(3, 500, false, 0.5), live(3, 500, false, 0.5));
}
