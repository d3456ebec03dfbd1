//! What could not be sent as it was asked for, for the log and the metric. It has nothing of the request in
//! it.

use std::fmt;

/// Something that the app declared or that a rule asks for could not be sent as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Complaint<'a> {
    /// Who asked for it.
    pub(super) subject: Subject<'a>,
    /// What became of it.
    pub fault: DeclarationFault,
    /// The reason, as the end of a sentence.
    pub(super) why: &'static str,
}

/// Who asked for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject<'a> {
    /// The app, by `Gatecount-Event`.
    Event,
    /// The app, by `Gatecount-Page`.
    Page,
    /// The app, by a field that is neither.
    OtherField,
    /// The rule with this name.
    Rule(&'a str),
}

/// What became of it: the closed list of `gatecount_custom_event_faults_total{fault}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeclarationFault {
    /// Nothing was sent.
    Malformed,
    /// It was sent with less than was asked for.
    Cut,
}

impl<'a> Complaint<'a> {
    pub(super) fn malformed(subject: Subject<'a>, why: &'static str) -> Self {
        Complaint {
            subject,
            fault: DeclarationFault::Malformed,
            why,
        }
    }

    pub(super) fn cut(subject: Subject<'a>, why: &'static str) -> Self {
        Complaint {
            subject,
            fault: DeclarationFault::Cut,
            why,
        }
    }
}

impl DeclarationFault {
    /// All of them, in the order of their declaration.
    pub const ALL: [DeclarationFault; 2] = [DeclarationFault::Malformed, DeclarationFault::Cut];

    /// The metric's label.
    pub fn label(self) -> &'static str {
        match self {
            DeclarationFault::Malformed => "malformed",
            DeclarationFault::Cut => "cut",
        }
    }
}

impl fmt::Display for Complaint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.subject {
            Subject::Event => f.write_str("the app's Gatecount-Event")?,
            Subject::Page => f.write_str("the app's Gatecount-Page")?,
            Subject::OtherField => f.write_str("a Gatecount- field of the app's")?,
            Subject::Rule(name) => write!(f, "the event {name:?} of [[events]]")?,
        }
        let outcome = match self.fault {
            DeclarationFault::Malformed => "is not used",
            DeclarationFault::Cut => "is sent with less",
        };
        write!(f, " {outcome}: {}", self.why)
    }
}
