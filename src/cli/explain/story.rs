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
    page::{self, Decision, RequestVerdict, SoftOutcome, Verdict, bots},
    plausible::{DropRisk, likely_drop},
    tracker::{DedicatedPath, ViewedPage},
};

use super::{request::Case, script::Script};

/// The story, as `--json` tells it.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Story {
    /// The visitor's address, if it is known.
    pub(in crate::cli) client: Option<String>,
    /// `peer`, the header that gave the address, or `none`.
    pub(in crate::cli) client_from: String,
    /// The decision's label.
    pub(in crate::cli) decision: &'static str,
    /// The reason, and what of the configuration or the request it came from.
    pub(in crate::cli) why: String,
    /// The header lines that the app gets, with names in lower case; the forwarding headers first.
    pub(in crate::cli) to_app: Vec<(String, String)>,
    /// What Plausible gets.
    pub(in crate::cli) events: Vec<Sent>,
    /// Who asks, where that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) bot: Option<ToldBot>,
    /// The url as the visitor used it, for the text output.
    #[serde(skip)]
    pub(in crate::cli) visited: String,
    /// The site's domains, for the text output.
    #[serde(skip)]
    pub(in crate::cli) domain: Option<String>,
    /// What becomes of the page, for the text output, where pages get the tracker script.
    #[serde(skip)]
    pub(in crate::cli) script: Option<String>,
    /// How the client was found, for the text output.
    #[serde(skip)]
    pub(in crate::cli) walk: Vec<String>,
    /// What of the app's words and of the rules could not be sent, for the text output.
    #[serde(skip)]
    pub(in crate::cli) complaints: Vec<String>,
    /// The names of query parameters that are not sent, for the text output.
    #[serde(skip)]
    pub(in crate::cli) cut: Vec<String>,
}

/// A bot, and what shows that it is one.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct ToldBot {
    pub(in crate::cli) name: &'static str,
    pub(in crate::cli) kind: &'static str,
    /// The table and its line that matched; none where something else than a line shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::cli) line: Option<String>,
}

impl ToldBot {
    fn of(verdict: &Verdict, facts: &facts::RequestFacts<'_>) -> Option<Self> {
        let bot = bots::of_request(facts).filter(|_| verdict.decision == Decision::Bot)?;
        Some(ToldBot {
            name: bot.name,
            kind: bot.kind.label(),
            line: bot.line.map(|line| format!("{}: {}", line.table, line.text)),
        })
    }
}

/// One event on its way to Plausible.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Sent {
    /// The headers, without those of the body and the connection.
    pub(in crate::cli) headers: Vec<(&'static str, String)>,
    pub(in crate::cli) body: Box<RawValue>,
    /// Who asked for it, for the text output.
    #[serde(skip)]
    pub(in crate::cli) by: ReportedBy,
    /// The rule of `[[events]]` that asked for it, for the text output.
    #[serde(skip)]
    pub(in crate::cli) rule: Option<String>,
    /// Why Plausible may drop it, for the text output.
    #[serde(skip)]
    pub(in crate::cli) risk: Option<DropRisk>,
}

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum NoStory {
    /// The input is no request, or no response.
    #[error("{0}")]
    Input(String),
    /// The proxy refuses the request. It is answered by gatecount itself.
    #[error("refused with {status}: {0}", status = .0.status())]
    Refused(http1::Refusal),
}

impl From<String> for NoStory {
    fn from(problem: String) -> Self {
        NoStory::Input(problem)
    }
}

impl Story {
    /// # Errors
    /// What is wrong with the input, or why the proxy would refuse the request.
    pub(in crate::cli) fn tell(rules: &DecisionRules, case: &Case) -> Result<Story, NoStory> {
        case.response.check()?;
        let bytes = case.head()?;
        let mut slots = http1::field_slots();
        let head = http1::parse_request(&bytes, &mut slots)
            .map_err(NoStory::Refused)?
            .ok_or_else(|| NoStory::Input("the request is not complete".to_owned()))?;
        let fields = head.fields;
        if let Some(refusal) = http1::not_offered(head.method, fields) {
            return Err(NoStory::Refused(refusal));
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
        let details = |verdict: &Verdict| match page::details(&rules.page, &facts, facts.path(), verdict) {
            Some(details) => {
                let default = by_default(rules, verdict, facts.path());
                format!("{} {details}{default}", verdict.why)
            }
            None => verdict.why.to_owned(),
        };
        let told = |decision: &Verdict, to_app, events: Vec<Sent>, complaints, script| Story {
            client: resolved.address().map(|address| address.to_string()),
            client_from: resolved.from.name(&rules.client).to_owned(),
            decision: decision.decision.label(),
            why: details(decision),
            to_app,
            cut: if events.is_empty() {
                Vec::new()
            } else {
                rules.event.query.cuts(&target).map(str::to_owned).collect()
            },
            events,
            bot: ToldBot::of(decision, &facts),
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
                SoftOutcome::Ahead if !page::counts_at_once(&rules.page, soft) => page::fetched_ahead(soft),
                outcome => {
                    let at = match outcome {
                        SoftOutcome::Shown { at } => at,
                        _ => None,
                    };
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
        // Reports by rules come in the order of the rules.
        let (method, path, status) = (facts.method, facts.path(), response.status);
        let mut asking = rules
            .custom
            .iter()
            .filter(|rule| rule.takes(method, path, status));
        let mut events = Vec::new();
        for report in &reports {
            let rule = match report.by {
                ReportedBy::Rule => asking.next().map(ToString::to_string),
                ReportedBy::Pages | ReportedBy::App => None,
            };
            if let Some(sighting) = report.sighting(&rules.page, &occasion) {
                let event = sent(rules, report.by, &Event::build(&rules.event, &sighting))?;
                events.push(Sent { rule, ..event });
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

/// A path that is excluded though nobody said so.
fn by_default(rules: &DecisionRules, verdict: &Verdict, path: &str) -> &'static str {
    let is_default = verdict.decision == Decision::Excluded
        && rules.excludes_by_default
        && rules.page.exclude.iter().any(|glob| glob.matches(path));
    if is_default {
        " That is the default; exclude = [] in [pages] excludes nothing."
    } else {
        ""
    }
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
    let risk = likely_drop(&event.user_agent, &event.body);
    Ok(Sent {
        headers,
        body,
        by,
        rule: None,
        risk,
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
