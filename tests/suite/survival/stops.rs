//! Stops (RELIABILITY.md Q13).

use std::time::{Duration, Instant};

use super::{page, recorded, stage, visit};
use crate::support::{full, within};

/// Q13: a hundred stops, each with what came in the last moments and what earlier ones left.
#[test]
fn a_stop_while_plausible_is_down_loses_nothing_and_is_in_time() {
    let stops = if full() { 100 } else { 4 };
    let stage = stage();
    stage.plausible.die();
    let mut sidecar = stage.builder.start();
    let mut longest = Duration::ZERO;
    for round in 0..stops {
        visit(&sidecar, round * 10..round * 10 + 10);
        let begun = Instant::now();
        sidecar.stop();
        longest = longest.max(begun.elapsed());
        // The drain of these tests.
        assert!(longest < Duration::from_secs(5), "a stop took {longest:?}");
        sidecar = sidecar.again();
    }
    stage.plausible.come_back();
    println!("{stops} stops, the longest {longest:?}");
    stage.plausible.await_recorded(stops * 10);
    sidecar.drained();
    assert_eq!(
        recorded(&stage.plausible),
        (0..stops * 10).map(|n| (n, 1)).collect()
    );
}

#[test]
fn a_stop_and_a_start_in_ordinary_weather_send_nothing_twice() {
    let stage = stage();
    let mut sidecar = stage.builder.start();
    visit(&sidecar, 0..40);
    stage.plausible.await_recorded(40);
    sidecar.stop();
    let mut sidecar = sidecar.again();
    visit(&sidecar, 40..50);
    stage.plausible.await_recorded(50);
    sidecar.stop();
    assert_eq!(recorded(&stage.plausible), (0..50).map(|n| (n, 1)).collect());
}

#[test]
fn closed_connections_give_their_descriptors_back() {
    let stage = stage();
    let sidecar = stage.builder.start();
    visit(&sidecar, 0..10);
    let before = sidecar.descriptors();
    for n in 0..100 {
        let mut client = sidecar.client();
        client.ask(&page(n));
    }
    within(Duration::from_secs(10), "the descriptors are back", || {
        let now = sidecar.descriptors();
        if now <= before + 12 {
            Ok(())
        } else {
            Err(format!("{before} before, {now} now"))
        }
    });
}
