//! The table of keys that this version knows: each with its kind, its default and its environment variable.

/// The kind of a key's value in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    Text,
    Integer,
    Boolean,
    /// A list of texts.
    List,
    /// A text, or a whole number of bytes.
    Size,
    /// A text or a list of texts.
    TextOrList,
    /// `true`, `false` or a list of texts.
    BooleanOrList,
}

impl ValueKind {
    /// The problem of a value of another kind.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            ValueKind::Text => "a text in quotes is wanted",
            ValueKind::Integer => "a whole number is wanted",
            ValueKind::Boolean => "true or false is wanted",
            ValueKind::List => "a list of texts is wanted, such as [\"a\", \"b\"]",
            ValueKind::Size => "a size is wanted, such as \"64KiB\", \"256MiB\" or a number of bytes",
            ValueKind::TextOrList => "a text or a list of texts is wanted",
            ValueKind::BooleanOrList => "true, false or a list of texts is wanted",
        }
    }
}

/// One key of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Table and name, `listen.address`.
    pub(super) path: &'static str,
    pub(super) kind: ValueKind,
    /// The default as it would be in the file; `None` if the key is required.
    pub(super) default: Option<&'static str>,
}

const fn key(path: &'static str, kind: ValueKind, default: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Some(default),
    }
}

/// The keys in the order of the documentation, in which `check` prints them. `[[sites]]`,
/// `[[events]]` and `[[listen.tls.more]]` are not among them: their keys occur any number of times.
pub(super) const KEYS: &[Key] = &[
    key("listen.address", ValueKind::Text, "\"0.0.0.0:8080\""),
    key("listen.workers", ValueKind::Integer, "0"),
    key("listen.proxy_protocol", ValueKind::Boolean, "false"),
    key("listen.drain", ValueKind::Text, "\"25s\""),
    key("listen.max_connections", ValueKind::Integer, "10000"),
    key("listen.header_timeout", ValueKind::Text, "\"30s\""),
    key("listen.idle_timeout", ValueKind::Text, "\"75s\""),
    key("listen.max_head_bytes", ValueKind::Size, "\"64KiB\""),
    key("listen.body_timeout", ValueKind::Text, "\"30s\""),
    key("listen.min_rate", ValueKind::Text, "\"1KiB/s\""),
    key("listen.http2", ValueKind::Boolean, "false"),
    key("listen.max_streams", ValueKind::Integer, "128"),
    key("listen.tls.certificate", ValueKind::Text, "\"\""),
    key("listen.tls.key", ValueKind::Text, "\"\""),
    key("listen.tls.client_ca", ValueKind::Text, "\"\""),
    Key {
        path: "app.url",
        kind: ValueKind::Text,
        default: None,
    },
    key("app.connect_timeout", ValueKind::Text, "\"2s\""),
    key("app.response_timeout", ValueKind::Text, "\"60s\""),
    key("app.keep_alive", ValueKind::Text, "\"4s\""),
    key("admin.address", ValueKind::Text, "\"127.0.0.1:9090\""),
    key("admin.hosts", ValueKind::List, "[]"),
    key("log.level", ValueKind::Text, "\"info\""),
    key("log.format", ValueKind::Text, "\"auto\""),
    key(
        "client.trusted_proxies",
        ValueKind::List,
        "[\"loopback\", \"private\"]",
    ),
    key("client.header", ValueKind::Text, "\"x-forwarded-for\""),
    key("client.trusted_hops", ValueKind::Integer, "0"),
    key("client.to_app", ValueKind::Text, "\"rewrite\""),
    key("plausible.url", ValueKind::Text, "\"https://plausible.io\""),
    key(
        "plausible.address_header",
        ValueKind::TextOrList,
        "\"x-forwarded-for\"",
    ),
    key("plausible.timeout", ValueKind::Text, "\"10s\""),
    key("plausible.concurrency", ValueKind::Integer, "64"),
    key("plausible.max_age", ValueKind::Text, "\"24h\""),
    key("plausible.retry_initial", ValueKind::Text, "\"500ms\""),
    key("plausible.retry_max", ValueKind::Text, "\"60s\""),
    key("plausible.max_tries", ValueKind::Integer, "10"),
    key("plausible.ca_file", ValueKind::Text, "\"\""),
    key("plausible.proxy", ValueKind::Text, "\"\""),
    key("queue.at", ValueKind::Text, "\"disk\""),
    key("queue.path", ValueKind::Text, "\"\""),
    key("queue.max_bytes", ValueKind::Size, "\"256MiB\""),
    key("pages.count", ValueKind::Text, "\"always\""),
    key("pages.include", ValueKind::List, "[\"/**\"]"),
    key("pages.exclude", ValueKind::List, "[\"/admin/**\"]"),
    key(
        "pages.query",
        ValueKind::List,
        "[\"ref\", \"source\", \"utm_source\", \"utm_medium\", \"utm_campaign\", \"utm_content\", \"utm_term\"]",
    ),
    key("pages.prefetch", ValueKind::Text, "\"skip\""),
    key("pages.bots", ValueKind::Text, "\"skip\""),
    key("pages.not_found", ValueKind::Boolean, "false"),
    key("pages.downloads", ValueKind::BooleanOrList, "false"),
    key("pages.respect_gpc", ValueKind::Boolean, "false"),
    key("pages.exclude_when", ValueKind::List, "[]"),
    key("tracker.script", ValueKind::Text, "\"/js/script.js\""),
    key("tracker.source", ValueKind::Text, "\"\""),
    key("tracker.event", ValueKind::Text, "\"/api/event\""),
    key("tracker.pixel", ValueKind::Text, "\"\""),
    key("tracker.inject", ValueKind::Boolean, "false"),
    key("observe.mirror", ValueKind::Text, "\"\""),
    key("observe.log", ValueKind::Text, "\"\""),
    key("observe.format", ValueKind::Text, "\"json\""),
];

/// The keys of one `[[sites]]` table.
pub(super) const SITE_KEYS: &[&str] = &["hosts", "domain"];

/// The table of requests that mean something.
pub(super) const EVENTS: &str = "events";

/// The keys of one `[[events]]` table.
pub(super) const EVENT_KEYS: &[&str] = &[
    "name",
    "method",
    "path",
    "status",
    "props",
    "revenue",
    "interactive",
];

/// The table of the further pairs of certificate and key.
pub(super) const PAIRS: &str = "listen.tls.more";

/// The keys of one `[[listen.tls.more]]` table.
pub(super) const PAIR_KEYS: &[&str] = &["certificate", "key"];

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// The tables of the file, those that occur any number of times last.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    KEYS.iter()
        .map(|k| table_of(k.path))
        .filter(move |t| std::mem::replace(&mut last, t) != *t)
        .chain(["sites", EVENTS])
}

/// The names of a table's keys.
pub(super) fn names_in(table: &str) -> Vec<&'static str> {
    KEYS.iter()
        .filter(|k| table_of(k.path) == table)
        .map(|k| name_of(k.path))
        .collect()
}

/// `GATECOUNT_LISTEN_ADDRESS` for `listen.address`.
pub(super) fn variable(path: &str) -> String {
    format!("GATECOUNT_{}", path.replace('.', "_").to_ascii_uppercase())
}

/// `a, b and c`
pub(super) fn listed(names: &[&str]) -> String {
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        Some((only, _)) => (*only).to_owned(),
        None => "none".to_owned(),
    }
}

pub(super) fn table_of(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(table, _)| table)
}

pub(super) fn name_of(path: &str) -> &str {
    path.rsplit_once('.').map_or(path, |(_, name)| name)
}
