//! Holds page views until the tracker script has reported them, or their time is over.

use std::{collections::VecDeque, sync::atomic::Ordering, time::Instant};

use super::state::Engine;
use crate::{
    delivery::{
        account::EventEnd,
        held::{DecidedRequest, HeldRequest, HeldView, Hold, LoadKey, Loads, Mouth, ShownRequest, Viewed},
        lanes::Ticket,
    },
    event::{Event, Sighting},
    page::{self, Verdict},
    queue::Position,
};

/// So many of the last records of a queue are looked at for holds when it is recovered: all that can be held,
/// and as many reports.
pub(super) const RECOVERED: usize = 100_000;
/// Of these, those that are no older than so many milliseconds before the newest: twice the longest wait.
const RECOVERED_TIME: u64 = 600_000;

/// What came with a record.
pub(super) struct Noted {
    hold: Hold,
    shown: Option<Box<ShownRequest>>,
}

impl Noted {
    /// What came with the script's report.
    pub(super) fn report(hold: Hold) -> Self {
        Noted { hold, shown: None }
    }

    /// What came with a view of this sighting, with the view's key and time.
    pub(super) fn view(hold: Hold, sighting: &[u8], loads: &Loads) -> (Self, Option<LoadKey>, u64) {
        let sighting = Sighting::decode(sighting);
        let shown = hold
            .request
            .filter(|_| loads.has_room_to_show())
            .and_then(|request| Some(Box::new(shown(request, sighting.as_ref()?))));
        let key = sighting
            .as_ref()
            .map(|seen| (Event::visitor_of(seen.client, seen.user_agent), hold.page));
        let at = sighting.map_or(0, |seen| seen.at_ms);
        (Noted { hold, shown }, key, at)
    }

    fn into_view(self, ticket: Ticket) -> HeldView {
        HeldView {
            ticket,
            request: self.hold.request,
            shown: self.shown,
        }
    }
}

fn shown(request: HeldRequest, seen: &Sighting<'_>) -> ShownRequest {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let path = seen.target.split(|b| *b == b'?').next().unwrap_or_default();
    ShownRequest {
        method: if request.post { "POST" } else { "GET" },
        host: text(seen.host),
        path: text(path),
        status: request.status,
        client: seen.client,
        from: request.from,
    }
}

/// A record of the queue that has a hold.
pub(super) struct RecoveredHold {
    pub(super) ticket: Ticket,
    pub(super) position: Position,
    pub(super) visitor: u64,
    pub(super) at: u64,
}

impl Engine<'_> {
    /// A record with a hold has its place in its lane, or was refused.
    pub(super) fn note(&mut self, noted: Noted, ticket: Option<Ticket>, visitor: u64, at: u64, now: u64) {
        let key = (visitor, noted.hold.page);
        let hold = noted.hold;
        if hold.mouth == Mouth::Script {
            if let Some(view) = self.loads.report(key, at, &hold) {
                self.withdraw(view, page::tracked());
            }
            return;
        }
        let Some(ticket) = ticket else {
            return self.note_lost(vec![noted]);
        };
        match self.loads.view(key, at, now, &hold, noted.into_view(ticket)) {
            Viewed::Held => {}
            Viewed::Tracked(view) => self.withdraw(view, page::tracked()),
            Viewed::NoRoom(view) => self.withdraw(view, page::not_held()),
            Viewed::Due(view) => self.decide_untracked(view.request, view.shown),
        }
    }

    /// Decides about the views that no script reported in time. They go by their lanes from now on.
    pub(super) fn decide_due(&mut self, now: u64) {
        while let Some(view) = self.loads.take_due(now) {
            self.decide_untracked(view.request, view.shown);
        }
    }

    /// Views that another report stands for, before they have got a record.
    pub(super) fn note_tracked(&mut self, views: Vec<Noted>) {
        if !views.is_empty() {
            self.count_ended(EventEnd::Tracked, views.len() as u64);
        }
        for view in views {
            if view.hold.request.is_some() {
                self.decide(page::tracked(), view.shown);
            }
        }
    }

    /// Views whose events are lost. Their pages were to be counted nevertheless.
    pub(super) fn note_lost(&mut self, views: Vec<Noted>) {
        for view in views {
            self.decide_untracked(view.hold.request, view.shown);
        }
    }

    /// Finds out what the holds of recovered records come to.
    pub(super) fn hold_recovered(&mut self, records: VecDeque<RecoveredHold>, now: u64) {
        let newest = records.iter().map(|record| record.at).max().unwrap_or(0);
        let mut bytes = Vec::new();
        for record in records {
            if record.at + RECOVERED_TIME < newest || self.queue.read(record.position, &mut bytes).is_err() {
                continue;
            }
            let Some(mut hold) = Event::hold_of(&bytes).and_then(Hold::decode) else {
                continue;
            };
            if record.at + (hold.wait.as_millis() as u64) < now {
                // It was decided about the request, most likely.
                hold.request = None;
            }
            // As if it were then: a report can be that of a view which is due by now.
            self.decide_due(record.at);
            self.note(
                Noted::report(hold),
                Some(record.ticket),
                record.visitor,
                record.at,
                record.at,
            );
        }
        self.decide_due(now);
    }

    /// Shows how many views are held.
    pub(super) fn publish_held(&self) {
        let held = self.loads.held() as u64;
        self.shared.holdings.held.store(held, Ordering::Relaxed);
    }

    /// Ends a view whose place is in its lane.
    fn withdraw(&mut self, view: HeldView, verdict: Verdict) {
        let event = self.lanes.event(view.ticket);
        // It may have ended meanwhile, evicted for example.
        if let Some(event) = event
            && self.lanes.withdraw(view.ticket)
        {
            self.tries.remove(&view.ticket);
            self.queue.finish(event.position);
            self.count_ended(EventEnd::Tracked, 1);
        }
        if view.request.is_some() {
            self.decide(verdict, view.shown);
        }
    }

    fn decide_untracked(&self, request: Option<HeldRequest>, shown: Option<Box<ShownRequest>>) {
        if let Some(request) = request {
            self.decide(page::untracked(request.decision), shown);
        }
    }

    fn decide(&self, verdict: Verdict, shown: Option<Box<ShownRequest>>) {
        let at = self.shared.clock.moment(Instant::now());
        self.decisions.decided(DecidedRequest { at, verdict, shown });
    }
}
