//! What goes wrong in a day, and when.

use super::{
    Failure, Settings,
    chance::{Chance, whole},
};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// All failures, in milliseconds since the day began, in no order.
pub(super) fn failures(settings: &Settings) -> Vec<(u64, Failure)> {
    let mut chance = Chance::new(settings.seed ^ 0xBAD);
    let end = settings.hours as u64 * 60 * MINUTE;
    let mut failures = Vec::new();
    if settings.trouble == 0.0 {
        return failures;
    }
    let times = |share: f64, chance: &mut Chance| -> Vec<u64> {
        let count = whole((share * settings.trouble).ceil());
        (0..count).map(|_| chance.between(MINUTE, end - MINUTE)).collect()
    };
    for at in times(36.0, &mut chance) {
        failures.push((at, Failure::KillGateway(chance.between(2, 20) * SECOND)));
    }
    for at in times(24.0, &mut chance) {
        // From a hiccup to longer than a message may be out.
        let lasts = whole(chance.log_normal(8_000.0, 1.2).clamp(300.0, 120_000.0));
        failures.push((at, Failure::PauseGateway(lasts)));
    }
    for at in times(24.0, &mut chance) {
        failures.push((at, Failure::CutGateway(chance.between(1, 60) * SECOND)));
    }
    for at in times(12.0, &mut chance) {
        failures.push((at, Failure::KillServer));
    }
    for at in times(60.0, &mut chance) {
        failures.push((at, Failure::RestartSidecar(chance.between(2, 15) * SECOND)));
    }
    for at in times(20.0, &mut chance) {
        let lasts = whole(chance.log_normal(30_000.0, 1.5).clamp(500.0, 1_800_000.0));
        failures.push((at, Failure::CutSidecar(lasts)));
    }
    // All gateways replaced one after the other, twice; some added and removed.
    for start in [end / 5, end * 3 / 5] {
        for turn in 0..settings.gateways as u64 {
            failures.push((start + turn * 20 * SECOND, Failure::ReplaceGateway));
        }
    }
    let some = settings.gateways.div_ceil(2);
    for turn in 0..some {
        failures.push((end * 2 / 5, Failure::AddGateway));
        failures.push((end * 4 / 5 + turn as u64 * SECOND, Failure::RemoveGateway));
    }
    failures.push((end / 3, Failure::AllServersDown(3 * MINUTE)));
    failures.push((end / 2, Failure::PlausibleDown(end / 144)));
    failures.push((end * 7 / 10, Failure::PlausibleSlow(end / 48)));
    failures
}
