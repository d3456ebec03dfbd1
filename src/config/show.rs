//! Writes the resolved configuration as a file that resolves to the same.

use std::fmt::Write;

use super::{
    events::ResolvedEvent, keys, mistake::Origin, reader::ResolvedKey, sites::ResolvedSite,
    tls::ResolvedPair, value,
};

/// The column of the comments, if the value leaves room.
const COMMENT_COLUMN: usize = 48;

/// Every key with its value and where it came from. A key without a value (`app.url` if it is not needed) is
/// left out.
pub(super) fn to_toml(
    resolved: &[ResolvedKey],
    sites: &[ResolvedSite],
    events: &[ResolvedEvent],
    pairs: &[ResolvedPair],
) -> String {
    let mut out = String::new();
    for table in keys::tables() {
        if table == "sites" {
            for site in sites {
                write_site(&mut out, site);
            }
            continue;
        }
        if table == keys::EVENTS {
            for event in events {
                write_event(&mut out, event);
            }
            continue;
        }
        section(&mut out, &format!("[{table}]"));
        let keys = keys::KEYS.iter().filter(|k| keys::table_of(k.path) == table);
        for key in keys.filter_map(|k| resolved.iter().find(|r| r.key == k.path)) {
            line(&mut out, keys::name_of(key.key), &key.toml, &key.origin);
        }
        if table == keys::table_of(keys::PAIRS) {
            for pair in pairs {
                write_pair(&mut out, pair);
            }
        }
    }
    out
}

fn write_site(out: &mut String, site: &ResolvedSite) {
    section(out, "[[sites]]");
    let hosts = value::list(site.hosts.iter().map(String::as_str));
    line(out, "hosts", &hosts, &site.origin);
    let domains = match site.domains.as_slice() {
        [one] => value::quote(one),
        several => value::list(several.iter().map(String::as_str)),
    };
    line(out, "domain", &domains, &site.origin);
}

fn write_event(out: &mut String, event: &ResolvedEvent) {
    section(out, &format!("[[{}]]", keys::EVENTS));
    for (name, toml) in &event.settings {
        line(out, name, toml, &event.origin);
    }
}

fn write_pair(out: &mut String, pair: &ResolvedPair) {
    section(out, &format!("[[{}]]", keys::PAIRS));
    for (name, path) in [("certificate", &pair.files.certificate), ("key", &pair.files.key)] {
        line(
            out,
            name,
            &value::quote(&path.display().to_string()),
            &pair.origin,
        );
    }
}

fn section(out: &mut String, header: &str) {
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(header);
    out.push('\n');
}

fn line(out: &mut String, name: &str, value: &str, origin: &Origin) {
    let setting = format!("{name} = {value}");
    // Writing to a String can't fail.
    let _ = writeln!(out, "{setting:<COMMENT_COLUMN$}  # {origin}");
}
