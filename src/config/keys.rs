//! The table of keys that this version knows: each with its kind, its default, a sentence and what it
//! accepts. The file with every key, the JSON schema and the manual are made from it.

use super::key::{Form, key, key_of};

pub(super) use super::key::{Key, RepeatedTable, ValueKind, listed, name_of, table_of, variable};

/// The keys in the order of the documentation, in which `check` prints them. `[[sites]]`,
/// `[[events]]` and `[[listen.tls.more]]` are in [`REPEATED`]: their keys occur any number of times.
pub(super) const KEYS: &[Key] = &[
    key("listen.address", ValueKind::Text, "\"0.0.0.0:8080\"")
        .form(Form::Listen)
        .about(
            "Where visitors come in: ADDRESS:PORT, or \"unix:/path\"; port 0 is any free one. Behind a \
             proxy on the same machine, \"127.0.0.1:8080\" lets nobody go around it.",
        ),
    key("listen.workers", ValueKind::Integer, "0")
        .range(0, 1024)
        .about(
            "Threads that carry requests; 0 is one for each CPU that the container may use (affinity and \
             cgroup quota).",
        ),
    key("listen.proxy_protocol", ValueKind::Boolean, "false")
        .about(
            "true: a PROXY protocol header, v1 or v2, is read from trusted peers, and required of them.",
        ),
    key("listen.drain", ValueKind::Text, "\"25s\"")
        .form(Form::Duration)
        .about("How long a stop waits for requests in flight."),
    key("listen.max_connections", ValueKind::Integer, "10000")
        .range(1, 10_000_000)
        .about(
            "Connections at once; lowered where the limit of open files is too low. Beyond it, clients \
             that have waited longest for a request make room, else new ones wait.",
        ),
    key("listen.header_timeout", ValueKind::Text, "\"30s\"")
        .form(Form::Duration)
        .about("How long a request's head may take to arrive."),
    key("listen.idle_timeout", ValueKind::Text, "\"75s\"")
        .form(Form::Duration)
        .about("How long a connection may wait for its next request."),
    key("listen.max_head_bytes", ValueKind::Size, "\"64KiB\"")
        .about(
            "The largest head of a request, from \"1KiB\" to \"16MiB\"; 431 beyond it, and beyond 512 \
             fields.",
        ),
    key("listen.body_timeout", ValueKind::Text, "\"30s\"")
        .form(Form::Duration)
        .about("How long a request's body may pause."),
    key("listen.min_rate", ValueKind::Text, "\"1KiB/s\"")
        .form(Form::Rate)
        .about(
            "The least rate of a request's body on average, as a size a second; \"0\" is none. Tunnels \
             and responses are not concerned.",
        ),
    key("listen.http2", ValueKind::Boolean, "false")
        .about("true: HTTP/2 in plain text by prior knowledge. Over TLS it is offered by ALPN anyway."),
    key("listen.max_streams", ValueKind::Integer, "128")
        .range(1, 10_000)
        .about("Requests at once on one HTTP/2 connection."),
    key("listen.tls.certificate", ValueKind::Text, "\"\"")
        .about(
            "A PEM file with the whole chain, such as \"/etc/tls/tls.crt\", read again when it changes; \
             \"\" is plain text.",
        ),
    key("listen.tls.key", ValueKind::Text, "\"\"")
        .about("A PEM file with its private key, such as \"/etc/tls/tls.key\"."),
    key("listen.tls.client_ca", ValueKind::Text, "\"\"")
        .about("A PEM file: clients must show a certificate of it (mutual TLS)."),
    key_of("app.url", ValueKind::Text, "\"http://127.0.0.1:3000\"")
        .form(Form::App)
        .about("Where the app listens: http://HOST:PORT or \"unix:/path\". It has no default."),
    key("app.connect_timeout", ValueKind::Text, "\"2s\"")
        .form(Form::Duration)
        .about("How long connecting to the app may take; 502 after it."),
    key("app.response_timeout", ValueKind::Text, "\"60s\"")
        .form(Form::Duration)
        .about("How long the app may take to the head of its response; 504 after it."),
    key("app.keep_alive", ValueKind::Text, "\"4s\"")
        .form(Form::Duration)
        .about(
            "How long an idle connection to the app is kept: shorter than the app keeps it (Node, Apache \
             and uvicorn close theirs at 5 s). A shorter Keep-Alive: timeout of the app's is obeyed.",
        ),
    key("admin.address", ValueKind::Text, "\"127.0.0.1:9090\"")
        .form(Form::Address)
        .about(
            "Where operators ask: the live page, /metrics, /livez, /readyz, /status, /decisions. A \
             kubelet or a Prometheus elsewhere needs \"0.0.0.0:9090\".",
        ),
    key("admin.hosts", ValueKind::List, "[]")
        .form(Form::Something)
        .about(
            "Names by which it may be asked, beside addresses and localhost: others get 421 (DNS \
             rebinding).",
        ),
    key("log.level", ValueKind::Text, "\"info\"")
        .form(Form::Something)
        .about(
            "What goes to standard error: off, error, warn, info, debug, trace, or directives as \
             RUST_LOG's.",
        ),
    key("log.format", ValueKind::Text, "\"auto\"")
        .words(&["auto", "text", "json"])
        .about("How it is written; auto is text on a terminal, and one JSON object a line otherwise."),
    key("client.trusted_proxies", ValueKind::List, "[\"loopback\", \"private\"]")
        .form(Form::Something)
        .about(
            "Whose forwarding headers are believed: ranges, addresses, the names loopback, private, \
             link-local, cloudflare, fastly and google, or \"@FILE\", one a line. Whoever is in it could \
             choose its address; an empty list trusts nobody.",
        ),
    key("client.header", ValueKind::Text, "\"x-forwarded-for\"")
        .form(Form::Something)
        .about(
            "Where a trusted peer says who the client is: x-forwarded-for, forwarded, a single-address \
             header (cf-connecting-ip, x-real-ip, …), or none.",
        ),
    key("client.trusted_hops", ValueKind::Integer, "0")
        .range(0, 255)
        .about("N: instead of the ranges, the N nearest hops are ours."),
    key("client.to_app", ValueKind::Text, "\"rewrite\"")
        .words(&["rewrite", "append", "keep"])
        .about(
            "What the app is told: rewrite has the chain that trust establishes, append adds the peer to \
             what came, keep touches nothing.",
        ),
    key("plausible.url", ValueKind::Text, "\"https://plausible.io\"")
        .form(Form::Url)
        .about("Where Plausible is, with a path before /api/event or without."),
    key("plausible.address_header", ValueKind::TextOrList, "\"x-forwarded-for\"")
        .words(&["x-forwarded-for", "x-plausible-ip"])
        .about("Which headers tell Plausible the visitor's address; both as a list."),
    key("plausible.timeout", ValueKind::Text, "\"10s\"")
        .form(Form::Duration)
        .about("How long one attempt may take."),
    key("plausible.concurrency", ValueKind::Integer, "64")
        .range(1, 10_000)
        .about("Requests in flight; one at most for each visitor."),
    key("plausible.max_age", ValueKind::Text, "\"24h\"")
        .form(Form::Duration)
        .about(
            "An event older than this is dropped as expired: Plausible counts an event when it arrives.",
        ),
    key("plausible.retry_initial", ValueKind::Text, "\"500ms\"")
        .form(Form::Duration)
        .about("The first wait after a failure; it doubles, with full jitter."),
    key("plausible.retry_max", ValueKind::Text, "\"60s\"")
        .form(Form::Duration)
        .about("The longest wait between attempts."),
    key("plausible.max_tries", ValueKind::Integer, "10")
        .range(1, 1_000_000)
        .about("Tries of one event while others get through; then it ends as rejected."),
    key("plausible.ca_file", ValueKind::Text, "\"\"")
        .about("A PEM file with certificates that are trusted beside the system's roots."),
    key("plausible.proxy", ValueKind::Text, "\"\"")
        .about(
            "An HTTP proxy for what goes out: http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; \"\" \
             obeys HTTPS_PROXY, HTTP_PROXY and NO_PROXY.",
        ),
    key("queue.at", ValueKind::Text, "\"disk\"")
        .words(&["disk", "memory"])
        .about("Where events wait for Plausible; in memory a restart loses them."),
    key("queue.path", ValueKind::Text, "\"\"")
        .about(
            "Their directory, which nothing else uses; \"\" is $STATE_DIRECTORY, else /var/lib/gatecount \
             where writable, else the user's state directory.",
        ),
    key("queue.max_bytes", ValueKind::Size, "\"256MiB\"")
        .about(
            "How much may wait; when it is full, the oldest events go first and are counted as evicted.",
        ),
    key("pages.count", ValueKind::Text, "\"always\"")
        .words(&["always", "never", "untracked"])
        .about(
            "Whether page views are counted; untracked: those that the tracker script does not report \
             itself. That is the default where the script's events come here, by [tracker].",
        ),
    key("pages.tracker_wait", ValueKind::Text, "\"10s\"")
        .form(Form::Duration)
        .about("How long a page waits for the script's report of it, at most \"5m\"."),
    key("pages.include", ValueKind::List, "[\"/**\"]")
        .form(Form::Something)
        .about("Which paths may count: * is a part of a segment, ** any number of segments."),
    key("pages.exclude", ValueKind::List, "[\"/admin/**\"]")
        .form(Form::Something)
        .about(
            "Which of them do not count. The default leaves out /admin/ of every app; [] leaves out \
             nothing.",
        ),
    key(
        "pages.query",
        ValueKind::List,
        "[\"ref\", \"source\", \"utm_source\", \"utm_medium\", \"utm_campaign\", \"utm_content\", \"utm_term\"]",
    )
    .form(Form::Something)
    .about("Which query parameters stay in a page's address; \"*\" keeps all."),
    key("pages.soft_navigations", ValueKind::Boolean, "true")
        .about("Whether pages count that a script shows: Turbo, htmx, Inertia, Next.js and others."),
    key("pages.prefetch", ValueKind::Text, "\"activation\"")
        .words(&["activation", "skip", "count", "refuse"])
        .about(
            "What is done about pages that are fetched ahead: activation counts them when they are shown, \
             skip never, count at the fetch; refuse answers browsers 503, so that a click makes a true request.",
        ),
    key("pages.bots", ValueKind::Text, "\"skip\"")
        .form(Form::Something)
        .about(
            "What is done about bots: skip, count, or a site's name at Plausible that gets them as \
             the event \"Bot\" with the props bot, kind and path.",
        ),
    key("pages.mask", ValueKind::List, "[]")
        .form(Form::Something)
        .about(
            "Paths that are sent as the pattern, such as [\"/reset/*\", \"/orders/*\"]: no secrets, no ids.",
        ),
    key("pages.ignore_clients", ValueKind::List, "[]")
        .form(Form::Something)
        .about("Ranges of addresses whose visits are not counted, such as the office's."),
    key("pages.not_found", ValueKind::Boolean, "false")
        .about("true: a 404 page becomes the event \"404\" with the prop path."),
    key("pages.downloads", ValueKind::BooleanOrList, "false")
        .form(Form::Something)
        .about(
            "true: a download becomes the event \"File Download\", by the tracker's own list of \
             extensions; or a list of extensions.",
        ),
    key("pages.respect_gpc", ValueKind::Boolean, "false")
        .about("true: requests with Sec-GPC: 1 or DNT: 1 are not counted."),
    key("pages.exclude_when", ValueKind::List, "[]")
        .form(Form::Present)
        .about(
            "Cookies and headers whose presence means not counted, such as \"cookie:logged_in\" or \
             \"header:x-internal\".",
        ),
    key("tracker.script", ValueKind::Text, "\"/js/script.js\"")
        .form(Form::OwnPath)
        .about("The tracker script's path here, where source is set."),
    key("tracker.source", ValueKind::Text, "\"\"")
        .about(
            "Plausible's path of your script, such as \"/js/pa-XXXXX.js\", or a whole URL; \"\" is off.",
        ),
    key("tracker.event", ValueKind::Text, "\"/api/event\"")
        .form(Form::OwnPathOrNone)
        .example("\"\"")
        .about(
            "Where the script sends its events; \"\" is off. Without this line it is \"/api/event\" \
             where source is set, and off otherwise.",
        ),
    key("tracker.pixel", ValueKind::Text, "\"\"")
        .form(Form::OwnPathOrNone)
        .about(
            "The path of an image for pages without the script, such as \"/p.gif\": its request is a \
             view of the page in its Referer; \"\" is off.",
        ),
    key("tracker.inject", ValueKind::Boolean, "false")
        .about("true: HTML pages get the script's tag."),
    key("observe.mirror", ValueKind::Text, "\"\"")
        .form(Form::AddressOrNone)
        .about(
            "An address for copies of requests, such as \"127.0.0.1:8081\", as nginx's mirror sends \
             them; \"\" is off. With one of [observe], [app] may be left out.",
        ),
    key("observe.log", ValueKind::Text, "\"\"")
        .form(Form::LogSource)
        .about(
            "An access log: \"file:/var/log/nginx/gatecount.log\" (followed), or syslog at \
             \"udp:127.0.0.1:5514\" or \"unixgram:/run/gatecount/log.sock\"; \"\" is off.",
        ),
    key("observe.format", ValueKind::Text, "\"json\"")
        .words(&["json", "combined", "caddy", "traefik"])
        .about("The form of its lines; deploy/nginx has json."),
    key("stream.url", ValueKind::Text, "\"\"")
        .form(Form::Servers)
        .about(
            "The servers, such as \"nats://nats:4222\", several with commas; tls:// for TLS, \
             USER:PASSWORD@ before the host where they want it. \"\" is off: each sidecar delivers by itself.",
        ),
    key("stream.name", ValueKind::Text, "\"gatecount\"")
        .form(Form::StreamName)
        .about("The stream's name, which is made if it is missing: letters, digits, - and _."),
    key("stream.replicas", ValueKind::Integer, "3")
        .range(1, 5)
        .about("On how many servers each event is kept. Of a stream that exists, its own holds."),
    key("stream.partitions", ValueKind::Integer, "64")
        .range(1, 1024)
        .about(
            "Into how many parts visitors are divided, of which each gateway delivers some. Fixed for the \
             stream's life, and the same everywhere.",
        ),
    key("stream.duplicate_window", ValueKind::Text, "\"2h\"")
        .form(Form::Duration)
        .about(
            "How long the servers remember an event's id. What was on its way to them when a sidecar was killed \
             comes twice if it starts again later than that. An id takes some 190 bytes of memory on each server. \
             Of a stream that exists, its own holds.",
        ),
    key("stream.credentials", ValueKind::Text, "\"\"")
        .about("A .creds file, such as \"/etc/nats/gatecount.creds\"; \"\" is none."),
    key("stream.ca_file", ValueKind::Text, "\"\"")
        .about("A PEM file with certificates that are trusted beside the system's roots."),
    key("stream.reorder", ValueKind::Text, "\"500ms\"")
        .form(Form::Duration)
        .about(
            "How long an event waits at a gateway for older ones of the same visitor that another sidecar may \
             have, at most \"1m\".",
        ),
    key("stream.strict", ValueKind::Boolean, "false")
        .about(
            "true: of a partition one event at a time is on its way to Plausible. Slower; a gateway that is \
             held up can then send one event twice and no more.",
        ),
    key("stream.deliver", ValueKind::Boolean, "false")
        .about("true: this sidecar delivers from the stream as well, as `gatecount gateway` does."),
];

/// What the tables of [`KEYS`] are for.
const TABLES: &[(&str, &str)] = &[
    ("listen", "The side of the visitors."),
    (
        "listen.tls",
        "TLS towards visitors: 1.2 and 1.3, HTTP/2 by ALPN. Without a certificate the port speaks plain text.",
    ),
    ("app", "The app behind."),
    ("admin", "What operators ask."),
    ("log", "What is said on standard error."),
    ("client", "Who the visitor is, and what the app is told of it."),
    ("plausible", "Where events go."),
    ("queue", "Where events wait for Plausible."),
    ("pages", "What counts as a page view."),
    (
        "tracker",
        "The tracker script and its paths, on the site's own host.",
    ),
    (
        "observe",
        "Requests that are seen from aside, and never stood in the way of.",
    ),
    (
        "stream",
        "A queue on NATS JetStream that many sidecars share: they publish, `gatecount gateway` delivers.",
    ),
];

/// The table of sites.
pub(super) const SITES: &str = "sites";

/// The table of requests that mean something.
pub(super) const EVENTS: &str = "events";

/// The table of the further pairs of certificate and key.
pub(super) const PAIRS: &str = "listen.tls.more";

/// `[[listen.tls.more]]`
pub(super) const PAIR_TABLE: RepeatedTable = RepeatedTable {
    name: PAIRS,
    about: "Further pairs, each chosen by the names of its certificate; the one of [listen.tls] serves \
         whatever name no pair has.",
    keys: &[
        key_of(
            "listen.tls.more.certificate",
            ValueKind::Text,
            "\"/etc/tls/shop.crt\"",
        )
        .form(Form::Something)
        .about("A PEM file with the whole chain."),
        key_of("listen.tls.more.key", ValueKind::Text, "\"/etc/tls/shop.key\"")
            .form(Form::Something)
            .about("A PEM file with its private key."),
    ],
    required: 2,
};

/// `[[sites]]`
pub(super) const SITE_TABLE: RepeatedTable = RepeatedTable {
    name: SITES,
    about: "A site; the first whose host matches gets the event. --domain stands for every host instead.",
    keys: &[
        key_of(
            "sites.hosts",
            ValueKind::List,
            "[\"example.com\", \"*.example.com\"]",
        )
        .form(Form::Something)
        .about(
            "The host names of its pages; \"*.example.com\" is every name below example.com, \"*\" \
                 every host.",
        ),
        key_of("sites.domain", ValueKind::TextOrList, "\"example.com\"")
            .form(Form::Something)
            .about("Its name at Plausible, or a list: one event, several dashboards."),
    ],
    required: 2,
};

/// `[[events]]`
pub(super) const EVENT_TABLE: RepeatedTable = RepeatedTable {
    name: EVENTS,
    about: "A request that means something, beside its page view where there is one.",
    keys: &[
        key_of("events.name", ValueKind::Text, "\"Signup\"")
            .form(Form::Something)
            .about("The event's name at Plausible, at most 120 characters."),
        key_of("events.path", ValueKind::Text, "\"/signup/{plan}\"")
            .form(Form::Something)
            .about("Which paths: a glob; {plan} takes a part of a segment, {**rest} takes segments."),
        key_of("events.method", ValueKind::TextOrList, "\"POST\"")
            .form(Form::Something)
            .about("Which methods; without it every one but HEAD, OPTIONS and TRACE."),
        key("events.status", ValueKind::TextOrList, "[\"2xx\", \"3xx\"]")
            .form(Form::Something)
            .example("[\"303\"]")
            .about("Which statuses of the response, or classes of them."),
        key_of("events.props", ValueKind::Table, "{ plan = \"{capture.plan}\" }")
            .names(&[])
            .about(
                "At most 30 props; {path} {host} {status} {query.NAME} {header.NAME} {capture.NAME} \
                 stand for values of the request, {{ and }} for braces. One whose value is blank is left \
                 out.",
            ),
        key_of(
            "events.revenue",
            ValueKind::Table,
            "{ currency = \"EUR\", amount = \"{query.total}\" }",
        )
        .names(&["currency", "amount"])
        .about("A currency of ISO 4217 and a decimal number, by the same templates."),
        key("events.interactive", ValueKind::Boolean, "true")
            .about("false: the event does not end a bounce."),
    ],
    required: 2,
};

/// The tables that occur any number of times.
pub(super) const REPEATED: &[RepeatedTable] = &[PAIR_TABLE, SITE_TABLE, EVENT_TABLE];

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// What a table is for.
pub(super) fn about_table(table: &str) -> &'static str {
    TABLES
        .iter()
        .find(|(name, _)| *name == table)
        .map_or("", |(_, about)| about)
}

/// The tables of the file, those that occur any number of times last.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    single_tables().chain([SITES, EVENTS])
}

/// The tables that occur once.
pub(super) fn single_tables() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    KEYS.iter()
        .map(|k| table_of(k.path))
        .filter(move |t| std::mem::replace(&mut last, t) != *t)
}

/// The keys of a table that occurs once.
pub(super) fn in_table(table: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |k| table_of(k.path) == table)
}

/// The names of a table's keys.
pub(super) fn names_in(table: &str) -> Vec<&'static str> {
    in_table(table).map(Key::name).collect()
}
