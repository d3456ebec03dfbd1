//! Requests and responses as browsers and servers send them, each with what is to be decided.

mod ahead;
mod answers;
mod cost;
mod requests;
mod visitors;

use httparse::Header;

use crate::facts::{RequestFacts, ResponseFacts};
use crate::page::{
    Decision, Doubt, EventKind, Known, PageRules, RequestVerdict, SoftOutcome, Verdict, doubt, judge_request,
    judge_response, soft_outcome,
};

const CHROME: &str = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) \
                      Chrome/129.0.0.0 Safari/537.36";
const UPGRADE: (&str, &str) = ("Upgrade-Insecure-Requests", "1");
const HTML: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";

/// One case: what differs from a GET of `/` by a browser that is answered with a page.
struct Case<'a> {
    rules: PageRules,
    method: &'a str,
    target: &'a str,
    fields: Vec<(&'a str, &'a str)>,
    agent: Option<&'a str>,
    known_site: bool,
    has_client: bool,
    status: u16,
    answer: Vec<(&'a str, &'a str)>,
    /// What settles a doubt.
    known: Known<'a>,
}

fn case<'a>(fields: &[(&'a str, &'a str)]) -> Case<'a> {
    Case {
        rules: PageRules::default(),
        method: "GET",
        target: "/",
        fields: fields.to_vec(),
        agent: Some(CHROME),
        known_site: true,
        has_client: true,
        status: 200,
        answer: vec![("content-type", "text/html; charset=utf-8")],
        known: Known::Nothing,
    }
}

/// A navigation of today's browsers.
fn page<'a>() -> Case<'a> {
    case(&[
        ("Sec-Fetch-Dest", "document"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Accept", HTML),
    ])
}

/// A link with `download`.
fn saved<'a>() -> Case<'a> {
    case(&[
        ("Sec-Fetch-Dest", "empty"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Accept", "*/*"),
    ])
}

fn headers<'a>(pairs: &'a [(&'a str, &'a str)]) -> Vec<Header<'a>> {
    pairs
        .iter()
        .map(|(name, value)| Header {
            name,
            value: value.as_bytes(),
        })
        .collect()
}

impl<'a> Case<'a> {
    fn decide(&self) -> Verdict {
        let mut fields = self.fields.clone();
        fields.extend(self.agent.map(|a| ("User-Agent", a)));
        let (fields, answer) = (headers(&fields), headers(&self.answer));
        let request = RequestFacts::read(self.method, self.target, &fields);
        let client = self.has_client.then(|| [203, 0, 113, 7].into());
        let response = ResponseFacts::read(self.status, &answer);
        let reading = judge_request(&self.rules, &request, self.known_site, client);
        let doubt = doubt(&reading, &response);
        let is_asked_for = match self.known {
            Known::Nothing => true,
            Known::LastType(_) => doubt == Some(Doubt::LastType),
            Known::BodyStart(_) => doubt == Some(Doubt::BodyStart),
            Known::Announced => doubt == Some(Doubt::Announcement),
            Known::FetchedAhead => doubt == Some(Doubt::FetchedAhead),
        };
        let known = if is_asked_for { self.known } else { Known::Nothing };
        match reading {
            RequestVerdict::Settled(verdict) => verdict,
            RequestVerdict::Open(candidate) => judge_response(&self.rules, &candidate, &response, known),
            RequestVerdict::Soft(soft) => match soft_outcome(soft, &response, known) {
                SoftOutcome::Settled(verdict) => verdict,
                shown => panic!("a soft navigation: {shown:?}"),
            },
        }
    }

    fn knowing(mut self, known: Known<'a>) -> Self {
        self.known = known;
        self
    }

    #[track_caller]
    fn is(self, decision: Decision, event: Option<EventKind<'static>>) {
        let verdict = self.decide();
        assert_eq!(
            (verdict.decision, verdict.event),
            (decision, event),
            "{}",
            verdict.why
        );
        assert!(verdict.why.ends_with('.'), "{}", verdict.why);
    }

    #[track_caller]
    fn counts(self) {
        self.is(Decision::Counted, Some(EventKind::PageView));
    }

    fn answered(mut self, status: u16, answer: &[(&'a str, &'a str)]) -> Self {
        self.status = status;
        self.answer = answer.to_vec();
        self
    }

    fn at(mut self, target: &'a str) -> Self {
        self.target = target;
        self
    }

    fn by(mut self, method: &'a str) -> Self {
        self.method = method;
        self
    }

    fn with(mut self, name: &'a str, value: &'a str) -> Self {
        self.fields.push((name, value));
        self
    }

    fn ruled(mut self, change: impl FnOnce(&mut PageRules)) -> Self {
        change(&mut self.rules);
        self
    }
}
