//! The table of keys: what it says of itself is what the rest of the module does.

use super::{
    super::{
        key::{Accepted, Key},
        keys::{self, ValueKind},
    },
    *,
};

fn all_keys() -> impl Iterator<Item = &'static Key> {
    keys::KEYS
        .iter()
        .chain(keys::REPEATED.iter().flat_map(|table| table.keys))
}

#[test]
fn every_key_and_every_table_is_described() {
    for key in all_keys() {
        let about = key.about;
        assert!(
            about.len() > 10 && about.ends_with('.'),
            "{}: {about:?}",
            key.path
        );
        let shown = keys::table_of(key.path);
        assert!(
            toml::from_str::<toml::Table>(&format!("a = {}", key.shown())).is_ok(),
            "{shown}.{}: {:?}",
            key.name(),
            key.shown()
        );
    }
    for table in keys::single_tables() {
        assert!(keys::about_table(table).ends_with('.'), "[{table}]");
    }
    for table in keys::REPEATED {
        assert!(table.about.ends_with('.') && table.required <= table.keys.len());
        for key in table.keys {
            assert_eq!(keys::table_of(key.path), table.name);
        }
    }
}

/// A file with one value of a key.
fn with(key: &Key, value: &str) -> Vec<String> {
    let mut text = format!("[{}]\n{} = {value}\n", keys::table_of(key.path), key.name());
    if key.path == "pages.count" {
        // One of its words wants the script's events.
        text.push_str("[tracker]\nevent = \"/api/event\"\n");
    }
    told(from_file(&text))
        .into_iter()
        .filter(|mistake| mistake.contains(key.path))
        .collect()
}

#[test]
fn the_words_of_a_key_are_those_that_it_takes() {
    let mut count = 0;
    for key in keys::KEYS {
        let Accepted::Words(words) = key.accepted else {
            continue;
        };
        count += 1;
        for word in words {
            assert_eq!(
                with(key, &format!("{word:?}")),
                [""; 0],
                "{} = {word:?}",
                key.path
            );
        }
        let refused = with(key, "\"none-of-them\"").join("\n");
        for word in words {
            assert!(
                refused.contains(&format!("\"{word}\"")),
                "{}: {word:?} in {refused}",
                key.path
            );
        }
        let quotes = refused.matches('"').count() / 2;
        assert_eq!(
            quotes,
            words.len() + 1,
            "{}: a word is missing: {refused}",
            key.path
        );
    }
    assert!(count >= 6, "{count} keys with words");
}

#[test]
fn the_range_of_a_key_is_the_one_that_it_takes() {
    for key in keys::KEYS.iter().filter(|key| key.kind == ValueKind::Integer) {
        let Accepted::Range(least, most) = key.accepted else {
            panic!("{} has no range", key.path)
        };
        for value in [least, most] {
            assert_eq!(with(key, &value.to_string()), [""; 0], "{} = {value}", key.path);
        }
        for value in [i64::from(least) - 1, i64::from(most) + 1] {
            assert_eq!(with(key, &value.to_string()).len(), 1, "{} = {value}", key.path);
        }
    }
}
