//! Rules that change while requests are served.

use super::{Stage, VISITOR, Way, event, stage};
use crate::support::{
    client::{FETCH, Request},
    eventually,
    process::Builder,
};

#[test]
fn rules_come_and_go_with_a_reload() {
    let stage = stage(&[], |b| b);
    let asked = || Request::get("/a").as_(FETCH).from(VISITOR);
    assert_eq!(stage.visit(Way::Http1, &[asked()]).events.len(), 0);

    let rule = |name: &str| event(&format!("name = \"{name}\"\npath = \"/a\""));
    let builder = stage.sidecar.builder();
    stage.reload(&builder.clone().set("events", vec![rule("First")]), 1);
    let mut client = stage.sidecar.client();
    client.ask(&asked());
    stage.sidecar.settled(2);

    // A broken file leaves the rules that there are.
    builder.clone().set("events", vec![rule("pageview")]).write();
    stage.sidecar.signal("HUP");
    let line = stage.sidecar.await_log("was not reloaded");
    assert!(line.contains("events.name"), "{line}");
    client.ask(&asked());
    stage.sidecar.settled(3);

    stage.reload(&builder, 2);
    client.ask(&asked());
    stage.sidecar.settled(4);
    let events = stage.plausible.recorded();
    let names: Vec<&str> = events.iter().map(|e| e.text("name")).collect();
    assert_eq!(names, ["First", "First"]);
}

impl Stage {
    /// Lets this configuration hold, whose events are others for the nth time.
    #[track_caller]
    fn reload(&self, builder: &Builder, nth: usize) {
        builder.write();
        self.sidecar.signal("HUP");
        eventually("a reload", || {
            let log = self.sidecar.log();
            let lines = log.iter().filter(|l| l.contains("\"changed\":\"events\""));
            (lines.count() == nth)
                .then_some(())
                .ok_or_else(|| "none yet".into())
        });
        // Every worker answers this, and takes its orders one after the other.
        self.sidecar.admin("/decisions");
    }
}
