//! Resolves the gathered values into the settings of each part: table by table, then the rules between keys.

use std::{fmt::Display, path::PathBuf, time::Duration};

use crate::{
    admin, client, delivery, event, observe, page,
    proxy::{self, Listen, Upstream},
    queue, stream, telemetry, tracker,
};

use super::{
    conflicts,
    events::{self, ResolvedEvent},
    forward_proxy, inject, log,
    mistake::{Mistake, Mistakes, Origin},
    observe as observe_table, pages, parse, pem, queue as queue_table,
    reader::{KeyReader, ResolvedKey, each},
    sites::{self, ResolvedSite},
    sources::Sources,
    stream as stream_table,
    tls::{self, ResolvedPair},
    tracker as tracker_table, trust,
    value::{self, TypedValue},
};

/// Everything, resolved.
pub(super) struct ResolvedParts {
    /// `None` only if the app is missing and not [required](Required), or requests are only observed. It may
    /// be a proxy without an app, for the tracker's paths alone.
    pub(super) proxy: Option<proxy::Settings>,
    pub(super) drain: Duration,
    pub(super) admin: admin::Settings,
    pub(super) log: telemetry::Settings,
    pub(super) client: client::Settings,
    pub(super) page: page::PageRules,
    pub(super) event: event::EventRules,
    pub(super) custom: Vec<event::custom::CustomRule>,
    pub(super) delivery: delivery::Settings,
    pub(super) queue: queue::Settings,
    pub(super) observe: observe::Settings,
    /// `None` where no stream is configured.
    pub(super) stream: Option<stream::Settings>,
    pub(super) inject: Option<crate::tracker::inject::InjectSettings>,
    pub(super) tracker: tracker::Settings,
    pub(super) files: Vec<PathBuf>,
    pub(super) keys: Vec<ResolvedKey>,
    pub(super) sites: Vec<ResolvedSite>,
    pub(super) events: Vec<ResolvedEvent>,
    pub(super) pairs: Vec<ResolvedPair>,
    pub(super) warnings: Vec<Mistake>,
}

/// What must be configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Required {
    /// An app, or a path of the tracker's, or something to observe, and a site, as a sidecar needs.
    AppAndSite,
    /// A stream, as a gateway needs.
    Stream,
    /// Nothing. Without a site nothing is counted.
    Nothing,
}

/// Resolves all of it, or reports every mistake.
pub(super) fn resolve(sources: &Sources, required: Required) -> Result<ResolvedParts, Mistakes> {
    let mut r = KeyReader::new(sources);
    let has_app = r.raw.values.contains_key("app.url");
    let ListenAndApp { proxy, drain, pairs } = listen_and_app(&mut r, required);
    let admin = admin::Settings {
        address: r.text("admin.address", |t, _| parse::address(t)),
        hosts: r.list("admin.hosts", parse::host_name),
        links: Vec::new(),
    };
    let log = log::resolve(&mut r);
    let client = client(&mut r);
    let delivery = delivery(&mut r);
    let queue = queue_table::resolve(&mut r, delivery.max_age);
    let observe = observe_table::resolve(&mut r, delivery.max_age);
    let stream = stream_table::resolve(&mut r, delivery.timeout);
    if required == Required::Stream {
        stream_table::require(&mut r, stream.as_ref());
    }
    let tracker = tracker_table::resolve(&mut r, &delivery);
    let inject = inject::resolve(&mut r, &delivery.base, &tracker);
    let needs_no_app = inject.is_none() && (observe.is_used() || !tracker.is_off());
    if required == Required::AppAndSite && !has_app && !needs_no_app {
        require_app(&mut r);
    }
    // What has neither an app nor a path of the tracker's has nothing to listen for.
    let proxy = Some(proxy).filter(|proxy| proxy.app.upstream != Upstream::Nothing || !tracker.is_off());
    let (sites, resolved_sites) = sites::resolve(&mut r, required == Required::AppAndSite);
    let (page, query) = pages::resolve(&mut r, &tracker);
    let (custom, resolved_events) = events::resolve(&mut r);

    conflicts::check_addresses(&mut r, proxy.as_ref(), &admin, &delivery);
    conflicts::check_observed(&mut r, proxy.as_ref(), &admin, &observe);
    conflicts::check_retries(&mut r, &delivery);
    conflicts::check_hops(&mut r, &client);
    conflicts::check_wait(&mut r, &page, &delivery);

    if !r.mistakes.is_empty() {
        return Err(r.mistakes.sorted());
    }
    let mut files = r.raw.files;
    files.extend(r.watched);
    Ok(ResolvedParts {
        proxy,
        drain,
        admin,
        log,
        client,
        event: event::EventRules {
            sites,
            query,
            mask: page.mask.clone(),
        },
        page,
        custom,
        delivery,
        queue,
        observe,
        stream,
        inject,
        tracker,
        files,
        keys: r.resolved,
        sites: resolved_sites,
        events: resolved_events,
        pairs,
        warnings: r.warnings,
    })
}

/// Says that the app is missing. It may be where requests are observed instead, or only the tracker's paths are
/// served.
fn require_app(r: &mut KeyReader<'_>) {
    if r.raw.broken {
        return;
    }
    let problem = "missing: say where the app listens, by --app http://127.0.0.1:3000, GATECOUNT_APP_URL or url in [app]";
    r.mistakes
        .push(Mistake::key(&Origin::Default, "app.url", problem));
}

/// `[listen]` and `[app]`, resolved.
struct ListenAndApp {
    proxy: proxy::Settings,
    drain: Duration,
    pairs: Vec<ResolvedPair>,
}

fn listen_and_app(r: &mut KeyReader<'_>, required: Required) -> ListenAndApp {
    let listen = r.text("listen.address", parse::listen);
    if let Listen::Unix(path) = &listen {
        r.show(
            "listen.address",
            value::quote(&format!("unix:{}", path.display())),
        );
    }
    let mut workers = r.integer("listen.workers") as usize;
    if workers == 0 {
        workers = r.sources.cpus;
        r.show("listen.workers", workers.to_string());
    }
    let proxy_protocol = r.boolean("listen.proxy_protocol");
    let drain = r.text("listen.drain", |t, _| parse::duration_or_none(t));
    let max_connections = r.integer("listen.max_connections") as usize;
    let header_timeout = r.text("listen.header_timeout", |t, _| parse::duration(t));
    let idle_timeout = r.text("listen.idle_timeout", |t, _| parse::duration(t));
    let wanted = "a size from \"1KiB\" to \"16MiB\" is wanted";
    let max_head_bytes = r.size("listen.max_head_bytes", 1 << 10..=16 << 20, wanted) as usize;
    let http2 = r.boolean("listen.http2");
    let body_timeout = r.text("listen.body_timeout", |t, _| parse::duration(t));
    let min_rate = r.text("listen.min_rate", |t, _| parse::rate(t));
    let max_streams = r.integer("listen.max_streams");
    let (tls, pairs) = tls::resolve(r, required == Required::AppAndSite);

    let upstream = r.optional_text("app.url", parse::upstream);
    if let Some(Upstream::Unix(path)) = &upstream {
        r.show("app.url", value::quote(&format!("unix:{}", path.display())));
    }
    let connect_timeout = r.text("app.connect_timeout", |t, _| parse::duration(t));
    let response_timeout = r.text("app.response_timeout", |t, _| parse::duration(t));
    let keep_alive = r.text("app.keep_alive", |t, _| parse::duration_or_none(t));

    let settings = proxy::Settings {
        listen,
        workers,
        proxy_protocol,
        drain,
        max_connections,
        max_app_connections: proxy::Settings::unbounded_app_connections(max_connections),
        header_timeout,
        idle_timeout,
        max_head_bytes,
        tls,
        http2,
        max_streams,
        body_timeout,
        min_rate,
        app: proxy::App {
            upstream: upstream.unwrap_or(Upstream::Nothing),
            connect_timeout,
            response_timeout,
            keep_alive,
            is_ours: false,
        },
        inject: None,
    };
    ListenAndApp {
        proxy: settings,
        drain,
        pairs,
    }
}

/// `[client]`
fn client(r: &mut KeyReader<'_>) -> client::Settings {
    client::Settings {
        trust: trust::resolve(r),
        header: r.text("client.header", |t, _| parse::address_source(t)),
        trusted_hops: r.integer("client.trusted_hops") as usize,
        to_app: r.text("client.to_app", |t, _| t.parse().map_err(display)),
    }
}

/// `[plausible]`
fn delivery(r: &mut KeyReader<'_>) -> delivery::Settings {
    let base = r.text("plausible.url", |t, _| parse::base_url(t));
    let address_headers = r.take("plausible.address_header", |typed, located, _| {
        let TypedValue::List(items) = typed else {
            return Err(Vec::new());
        };
        let mut headers = each("plausible.address_header", items, |item, _| {
            parse::address_header(item)
        })?;
        if headers.is_empty() {
            let problem = "\"x-forwarded-for\", \"x-plausible-ip\" or both as a list is wanted";
            let mistake = Mistake::value(&located.origin, "plausible.address_header", "[]", problem);
            return Err(vec![mistake]);
        }
        let mut seen = Vec::new();
        headers.retain(|h| {
            !seen.contains(h) && {
                seen.push(*h);
                true
            }
        });
        Ok(headers)
    });
    let timeout = r.text("plausible.timeout", |t, _| parse::duration(t));
    let concurrency = r.integer("plausible.concurrency") as usize;
    let max_age = r.text("plausible.max_age", |t, _| parse::duration(t));
    let retry_initial = r.text("plausible.retry_initial", |t, _| parse::duration(t));
    let retry_max = r.text("plausible.retry_max", |t, _| parse::duration(t));
    let max_tries = r.integer("plausible.max_tries");
    let proxy = forward_proxy::resolve(r, &base);
    delivery::Settings {
        base,
        proxy,
        address_headers: address_headers.unwrap_or_else(|| vec![delivery::AddressHeader::XForwardedFor]),
        timeout,
        concurrency,
        max_age,
        retry_initial,
        retry_max,
        max_tries,
        ca_file: pem::certificates(r, "plausible.ca_file"),
    }
}

fn display(error: impl Display) -> String {
    error.to_string()
}
