//! What the queue survives (RELIABILITY.md, "Queue and delivery"). Small figures by default, the table's own with
//! `GATECOUNT_FULL=1`.

mod backlog;
mod disk;
mod stops;

use std::collections::BTreeMap;

use crate::support::{
    client::{NAVIGATION, Request},
    origin::Origin,
    process::{Builder, Sidecar},
    receiver::Receiver,
    site,
};

struct Stage {
    app: Origin,
    plausible: Receiver,
    builder: Builder,
}

fn stage() -> Stage {
    let (app, plausible) = (site::start(), Receiver::start());
    let builder = Builder::before(&app)
        .telling(&plausible)
        .set("plausible.concurrency", 8);
    Stage {
        app,
        plausible,
        builder,
    }
}

fn page(n: usize) -> Request {
    let visitor = format!("203.{}.{}.{}", n / 62500 % 250, n / 250 % 250, n % 250 + 1);
    Request::get(&format!("/page/{n}")).as_(NAVIGATION).from(&visitor)
}

fn visit(sidecar: &Sidecar, numbers: std::ops::Range<usize>) {
    let mut client = sidecar.client();
    for n in numbers {
        assert_eq!(client.ask(&page(n)).status(), 200);
    }
}

/// How often each page was recorded.
fn recorded(plausible: &Receiver) -> BTreeMap<usize, usize> {
    let mut times = BTreeMap::new();
    for event in plausible.recorded() {
        let number = event.text("url").rsplit('/').next().unwrap().parse().unwrap();
        *times.entry(number).or_default() += 1;
    }
    times
}
