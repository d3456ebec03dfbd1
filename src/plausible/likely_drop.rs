//! Which valid events Plausible drops nevertheless, as far as that can be told from here. Its answer to a
//! dropped event has no reason, so a guess is all that an operator gets.

use std::fmt;

use serde_json::Value;

use crate::page::bots;

use super::url::Url;

/// Why Plausible will probably drop an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DropRisk {
    /// The user agent is a bot's of this name. Plausible has a table of its own, which need not agree.
    Bot(&'static str),
    /// The referrer is this host, known for spam.
    SpamReferrer(String),
    /// The url's host is this, which is neither the site's domain nor below it: dropped where the site allows
    /// certain host names only (Shields).
    ForeignHost(String),
}

impl DropRisk {
    /// What events with it have, where they are counted.
    pub fn label(&self) -> &'static str {
        match self {
            DropRisk::Bot(_) => "a bot's user agent",
            DropRisk::SpamReferrer(_) => "a spam referrer",
            DropRisk::ForeignHost(_) => "a host outside of the domain",
        }
    }

    /// The bot's name, or the host.
    pub fn subject(&self) -> &str {
        match self {
            DropRisk::Bot(name) => name,
            DropRisk::SpamReferrer(host) | DropRisk::ForeignHost(host) => host,
        }
    }

    /// Whether Plausible drops such events for each site, and not only where the site asks for it.
    pub fn is_general(&self) -> bool {
        !matches!(self, DropRisk::ForeignHost(_))
    }
}

impl fmt::Display for DropRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DropRisk::Bot(name) => write!(f, "its user agent is a bot's ({name})"),
            DropRisk::SpamReferrer(host) => write!(f, "its referrer {host} is known for spam"),
            DropRisk::ForeignHost(host) => write!(
                f,
                "its host {host} is not the site's domain or below it, and the site may allow certain host names \
                 only (Shields)"
            ),
        }
    }
}

/// The risk of an event with this user agent and body. `None`: none that can be seen from here.
pub fn likely_drop(user_agent: &[u8], body: &[u8]) -> Option<DropRisk> {
    if let Some(bot) = bots::recognise(Some(user_agent)) {
        return Some(DropRisk::Bot(bot.name));
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    let host = |text: &str| Url::read(text, false).ok().map(|url| url.host);
    if let Some(referring) = text("referrer").and_then(host)
        && is_spam(&referring)
    {
        return Some(DropRisk::SpamReferrer(referring));
    }
    let own = text("url").and_then(host)?;
    let domains = text("domain")?;
    let is_foreign = domains.split(',').all(|domain| {
        let domain = domain.trim().trim_start_matches("www.");
        // A site's name at Plausible may have a path.
        let domain = domain.split('/').next().unwrap_or(domain);
        !is_at_or_below(&own, domain)
    });
    is_foreign.then_some(DropRisk::ForeignHost(own))
}

fn is_spam(host: &str) -> bool {
    let host = host.strip_prefix("www.").unwrap_or(host);
    spam_hosts().any(|spam| spam == host)
}

fn spam_hosts() -> impl Iterator<Item = &'static str> {
    let lines = include_str!("spam.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn is_at_or_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BROWSER: &[u8] = b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

    fn risk(agent: &[u8], url: &str, referrer: &str) -> Option<DropRisk> {
        let body = serde_json::json!({"name": "pageview", "url": url, "domain": "example.com,all.example/x",
            "referrer": referrer});
        likely_drop(agent, body.to_string().as_bytes())
    }

    #[test]
    fn the_list_has_hosts_as_browsers_send_them() {
        let known: Vec<&str> = spam_hosts().collect();
        assert!(known.len() > 250);
        for host in known {
            let wanted =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            assert!(host.contains('.') && host.bytes().all(wanted), "{host:?}");
            assert!(is_spam(&format!("www.{host}")), "{host}");
        }
    }

    #[test]
    fn bots_spam_and_foreign_hosts_are_told_apart() {
        let page = "https://www.example.com/a";
        assert_eq!(risk(BROWSER, page, "https://news.example/"), None);
        assert_eq!(risk(BROWSER, "https://shop.all.example/", ""), None);
        assert_eq!(risk(b"curl/8.5.0", page, ""), Some(DropRisk::Bot("curl")));
        let spam = risk(BROWSER, page, "http://www.semalt.com/crawler.php?u=x").unwrap();
        assert!(
            matches!(&spam, DropRisk::SpamReferrer(host) if host.ends_with("semalt.com")),
            "{spam:?}"
        );
        assert_eq!(risk(BROWSER, page, "https://notsemalt.com/"), None);
        assert_eq!(
            risk(BROWSER, page, "https://anything.semalt.com/"),
            None,
            "the list has no such host"
        );
        let foreign = risk(BROWSER, "http://localhost/", "").unwrap();
        assert_eq!(foreign, DropRisk::ForeignHost("localhost".to_owned()));
        assert!(!foreign.is_general() && spam.is_general());
        assert_eq!(likely_drop(BROWSER, b"no JSON"), None);
    }
}
