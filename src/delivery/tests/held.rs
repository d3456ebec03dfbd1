//! Page views that wait for the tracker script.

use super::{
    account::EventEnd,
    server::{Reply, Server},
    *,
};
use crate::{
    client::ClientFrom,
    event::{Event, PageKey},
    page::Decision,
};

const WAIT: Duration = Duration::from_millis(400);
const AGENT: &[u8] = b"Mozilla/5.0 (tester)";

fn hold(mouth: Mouth, path: &str) -> Hold {
    Hold {
        page: PageKey::of("example.com", path),
        mouth,
        wait: WAIT,
        request: (mouth == Mouth::Server).then_some(HeldRequest {
            decision: Decision::Counted,
            post: false,
            status: 200,
            from: ClientFrom::Peer,
        }),
    }
}

impl Rig {
    fn view(&mut self, visitor: u8, path: &str) {
        self.hold(visitor, &hold(Mouth::Server, path), path);
    }

    fn hold(&mut self, visitor: u8, hold: &Hold, path: &str) {
        let seen = sighting(&self.delivery.clock(), visitor, path);
        let mut draft = Draft::default();
        draft.write(&seen);
        let worker = usize::from(visitor) % self.outboxes.len();
        assert!(self.outboxes[worker].offer_held(Source::Page, &mut draft, hold, seen.at_ns, seen.at_ms));
    }

    /// The script's page view.
    fn report(&self, visitor: u8, path: &str) {
        let body = format!("{{\"n\":\"pageview\",\"u\":\"https://example.com{path}\"}}");
        let event = Event::with_body(address(visitor), AGENT, body.into_bytes());
        let report = hold(Mouth::Script, path);
        let receipt = self
            .delivery
            .desk()
            .submit(Source::Tracker, &event, Some(&report));
        assert!(receipt.is_ok());
    }

    fn held(&self) -> u64 {
        self.delivery
            .engine
            .shared
            .holdings
            .held
            .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// The decisions so far, and the paths that are shown with them.
    fn decisions(&self) -> Vec<(Decision, String)> {
        let decided = self.decided.0.lock().unwrap();
        let path = |request: &DecidedRequest| {
            let shown = request.shown.as_ref();
            shown.map(|shown| shown.path.clone()).unwrap_or_default()
        };
        decided
            .iter()
            .map(|request| (request.verdict.decision, path(request)))
            .collect()
    }
}

fn seen(server: &Server) -> Vec<String> {
    let body = |body: &str| {
        let path = body.split("example.com").nth(1).unwrap_or_default();
        let path = path.split('"').next().unwrap_or_default();
        let by = if body.contains("\"n\":") {
            "script"
        } else {
            "server"
        };
        format!("{by} {path}")
    };
    server.seen().iter().map(|seen| body(&seen.body)).collect()
}

#[test]
fn a_view_waits_with_its_lane_and_goes_on_at_once_when_it_is_released() {
    let server = Server::start(|_, _| Reply::accepted());
    let mut rig = Rig::new(settings(server.address));
    rig.view(1, "/a?b");
    rig.offer(1, "/after");
    rig.offer(2, "/other");
    rig.wait_for("the other visitor's", |rig| {
        rig.finished(EventEnd::Delivered) == 1
    });
    assert_eq!((rig.held(), rig.balance().pending), (1, 2));
    assert_eq!(rig.decisions(), []);
    let released = Instant::now();
    rig.report(1, "/a");
    rig.settle();
    assert!(released.elapsed() < WAIT * 3 / 4, "{:?}", released.elapsed());
    assert_eq!(seen(&server), ["server /other", "server /after", "script /a"]);
    assert_eq!(rig.finished(EventEnd::Tracked), 1);
    assert_eq!(rig.decisions(), [(Decision::Tracked, "/a".to_owned())]);
    rig.wait_for("nothing to be held", |rig| rig.held() == 0);
}

#[test]
fn a_view_in_the_middle_of_its_lane_is_taken_out_of_it() {
    let server = Server::start(|_, _| Reply::accepted());
    let mut rig = Rig::new(settings(server.address));
    for path in ["/a", "/b", "/c"] {
        rig.view(1, path);
    }
    rig.wait_for("all to be held", |rig| rig.held() == 3);
    rig.report(1, "/b");
    rig.report(1, "/c");
    rig.settle();
    assert_eq!(seen(&server), ["server /a", "script /b", "script /c"]);
    let mut decisions = rig.decisions();
    decisions.sort_by(|a, b| a.1.cmp(&b.1));
    let decided = |decision, path: &str| (decision, path.to_owned());
    assert_eq!(
        decisions,
        [
            decided(Decision::Counted, "/a"),
            decided(Decision::Tracked, "/b"),
            decided(Decision::Tracked, "/c")
        ]
    );
}

#[test]
fn while_nothing_can_be_sent_views_are_decided_all_the_same() {
    let mut rig = Rig::new(settings(SocketAddr::from(([127, 0, 0, 1], 9))));
    rig.view(1, "/a");
    rig.view(2, "/b");
    rig.wait_for("both to be held", |rig| rig.held() == 2);
    rig.report(2, "/b");
    rig.wait_for("the decisions", |rig| {
        rig.decisions().len() == 2 && rig.held() == 0
    });
    assert_eq!(rig.finished(EventEnd::Tracked), 1);
    assert_eq!(rig.balance().pending, 2);
}

#[test]
fn what_is_held_is_held_again_after_a_panic_and_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = || queue::Settings {
        at: queue::At::Disk(directory.path().to_owned()),
        ..in_memory()
    };
    let server = Server::start(|_, _| Reply::accepted());
    let mut rig = Rig::with_queue(settings(server.address), on_disk());
    let long = |mouth, path: &str| Hold {
        wait: Duration::from_mins(1),
        ..hold(mouth, path)
    };
    for path in ["/a", "/b", "/c"] {
        rig.hold(1, &long(Mouth::Server, path), path);
    }
    rig.wait_for("all to be held", |rig| rig.held() == 3);
    rig.delivery.engine.commands.send(Command::Panic).unwrap();
    rig.wait_for("the panic", |rig| {
        rig.delivery.status().delivery.state == DeliveryState::Restarting
    });
    rig.wait_for("all to be held again", |rig| {
        rig.delivery.status().delivery.state == DeliveryState::Passing && rig.held() == 3
    });
    rig.report(1, "/b");
    rig.wait_for("the release", |rig| rig.finished(EventEnd::Tracked) == 1);
    assert_eq!(rig.stop(), Stopped { pending: 3 });

    let rig = Rig::with_queue(settings(server.address), on_disk());
    rig.wait_for("the others to be held", |rig| rig.held() == 2);
    rig.report(1, "/a");
    rig.report(1, "/c");
    rig.settle();
    assert_eq!(seen(&server), ["script /b", "script /a", "script /c"]);
    assert_eq!(rig.finished(EventEnd::Tracked), 2);
    assert_eq!(rig.decisions().len(), 2);
}

#[test]
fn a_view_whose_script_was_heard_right_before_a_kill_is_not_sent_by_the_next_process() {
    let directory = tempfile::tempdir().unwrap();
    let on_disk = || queue::Settings {
        at: queue::At::Disk(directory.path().to_owned()),
        ..in_memory()
    };
    let server = Server::start(|_, _| Reply::accepted());
    // As a kill leaves them that comes before the end of the view is written.
    {
        let clock = Clock::start();
        let mut queue = queue::Queue::open(&on_disk(), clock.millis());
        queue.recover(clock.millis(), &mut |_| {});
        let mut batch = queue::Batch::default();
        for path in ["/a", "/b"] {
            let mut bytes = Vec::new();
            sighting(&clock, 1, path).encode(&mut bytes);
            let hold = hold(Mouth::Server, path);
            encode::add(
                &mut batch,
                &EventRules::default(),
                Source::Page,
                &bytes,
                Some(&hold),
            )
            .unwrap();
        }
        let event = Event::with_body(
            address(1),
            AGENT,
            &b"{\"n\":\"pageview\",\"u\":\"https://example.com/b\"}"[..],
        );
        let (desk, mut submissions) = Desk::new(&Arc::default(), clock);
        let report = hold(Mouth::Script, "/b");
        desk.submit(Source::Tracker, &event, Some(&report)).unwrap();
        encode::add_submitted(&mut batch, &submissions.try_recv().unwrap());
        queue.append(&mut batch, clock.millis(), &mut |_| {});
        queue.close();
    }
    // Long after the views were due.
    thread::sleep(WAIT * 2);
    let rig = Rig::with_queue(settings(server.address), on_disk());
    rig.wait_for("the recovery", |rig| {
        rig.balance().offered.iter().sum::<u64>() == 3
    });
    rig.settle();
    assert_eq!(seen(&server), ["server /a", "script /b"]);
    assert_eq!(rig.finished(EventEnd::Tracked), 1);
    assert_eq!(rig.decisions(), [], "the process that is gone took them");
}

#[test]
fn a_line_about_a_page_that_the_script_reported_has_no_record() {
    let server = Server::start(|_, _| Reply::accepted());
    let rig = Rig::new(settings(server.address));
    rig.report(1, "/a");
    rig.settle();
    let clock = rig.delivery.clock();
    let mut portion = Portion::default();
    for path in ["/a", "/b"] {
        let hold = hold(Mouth::Server, path);
        portion.push(&sighting(&clock, 1, path), Some(hold), path.as_bytes());
    }
    portion.set_place(b"after");
    rig.delivery.feed().store(portion).unwrap();
    assert_eq!(rig.finished(EventEnd::Tracked), 1);
    rig.settle();
    assert_eq!(seen(&server), ["script /a", "server /b"]);
}
