//! The resolved configuration as a file that resolves to the same.

use std::fmt::Write;

use super::{keys, mistake::Origin, reader::Shown, sites::ShownSite, tls::ShownPair, value};

/// The column at which comments begin, where the value leaves room.
const COMMENTS: usize = 48;

/// Every key with its value and where it came from. A key without a value (`app.url` where it is not needed) is left
/// out.
pub(super) fn to_toml(shown: &[Shown], sites: &[ShownSite], pairs: &[ShownPair]) -> String {
    let mut out = String::new();
    for table in keys::tables() {
        if table == "sites" {
            for site in sites {
                write_site(&mut out, site);
            }
            continue;
        }
        section(&mut out, &format!("[{table}]"));
        let keys = keys::KEYS.iter().filter(|k| keys::table_of(k.path) == table);
        for shown in keys.filter_map(|k| shown.iter().find(|s| s.key == k.path)) {
            line(&mut out, keys::name_of(shown.key), &shown.toml, &shown.origin);
        }
        if table == keys::table_of(keys::PAIRS) {
            for pair in pairs {
                write_pair(&mut out, pair);
            }
        }
    }
    out
}

fn write_site(out: &mut String, site: &ShownSite) {
    section(out, "[[sites]]");
    let hosts = value::list(site.hosts.iter().map(String::as_str));
    line(out, "hosts", &hosts, &site.origin);
    let domains = match site.domains.as_slice() {
        [one] => value::quote(one),
        several => value::list(several.iter().map(String::as_str)),
    };
    line(out, "domain", &domains, &site.origin);
}

fn write_pair(out: &mut String, pair: &ShownPair) {
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
    let said = format!("{name} = {value}");
    // Writing to a String does not fail.
    let _ = writeln!(out, "{said:<COMMENTS$}  # {origin}");
}
