//! What happens to one request, by the functions that the proxy calls and in the same order.

use std::net::IpAddr;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    client::{self, Visible},
    config::DecisionRules,
    delivery::AddressHeader,
    event::{
        Event,
        custom::{self, Occasion, ReportedBy, Reporting, Reports},
    },
    facts,
    headers::{self, ConnectionOptions},
    http1,
    page::{self, RequestVerdict, SoftOutcome, Verdict},
    tracker::{DedicatedPath, ViewedPage},
};

use super::{request::Case, script::Script};

/// The story, as `--json` tells it.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    /// The visitor's address, if it is known.
    pub(super) client: Option<String>,
    /// `peer`, the header that gave the address, or `none`.
    pub(super) client_from: String,
    /// The decision's label.
    pub(super) decision: &'static str,
    pub(super) why: &'static str,
    /// The header lines that the app gets, with names in lower case; the forwarding headers first.
    pub(super) to_app: Vec<(String, String)>,
    /// What Plausible gets.
    pub(super) events: Vec<Sent>,
    /// The url as the visitor used it, for the text output.
    #[serde(skip)]
    pub(super) visited: String,
    /// The site's domains, for the text output.
    #[serde(skip)]
    pub(super) domain: Option<String>,
    /// What becomes of the page, for the text output, where pages get the tracker script.
    #[serde(skip)]
    pub(super) script: Option<String>,
    /// How the client was found, for the text output.
    #[serde(skip)]
    pub(super) walk: Vec<String>,
    /// What of the app's words and of the rules could not be sent, for the text output.
    #[serde(skip)]
    pub(super) complaints: Vec<String>,
}

/// One event on its way to Plausible.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    /// The headers, without those of the body and the connection.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Box<RawValue>,
    /// Who asked for it, for the text output.
    #[serde(skip)]
    pub(super) by: ReportedBy,
}

impl Story {
    /// # Errors
    /// What is wrong with the request, or why the proxy would refuse it.
    pub(super) fn tell(rules: &DecisionRules, case: &Case) -> Result<Story, String> {
        case.response.check()?;
        let bytes = case.head()?;
        let mut slots = http1::field_slots();
        let head = http1::parse_request(&bytes, &mut slots)
            .map_err(refused)?
            .ok_or("the request is not complete")?;
        let fields = head.fields;
        if let Some(refusal) = http1::not_offered(head.method, fields) {
            return Err(refused(refusal));
        }

        let resolved = client::resolve(&rules.client, case.peer, fields);
        let arrived = Visible {
            https: case.is_https(),
            host: head.host,
        };
        let visible = client::visible(&rules.client, &resolved, fields, arrived);
        let target = client::visited_target(&resolved, fields, head.target);
        let facts = facts::RequestFacts::read(head.method, &target, fields);
        let domain = rules.event.sites.find(visible.host);
        let told = |decision: &Verdict, to_app, events, complaints, script| Story {
            client: resolved.address().map(|address| address.to_string()),
            client_from: resolved.from.name(&rules.client).to_owned(),
            decision: decision.decision.label(),
            why: decision.why,
            to_app,
            events,
            visited: format!(
                "{}://{}{}",
                if visible.https { "https" } else { "http" },
                visible.host.unwrap_or("(no host)"),
                target
            ),
            domain: domain.map(str::to_owned),
            script,
            walk: client::explain(&rules.client, case.peer, fields),
            complaints,
        };
        if let Some(path) = rules.tracker.find(head.target) {
            let (verdict, sent) = dedicated(rules, path, &facts, resolved.client)?;
            return Ok(told(&verdict, Vec::new(), sent, Vec::new(), None));
        }
        let reading = page::judge_request(&rules.page, &facts, domain.is_some(), resolved.client);
        if let RequestVerdict::Settled(verdict) = &reading
            && page::is_refused_prefetch(&rules.page, &facts)
        {
            return Ok(told(verdict, Vec::new(), Vec::new(), Vec::new(), None));
        }
        let answer: Vec<httparse::Header<'_>> = case.response.headers.iter().map(field).collect();
        let response = facts::ResponseFacts::read(case.response.status, &answer);
        let known = case.response.known(page::doubt(&reading, &response));
        let mut shown = facts;
        let place;
        let verdict = match reading {
            RequestVerdict::Settled(verdict) => verdict,
            RequestVerdict::Open(candidate) => {
                page::judge_response(&rules.page, &candidate, &response, known)
            }
            RequestVerdict::Soft(soft) => match page::soft_outcome(soft, &response, known) {
                SoftOutcome::Settled(verdict) => verdict,
                SoftOutcome::Ahead => page::fetched_ahead(soft),
                SoftOutcome::Shown { at } => {
                    let known_site = domain.is_some();
                    let (verdict, found) =
                        page::judge_soft(&rules.page, &facts, soft, at, known_site, resolved.client);
                    place = found;
                    if let Some(place) = &place {
                        shown.target = &place.target;
                        shown.referer = place.referrer;
                    }
                    verdict
                }
            },
        };
        let script = Script::of(rules, &facts, &resolved, &visible);
        let by = Reporting {
            pages: &rules.page,
            sites: &rules.event.sites,
            rules: &rules.custom,
        };
        let occasion = Occasion {
            mask: &rules.page.mask,
            request: shown,
            https: visible.https,
            host: visible.host,
            client: resolved.client,
            domain,
            response: &response,
        };
        let Reports {
            verdict,
            reports,
            complaints,
        } = custom::report(&by, &occasion, verdict);
        let mut events = Vec::new();
        for report in &reports {
            if let Some(sighting) = report.sighting(&rules.page, &occasion) {
                events.push(sent(rules, report.by, &Event::build(&rules.event, &sighting))?);
            }
        }
        let to_app = to_app(rules, case, &resolved, &head, arrived, script.as_ref());
        let complaints = complaints.iter().map(ToString::to_string).collect();
        let script = script.map(|script| script.tell(rules, case.response.status, &answer));
        Ok(told(&verdict, to_app, events, complaints, script))
    }
}

/// What a request for a dedicated path is. An event's body is not part of the question, so only the pixel has
/// an event here.
fn dedicated(
    rules: &DecisionRules,
    path: DedicatedPath,
    facts: &facts::RequestFacts<'_>,
    client: Option<IpAddr>,
) -> Result<(Verdict, Vec<Sent>), String> {
    if path != DedicatedPath::Pixel {
        return Ok((page::dedicated(), Vec::new()));
    }
    let viewed = ViewedPage::of(facts.target, facts.referer);
    let viewed = viewed.and_then(|viewed| {
        rules
            .event
            .sites
            .find(Some(&viewed.host))
            .map(|domain| (viewed, domain))
    });
    let path = viewed.as_ref().map(|(viewed, _)| viewed.path());
    let verdict = page::judge_pixel(&rules.page, facts, path, client);
    let mut events = Vec::new();
    if let (Some(kind), Some((viewed, domain)), Some(client)) = (verdict.event, &viewed, client) {
        let domain = rules.page.domain(kind, domain.as_bytes());
        let sighting = viewed.sighting(kind, client, facts, domain);
        events.push(sent(
            rules,
            ReportedBy::Pages,
            &Event::build(&rules.event, &sighting),
        )?);
    }
    Ok((verdict, events))
}

fn refused(refusal: http1::Refusal) -> String {
    format!("refused with {}: {refusal}", refusal.status())
}

fn field((name, value): &(String, String)) -> httparse::Header<'_> {
    httparse::Header {
        name,
        value: value.as_bytes(),
    }
}

/// The header lines for the app, without the framing, which the codec writes.
fn to_app(
    rules: &DecisionRules,
    case: &Case,
    resolved: &client::ResolvedClient,
    head: &http1::RequestHead<'_, '_>,
    arrived: Visible<'_>,
    script: Option<&Script>,
) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    client::forward(
        &rules.client,
        resolved,
        case.peer,
        head.fields,
        &arrived,
        &client::visible(&rules.client, resolved, head.fields, arrived),
        &mut |name, value| {
            lines.push((name.to_owned(), text(value)));
        },
    );
    let connection = ConnectionOptions::read(head.fields);
    let mut rest = Vec::new();
    let skip = |name: &str| {
        client::is_forwarding(&rules.client, resolved, name)
            || script.is_some_and(|script| script.replaces(name))
    };
    headers::to_app(head.fields, &connection, skip, &mut rest);
    lines.extend(text(&rest).split_terminator("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    }));
    lines
}

/// The event as delivery sends it.
fn sent(rules: &DecisionRules, by: ReportedBy, event: &Event<'_>) -> Result<Sent, String> {
    let mut headers = vec![("user-agent", text(&event.user_agent))];
    headers.extend(rules.address_headers.iter().map(|header| {
        let name = match header {
            AddressHeader::XForwardedFor => "x-forwarded-for",
            AddressHeader::XPlausibleIp => "x-plausible-ip",
        };
        (name, event.client.to_string())
    }));
    let body = RawValue::from_string(text(&event.body)).map_err(|error| error.to_string())?;
    Ok(Sent { headers, body, by })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
