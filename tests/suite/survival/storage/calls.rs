//! Calls upon the queue's files that fail.

use std::thread;

use super::{DURABLE, as_calm_as, calm};
use crate::{
    support::{
        faults::{CALLS, ERRORS, Faults},
        load::Steady,
        receiver::Reply,
        skip, within,
    },
    survival::{ACCEPTED, await_alarm, recorded, stage, visit},
};

/// Q7: each call upon the queue's files fails for a while, with each error, under load.
#[test]
fn any_call_may_fail_and_the_app_does_not_notice() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    let stage = stage();
    let builder = stage.builder.set("queue.max_bytes", "1MiB");
    let sidecar = faults.before(builder).start();
    let before = calm(&sidecar);
    let steady = Steady::through(sidecar.address);
    let mut next = 0;
    for (call, error) in CALLS
        .iter()
        .chain(&["any"])
        .flat_map(|call| ERRORS.map(|error| (*call, error)))
    {
        faults.fail(call, error);
        // Some pile up, some are sent at once.
        for reply in [
            Reply::Status(503),
            Reply::Status(503),
            Reply::Accept,
            Reply::Accept,
        ] {
            stage.plausible.always(reply);
            visit(&sidecar, next..next + 25);
            next += 25;
            sidecar.metrics().assert_account();
        }
        // These are made all the time, so what was asked of them has failed by now, or is about to.
        if ["write", "sync", "any"].contains(&call) {
            await_alarm(&sidecar, true);
        }
        faults.mend();
        within(
            DURABLE,
            &format!("durable again after {call} failed with {error}"),
            || {
                let alarm = sidecar.status()["queue"]["alarm"].clone();
                if alarm.is_null() {
                    Ok(())
                } else {
                    Err(alarm.to_string())
                }
            },
        );
    }
    let metrics = sidecar.drained();
    let calm = steady.finish();
    println!(
        "{} calls failed twice each: before {before:?}, meanwhile {calm:?}",
        CALLS.len()
    );
    as_calm_as(before, calm);
    let came = recorded(&stage.plausible);
    let lost = metrics.finished("evicted") + metrics.finished("overflow") + metrics.finished("corrupt");
    assert_eq!(came.len() + lost as usize, next, "{metrics:?}");
    assert_eq!(lost, 0, "memory had room for all: {metrics:?}");
    assert!(came.values().all(|n| *n == 1), "no process ended: {came:?}");
    let log = sidecar.log();
    for doing in ["creating", "writing", "syncing"] {
        let told = |line: &String| line.contains(doing) && line.contains("failed");
        assert!(
            log.iter().any(told),
            "nothing failed while {doing}:\n{}",
            log.join("\n")
        );
    }
}

/// Q6, Q7: the same at a start, with a queue that another process left.
#[test]
fn any_call_may_fail_at_a_start() {
    let Some(faults) = Faults::new() else {
        return skip("there is no C compiler");
    };
    for call in CALLS {
        let stage = stage();
        stage.plausible.die();
        let mut sidecar = faults.before(stage.builder).start();
        visit(&sidecar, 0..20);
        thread::sleep(ACCEPTED);
        sidecar.kill();
        faults.fail(call, ERRORS[0]);
        let mut sidecar = sidecar.again();
        let steady = Steady::through(sidecar.address);
        visit(&sidecar, 20..40);
        stage.plausible.come_back();
        stage.plausible.await_recorded(20);
        sidecar.drained();
        faults.mend();
        within(DURABLE, &format!("durable after {call} failed"), || {
            let alarm = sidecar.status()["queue"]["alarm"].clone();
            if alarm.is_null() {
                Ok(())
            } else {
                Err(alarm.to_string())
            }
        });
        steady.finish();
        // Its ends are written.
        thread::sleep(ACCEPTED);
        sidecar.kill();
        // What could not be read then is there for this one.
        let sidecar = sidecar.again();
        stage.plausible.await_recorded(40);
        sidecar.drained();
        let came = recorded(&stage.plausible);
        assert_eq!(came.len(), 40, "{call}: {came:?}");
    }
}
