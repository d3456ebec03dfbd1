//! What happens to one request, by the same functions in the same order as in the proxy.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    client,
    config::DecisionRules,
    delivery::AddressHeader,
    event::{Event, Sighting},
    facts,
    headers::{self, Connection},
    http1,
    page::{self, Ahead},
};

use super::request::Case;

/// The story, as `--json` tells it.
#[derive(Debug, Serialize)]
pub(super) struct Story {
    /// The visitor's address; none if there is no address.
    pub(super) client: Option<String>,
    /// `peer`, the header that told it, or `none`.
    pub(super) client_from: String,
    /// The word of the closed list.
    pub(super) decision: &'static str,
    pub(super) why: &'static str,
    /// The header lines that the app gets, names in lower case, what is said of the way here first.
    pub(super) to_app: Vec<(String, String)>,
    /// What Plausible gets.
    pub(super) events: Vec<Sent>,
    /// Scheme and host as the visitor used them, for the words.
    #[serde(skip)]
    pub(super) visited: String,
    /// The site's dashboards, for the words.
    #[serde(skip)]
    pub(super) domain: Option<String>,
    /// The walk to the client, for the words.
    #[serde(skip)]
    pub(super) walk: Vec<String>,
}

/// One event on its way to Plausible.
#[derive(Debug, Serialize)]
pub(super) struct Sent {
    /// The headers beside the body's own and the connection's.
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Box<RawValue>,
}

impl Story {
    /// # Errors
    /// Why there is no story: the case is no request, or one that the proxy refuses.
    pub(super) fn tell(rules: &DecisionRules, case: &Case) -> Result<Story, String> {
        case.response.check()?;
        let bytes = case.head()?;
        let mut slots = http1::field_slots();
        let head = http1::parse_request(&bytes, &mut slots)
            .map_err(|refusal| format!("refused with {}: {refusal}", refusal.status()))?
            .ok_or("the request is not complete")?;
        let fields = head.fields;

        let resolved = client::resolve(&rules.client, case.peer, fields);
        let visible = client::visible(&rules.client, &resolved, fields, head.host);
        let facts = facts::Request::read(head.method, head.target, fields);
        let domain = rules.event.sites.find(visible.host);
        let ahead = page::ahead(&rules.page, &facts, domain.is_some(), resolved.client.is_some());
        let answer: Vec<httparse::Header<'_>> = case.response.headers.iter().map(field).collect();
        let response = facts::Response::read(case.response.status, &answer);
        let verdict = match &ahead {
            Ahead::Settled(verdict) => *verdict,
            Ahead::Open(candidate) => page::verdict(&rules.page, candidate, &response),
        };
        let mut events = Vec::new();
        if let (Some(what), Some(client), Some(domain)) = (verdict.event, resolved.client, domain) {
            let sighting = Sighting {
                at_ns: 0,
                at_ms: 0,
                what,
                client,
                user_agent: facts.user_agent.unwrap_or_default(),
                https: visible.https,
                host: visible.host.unwrap_or_default().as_bytes(),
                target: head.target.as_bytes(),
                referrer: facts.referer,
                domain: rules.page.domain(what, domain.as_bytes()),
            };
            events.push(sent(rules, &Event::build(&rules.event, &sighting))?);
        }
        Ok(Story {
            client: resolved.address().map(|address| address.to_string()),
            client_from: resolved.from.name(&rules.client).to_owned(),
            decision: verdict.decision.label(),
            why: verdict.why,
            to_app: to_app(rules, case, &resolved, &head),
            events,
            visited: format!(
                "{}://{}{}",
                if visible.https { "https" } else { "http" },
                visible.host.unwrap_or("(no host)"),
                head.target
            ),
            domain: domain.map(str::to_owned),
            walk: client::explain(&rules.client, case.peer, fields),
        })
    }
}

fn field((name, value): &(String, String)) -> httparse::Header<'_> {
    httparse::Header {
        name,
        value: value.as_bytes(),
    }
}

/// The lines for the app but the framing, which the codec writes anew.
fn to_app(
    rules: &DecisionRules,
    case: &Case,
    resolved: &client::Resolved,
    head: &http1::RequestHead<'_, '_>,
) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    client::forward(
        &rules.client,
        resolved,
        case.peer,
        head.fields,
        head.host,
        &client::visible(&rules.client, resolved, head.fields, head.host),
        &mut |name, value| {
            lines.push((name.to_owned(), text(value)));
        },
    );
    let connection = Connection::read(head.fields);
    let mut rest = Vec::new();
    let skip = |name: &str| client::is_forwarding(&rules.client, resolved, name);
    headers::to_app(head.fields, &connection, skip, &mut rest);
    lines.extend(text(&rest).split_terminator("\r\n").filter_map(|line| {
        let (name, value) = line.split_once(": ")?;
        Some((name.to_ascii_lowercase(), value.to_owned()))
    }));
    lines
}

/// The event as delivery sends it.
fn sent(rules: &DecisionRules, event: &Event<'_>) -> Result<Sent, String> {
    let mut headers = vec![("user-agent", text(&event.user_agent))];
    headers.extend(rules.address_headers.iter().map(|header| {
        let name = match header {
            AddressHeader::XForwardedFor => "x-forwarded-for",
            AddressHeader::XPlausibleIp => "x-plausible-ip",
        };
        (name, event.client.to_string())
    }));
    let body = RawValue::from_string(text(&event.body)).map_err(|error| error.to_string())?;
    Ok(Sent { headers, body })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
