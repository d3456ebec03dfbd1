//! Everything at once, for long: steady traffic of every kind while faults come and go in random order,
//! several at a time. Half a minute by default, an hour with `GATECOUNT_FULL=1`.

mod crowd;
mod faults;

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use self::{
    crowd::Crowd,
    faults::{Fault, Mood, Scene},
};
use crate::support::{
    DEADLINE, as_long_as_it_moves, full,
    process::Builder,
    receiver::{Receiver, Reply},
    site, within,
};

/// Faults at a time, at most.
const AT_ONCE: usize = 3;

/// How long a fault lasts, in milliseconds.
const LASTS: std::ops::Range<u64> = 500..4000;

/// What may be taken more at the end than at the beginning, in bytes: the allocator keeps what the busiest
/// moment took.
const KEPT: u64 = 24 << 20;

/// The pages whose events Plausible has recorded, by number.
type Recorded = Arc<Mutex<HashSet<usize>>>;

/// A Plausible in the mood of the moment.
fn plausible(mood: &Arc<Mutex<Mood>>, recorded: &Recorded) -> Receiver {
    let plausible = Receiver::start();
    plausible.keep_nothing();
    let (mood, recorded) = (Arc::clone(mood), Arc::clone(recorded));
    plausible.script(move |event, _| {
        let number = crowd::number(event.text("url"));
        let reply = mood.lock().unwrap().reply();
        if let (Some(number), Reply::Accept | Reply::Drop | Reply::Status(400)) = (number, reply) {
            recorded.lock().unwrap().insert(number);
        }
        reply
    });
    plausible
}

#[test]
fn whatever_happens_the_apps_traffic_goes_on_and_the_account_is_right() {
    let length = Duration::from_secs(if full() { 3600 } else { 30 });
    let app = site::start().forgetful();
    let (mood, recorded) = (Arc::<Mutex<Mood>>::default(), Recorded::default());
    let plausible = plausible(&mood, &recorded);
    let builder = Builder::before(&app)
        .telling(&plausible)
        .set("listen.http2", true)
        .set("listen.header_timeout", "2s")
        .set("plausible.timeout", "2s")
        .set("plausible.retry_max", "2s")
        .set("plausible.max_tries", 1_000_000);
    let scene = Scene::start(builder, plausible, mood);
    let sidecar = scene.sidecar();

    // Warm first: what the first second takes is no leak.
    let crowd = Crowd::through(sidecar.address);
    crowd.goes_on(1_000);
    let (rss, descriptors, threads) = (sidecar.rss(), sidecar.descriptors(), sidecar.threads());

    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut under_way: Vec<(Instant, Box<dyn Fault>)> = Vec::new();
    let (begun, mut times) = (Instant::now(), 0);
    while begun.elapsed() < length {
        under_way.retain_mut(|(end, fault)| {
            let goes_on = Instant::now() < *end;
            if !goes_on {
                fault.end(&scene);
            }
            goes_on
        });
        if under_way.len() < AT_ONCE {
            let mut fault = faults::any(&mut random);
            let kind = fault.kind();
            if under_way.iter().all(|(_, other)| other.kind() != kind) {
                fault.begin(&scene);
                times += 1;
                let lasts = Duration::from_millis(random.u64(LASTS));
                under_way.push((Instant::now() + lasts, fault));
            }
        }
        assert!(crowd.is_well(), "{:?}, seed {seed}", crowd.finish());
        // A pace, not a wait: so often the faults change.
        thread::sleep(Duration::from_millis(random.u64(20..300)));
    }
    for (_, fault) in &mut under_way {
        fault.end(&scene);
    }
    let crowd = crowd.finish().unwrap_or_else(|e| panic!("{e}, seed {seed}"));
    let metrics = as_long_as_it_moves("nothing pending", || {
        let metrics = sidecar.metrics();
        metrics.assert_account();
        match metrics.pending() {
            0 => Ok(metrics),
            pending => Err(pending),
        }
    });

    // Each page was recorded, or is among the lost.
    let lost: u64 = ["evicted", "corrupt", "overflow", "expired"]
        .iter()
        .map(|outcome| metrics.finished(outcome))
        .sum();
    let recorded = recorded.lock().unwrap();
    let missing = crowd.pages.iter().filter(|page| !recorded.contains(page)).count() as u64;
    println!(
        "{} requests, {} pages, {times} faults in {:?}; {missing} pages missing, {lost} events lost",
        crowd.requests,
        crowd.pages.len(),
        begun.elapsed()
    );
    assert!(
        missing <= lost,
        "{missing} pages missing, {lost} events lost, seed {seed}"
    );
    if lost > 0 {
        let named = scene.log_names_losses();
        assert!(named, "{lost} events lost, and the log names none, seed {seed}");
    }
    // No trouble of the app's that the app did not make.
    let errors = metrics.metric("gatecount_app_errors_total").value();
    assert_eq!(errors, 0, "errors of the app's, seed {seed}");
    within(DEADLINE, "memory, descriptors and threads are back", || {
        let now = (sidecar.rss(), sidecar.descriptors(), sidecar.threads());
        // Connections to the app and to Plausible may be kept, one for each that was used at once.
        let back = now.0 < rss + KEPT && now.1 <= descriptors + 100 && now.2 <= threads;
        if back {
            Ok(())
        } else {
            Err(format!("{now:?}; before: {:?}", (rss, descriptors, threads)))
        }
    });
}
