//! `[plausible] proxy`, and what the environment says in its place.

use http::Uri;
use hyper_util::client::proxy::matcher::Matcher;

use crate::delivery::{Base, ForwardProxy, Settings};

use super::{
    keys,
    mistake::{Mistake, Origin},
    parse::{self, ParseResult},
    password::mask_password,
    reader::KeyReader,
    value::quote,
};

/// The key.
const KEY: &str = "plausible.proxy";

/// The proxy through which Plausible at `base` is reached, if any. The key comes before the environment.
pub(super) fn resolve(r: &mut KeyReader<'_>, base: &Base) -> Option<ForwardProxy> {
    let configured = r.text(KEY, |text, _| match text {
        "" => Ok(None),
        text => parse_proxy(text).map(|proxy| Some((proxy, text.to_owned()))),
    });
    if let Some((proxy, text)) = configured {
        r.show(KEY, quote(&mask_password(&text)));
        return Some(proxy);
    }
    let (variable, text) = from_environment(&|name| r.sources.variable(name), base)?;
    let origin = Origin::Environment(variable.to_owned());
    match parse_variable(text) {
        Ok(proxy) => {
            r.show_from(KEY, quote(&mask_password(text)), origin);
            Some(proxy)
        }
        Err(problem) => {
            let problem = format!("{problem}; or set {KEY}, or name Plausible's host in NO_PROXY");
            r.mistakes
                .push(Mistake::value(&origin, KEY, quote(text), problem));
            None
        }
    }
}

/// The proxy through which another server is reached. What was configured for Plausible holds for it as well;
/// the environment is asked anew, for another host or scheme may have another one. What is wrong with its
/// variables is told for Plausible's.
pub(super) fn resolve_for(r: &KeyReader<'_>, base: &Base, delivery: &Settings) -> Option<ForwardProxy> {
    match r.origin(KEY) {
        Origin::Default | Origin::Environment(_) if !is_own_variable(r.origin(KEY)) => {
            let (_, text) = from_environment(&|name| r.sources.variable(name), base)?;
            parse_variable(text).ok()
        }
        _ => delivery.proxy.clone(),
    }
}

/// Whether the key's own variable set it.
fn is_own_variable(origin: &Origin) -> bool {
    matches!(origin, Origin::Environment(name) if *name == keys::variable(KEY))
}

/// `http://proxy.example:3128`, with or without user name and password.
fn parse_proxy(text: &str) -> ParseResult<ForwardProxy> {
    const WANTED: &str = "http://HOST:PORT or http://USER:PASSWORD@HOST:PORT is wanted";
    let Some((scheme, rest)) = text.split_once("://") else {
        let meant = format!("http://{text}");
        let hint = match parse_proxy(&meant) {
            Ok(_) => format!("; did you mean \"{}\"?", mask_password(&meant)),
            Err(_) => String::new(),
        };
        return Err(format!("{WANTED}{hint}"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => return Err(format!("{WANTED}: the connection to the proxy is plain HTTP")),
        other if other.starts_with("socks") => {
            return Err(format!("{WANTED}: SOCKS proxies can't be used"));
        }
        _ => return Err(WANTED.to_owned()),
    }
    let (authority, path) = parse::split_authority(rest);
    if !matches!(path, "" | "/") {
        return Err(format!(
            "{WANTED}, without a path or query; / ? # in a password are written %2F %3F %23"
        ));
    }
    let (credentials, address) = match authority.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, authority),
    };
    let (host, port) = parse::host_and_port(address).map_err(|problem| format!("{WANTED}: {problem}"))?;
    let authorization = match credentials {
        None => None,
        Some(_) => Some(
            Matcher::builder()
                .all(text)
                .build()
                .intercept(&Uri::from_static("http://plausible.io"))
                .and_then(|proxy| proxy.basic_auth().cloned())
                .ok_or_else(|| {
                    format!("{WANTED}; characters that a URL can't have are written as % and two digits")
                })?,
        ),
    };
    Ok(ForwardProxy {
        host,
        port: port.unwrap_or(80),
        authorization,
    })
}

/// The same, or without a scheme, as curl takes it from the environment.
fn parse_variable(text: &str) -> ParseResult<ForwardProxy> {
    if text.contains("://") {
        return parse_proxy(text);
    }
    parse_proxy(&format!("http://{text}"))
}

/// The variable that names a proxy for `base`, and its value, by curl's rules: the name in lower case comes
/// first, an empty value is none, and `NO_PROXY` lists the hosts that are reached directly.
///
/// A CGI server passes a request's `Proxy` header on as `HTTP_PROXY`. So this name does not count where there
/// is a `REQUEST_METHOD`; `http_proxy` does.
fn from_environment<'e>(
    variable: &impl Fn(&str) -> Option<&'e str>,
    base: &Base,
) -> Option<(&'static str, &'e str)> {
    let cgi = variable("REQUEST_METHOD").is_some();
    let first = |names: [&'static str; 2]| {
        let named = names.into_iter().filter(|name| *name != "HTTP_PROXY" || !cgi);
        let mut set = named.filter_map(|name| Some((name, variable(name)?)));
        set.next().filter(|(_, text)| !text.is_empty())
    };
    let found = first(if base.https {
        ["https_proxy", "HTTPS_PROXY"]
    } else {
        ["http_proxy", "HTTP_PROXY"]
    });
    let found = found.or_else(|| first(["all_proxy", "ALL_PROXY"]))?;
    let exceptions = first(["no_proxy", "NO_PROXY"]).map_or("", |(_, text)| text);
    let rules = Matcher::builder().all("http://proxy").no(exceptions).build();
    // An address literal that is no URI is refused with `plausible.url`.
    let uri: Uri = format!("{}://{}", base.scheme(), base.authority()).parse().ok()?;
    rules.intercept(&uri).map(|_| found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(url: &str, variables: &[(&str, &'static str)]) -> Option<(&'static str, &'static str)> {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
        from_environment(&variable, &parse::base_url(url).unwrap())
    }

    #[test]
    fn the_scheme_of_plausibles_url_chooses_the_variable() {
        let both = [("HTTP_PROXY", "http://a:1"), ("HTTPS_PROXY", "http://b:1")];
        assert_eq!(
            found("https://p.example", &both),
            Some(("HTTPS_PROXY", "http://b:1"))
        );
        assert_eq!(
            found("http://p.example", &both),
            Some(("HTTP_PROXY", "http://a:1"))
        );
        assert_eq!(found("https://p.example", &both[..1]), None);
        let all = [("ALL_PROXY", "http://c:1")];
        assert_eq!(found("http://p.example", &all), Some(("ALL_PROXY", "http://c:1")));
    }

    #[test]
    fn lower_case_comes_first_and_an_empty_value_is_none() {
        let upper = ("HTTPS_PROXY", "http://upper:1");
        let lower = ("https_proxy", "http://lower:1");
        assert_eq!(found("https://p.example", &[upper, lower]), Some(lower));
        assert_eq!(found("https://p.example", &[upper, ("https_proxy", "")]), None);
    }

    #[test]
    fn a_cgi_servers_http_proxy_is_the_clients_and_does_not_count() {
        let cgi = ("REQUEST_METHOD", "GET");
        let upper = ("HTTP_PROXY", "http://evil:1");
        let lower = ("http_proxy", "http://ours:1");
        assert_eq!(found("http://p.example", &[cgi, upper]), None);
        assert_eq!(found("http://p.example", &[cgi, upper, lower]), Some(lower));
    }

    #[test]
    fn no_proxy_lists_the_hosts_that_are_reached_directly() {
        let proxied = |url: &str, exceptions: &'static str| {
            let variables = [("ALL_PROXY", "http://a:1"), ("NO_PROXY", exceptions)];
            found(url, &variables).is_some()
        };
        assert!(proxied("https://p.example", ""));
        assert!(!proxied("https://p.example", "other.example, p.example"));
        assert!(!proxied("https://stats.p.example", ".p.example"));
        assert!(!proxied("https://p.example", "*"));
        assert!(!proxied("http://10.1.2.3:8000", "10.0.0.0/8"));
        assert!(!proxied("http://[2001:db8::1]:8000", "2001:db8::/32"));
        assert!(proxied("https://not-p.example", "p.example"));
    }

    #[test]
    fn credentials_are_read_as_a_url_has_them() {
        let proxy = parse_proxy("http://gate:p%40ss@proxy.example:3128/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port), ("proxy.example", 3128));
        // base64 of gate:p@ss
        assert_eq!(proxy.authorization.unwrap(), "Basic Z2F0ZTpwQHNz");
        assert_eq!(parse_proxy("http://[::1]").unwrap().port, 80);
        assert_eq!(parse_variable("proxy:3128").unwrap().port, 3128);
    }

    #[test]
    fn no_message_repeats_a_password() {
        for text in [
            "gate:secret@proxy:3128",
            "https://gate:secret@proxy:3128",
            "socks5://gate:secret@proxy:3128",
            "http://gate:secret@",
            "http://gate:secret@proxy:x",
            "http://gate:sec/ret@proxy:1",
            "http://gate:secret\u{e9}@proxy:1",
            "http://gate:secret@proxy:1/path",
        ] {
            let problem = parse_proxy(text).unwrap_err();
            assert!(problem.starts_with("http://HOST:PORT or "), "{problem}");
            assert!(!problem.contains("sec"), "{text}: {problem}");
        }
    }
}
