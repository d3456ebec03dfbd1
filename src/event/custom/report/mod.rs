//! What a request with its response gives to report: its page view, the events of the rules, and those of the
//! app.

use crate::event::{Sighting, Sites};
use crate::page::{self, EventKind, PageRules, Verdict};

use super::complaint::{Complaint, Subject};
use super::declared::{AppWords, DeclaredEvent, PageWord};
use super::extras::Extras;
use super::occasion::Occasion;
use super::page_url::PageUrl;
use super::rule::CustomRule;

/// The rules by which it is decided.
#[derive(Clone, Copy, Debug)]
pub struct Reporting<'a> {
    /// `[pages]`
    pub pages: &'a PageRules,
    /// `[[sites]]`
    pub sites: &'a Sites,
    /// `[[events]]`
    pub rules: &'a [CustomRule],
}

/// What is to be sent of one request, and the decision about it.
#[derive(Debug)]
pub struct Reports<'a> {
    /// The decision, after the app's own words.
    pub verdict: Verdict,
    /// The page view or its like, then the events, in the order in which they are sent.
    pub reports: Vec<Report>,
    /// What could not be sent as it was asked for.
    pub complaints: Vec<Complaint<'a>>,
}

/// One event to be sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Report {
    /// Who asked for it.
    pub by: ReportedBy,
    subject: Reported,
    /// None: the request's own.
    url: Option<PageUrl>,
    members: Vec<u8>,
}

/// Who asked for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedBy {
    /// The rules about pages.
    Pages,
    /// A rule of `[[events]]`.
    Rule,
    /// The app.
    App,
}

#[derive(Debug, PartialEq, Eq)]
enum Reported {
    Page(EventKind<'static>),
    Custom(String),
}

/// Decides what a request gives to report, about which the rules for pages came to `verdict`.
pub fn report<'a>(by: &Reporting<'a>, occasion: &Occasion<'_>, verdict: Verdict) -> Reports<'a> {
    let request = &occasion.request;
    let AppWords {
        page,
        events,
        complaints,
    } = AppWords::read(occasion.response.words);
    let has_site = occasion.domain.is_some();
    // The verdict was reached by all fields of the request, of which some may have ended at gatecount.
    let counts = request.method != "HEAD"
        && !verdict.decision.is_about_the_visitor()
        && page::judge_visitor(by.pages, request, has_site, occasion.client).is_none();
    let is_off = page == Some(PageWord::Off);
    let mut found = Reports {
        verdict,
        reports: Vec::new(),
        complaints,
    };
    let url = found.page(by, occasion, page, counts);
    if counts && !is_off {
        let status = occasion.response.status;
        for rule in by
            .rules
            .iter()
            .filter(|r| r.takes(request.method, request.path(), status))
        {
            found.rule(occasion, rule, url.clone());
        }
    }
    if counts {
        for event in events {
            found.declared(by, occasion, event, url.clone());
        }
    }
    found
}

impl<'a> Reports<'a> {
    /// Lets the app's word decide about the page, and adds its report. Returns the url that the app gave it.
    fn page(
        &mut self,
        by: &Reporting<'_>,
        occasion: &Occasion<'_>,
        word: Option<PageWord>,
        counts: bool,
    ) -> Option<PageUrl> {
        let before = self.verdict.event;
        // The domain of the bots gets their pages as the app names them, and nothing else of its words.
        let is_bots = matches!(before, Some(EventKind::Bot { .. }));
        let (mut url, mut members) = (None, Vec::new());
        match word {
            Some(PageWord::Off) if before.is_some() => self.verdict = page::suppressed(),
            Some(PageWord::Amended { url: text, extras }) if counts || is_bots => {
                if let Ok(given) = self.url(by, occasion, text.as_deref(), Subject::Page) {
                    self.verdict = page::amended(&self.verdict);
                    url = given;
                    if !is_bots {
                        members = self.members(Subject::Page, &extras);
                    }
                }
            }
            _ => {}
        }
        if let Some(kind) = self.verdict.event {
            let by_pages = before == Some(kind);
            self.reports.push(Report {
                by: if by_pages {
                    ReportedBy::Pages
                } else {
                    ReportedBy::App
                },
                subject: Reported::Page(kind),
                url: url.clone(),
                members,
            });
        }
        url
    }

    fn rule(&mut self, occasion: &Occasion<'_>, rule: &'a CustomRule, url: Option<PageUrl>) {
        let extras = rule.extras(occasion);
        let members = self.members(Subject::Rule(&rule.name), &extras);
        self.reports.push(Report {
            by: ReportedBy::Rule,
            subject: Reported::Custom(rule.name.clone()),
            url,
            members,
        });
    }

    fn declared(
        &mut self,
        by: &Reporting<'_>,
        occasion: &Occasion<'_>,
        event: DeclaredEvent,
        url: Option<PageUrl>,
    ) {
        if let Ok(given) = self.url(by, occasion, event.url.as_deref(), Subject::Event) {
            let members = self.members(Subject::Event, &event.extras);
            self.reports.push(Report {
                by: ReportedBy::App,
                subject: Reported::Custom(event.name),
                url: given.or(url),
                members,
            });
        }
    }

    /// The url that the app gives, if it gives one. One that is malformed is complained of.
    fn url(
        &mut self,
        by: &Reporting<'_>,
        occasion: &Occasion<'_>,
        text: Option<&str>,
        subject: Subject<'static>,
    ) -> Result<Option<PageUrl>, ()> {
        let url = text
            .map(|text| PageUrl::read(text, occasion, by.sites))
            .transpose();
        url.map_err(|why| self.complaints.push(Complaint::malformed(subject, why)))
    }

    fn members(&mut self, subject: Subject<'a>, extras: &Extras) -> Vec<u8> {
        self.complaints
            .extend(extras.loss.map(|why| Complaint::cut(subject, why)));
        extras.members()
    }
}

impl Report {
    /// The event as it was seen, at a time that the offer sets; `None` if visitor or site is not known.
    pub fn sighting<'a>(&'a self, pages: &'a PageRules, occasion: &Occasion<'a>) -> Option<Sighting<'a>> {
        let kind = match &self.subject {
            Reported::Page(kind) => *kind,
            Reported::Custom(name) => EventKind::Custom(name),
        };
        let host = self.url.as_ref().and_then(|url| url.host.as_deref());
        Some(Sighting {
            at_ns: 0,
            at_ms: 0,
            kind,
            client: occasion.client?,
            user_agent: occasion.request.user_agent.unwrap_or_default(),
            https: self.url.as_ref().map_or(occasion.https, |url| url.https),
            host: host.or(occasion.host).unwrap_or_default().as_bytes(),
            target: self
                .url
                .as_ref()
                .map_or(occasion.request.target, |url| &url.target)
                .as_bytes(),
            referrer: occasion.request.referer,
            domain: pages.domain(kind, occasion.domain?.as_bytes()),
            members: &self.members,
        })
    }
}

#[cfg(test)]
mod tests;
