//! A test event for each domain: whether Plausible takes it, drops it or refuses it, and which address it sees
//! for the visitor's.

use std::{
    io::{self, Write},
    net::IpAddr,
    time::{Duration, Instant},
};

use http::{HeaderMap, StatusCode};
use serde_json::json;
use tokio::time::sleep;

use crate::{
    config::Config,
    delivery::{AddressHeader, FetchError, Fetched, Fetcher},
    event::Event,
    telemetry::chain,
};

use super::{report::Report, visits};

/// What the event is called at Plausible.
const NAME: &str = "gatecount doctor";
/// Pauses before a dropped event is sent again: at first, doubling, and at the most.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(10));
/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 << 10;

/// What Plausible said to an event.
enum TestOutcome {
    Recorded,
    Dropped,
    /// 200, and the answer's text: the address that it sees.
    Debugged(String),
    Refused(String),
}

/// Sends one to each domain, and again for as long as `wait` says where it is dropped. `wait` is none where
/// nobody agreed.
pub(super) async fn send(
    config: &Config,
    wait: Option<Duration>,
    report: &mut Report<impl Write>,
) -> io::Result<()> {
    let Some(wait) = wait else {
        let said = "not sent, so it is not known whether Plausible drops events: --send-test-event sends one to each \
                    site";
        return report.skipped("test event", said);
    };
    let mut address_known = false;
    for (hosts, domains) in config.sites() {
        let host = visits::host_of(hosts, domains);
        for domain in domains {
            let mut outcome = post(config, &host, domain, !address_known).await;
            if !address_known {
                address_known = true;
                address(config, &outcome, report)?;
                if matches!(outcome, TestOutcome::Debugged(_)) {
                    outcome = post(config, &host, domain, false).await;
                }
            }
            let outcome = insist(config, (&host, domain), outcome, wait).await?;
            tell(domain, &outcome, wait, report)?;
        }
    }
    Ok(())
}

/// Sends a dropped event again until it is not, or the time is up.
async fn insist(
    config: &Config,
    (host, domain): (&str, &str),
    first: TestOutcome,
    wait: Duration,
) -> io::Result<TestOutcome> {
    let mut outcome = first;
    let begun = Instant::now();
    let mut pause = PAUSES.0;
    while matches!(outcome, TestOutcome::Dropped) && begun.elapsed() + pause <= wait {
        if pause == PAUSES.0 {
            writeln!(
                io::stderr(),
                "Plausible drops the event of {domain}. A site that was just added is unknown for half a minute and \
                 more: asking again for {}.",
                humantime::format_duration(wait)
            )?;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
        outcome = post(config, host, domain, false).await;
    }
    Ok(outcome)
}

fn tell(
    domain: &str,
    outcome: &TestOutcome,
    wait: Duration,
    report: &mut Report<impl Write>,
) -> io::Result<()> {
    match outcome {
        TestOutcome::Recorded => {
            report.passed("test event", format!("{domain} has it, by the name \"{NAME}\""))
        }
        TestOutcome::Dropped => {
            let waited = humantime::format_duration(wait);
            let said =
                format!("Plausible drops events of {domain}, also after {waited}; it does not say why");
            let advice = format!(
                "add {domain} as a site there or correct domain in [[sites]]; then see the site's Shields (addresses, \
                 host names, pages), and whether its owner's subscription is running"
            );
            report.failed("test event", said, advice)
        }
        TestOutcome::Debugged(text) => {
            let said = format!("{domain}: Plausible answered 200 without being asked for an address: {text}");
            report.failed("test event", said, "is that Plausible? See url in [plausible]")
        }
        TestOutcome::Refused(why) => {
            let advice = "Plausible's own log says more; is url in [plausible] its address, with the path before \
                          /api/event?";
            report.failed("test event", format!("{domain}: {why}"), advice)
        }
    }
}

/// Which address Plausible takes for the visitor's.
fn address(config: &Config, outcome: &TestOutcome, report: &mut Report<impl Write>) -> io::Result<()> {
    let headers = config.delivery.address_headers.iter().map(|header| match header {
        AddressHeader::XForwardedFor => "x-forwarded-for",
        AddressHeader::XPlausibleIp => "x-plausible-ip",
    });
    let headers: Vec<&str> = headers.collect();
    let sent = headers.join(" and ");
    let TestOutcome::Debugged(text) = outcome else {
        let said = "this edition of Plausible does not say which it sees (X-Debug-Request)";
        return report.skipped("address", said);
    };
    // The reference shows the bare address. An edition may well wrap it.
    let is_address = |word: &&str| word.parse::<IpAddr>().is_ok();
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | '{' | '}' | '[' | ']'));
    match words.find(is_address) {
        Some(seen) if seen == visits::VISITOR => report.passed(
            "address",
            format!("Plausible takes the visitor's address from {sent}"),
        ),
        Some(seen) => {
            let said = format!("Plausible sees {seen} where {sent} said {}", visits::VISITOR);
            let advice = "something between rewrites it: address_header = \"x-plausible-ip\" in [plausible] survives \
                          that with a Plausible of your own";
            report.failed("address", said, advice)
        }
        None => report.skipped("address", format!("Plausible's answer names none: {text}")),
    }
}

async fn post(config: &Config, host: &str, domain: &str, debug: bool) -> TestOutcome {
    match try_post(config, host, domain, debug).await {
        Ok(fetched) => read(&fetched),
        Err(why) => TestOutcome::Refused(why),
    }
}

async fn try_post(config: &Config, host: &str, domain: &str, debug: bool) -> Result<Fetched, String> {
    let settings = &config.delivery;
    let body = json!({
        "name": NAME,
        "url": format!("https://{host}/"),
        "domain": domain,
        "interactive": false,
    });
    let client = visits::VISITOR.parse().map_err(|_| "no address".to_owned())?;
    let body = body.to_string().into_bytes();
    let event = Event::with_body(client, visits::BROWSER.as_bytes(), body);
    let path = format!("{}/api/event", settings.base.path);
    let asking = Fetcher::new(
        (&settings.base, &path),
        settings.proxy.as_ref(),
        settings.ca_file.as_deref(),
        settings.timeout,
        LONGEST,
    );
    let asking = asking.map_err(|error| chain(&error))?;
    let posting = asking.posting(&event, &settings.address_headers, debug);
    let posting = posting.ok_or("the event can't be sent")?;
    let answer: Result<Fetched, FetchError> = posting.fetch(&HeaderMap::new()).await;
    answer.map_err(|error| error.to_string())
}

fn read(fetched: &Fetched) -> TestOutcome {
    let text = || {
        String::from_utf8_lossy(&fetched.body)
            .trim()
            .chars()
            .take(200)
            .collect::<String>()
    };
    match fetched.status {
        StatusCode::ACCEPTED if fetched.fields.contains_key("x-plausible-dropped") => TestOutcome::Dropped,
        StatusCode::ACCEPTED => TestOutcome::Recorded,
        StatusCode::OK => TestOutcome::Debugged(text()),
        other => TestOutcome::Refused(format!("Plausible answers {}: {}", other.as_u16(), text())),
    }
}
