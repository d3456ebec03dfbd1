//! The rules between keys: values that are right alone and wrong together.

use std::net::SocketAddr;

use crate::{
    admin, client, delivery,
    observe::{self, LogSource},
    page::PageRules,
    proxy::{self, Listen, Upstream},
};

use super::{parse, reader::KeyReader};

/// Addresses: listeners that collide, and an app or a Plausible that is gatecount itself.
pub(super) fn check_addresses(
    r: &mut KeyReader<'_>,
    proxy: Option<&proxy::Settings>,
    admin: &admin::Settings,
    delivery: &delivery::Settings,
) {
    let Some(proxy) = proxy else { return };
    let app = match &proxy.app.upstream {
        Upstream::Tcp(host, port) => literal(host, *port),
        Upstream::Unix(_) | Upstream::Nothing => None,
    };
    let plausible = literal(&delivery.base.host, delivery.base.port);
    match &proxy.listen {
        Listen::Tcp(listen) => {
            if parse::covers(*listen, admin.address) {
                let problem = format!(
                    "listen.address and admin.address must differ, and here both are port {}",
                    listen.port()
                );
                r.clash("admin.address", "listen.address", problem);
            }
            if reaches(app, *listen) {
                let problem =
                    "the app's own address is wanted, and this is where gatecount listens (listen.address)";
                r.clash("app.url", "listen.address", problem);
            }
            if reaches(plausible, *listen) {
                let problem =
                    "Plausible's own address is wanted, and this is where gatecount listens (listen.address)";
                r.clash("plausible.url", "listen.address", problem);
            }
        }
        Listen::Unix(path) => {
            if proxy.app.upstream == Upstream::Unix(path.clone()) {
                let problem =
                    "the app's own socket is wanted, and this is where gatecount listens (listen.address)";
                r.clash("app.url", "listen.address", problem);
            }
        }
    }
    for (key, name, address) in [
        ("app.url", "the app", app),
        ("plausible.url", "Plausible", plausible),
    ] {
        if reaches(address, admin.address) {
            let problem = format!(
                "{name}'s own address is wanted, and this is gatecount's admin address (admin.address)"
            );
            r.clash(key, "admin.address", problem);
        }
    }
}

/// The address for mirrored requests is none of the others.
pub(super) fn check_observed(
    r: &mut KeyReader<'_>,
    proxy: Option<&proxy::Settings>,
    admin: &admin::Settings,
    observe: &observe::Settings,
) {
    if let Some(mirror) = observe.mirror {
        let listen = proxy.and_then(|proxy| match proxy.listen {
            Listen::Tcp(listen) => Some(listen),
            Listen::Unix(_) => None,
        });
        for (key, address) in [("listen.address", listen), ("admin.address", Some(admin.address))] {
            if address.is_some_and(|address| parse::covers(mirror, address)) {
                let problem = format!(
                    "observe.mirror and {key} must differ, and here both are port {}",
                    mirror.port()
                );
                r.clash("observe.mirror", key, problem);
            }
        }
    }
    if let (Some(LogSource::Unixgram(path)), Some(Listen::Unix(listen))) =
        (&observe.log, proxy.map(|proxy| &proxy.listen))
        && path == listen
    {
        let problem = "observe.log and listen.address must differ, and here both are one socket";
        r.clash("observe.log", "listen.address", problem);
    }
}

/// The longest backoff can't be shorter than the first.
pub(super) fn check_retries(r: &mut KeyReader<'_>, delivery: &delivery::Settings) {
    if delivery.retry_max < delivery.retry_initial {
        let problem = "plausible.retry_max must be at least plausible.retry_initial";
        r.clash("plausible.retry_max", "plausible.retry_initial", problem);
    }
}

/// An event that waits longer than it may get old is never sent.
pub(super) fn check_wait(r: &mut KeyReader<'_>, page: &PageRules, delivery: &delivery::Settings) {
    if page.tracker_wait().is_some_and(|wait| wait >= delivery.max_age) {
        let problem = "pages.tracker_wait must be less than plausible.max_age";
        r.clash("pages.tracker_wait", "plausible.max_age", problem);
    }
}

/// Hops can only be counted in a header that lists them.
pub(super) fn check_hops(r: &mut KeyReader<'_>, client: &client::Settings) {
    let is_list = !matches!(
        client.header,
        client::AddressSource::Single(_) | client::AddressSource::None
    );
    if client.trusted_hops > 0 && !is_list {
        let problem = "trusted_hops counts the entries of a list: with it client.header is \"x-forwarded-for\" or \
                       \"forwarded\"";
        r.clash("client.trusted_hops", "client.header", problem);
    }
}

/// The socket address of a host that is an address or `localhost`.
fn literal(host: &str, port: u16) -> Option<SocketAddr> {
    let host = if host == "localhost" { "127.0.0.1" } else { host };
    Some(SocketAddr::new(host.parse().ok()?, port))
}

/// Whether connecting to `address` reaches a listener of this process. Another machine may well use the port
/// that a wildcard listens on here.
fn reaches(address: Option<SocketAddr>, listener: SocketAddr) -> bool {
    address.is_some_and(|address| {
        let is_here = address.ip().is_loopback() || address.ip().is_unspecified();
        (is_here && parse::covers(listener, address)) || address == listener
    })
}
