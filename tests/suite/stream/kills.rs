//! Servers, sidecars and gateways killed at any moment under load (RELIABILITY.md P20).

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use super::{
    fleet::{CONCURRENCY, Fleet, PUBLISHED_AT_ONCE, STREAM, Size},
    ledger::Repeat,
    load::{Asked, Load, PROMISED, SAFE, roams},
};
use crate::support::{
    full,
    nats::{Nats, Sync},
};

/// A gateway whose places are all taken gives up attempts that take half a second, and makes them again, by this time
/// after the event was recorded. The test's own Plausible may be as slow as that where the machine is busy. What the
/// servers deliver again comes later, after [`ACK_WAIT`](super::fleet::ACK_WAIT).
const MADE_AGAIN: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Server(usize),
    Sidecar(usize),
    Gateway(usize),
}

#[derive(Debug, Clone, Copy)]
struct Kill {
    victim: Victim,
    /// Just before it.
    at: Instant,
    /// When the process was gone.
    gone: Instant,
}

impl Victim {
    /// So many of each kind, in any order.
    fn shuffled(kills: usize, size: Size, servers: usize, random: &mut fastrand::Rng) -> Vec<Victim> {
        let mut victims: Vec<Victim> = (0..kills)
            .map(|kill| match kill % 3 {
                0 => Victim::Server(random.usize(..servers)),
                1 => Victim::Sidecar(random.usize(..size.sidecars)),
                _ => Victim::Gateway(random.usize(..size.gateways)),
            })
            .collect();
        random.shuffle(&mut victims);
        victims
    }

    /// How many events may come again by its end: those that it had in flight. A server has acknowledgements in
    /// flight: of what gateways deliver until they know that nobody hears them, which is a second's events and what
    /// was handed over by then. How many that is depends on which partitions it led and how busy they were, so it is
    /// the time that is held to, in [`Kill::may_have_repeated`]. What it had in flight from sidecars is counted.
    fn in_flight(self) -> usize {
        match self {
            Victim::Server(_) => usize::MAX,
            Victim::Sidecar(_) => PUBLISHED_AT_ONCE,
            Victim::Gateway(_) => CONCURRENCY,
        }
    }
}

impl Kill {
    /// Whether an event that came again was in flight at this kill.
    fn may_have_repeated(&self, repeat: &Repeat) -> bool {
        let (before, after) = match self.victim {
            // Nothing more is handed over a second after the first end that nobody hears of, and what was handed
            // over by then takes two seconds at the most.
            Victim::Server(_) => (Duration::from_secs(1), Duration::from_secs(3)),
            // An attempt takes two seconds at the most; what a dead process has written still arrives.
            Victim::Gateway(_) => (Duration::from_secs(2), Duration::from_secs(1)),
            // What it publishes again may have been delivered long ago, while nobody could confirm that it was there.
            Victim::Sidecar(_) => (Duration::from_secs(15), Duration::from_secs(1)),
        };
        self.at <= repeat.again && self.at <= repeat.first + before && repeat.first <= self.gone + after
    }
}

#[test]
fn kills_of_servers_sidecars_and_gateways_lose_nothing_and_keep_each_visitors_order() {
    let (kills, rate, partitions) = if full() { (50, 500, 64) } else { (6, 100, 6) };
    let Some(nats) = Nats::three(Sync::Default) else {
        return;
    };
    let size = Size {
        sidecars: 4,
        gateways: 3,
        partitions,
    };
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut fleet = Fleet::plain(nats, size);
    // So that some are in flight whenever a kill comes.
    fleet.plausible.slow(Duration::from_millis(5));
    let (begun, load) = (Instant::now(), Load::through(&fleet.addresses, rate));
    let mut done = Vec::new();
    for victim in Victim::shuffled(kills, size, fleet.nats.count(), &mut random) {
        load.goes_on(random.usize(1..2 * rate as usize));
        let at = Instant::now();
        match victim {
            Victim::Server(number) => fleet.nats.kill(number),
            Victim::Sidecar(number) => fleet.sidecars[number].kill(),
            Victim::Gateway(number) => fleet.gateways[number].kill(),
        }
        done.push(Kill {
            victim,
            at,
            gone: Instant::now(),
        });
        match victim {
            Victim::Server(number) => {
                load.goes_on(random.usize(1..rate as usize));
                fleet.nats.again(number);
                // Two of three that are away are an outage, which is another test's.
                fleet.nats.await_well();
            }
            Victim::Sidecar(number) => fleet.sidecar_again(number),
            Victim::Gateway(number) => fleet.gateway_again(number),
        }
    }
    load.goes_on(rate as usize);
    let asked = load.finish();
    let loaded = begun.elapsed();
    fleet.settle();
    let settled = begun.elapsed().saturating_sub(loaded);

    let times = fleet.ledger.times();
    let stored = fleet.nats.stream(STREAM).expect("the stream").stored;
    let stored_twice = stored.saturating_sub(times.len() as u64);
    let safe_after = |after: Duration| {
        let safe = asked
            .iter()
            .filter(|asked| asked.is_safe_at(of_sidecar(&done, asked.sidecar), after));
        safe.collect::<Vec<&Asked>>()
    };
    let lost_of = |safe: Vec<&'_ Asked>| -> Vec<Asked> {
        let lost = safe
            .into_iter()
            .filter(|asked| !times.contains_key(&asked.number));
        lost.copied().collect()
    };
    let lost = lost_of(safe_after(SAFE));
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}, seed {seed}: {done:?}",
        lost.len(),
        asked.len()
    );
    let repeats = fleet.ledger.repeats();
    let (by, late_answers) = repeated_by(&repeats, &done, stored_twice);
    let late = safe_after(PROMISED).len() - safe_after(SAFE).len();
    let late_lost = lost_of(safe_after(PROMISED)).len();
    let (wrong, all) = fleet.ledger.disorder(|number| !roams(number));
    let (roaming, roamed) = fleet.ledger.disorder(roams);
    eprintln!(
        "measured: {kills} kills at {:.0} events/s over {loaded:.0?}, settled {settled:.0?} later: {} events, none lost, \
         but {late_lost} of {late} whose sidecar was killed within half a second of their answer; {} repeated, {stored_twice} \
         of them in the stream, by one kill {} at the most, {}, by late answers {late_answers}; {wrong} of {all} out of order, of visitors who change sidecars {roaming} of {roamed}; \
         longest pause {:.1?}",
        asked.len() as f64 / loaded.as_secs_f64(),
        times.len(),
        repeats.len(),
        by.iter().map(Vec::len).max().unwrap_or(0),
        of_each_kind(&done, &by),
        fleet
            .ledger
            .longest_pause(begun + Duration::from_secs(2), begun + loaded),
    );
    for (kill, repeated) in done.iter().zip(&by) {
        let most = kill.victim.in_flight();
        assert!(
            repeated.len() <= most,
            "repeated by {kill:?}, {most} in flight at most, seed {seed}: {repeated:?} of {done:?}"
        );
    }
    // What a sidecar had on its way comes twice when it is killed itself, or the stream's leader is.
    let on_the_way: usize = done
        .iter()
        .map(|kill| match kill.victim {
            Victim::Server(_) => size.sidecars * PUBLISHED_AT_ONCE,
            Victim::Sidecar(_) => PUBLISHED_AT_ONCE,
            Victim::Gateway(_) => 0,
        })
        .sum();
    assert!(stored_twice <= on_the_way as u64, "{stored_twice}, seed {seed}");
    assert_eq!(wrong, 0, "of {all} are out of their visitor's order, seed {seed}");
    fleet.plausible.assert_strict();
}

/// When a sidecar was killed.
fn of_sidecar(kills: &[Kill], sidecar: usize) -> impl Iterator<Item = RangeInclusive<Instant>> {
    let its = kills
        .iter()
        .filter(move |kill| kill.victim == Victim::Sidecar(sidecar));
    its.map(|kill| kill.at..=kill.gone)
}

/// How many came again by servers, sidecars and gateways, and when the first and the last of those had been sent,
/// from the kill on.
fn of_each_kind(kills: &[Kill], by: &[Vec<Repeat>]) -> String {
    let kind_of = |kill: &Kill| match kill.victim {
        Victim::Server(_) => "servers",
        Victim::Sidecar(_) => "sidecars",
        Victim::Gateway(_) => "gateways",
    };
    let told = ["servers", "sidecars", "gateways"].map(|kind| {
        let of_kind = kills.iter().zip(by).filter(|(kill, _)| kind_of(kill) == kind);
        let mut sent: Vec<f64> = of_kind
            .flat_map(|(kill, repeats)| repeats.iter().map(|repeat| seconds(kill.at, repeat.first)))
            .collect();
        sent.sort_by(f64::total_cmp);
        match (sent.first(), sent.last()) {
            (Some(first), Some(last)) => {
                let count = sent.len();
                format!("by {kind} {count} that were sent from {first:+.1} to {last:+.1} s")
            }
            _ => format!("by {kind} none"),
        }
    });
    told.join(", ")
}

/// The seconds from one moment to another, which may be before it.
fn seconds(from: Instant, to: Instant) -> f64 {
    match to.checked_duration_since(from) {
        Some(after) => after.as_secs_f64(),
        None => -from.duration_since(to).as_secs_f64(),
    }
}

/// The events that came again by each kill. What may be of several counts for one that had so many in flight, as
/// far as there is a way to share them out like that. A sidecar is the cause only of what is `stored_twice`, and
/// only where nobody else can be. Beside them, how many were answered late. None is without a cause.
fn repeated_by(repeats: &[Repeat], kills: &[Kill], stored_twice: u64) -> (Vec<Vec<Repeat>>, usize) {
    let is_sidecars = |kill: &Kill| matches!(kill.victim, Victim::Sidecar(_));
    let mut of = vec![Vec::new(); kills.len()];
    let (mut published_twice, mut late) = (0, 0);
    let others = kills.iter().map(is_sidecars).collect::<Vec<bool>>();
    let sidecars = others
        .iter()
        .map(|is_sidecars| !is_sidecars)
        .collect::<Vec<bool>>();
    let mut rest = repeats.to_vec();
    rest.retain(|repeat| !find_kill(repeat, kills, &mut of, &mut others.clone()));
    for repeat in &rest {
        if published_twice < stored_twice && find_kill(repeat, kills, &mut of, &mut sidecars.clone()) {
            published_twice += 1;
        } else if repeat.again - repeat.first < MADE_AGAIN {
            late += 1;
        } else {
            panic!("repeated without a cause: {repeat:?}, {stored_twice} are stored twice: {kills:?}");
        }
    }
    (of, late)
}

/// Finds a kill that has room for a repeat, if need be by moving others. `of`: the repeats of each kill; `tried`:
/// whom not to ask.
fn find_kill(repeat: &Repeat, kills: &[Kill], of: &mut [Vec<Repeat>], tried: &mut [bool]) -> bool {
    for (number, kill) in kills.iter().enumerate() {
        if tried[number] || !kill.may_have_repeated(repeat) {
            continue;
        }
        tried[number] = true;
        if of[number].len() < kill.victim.in_flight() {
            of[number].push(*repeat);
            return true;
        }
        for place in 0..of[number].len() {
            let other = of[number][place];
            if find_kill(&other, kills, of, tried) {
                of[number][place] = *repeat;
                return true;
            }
        }
    }
    false
}
