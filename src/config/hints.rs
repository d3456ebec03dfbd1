//! What to say about a name that is not known: the name that was probably meant.

use super::keys::{
    EVENT_TABLE, EVENTS, KEYS, PAIR_TABLE, RepeatedTable, SITE_TABLE, listed, name_of, names_in, tables,
    variable,
};

/// How alike two names must be, from 0 to 1, for one to be suggested for the other.
const SIMILAR: f64 = 0.85;

/// Names that other programs use, and what they may be called here.
const SYNONYMS: &[(&str, &[&str])] = &[
    ("uri", &["url"]),
    ("address", &["url"]),
    ("port", &["address", "url"]),
    ("bind", &["address"]),
    ("host", &["address", "url"]),
    ("upstream", &["url"]),
    ("directory", &["path"]),
];

/// The problem of an unknown table, or of a key outside of its table.
pub(super) fn unknown_table(table: &str) -> String {
    if SITE_TABLE.has(table) {
        return format!("no such table; did you mean {table} in [[sites]]?");
    }
    // A key's name without its table, unless it is the name of a table but for its last letter.
    let is_singular = tables().any(|t| t.strip_suffix('s') == Some(table));
    if !is_singular && let Some(key) = KEYS.iter().find(|k| name_of(k.path) == table) {
        return format!("no such table; did you mean {}?", key.path);
    }
    let inner = tables().find(|t| *t != table && name_of(t) == table);
    match inner.or_else(|| nearest(table, tables())) {
        Some(near @ ("sites" | EVENTS)) => format!("no such table; did you mean [[{near}]]?"),
        Some(near) => format!("no such table; did you mean [{near}]?"),
        None => format!(
            "no such table; there are {}",
            listed(&tables().collect::<Vec<_>>())
        ),
    }
}

/// The problem of an unknown key in a known table.
pub(super) fn unknown_key(table: &str, name: &str) -> String {
    let here = names_in(table);
    let meant = meant_by(name, &here);
    if !meant.is_empty() {
        let paths: Vec<String> = meant.iter().map(|name| format!("{table}.{name}")).collect();
        return format!("no such key; did you mean {}?", paths.join(" or "));
    }
    if let Some(elsewhere) = KEYS.iter().find(|k| name_of(k.path) == name) {
        return format!("no such key; did you mean {}?", elsewhere.path);
    }
    format!("no such key; [{table}] has {}", listed(&here))
}

/// The problem of an unknown key in a `[[sites]]` table.
pub(super) fn unknown_site_key(name: &str) -> String {
    unknown_key_of_repeated(&SITE_TABLE, name)
}

/// The problem of an unknown key in an `[[events]]` table.
pub(super) fn unknown_event_key(name: &str) -> String {
    unknown_key_of_repeated(&EVENT_TABLE, name)
}

/// The problem of an unknown key in a `[[listen.tls.more]]` table.
pub(super) fn unknown_pair_key(name: &str) -> String {
    unknown_key_of_repeated(&PAIR_TABLE, name)
}

/// The problem of an unknown key in a table that occurs any number of times.
fn unknown_key_of_repeated(table: &RepeatedTable, name: &str) -> String {
    let known = table.names();
    let meant = meant_by(name, &known);
    let table = table.name;
    if meant.is_empty() {
        return format!("no such key; [[{table}]] has {}", listed(&known));
    }
    let paths: Vec<String> = meant.iter().map(|name| format!("{table}.{name}")).collect();
    format!("no such key; did you mean {}?", paths.join(" or "))
}

/// The problem of an unknown `GATECOUNT_…` variable; `others` are the known ones that set no key.
pub(super) fn unknown_variable(name: &str, others: &[&str]) -> String {
    // Compared without the prefix, which all names have in common.
    let bare = |name: &str| name.trim_start_matches("GATECOUNT_").to_ascii_lowercase();
    let wanted = bare(name);
    let best = KEYS
        .iter()
        .map(|k| variable(k.path))
        .chain(others.iter().map(|other| (*other).to_owned()))
        .map(|known| (similarity(&wanted, &bare(&known)), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score >= SIMILAR);
    match best {
        Some((_, near)) => format!("no such variable; did you mean {near}?"),
        None => {
            "no such variable; they are called GATECOUNT_ and a key's path, such as GATECOUNT_LISTEN_ADDRESS"
                .to_owned()
        }
    }
}

/// The known name that is most like `name`, if it is like enough to be meant.
pub(super) fn nearest<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let name = normalized(name);
    known
        .into_iter()
        .map(|known| (similarity(&name, known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score >= SIMILAR)
        .map(|(_, known)| known)
}

/// The names that may be meant by `name`: those that contain it as a word, else the most similar one, else a
/// synonym.
fn meant_by<'k>(name: &str, known: &[&'k str]) -> Vec<&'k str> {
    let name = normalized(name);
    let containing: Vec<&str> = known
        .iter()
        .copied()
        .filter(|known| known.split('_').any(|word| word == name))
        .collect();
    if !containing.is_empty() {
        return containing;
    }
    if let Some(near) = nearest(&name, known.iter().copied()) {
        return vec![near];
    }
    SYNONYMS
        .iter()
        .filter(|(synonym, _)| *synonym == name)
        .flat_map(|(_, names)| names.iter())
        .find_map(|wanted| known.iter().copied().find(|known| known == wanted))
        .into_iter()
        .collect()
}

fn normalized(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// Jaro–Winkler: it favours a common beginning, as in `addr` for `address`.
fn similarity(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}
