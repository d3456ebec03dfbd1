//! Servers, sidecars and gateways killed at any moment under load (RELIABILITY.md P20).

use std::{
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use super::{
    fleet::{CONCURRENCY, Fleet, Size},
    ledger::Repeat,
    load::{Asked, Load, roams},
};
use crate::support::{
    full,
    nats::{Nats, Sync},
};

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
    /// flight, of what gateways had delivered, as many as [`Kill::may_have_repeated`] says.
    fn in_flight(self) -> usize {
        match self {
            Victim::Server(_) => usize::MAX,
            Victim::Sidecar(_) | Victim::Gateway(_) => CONCURRENCY,
        }
    }
}

impl Kill {
    /// Whether an event that came again was in flight at this kill.
    fn may_have_repeated(&self, repeat: &Repeat) -> bool {
        let (before, after) = match self.victim {
            // Gateways go on for as long as their leases last, and nobody hears their acknowledgements.
            Victim::Server(_) => (Duration::from_secs(1), Duration::from_secs(6)),
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
    let lost: Vec<&Asked> = asked
        .iter()
        .filter(|asked| asked.is_safe_at(of_sidecar(&done, asked.sidecar)))
        .filter(|asked| !times.contains_key(&asked.number))
        .collect();
    assert!(
        lost.is_empty(),
        "{} of {} are lost: {lost:?}, seed {seed}: {done:?}",
        lost.len(),
        asked.len()
    );
    let repeats = fleet.ledger.repeats();
    let by = repeated_by(&repeats, &done);
    let (wrong, all) = fleet.ledger.disorder(|number| !roams(number));
    let (roaming, roamed) = fleet.ledger.disorder(roams);
    eprintln!(
        "measured: {kills} kills at {:.0} events/s over {loaded:.0?}, settled {settled:.0?} later: {} events, none lost; \
         {} repeated, by one kill {} at the most; {wrong} of {all} out of order, of visitors who change sidecars \
         {roaming} of {roamed}; longest pause {:.1?}",
        asked.len() as f64 / loaded.as_secs_f64(),
        times.len(),
        repeats.len(),
        by.iter().max().unwrap_or(&0),
        fleet
            .ledger
            .longest_pause(begun + Duration::from_secs(2), begun + loaded),
    );
    for (kill, repeated) in done.iter().zip(&by) {
        let most = kill.victim.in_flight();
        assert!(
            *repeated <= most,
            "{repeated} repeated by {kill:?}, {most} in flight at most, seed {seed}: {done:?}"
        );
    }
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

/// How many events came again by each kill. What may be of several counts for one that had so many in flight, as
/// far as there is a way to share them out like that. None is without a kill.
fn repeated_by(repeats: &[Repeat], kills: &[Kill]) -> Vec<usize> {
    let mut of = vec![Vec::new(); kills.len()];
    for repeat in repeats {
        if !find_kill(repeat, kills, &mut of, &mut vec![false; kills.len()]) {
            let culprit = kills.iter().position(|kill| kill.may_have_repeated(repeat));
            let culprit =
                culprit.unwrap_or_else(|| panic!("repeated without a kill: {repeat:?} of {kills:?}"));
            of[culprit].push(*repeat);
        }
    }
    of.iter().map(Vec::len).collect()
}

/// Finds a kill that has room for a repeat, if need be by moving others. `of`: the repeats of each kill.
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
