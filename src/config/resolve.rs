//! From what was said to what each part of the program needs: table by table, then the rules between keys.

use std::path::PathBuf;

use rustls_pki_types::{CertificateDer, pem::PemObject};
use tracing_subscriber::EnvFilter;

use crate::{
    admin, client, delivery, event, page,
    proxy::{self, Listen, Upstream},
    queue::{self, At},
};

use super::{
    forward_proxy, keys,
    mistake::{Mistake, Mistakes, Origin},
    parse,
    reader::{Reader, Shown, each},
    sites::{self, ShownSite},
    sources::Sources,
    tls::{self, ShownPair},
    trust,
    value::{self, Settled},
};

/// Where the queue goes if nothing else is said and it can be written.
const STATE: &str = "/var/lib/gatecount";

/// Everything, resolved.
pub(super) struct Resolved {
    /// None only where [`Wanted::Rules`] left the app out.
    pub(super) proxy: Option<proxy::Settings>,
    pub(super) admin: admin::Settings,
    pub(super) client: client::Settings,
    pub(super) page: page::PageRules,
    pub(super) event: event::EventRules,
    pub(super) delivery: delivery::Settings,
    pub(super) queue: queue::Settings,
    pub(super) log: Option<String>,
    pub(super) files: Vec<PathBuf>,
    pub(super) shown: Vec<Shown>,
    pub(super) sites: Vec<ShownSite>,
    pub(super) pairs: Vec<ShownPair>,
}

/// What must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// What a sidecar needs: an app and a site.
    All,
    /// What deciding needs: nothing, for without a site nothing is counted.
    Rules,
}

/// Resolves all of it, or tells every mistake.
pub(super) fn resolve(sources: &Sources, wanted: Wanted) -> Result<Resolved, Mistakes> {
    let mut r = Reader::new(sources);
    let (proxy, pairs) = proxy(&mut r, wanted);
    let admin = admin::Settings {
        address: r.text("admin.address", |t, _| parse::address(t)),
    };
    let (client, lists) = client(&mut r);
    let delivery = delivery(&mut r);
    let queue = queue(&mut r, delivery.max_age);
    let (sites, shown_sites) = sites::resolve(&mut r, wanted == Wanted::All);
    let (page, query) = pages(&mut r);
    let log = log(&mut r);

    addresses(&mut r, proxy.as_ref(), &admin);
    if delivery.retry_max < delivery.retry_initial {
        let problem = "plausible.retry_max must be at least plausible.retry_initial";
        r.clash("plausible.retry_max", "plausible.retry_initial", problem);
    }
    if client.trusted_hops > 0
        && matches!(
            client.header,
            client::AddressSource::Single(_) | client::AddressSource::None
        )
    {
        let problem = "trusted_hops counts the entries of a list: with it client.header is \"x-forwarded-for\" or \
                       \"forwarded\"";
        r.clash("client.trusted_hops", "client.header", problem);
    }

    if !r.mistakes.is_empty() {
        return Err(r.mistakes.sorted());
    }
    let mut files = r.given.files;
    files.extend(lists);
    files.extend(proxy.iter().filter_map(|p| p.tls.as_ref()).flat_map(tls::files));
    Ok(Resolved {
        proxy,
        admin,
        client,
        page,
        event: event::EventRules { sites, query },
        delivery,
        queue,
        log,
        files,
        shown: r.shown,
        sites: shown_sites,
        pairs,
    })
}

/// `[listen]` and `[app]`.
fn proxy(r: &mut Reader<'_>, wanted: Wanted) -> (Option<proxy::Settings>, Vec<ShownPair>) {
    let listen = r.text("listen.address", parse::listen);
    if let Listen::Unix(path) = &listen {
        r.show(
            "listen.address",
            value::quote(&format!("unix:{}", path.display())),
        );
    }
    let mut workers = r.integer("listen.workers", 0..=1024) as usize;
    if workers == 0 {
        workers = r.sources.cpus;
        r.show("listen.workers", workers.to_string());
    }
    let proxy_protocol = r.boolean("listen.proxy_protocol");
    let drain = r.text("listen.drain", |t, _| parse::duration_or_none(t));
    let max_connections = r.integer("listen.max_connections", 1..=10_000_000) as usize;
    let header_timeout = r.text("listen.header_timeout", |t, _| parse::duration(t));
    let idle_timeout = r.text("listen.idle_timeout", |t, _| parse::duration(t));
    let told = "a size from \"1KiB\" to \"16MiB\" is wanted";
    let max_head_bytes = r.size("listen.max_head_bytes", 1 << 10..=16 << 20, told) as usize;
    let http2 = r.boolean("listen.http2");
    let max_streams = r.integer("listen.max_streams", 1..=10_000);
    let (tls, pairs) = tls::resolve(r, wanted);

    let said = r.given.values.contains_key("app.url");
    let upstream = r.optional_text("app.url", parse::upstream);
    if let Some(Upstream::Unix(path)) = &upstream {
        r.show("app.url", value::quote(&format!("unix:{}", path.display())));
    }
    if !said && wanted == Wanted::All && !r.given.broken {
        let problem = "missing: say where the app listens, by --app http://127.0.0.1:3000, GATECOUNT_APP_URL or url in [app]";
        r.mistakes
            .push(Mistake::key(&Origin::Default, "app.url", problem));
    }
    let connect_timeout = r.text("app.connect_timeout", |t, _| parse::duration(t));
    let response_timeout = r.text("app.response_timeout", |t, _| parse::duration(t));
    let keep_alive = r.text("app.keep_alive", |t, _| parse::duration_or_none(t));

    let settings = upstream.map(|upstream| proxy::Settings {
        listen,
        workers,
        proxy_protocol,
        drain,
        max_connections,
        header_timeout,
        idle_timeout,
        max_head_bytes,
        tls,
        http2,
        max_streams,
        app: proxy::App {
            upstream,
            connect_timeout,
            response_timeout,
            keep_alive,
        },
    });
    (settings, pairs)
}

/// `[client]`, and the list files that it names.
fn client(r: &mut Reader<'_>) -> (client::Settings, Vec<PathBuf>) {
    let (trust, lists) = trust::resolve(r);
    let settings = client::Settings {
        trust,
        header: r.text("client.header", |t, _| parse::address_source(t)),
        trusted_hops: r.integer("client.trusted_hops", 0..=255) as usize,
        to_app: r.text("client.to_app", |t, _| t.parse().map_err(said)),
    };
    (settings, lists)
}

/// `[plausible]`
fn delivery(r: &mut Reader<'_>) -> delivery::Settings {
    let base = r.text("plausible.url", |t, _| parse::base_url(t));
    let address_headers = r.take("plausible.address_header", |settled, spot, _| {
        let Settled::List(items) = settled else {
            return Err(Vec::new());
        };
        let mut headers = each("plausible.address_header", items, |item, _| {
            parse::address_header(item)
        })?;
        if headers.is_empty() {
            let problem = "\"x-forwarded-for\", \"x-plausible-ip\" or both as a list is wanted";
            let mistake = Mistake::value(&spot.origin, "plausible.address_header", "[]", problem);
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
    let concurrency = r.integer("plausible.concurrency", 1..=10_000) as usize;
    let max_age = r.text("plausible.max_age", |t, _| parse::duration(t));
    let retry_initial = r.text("plausible.retry_initial", |t, _| parse::duration(t));
    let retry_max = r.text("plausible.retry_max", |t, _| parse::duration(t));
    let max_tries = r.integer("plausible.max_tries", 1..=1_000_000);
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
        ca_file: ca_file(r),
    }
}

/// `ca_file`: read here once, so that a file without a certificate is a mistake and not a surprise.
fn ca_file(r: &mut Reader<'_>) -> Option<PathBuf> {
    let sources = r.sources;
    let file = r.text("plausible.ca_file", |text, base| {
        if text.is_empty() {
            return Ok(None);
        }
        let path = parse::path_from(text, base)?;
        let pem = (sources.read)(&path).map_err(|error| format!("can't be read: {error}"))?;
        let mut certificates = CertificateDer::pem_slice_iter(&pem);
        match certificates.next() {
            Some(Ok(_)) if certificates.all(|c| c.is_ok()) => Ok(Some(path)),
            None => Err("a PEM file with certificates is wanted; it has none".to_owned()),
            Some(_) => Err("a PEM file with certificates is wanted; it is damaged".to_owned()),
        }
    });
    if let Some(path) = &file {
        r.show("plausible.ca_file", value::quote(&path.display().to_string()));
    }
    file
}

/// `[queue]`; its records are kept as long as delivery wants them.
fn queue(r: &mut Reader<'_>, max_age: std::time::Duration) -> queue::Settings {
    let disk = r.text("queue.at", |t, _| {
        parse::word(t, &[("disk", true), ("memory", false)])
    });
    let path = r.text("queue.path", |text, base| match text {
        "" => Ok(None),
        _ => parse::path_from(text, base).map(Some),
    });
    let told = "a size from \"64KiB\" to \"1TiB\" is wanted";
    let max_bytes = r.size("queue.max_bytes", 64 << 10..=1 << 40, told);
    let at = if disk {
        let path = path.unwrap_or_else(|| state_directory(r.sources));
        r.show("queue.path", value::quote(&path.display().to_string()));
        At::Disk(path)
    } else {
        At::Memory
    };
    queue::Settings {
        at,
        max_bytes,
        max_age,
    }
}

/// What systemd gives, else the system's place, else the user's (XDG Base Directory Specification).
fn state_directory(sources: &Sources) -> PathBuf {
    // Several directories are parted by colons (systemd.exec(5), StateDirectory=).
    let given = sources
        .variable("STATE_DIRECTORY")
        .and_then(|dirs| dirs.split(':').next());
    if let Some(directory) = given.filter(|d| !d.is_empty()) {
        return directory.into();
    }
    if (sources.writable)(STATE.as_ref()) {
        return STATE.into();
    }
    let absolute = |name| {
        sources
            .variable(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map_or_else(|| STATE.into(), |state| state.join("gatecount"))
}

/// `[pages]`: the page's rules, and the event's query parameters.
fn pages(r: &mut Reader<'_>) -> (page::PageRules, event::QueryRule) {
    let counts = [
        ("always", page::CountMode::Always),
        ("never", page::CountMode::Never),
    ];
    let count = r.text("pages.count", |t, _| parse::word(t, &counts));
    let include = r.list("pages.include", |t| t.parse().map_err(said));
    let exclude = r.list("pages.exclude", |t| t.parse().map_err(said));
    let query = r.list("pages.query", |t| match t {
        "" => Err("a query parameter's name or \"*\" is wanted".to_owned()),
        name => Ok(name.to_owned()),
    });
    r.text("pages.prefetch", |t, _| parse::word(t, &[("skip", ())]));
    let bots = r.text("pages.bots", |t, _| match t {
        "skip" => Ok(page::Bots::Skip),
        "count" => Ok(page::Bots::Count),
        other => parse::domain(other)
            .map(page::Bots::Domain)
            .map_err(|_| "\"skip\", \"count\" or a site's name at Plausible is wanted".to_owned()),
    });
    let not_found = r.boolean("pages.not_found");
    let downloads = r.take("pages.downloads", |settled, _, _| match settled {
        Settled::Boolean(false) => Ok(None),
        Settled::Boolean(true) => Ok(Some(page::DOWNLOADS.iter().map(|e| (*e).to_owned()).collect())),
        Settled::List(items) => each("pages.downloads", items, |item, _| parse::extension(item)).map(Some),
        _ => Err(Vec::new()),
    });
    let rules = page::PageRules {
        count,
        include,
        exclude,
        bots,
        not_found,
        downloads: downloads.flatten(),
        respect_gpc: r.boolean("pages.respect_gpc"),
        exclude_when: r.list("pages.exclude_when", |t| t.parse().map_err(said)),
    };
    let query = if query.iter().any(|name| name == "*") {
        event::QueryRule::All
    } else {
        event::QueryRule::Names(query)
    };
    (rules, query)
}

/// `--log`, else `RUST_LOG`, which is everybody's: what can't be read there is not our mistake.
fn log(r: &mut Reader<'_>) -> Option<String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let readable = |text: &str| EnvFilter::builder().parse(text).is_ok();
    let Some(said) = r.given.log.take() else {
        let general = r
            .sources
            .variable("RUST_LOG")
            .filter(|text| !text.is_empty() && readable(text));
        return general.map(str::to_owned);
    };
    let value::Value::Loose(text) = said.what else {
        return None;
    };
    // A single word that is no level would be taken for a module's name, and silence all others.
    let word = text.bytes().all(|b| b.is_ascii_alphanumeric());
    if (word && !LEVELS.contains(&text.to_ascii_lowercase().as_str())) || !readable(&text) {
        let problem = format!(
            "{} or directives such as \"info,gatecount=debug\" are wanted",
            keys::listed(&LEVELS)
        );
        r.mistakes
            .push(Mistake::value(&said.origin, "log", value::quote(&text), problem));
    }
    Some(text)
}

/// Listeners that collide, and an app that is ourselves.
fn addresses(r: &mut Reader<'_>, proxy: Option<&proxy::Settings>, admin: &admin::Settings) {
    let Some(proxy) = proxy else { return };
    let app = match &proxy.app.upstream {
        Upstream::Tcp(host, port) => {
            let host = if host == "localhost" { "127.0.0.1" } else { host };
            host.parse().ok().map(|ip| std::net::SocketAddr::new(ip, *port))
        }
        Upstream::Unix(_) => None,
    };
    // An address of another machine may well have the port that a wildcard listens on here.
    let here = app.filter(|a| a.ip().is_loopback() || a.ip().is_unspecified());
    match &proxy.listen {
        Listen::Tcp(listen) => {
            if parse::covers(*listen, admin.address) {
                let problem = format!(
                    "listen.address and admin.address must differ, and here both are port {}",
                    listen.port()
                );
                r.clash("admin.address", "listen.address", problem);
            }
            if here.is_some_and(|app| parse::covers(*listen, app)) || app == Some(*listen) {
                let problem =
                    "the app's own address is wanted, and this is where gatecount listens (listen.address)";
                r.clash("app.url", "listen.address", problem);
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
    if here.is_some_and(|app| parse::covers(admin.address, app)) {
        let problem =
            "the app's own address is wanted, and this is gatecount's admin address (admin.address)";
        r.clash("app.url", "admin.address", problem);
    }
}

fn said(error: impl std::fmt::Display) -> String {
    error.to_string()
}
