//! The keys as the manual lists them.

use super::keys::{self, Key, variable};

/// A table as the manual has it.
#[derive(Debug, Clone)]
pub struct DescribedTable {
    /// As it is written, `[listen]` or `[[sites]]`.
    pub header: String,
    /// What it is for.
    pub about: &'static str,
    /// Its keys, in the order of the documentation.
    pub keys: Vec<DescribedKey>,
}

/// A key as the manual has it.
#[derive(Debug, Clone)]
pub struct DescribedKey {
    /// Within its table.
    pub name: &'static str,
    /// Its kind in a few words, with what is accepted.
    pub kind: String,
    /// The default as the file has it; `None` if there is none.
    pub default: Option<&'static str>,
    /// A sentence or two.
    pub about: &'static str,
    /// What sets it in the environment; `None` for keys that occur any number of times.
    pub variable: Option<String>,
}

/// All tables.
pub fn described() -> Vec<DescribedTable> {
    let single = keys::single_tables().map(|table| DescribedTable {
        header: format!("[{table}]"),
        about: keys::about_table(table),
        keys: keys::in_table(table).map(|key| describe(key, true)).collect(),
    });
    let repeated = keys::REPEATED.iter().map(|table| DescribedTable {
        header: format!("[[{}]]", table.name),
        about: table.about,
        keys: table.keys.iter().map(|key| describe(key, false)).collect(),
    });
    single.chain(repeated).collect()
}

fn describe(key: &'static Key, by_environment: bool) -> DescribedKey {
    let accepted = key.accepted_in_words();
    DescribedKey {
        name: key.name(),
        kind: if accepted.is_empty() {
            key.kind.noun().to_owned()
        } else {
            format!("{}: {accepted}", key.kind.noun())
        },
        default: key.default,
        about: key.about,
        variable: by_environment.then(|| variable(key.path)),
    }
}
