//! The pixel is a mouth too, and the app has its word.

use super::{Stage, times};

#[test]
fn of_page_pixel_and_script_one_counts() {
    let stage = Stage::short();
    for visitor in [0, 1] {
        stage.views("/page-and-pixel", visitor);
        stage.shows_pixel("/page-and-pixel", visitor);
        stage.shows_pixel("/pixel-alone", visitor);
        stage.views("/all", visitor);
        stage.shows_pixel("/all", visitor);
        stage.reports("/all", visitor);
        stage.views("/pixel-last", visitor);
        stage.reports("/pixel-last", visitor);
        stage.shows_pixel("/pixel-last", visitor);
    }
    assert_eq!(
        stage.counted(),
        times([
            ("/all", 0, 2),
            ("/page-and-pixel", 2, 0),
            ("/pixel-alone", 2, 0),
            ("/pixel-last", 0, 2)
        ])
    );
    let metrics = stage.sidecar.settled(18);
    assert_eq!(metrics.decisions("dedicated"), 12, "pixels are decided at once");
    assert_eq!(metrics.decisions("counted") + metrics.decisions("tracked"), 6);
}

#[test]
fn a_page_that_the_app_amends_waits_and_one_that_it_uncounts_or_declares_does_not() {
    let stage = Stage::long();
    stage.views("/amended", 1);
    stage.await_held(1);
    // The script reports the page that the browser shows.
    stage.reports("/amended", 1);
    stage.await_held(0);
    stage.views("/off", 2);
    stage.views("/declared", 3);
    assert_eq!(stage.counted(), times([("/amended", 0, 1), ("/declared", 1, 0)]));
    let metrics = stage.sidecar.settled(4);
    for decision in ["tracked", "suppressed", "declared", "dedicated"] {
        assert_eq!(metrics.decisions(decision), 1, "{decision}");
    }

    let stage = Stage::short();
    stage.views("/amended", 1);
    assert_eq!(stage.counted(), times([("/other", 1, 0)]));
    let arrived = stage.plausible.recorded();
    assert_eq!(arrived[0].body["props"]["a"], "b");
}
