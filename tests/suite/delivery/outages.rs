//! A Plausible that is gone, wrong, late, or refuses some events.

use super::*;

/// Q15: the breaker, and backoff.
#[test]
fn a_dead_plausible_is_not_hammered_and_nothing_is_lost() {
    let (app, plausible) = (site::start(), Receiver::start());
    plausible.always(Reply::Status(503));
    let sidecar = before(&app, &plausible)
        .set("plausible.retry_initial", "300ms")
        .set("plausible.retry_max", "600ms")
        .start();
    let steady = Steady::through(sidecar.address);
    crowd_of_pages(&sidecar, 100);
    within(Duration::from_secs(20), "the breaker trips", || {
        let state = sidecar.status()["delivery"]["state"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        if state == "tripped" {
            Ok(())
        } else {
            Err(format!("it is {state:?}"))
        }
    });
    let tries = plausible.arrivals().len();
    assert!(tries < 100, "{tries} tries before the breaker tripped");
    let begun = Instant::now();
    crowd_of_pages(&sidecar, 100);
    sidecar.await_metrics("all pages are decided", |m| m.decisions("counted") == 200);
    let more = plausible.arrivals().len() - tries;
    // One probe per backoff, which has full jitter: far below one try per event in any case.
    assert!(
        more < 20,
        "{more} tries in {:?} of a tripped breaker",
        begun.elapsed()
    );
    plausible.always(Reply::Accept);
    let metrics = sidecar.await_metrics("all are delivered", |m| m.pending() == 0);
    assert_eq!(metrics.finished("delivered"), 200);
    assert_eq!(plausible.recorded().len(), 200);
    steady.finish();
}

#[test]
fn a_plausible_that_is_gone_and_comes_back_gets_everything() {
    let (app, plausible) = (site::start(), Receiver::start());
    let sidecar = before(&app, &plausible).start();
    let steady = Steady::through(sidecar.address);
    crowd_of_pages(&sidecar, 10);
    plausible.await_recorded(10);
    plausible.die();
    crowd_of_pages(&sidecar, 20);
    plausible.babble();
    crowd_of_pages(&sidecar, 20);
    plausible.come_back();
    plausible.await_recorded(50);
    let metrics = sidecar.drained();
    metrics.assert_account();
    assert_eq!(metrics.finished("delivered"), 50);
    steady.finish();
}

#[test]
fn a_wrong_address_of_ours_throws_nothing_away_and_is_told_plainly() {
    for wrong in [404, 401, 301] {
        let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
        plausible.always(Reply::Status(wrong));
        let sidecar = before(&app, &plausible).set("plausible.max_tries", 2).start();
        crowd(&sidecar, 10);
        within(Duration::from_secs(20), "/status names the answer", || {
            let error = sidecar.status()["delivery"]["last_error"].to_string();
            if error.contains(&wrong.to_string()) {
                Ok(())
            } else {
                Err(error)
            }
        });
        plausible.await_arrivals(4);
        plausible.always(Reply::Accept);
        let metrics = sidecar.settled(10);
        assert_eq!(metrics.finished("delivered"), 10, "{wrong}");
    }
}

/// Q14. A try counts while others get through: what fails twice with nobody between is one, if it is not the
/// first.
#[test]
fn a_poison_event_ends_as_rejected_and_delays_nobody() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.script(|event, _| {
        if event.text("url").ends_with("/poison") {
            Reply::Status(500)
        } else {
            Reply::Accept
        }
    });
    let sidecar = before(&app, &plausible).set("plausible.max_tries", 3).start();
    visit(&sidecar, "203.0.113.100", "/first");
    plausible.await_recorded(1);
    visit(&sidecar, "203.0.113.200", "/poison");
    visit(&sidecar, "203.0.113.200", "/behind-it");
    plausible.await_arrivals(2);
    let mut client = sidecar.client();
    let (mut slowest, mut others) = (Duration::ZERO, 0);
    while sidecar.metrics().finished("rejected") == 0 {
        let path = format!("/{others}");
        let asked = Instant::now();
        let visitor = format!("203.0.113.{}", others % 50 + 1);
        client.ask(&Request::get(&path).as_(NAVIGATION).from(&visitor));
        within(DEADLINE, &path, || {
            let found = plausible
                .recorded()
                .iter()
                .any(|e| e.text("url").ends_with(&path));
            if found { Ok(()) } else { Err("not recorded".into()) }
        });
        slowest = slowest.max(asked.elapsed());
        others += 1;
    }
    assert!(
        slowest < Duration::from_secs(1),
        "an event of another visitor took {slowest:?}"
    );
    let metrics = sidecar.settled(3 + others);
    assert_eq!(metrics.finished("rejected"), 1);
    assert_eq!(metrics.finished("delivered"), 2 + others as u64);
    let poisoned: Vec<bool> = plausible
        .arrivals()
        .iter()
        .map(|e| e.text("url").ends_with("/poison"))
        .collect();
    let runs = poisoned.windows(2).filter(|pair| *pair == [false, true]).count();
    // Plausible may see somebody between two whose answers come in together.
    assert!((3..=6).contains(&runs), "{runs} runs of tries: {poisoned:?}");
}

#[test]
fn a_hanging_plausible_is_given_up_after_the_timeout() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.next([Reply::Hang]);
    let sidecar = before(&app, &plausible).set("plausible.timeout", "200ms").start();
    visit(&sidecar, "203.0.113.7", "/");
    sidecar.settled(1);
    assert_eq!(plausible.recorded().len(), 1);
}

/// Q11.
#[test]
fn a_late_event_expires_and_is_never_sent() {
    let (app, plausible) = (Origin::start(origin::pages), Receiver::start());
    plausible.always(Reply::Status(503));
    let sidecar = before(&app, &plausible).set("plausible.max_age", "1s").start();
    crowd(&sidecar, 5);
    let metrics = sidecar.await_metrics("five expired events", |m| m.finished("expired") == 5);
    metrics.assert_account();
    plausible.always(Reply::Accept);
    visit(&sidecar, "203.0.113.99", "/fresh");
    sidecar.settled(6);
    assert_eq!(paths(&plausible.recorded()), ["/fresh"]);
}
