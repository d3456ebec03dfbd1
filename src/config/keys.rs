//! Every key that this version knows, its kind and its default, and the names of the environment variables.

/// What a key's value is in TOML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
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

impl Kind {
    /// What to write, for a value of another kind.
    pub(super) fn wanted(self) -> &'static str {
        match self {
            Kind::Text => "a text in quotes is wanted",
            Kind::Integer => "a whole number is wanted",
            Kind::Boolean => "true or false is wanted",
            Kind::List => "a list of texts is wanted, such as [\"a\", \"b\"]",
            Kind::Size => "a size is wanted, such as \"64KiB\", \"256MiB\" or a number of bytes",
            Kind::TextOrList => "a text or a list of texts is wanted",
            Kind::BooleanOrList => "true, false or a list of texts is wanted",
        }
    }
}

/// One key of the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Table and name, `listen.address`.
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// The default as it would stand in the file; none where the key must be given.
    pub(super) default: Option<&'static str>,
}

const fn key(path: &'static str, kind: Kind, default: &'static str) -> Key {
    Key {
        path,
        kind,
        default: Some(default),
    }
}

/// The keys in the order of the documentation, which is the order in which `check` prints them. `[[sites]]` and
/// `[[listen.tls.more]]` are apart: their keys come any number of times.
pub(super) const KEYS: &[Key] = &[
    key("listen.address", Kind::Text, "\"0.0.0.0:8080\""),
    key("listen.workers", Kind::Integer, "0"),
    key("listen.proxy_protocol", Kind::Boolean, "false"),
    key("listen.drain", Kind::Text, "\"25s\""),
    key("listen.max_connections", Kind::Integer, "10000"),
    key("listen.header_timeout", Kind::Text, "\"30s\""),
    key("listen.idle_timeout", Kind::Text, "\"75s\""),
    key("listen.max_head_bytes", Kind::Size, "\"64KiB\""),
    key("listen.http2", Kind::Boolean, "false"),
    key("listen.max_streams", Kind::Integer, "128"),
    key("listen.tls.certificate", Kind::Text, "\"\""),
    key("listen.tls.key", Kind::Text, "\"\""),
    key("listen.tls.client_ca", Kind::Text, "\"\""),
    Key {
        path: "app.url",
        kind: Kind::Text,
        default: None,
    },
    key("app.connect_timeout", Kind::Text, "\"2s\""),
    key("app.response_timeout", Kind::Text, "\"60s\""),
    key("app.keep_alive", Kind::Text, "\"4s\""),
    key("admin.address", Kind::Text, "\"127.0.0.1:9090\""),
    key(
        "client.trusted_proxies",
        Kind::List,
        "[\"loopback\", \"private\"]",
    ),
    key("client.header", Kind::Text, "\"x-forwarded-for\""),
    key("client.trusted_hops", Kind::Integer, "0"),
    key("client.to_app", Kind::Text, "\"rewrite\""),
    key("plausible.url", Kind::Text, "\"https://plausible.io\""),
    key(
        "plausible.address_header",
        Kind::TextOrList,
        "\"x-forwarded-for\"",
    ),
    key("plausible.timeout", Kind::Text, "\"10s\""),
    key("plausible.concurrency", Kind::Integer, "64"),
    key("plausible.max_age", Kind::Text, "\"24h\""),
    key("plausible.retry_initial", Kind::Text, "\"500ms\""),
    key("plausible.retry_max", Kind::Text, "\"60s\""),
    key("plausible.max_tries", Kind::Integer, "10"),
    key("plausible.ca_file", Kind::Text, "\"\""),
    key("plausible.proxy", Kind::Text, "\"\""),
    key("queue.at", Kind::Text, "\"disk\""),
    key("queue.path", Kind::Text, "\"\""),
    key("queue.max_bytes", Kind::Size, "\"256MiB\""),
    key("pages.count", Kind::Text, "\"always\""),
    key("pages.include", Kind::List, "[\"/**\"]"),
    key("pages.exclude", Kind::List, "[\"/admin/**\"]"),
    key(
        "pages.query",
        Kind::List,
        "[\"ref\", \"source\", \"utm_source\", \"utm_medium\", \"utm_campaign\", \"utm_content\", \"utm_term\"]",
    ),
    key("pages.prefetch", Kind::Text, "\"skip\""),
    key("pages.bots", Kind::Text, "\"skip\""),
    key("pages.not_found", Kind::Boolean, "false"),
    key("pages.downloads", Kind::BooleanOrList, "false"),
    key("pages.respect_gpc", Kind::Boolean, "false"),
    key("pages.exclude_when", Kind::List, "[]"),
];

/// The keys of one `[[sites]]` table.
pub(super) const SITE_KEYS: &[&str] = &["hosts", "domain"];

/// The table of the further pairs, and its keys.
pub(super) const PAIRS: &str = "listen.tls.more";
pub(super) const PAIR_KEYS: &[&str] = &["certificate", "key"];

/// How alike two names must be, 0 to 1, for one to be offered in place of the other.
const ALIKE: f64 = 0.85;

/// The key with this path.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// The tables of the file, `sites` last.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    let mut last = "";
    KEYS.iter()
        .map(|k| table_of(k.path))
        .filter(move |t| std::mem::replace(&mut last, t) != *t)
        .chain(["sites"])
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

/// What to say of a table that is not known, or of a key that stands outside of its table.
pub(super) fn unknown_table(table: &str) -> String {
    if SITE_KEYS.contains(&table) {
        return format!("no such table; did you mean {table} in [[sites]]?");
    }
    if let Some(key) = KEYS.iter().find(|k| name_of(k.path) == table) {
        return format!("no such table; did you mean {}?", key.path);
    }
    let inner = tables().find(|t| *t != table && name_of(t) == table);
    match inner.or_else(|| nearest(table, tables())) {
        Some(near) => format!("no such table; did you mean [{near}]?"),
        None => format!(
            "no such table; there are {}",
            listed(&tables().collect::<Vec<_>>())
        ),
    }
}

/// What to say of a key that is not known, whose table is.
pub(super) fn unknown_key(table: &str, name: &str) -> String {
    let here = names_in(table);
    if let Some(near) = nearest(name, here.iter().copied()) {
        return format!("no such key; did you mean {table}.{near}?");
    }
    if let Some(elsewhere) = KEYS.iter().find(|k| name_of(k.path) == name) {
        return format!("no such key; did you mean {}?", elsewhere.path);
    }
    format!("no such key; [{table}] has {}", listed(&here))
}

/// What to say of an unknown key of a `[[sites]]` table.
pub(super) fn unknown_site_key(name: &str) -> String {
    unknown_key_of_many("sites", SITE_KEYS, name)
}

/// What to say of an unknown key of a `[[listen.tls.more]]` table.
pub(super) fn unknown_pair_key(name: &str) -> String {
    unknown_key_of_many(PAIRS, PAIR_KEYS, name)
}

fn unknown_key_of_many(table: &str, known: &[&str], name: &str) -> String {
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("no such key; did you mean {table}.{near}?"),
        None => format!("no such key; [[{table}]] has {}", listed(known)),
    }
}

/// What to say of a `GATECOUNT_…` variable that is not known; `others` are those that stand for no key.
pub(super) fn unknown_variable(name: &str, others: &[&str]) -> String {
    let known: Vec<String> = KEYS
        .iter()
        .map(|k| variable(k.path))
        .chain(others.iter().map(|o| (*o).to_owned()))
        .collect();
    // Compared without the prefix, which would make every pair alike.
    let bare = |n: &str| n.trim_start_matches("GATECOUNT_").to_ascii_lowercase();
    let best = known
        .iter()
        .map(|k| (alike(&bare(name), &bare(k)), k))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score >= ALIKE);
    match best {
        Some((_, near)) => format!("no such variable; did you mean {near}?"),
        None => {
            "no such variable; they are called GATECOUNT_ and a key's path, such as GATECOUNT_LISTEN_ADDRESS"
                .to_owned()
        }
    }
}

/// The most alike of the known names, if it is alike enough to be meant.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|k| (alike(&name, k), k))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score >= ALIKE)
        .map(|(_, k)| k)
}

/// Jaro–Winkler: it favours a common beginning, as in `addr` for `address`.
fn alike(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
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
