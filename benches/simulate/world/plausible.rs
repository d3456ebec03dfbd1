//! Plausible: how long it takes, and what it sees.

use super::{Doubt, Happening, World, chance::whole};

/// The median time of an answer, and the spread of its logarithm: a 99th percentile of half a second.
const ANSWER: (f64, f64) = (80.0, 0.8);
/// The share of attempts whose answer does not come, after `[plausible] timeout`. Half of these have counted.
const NO_ANSWER: f64 = 0.000_2;
/// The share of attempts that are answered with a server error.
const ERROR: f64 = 0.000_5;
/// `[plausible] timeout`.
pub(super) const TIMEOUT: u64 = 10_000;

/// An attempt at an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) gateway: usize,
    pub(super) life: u32,
    pub(super) ticket: gatecount::delivery::Ticket,
    pub(super) event: u32,
    pub(super) fate: Fate,
    /// The draw that holds; another one, once its gateway was paused before its bytes were on the wire.
    pub(super) draw: u64,
}

/// What comes of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Counted,
    Refused,
    /// No answer comes; whether it counted.
    Unanswered(bool),
}

impl World<'_> {
    /// An attempt's bytes are on the wire.
    pub(super) fn arrives(&mut self, number: usize) {
        let event = self.attempts[number].event;
        let visitor = self.day[event as usize].visitor;
        let (count, other) = *self
            .in_flight
            .entry(visitor)
            .and_modify(|(count, _)| *count += 1)
            .or_insert((1, event));
        if count > 1 {
            let doubtful = |event: u32| self.traces[event as usize].may_overlap();
            if doubtful(event) || doubtful(other) {
                self.report.overlaps_in_doubt += 1;
            } else {
                self.report.overlaps += 1;
            }
        }
        self.draw(number);
    }

    /// Draws how long it takes and what comes of it.
    fn draw(&mut self, number: usize) {
        let mut takes = whole(self.chance.log_normal(ANSWER.0, ANSWER.1)) + 5;
        let fate = if self.now < self.plausible_down_until {
            takes = 30;
            Fate::Refused
        } else if self.chance.happens(NO_ANSWER) {
            takes = TIMEOUT;
            Fate::Unanswered(self.chance.happens(0.5))
        } else if self.chance.happens(ERROR) {
            Fate::Refused
        } else {
            Fate::Counted
        };
        if self.now < self.plausible_slow_until {
            takes *= 5;
        }
        self.draws += 1;
        let attempt = &mut self.attempts[number];
        attempt.draw = self.draws;
        attempt.fate = if takes > TIMEOUT {
            Fate::Unanswered(true)
        } else {
            fate
        };
        let answered = Happening::Answered(number, self.draws);
        self.at(self.now + takes.min(TIMEOUT), answered);
    }

    /// Plausible is done with an attempt, and the gateway hears of it.
    pub(super) fn answered(&mut self, number: usize, draw: u64) {
        let attempt = self.attempts[number];
        if attempt.draw != draw {
            return;
        }
        self.leaves(attempt.event);
        match attempt.fate {
            Fate::Counted => self.counts(attempt.event),
            Fate::Unanswered(true) => {
                self.counts(attempt.event);
                self.traces[attempt.event as usize].doubt(Doubt::Unanswered);
            }
            Fate::Refused | Fate::Unanswered(false) => {}
        }
        self.at(self.now, Happening::AttemptEnds(number));
    }

    /// An attempt is not on the wire any more.
    pub(super) fn leaves(&mut self, event: u32) {
        let visitor = self.day[event as usize].visitor;
        if let Some((count, _)) = self.in_flight.get_mut(&visitor) {
            *count -= 1;
            if *count == 0 {
                self.in_flight.remove(&visitor);
            }
        }
    }

    fn counts(&mut self, event: u32) {
        let page = self.day[event as usize];
        let trace = &mut self.traces[event as usize];
        trace.counted = trace.counted.saturating_add(1);
        if trace.counted > 1 {
            let by = trace.cause();
            *self.report.twice.entry(by).or_default() += 1;
            return;
        }
        self.report.counted += 1;
        self.report.delays.push((self.now - u64::from(page.at)) as u32);
        let newest = &mut self.newest[page.visitor as usize];
        let Some(newer) = newest.replace(event).filter(|newer| *newer > event) else {
            return;
        };
        *newest = Some(newer);
        let (this, that) = (&self.traces[event as usize], &self.traces[newer as usize]);
        // At the same millisecond, the servers' order counts.
        let turned = (self.claimed(event), this.stored) > (self.claimed(newer), that.stored);
        let why = if turned {
            "clocks"
        } else if this.came > 0 && this.came < that.taken {
            self.report.faults.push((event, newer));
            "fault"
        } else if this.stored < that.stored + self.settings.reorder as u32 {
            "servers"
        } else {
            "published late"
        };
        let after = self.day[newer as usize].at - page.at;
        let entry = self.report.turned.entry(why).or_default();
        entry.0 += 1;
        entry.1 = entry.1.max(after);
    }
}
