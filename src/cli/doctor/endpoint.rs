//! Plausible, as far as it can be seen without an event: its name, the way to it, TLS, health, clock; and where
//! the tracker script comes from.

use std::{
    io::{self, Write},
    net::IpAddr,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, StatusCode, header};
use tokio::time::timeout;

use crate::{
    config::Config,
    delivery::{Base, FetchError, Fetched, Fetcher, Settings},
    lookup::Lookup,
    telemetry::chain,
};

use super::{
    super::surroundings,
    expiry::Expiry,
    report::{CheckResult, Report},
};

/// How long the resolver may take.
const RESOLVER: Duration = Duration::from_secs(5);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 1 << 20;
/// Clocks may differ by so many seconds: answers take their time, and `Date` has whole seconds.
const CLOCKS: u64 = 30;

/// Looks at Plausible. Whether it can be sent an event.
pub(super) async fn examine(config: &Config, report: &mut Report<impl Write>) -> io::Result<bool> {
    let settings = &config.delivery;
    if !resolves(config, report).await? {
        return Ok(false);
    }
    let (asked, begun) = (
        health(settings, "/api/system/health/ready").await,
        SystemTime::now(),
    );
    let (fetched, edition) = match asked {
        Ok(fetched) if fetched.status == StatusCode::NOT_FOUND => (
            health(settings, "/api/health").await,
            " (an older edition: /api/health)",
        ),
        asked => (asked, ""),
    };
    if let Some(proxy) = &settings.proxy {
        match &fetched {
            Ok(_) | Err(FetchError::Tls(_)) => report.passed("proxy", format!("events leave by {proxy}"))?,
            Err(error) => {
                let advice =
                    "HTTPS_PROXY, HTTP_PROXY or proxy in [plausible] name it; NO_PROXY leaves it out";
                report.failed("proxy", format!("{proxy}: {error}"), advice)?;
            }
        }
    }
    let url = url(&settings.base);
    match fetched {
        Ok(fetched) => {
            if settings.base.https {
                let host = &settings.base.host;
                let said = format!("the certificate is {host}'s, by a trusted authority");
                let expiry = fetched.certificate.map(|validity| Expiry::of(validity, begun));
                let (result, said) = match expiry {
                    Some(Expiry { result, said: rest }) => (result, format!("{said}, and {rest}")),
                    None => (CheckResult::Passed, said),
                };
                let advice = "it is Plausible's to renew: is its renewal (certbot, Caddy, cert-manager) still running? \
                              Once it has expired, events wait";
                report.add_judged("tls", result, said, advice)?;
            }
            let is_well = judge(&url, edition, &fetched, report)?;
            clock(begun, &fetched.fields, report)?;
            Ok(is_well)
        }
        Err(error) => {
            unreached(settings, &url, &error, report)?;
            Ok(false)
        }
    }
}

/// Whether the name that is connected to, Plausible's or the proxy's, has an address, and not our own.
async fn resolves(config: &Config, report: &mut Report<impl Write>) -> io::Result<bool> {
    let settings = &config.delivery;
    let (host, port) = match &settings.proxy {
        Some(proxy) => (&proxy.host, proxy.port),
        None => (&settings.base.host, settings.base.port),
    };
    let found = match timeout(RESOLVER, Lookup::new(host.clone(), port).next()).await {
        Ok(Ok(found)) => found,
        failed => {
            let why = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => format!("the resolver does not answer within {RESOLVER:?}"),
            };
            let advice =
                "is the name right, and does this machine or container resolve names (/etc/resolv.conf)?";
            report.failed("name", format!("{host} can't be resolved: {why}"), advice)?;
            return Ok(false);
        }
    };
    for address in found.addresses.iter() {
        if let Some(key) = surroundings::reaches_us(config, *address) {
            let said = format!(
                "{host} is {}, where gatecount itself is to listen ({key})",
                address.ip()
            );
            report.failed("name", said, "url in [plausible] wants Plausible's own address")?;
            return Ok(false);
        }
    }
    if host.parse::<IpAddr>().is_err() {
        let addresses: Vec<String> = found.addresses.iter().map(|a| a.ip().to_string()).collect();
        report.passed("name", format!("{host} is {}", addresses.join(", ")))?;
    }
    Ok(true)
}

async fn health(settings: &Settings, path: &str) -> Result<Fetched, FetchError> {
    let path = format!("{}{path}", settings.base.path);
    let fetcher = Fetcher::new(
        (&settings.base, &path),
        settings.proxy.as_ref(),
        settings.ca_file.as_deref(),
        settings.timeout,
        LONGEST,
    );
    match fetcher {
        Ok(fetcher) => fetcher.fetch(&HeaderMap::new()).await,
        Err(error) => Err(FetchError::Connect(io::Error::other(chain(&error)))),
    }
}

/// Judges the answer to a question for its health. Whether an event may be tried.
fn judge(url: &str, edition: &str, fetched: &Fetched, report: &mut Report<impl Write>) -> io::Result<bool> {
    let status = fetched.status;
    let said = format!("{url} answers {}{edition}", status.as_u16());
    if status.is_success() {
        report.passed("plausible", format!("{said}: it is ready"))?;
        return Ok(true);
    }
    let location = fetched
        .fields
        .get(header::LOCATION)
        .map(|to| String::from_utf8_lossy(to.as_bytes()));
    let (is_open, said, advice) = match (status.as_u16(), location) {
        (300..=399, Some(to)) => (
            false,
            format!("{said}, to {to}"),
            "put the address that answers there into url of [plausible]",
        ),
        (404, _) => (
            true,
            format!("{url} answers 404 to /api/system/health/ready and to /api/health"),
            "is that Plausible, and is a path missing in url of [plausible]?",
        ),
        (401 | 403, _) => (
            true,
            said,
            "something before Plausible refuses us: let /api/event and /api/health through",
        ),
        (407, _) => (
            false,
            said,
            "the proxy wants a user name and password: http://USER:PASSWORD@HOST:PORT",
        ),
        (500..=599, _) => (
            false,
            said,
            "Plausible is not ready: its own log says why; events wait meanwhile",
        ),
        _ => (false, said, "is that Plausible? See url in [plausible]"),
    };
    if is_open {
        report.warned("plausible", said, advice)?;
    } else {
        report.failed("plausible", said, advice)?;
    }
    Ok(is_open)
}

fn unreached(
    settings: &Settings,
    url: &str,
    error: &FetchError,
    report: &mut Report<impl Write>,
) -> io::Result<()> {
    match error {
        FetchError::Tls(why) => {
            let said = format!("{url}: {why}");
            let advice = if said.contains("http://?") {
                "write http:// in url of [plausible], or the port that speaks TLS"
            } else {
                "see the certificate by `openssl s_client -connect HOST:PORT`; a CA of your own goes into ca_file"
            };
            report.failed("tls", said, advice)
        }
        // A proxy that can't be reached has its line.
        _ if settings.proxy.is_some() => {
            report.skipped("plausible", "not reached, as the proxy opens no way")
        }
        FetchError::Broken(_) if !settings.base.https => {
            let advice = "is it https://, or another kind of server? See url in [plausible]";
            report.failed("plausible", format!("{url}: it answers, but not in HTTP"), advice)
        }
        FetchError::TimedOut(_) => {
            let advice = "a firewall may drop the way there; where a proxy is the way, set HTTPS_PROXY";
            report.failed("plausible", format!("{url}: {error}"), advice)
        }
        _ => {
            let advice = "is Plausible up, is url in [plausible] right, may this machine connect there (firewall, \
                          NetworkPolicy, HTTPS_PROXY)?";
            report.failed("plausible", format!("{url}: {error}"), advice)
        }
    }
}

/// Compares this machine's clock with the answer's `Date`.
fn clock(ours: SystemTime, fields: &HeaderMap, report: &mut Report<impl Write>) -> io::Result<()> {
    let date = fields.get(header::DATE).and_then(|date| date.to_str().ok());
    let Some(theirs) = date.and_then(|date| httpdate::parse_http_date(date).ok()) else {
        return report.skipped("clock", "Plausible's answer has no Date to compare with");
    };
    let (off, word) = match ours.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    if off.as_secs() <= CLOCKS {
        return report.passed("clock", format!("it agrees with Plausible's, within {CLOCKS} s"));
    }
    let off = humantime::format_duration(Duration::from_secs(off.as_secs()));
    let advice = "set this machine's clock by NTP: certificates, max_age and the day of a visitor go by it";
    report.warned("clock", format!("it is {off} {word} Plausible's"), advice)
}

/// Whether the tracker script can be fetched.
pub(super) async fn tracker(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let Some(script) = &config.tracker.script else {
        return Ok(());
    };
    let source = script.source();
    let asking = Fetcher::new(
        (&script.base, &script.file),
        script.proxy.as_ref(),
        script.ca_file.as_deref(),
        script.timeout,
        LONGEST,
    );
    let answer = match asking {
        Ok(asking) => asking.fetch(&HeaderMap::new()).await,
        Err(error) => Err(FetchError::Connect(io::Error::other(chain(&error)))),
    };
    let kind = |answer: &Fetched| {
        let kind = answer.fields.get(header::CONTENT_TYPE)?.to_str().ok()?;
        Some(kind.to_ascii_lowercase())
    };
    match answer {
        Ok(answer) if answer.status == StatusCode::OK => match kind(&answer) {
            Some(kind) if kind.contains("javascript") => {
                let size = surroundings::in_words(answer.body.len() as u64);
                report.passed("tracker", format!("{source} is a script of {size}"))
            }
            kind => {
                let kind = kind.unwrap_or_else(|| "no type at all".to_owned());
                let advice = "source in [tracker] wants the script's own address";
                report.failed("tracker", format!("{source} is no script, but {kind}"), advice)
            }
        },
        Ok(answer) => {
            let said = format!("{source} is answered {}", answer.status.as_u16());
            report.failed(
                "tracker",
                said,
                "is the id in source of [tracker] the one that Plausible shows for the site?",
            )
        }
        Err(error) => {
            let advice = "see the checks of Plausible above, and source in [tracker]";
            report.failed("tracker", format!("{source}: {error}"), advice)
        }
    }
}

/// Plausible's address as configured.
pub(super) fn url(base: &Base) -> String {
    format!("{}://{}{}", base.scheme(), base.authority(), base.path)
}
