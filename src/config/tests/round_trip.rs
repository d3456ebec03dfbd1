//! What `check` prints is a configuration file; so are the examples.

use super::{
    super::{gather::gather, keys},
    *,
};

const FULL: &str = include_str!("../../../deploy/config/full.toml");
const MINIMAL: &str = include_str!("../../../deploy/config/minimal.toml");

#[test]
fn what_check_prints_resolves_to_the_same() {
    let lists = "203.0.113.0/24\n";
    let file = "[listen]\naddress = \"[::1]:0\"\nmax_head_bytes = 4096\n[client]\ntrusted_proxies = [\"@cdn\", \"link-local\"]\n\
                [plausible]\naddress_header = [\"x-plausible-ip\", \"x-forwarded-for\"]\n[pages]\ndownloads = [\"pdf\"]\n\
                exclude = [\"/admin/**\"]\nexclude_when = [\"cookie:a_b\"]\n[[sites]]\nhosts = [\"a.example\", \"*.a.example\"]\ndomain = [\"a\", \"b\"]\n\
                [[sites]]\nhosts = [\"b.example\"]\ndomain = \"b\"\n\
                [[events]]\nname = \"Sale\"\nmethod = [\"POST\", \"PUT\"]\npath = \"/buy/{what}\"\nstatus = \"303\"\n\
                props = { \"a b\" = \"{capture.what}\", c = \"{{d}}\" }\nrevenue = { currency = \"EUR\", amount = 9.90 }\n\
                interactive = false\n[[events]]\nname = \"Any\"\npath = \"/**\"\n";
    let by_file = Flags {
        app: Some("unix:app.sock".to_owned()),
        ..Flags::default()
    };
    for (file, environment, flags) in [
        (file, &[("GATECOUNT_PAGES_NOT_FOUND", "true")][..], by_file),
        ("", &[("GATECOUNT_QUEUE_PATH", "a\\b\nc")][..], enough()),
        (FULL, &[][..], Flags::default()),
        (MINIMAL, &[][..], Flags::default()),
    ] {
        let first = load(&sources(
            &[("gatecount.toml", file), ("cdn", lists)],
            environment,
            flags,
        ))
        .unwrap();
        let printed = first.to_toml();
        let files = [("gatecount.toml", printed.as_str()), ("cdn", lists)];
        let second =
            load(&sources(&files, &[], Flags::default())).unwrap_or_else(|m| panic!("{m}\n{printed}"));
        assert_eq!(first.needs_restart(&second), [""; 0], "{printed}");
        assert_eq!(values(&printed), values(&second.to_toml()));
        assert_eq!(format!("{:?}", first.page), format!("{:?}", second.page));
        assert_eq!(format!("{:?}", first.event), format!("{:?}", second.event));
        assert_eq!(first.custom, second.custom);
        assert_eq!(format!("{:?}", first.client), format!("{:?}", second.client));
    }
}

#[test]
fn check_says_where_each_value_came_from() {
    let config = load(&sources(
        &[("gatecount.toml", "[listen]\n\ndrain = \"3s\"\n")],
        &[("GATECOUNT_QUEUE_AT", "memory")],
        enough(),
    ))
    .unwrap();
    let printed = config.to_toml();
    for (value, origin) in [
        ("drain = \"3s\"", "gatecount.toml:3"),
        ("at = \"memory\"", "GATECOUNT_QUEUE_AT"),
        ("url = \"http://127.0.0.1:3000\"", "--app"),
        ("workers = 4", "default"),
        ("hosts = [\"*\"]", "--domain"),
    ] {
        let line = printed
            .lines()
            .find(|l| l.starts_with(value))
            .unwrap_or_else(|| panic!("{value}\n{printed}"));
        assert!(line.ends_with(&format!("  # {origin}")), "{line}");
    }
}

/// `deploy/config/full.toml` has every key, and each but the app's address as it is by default.
#[test]
fn the_full_example_is_the_defaults() {
    let full = load(&sources(&[("gatecount.toml", FULL)], &[], Flags::default())).unwrap();
    let least = load(&sources(&[("gatecount.toml", MINIMAL)], &[], Flags::default())).unwrap();
    assert_eq!(values(&full.to_toml()), values(&least.to_toml()));
    for key in keys::KEYS {
        let origin = &full.keys.iter().find(|k| k.key == key.path).unwrap().origin;
        assert_ne!(*origin, super::super::Origin::Default, "{} is missing", key.path);
    }
}

/// Every key of the table is asked for, so none is accepted and ignored.
#[test]
fn every_known_key_is_read() {
    let config = load(&sources(&[], &[], enough())).unwrap();
    for key in keys::KEYS {
        assert!(config.keys.iter().any(|k| k.key == key.path), "{}", key.path);
    }
    let full = sources(&[("gatecount.toml", FULL)], &[], Flags::default());
    let raw = gather(&full, &mut Mistakes::default());
    assert_eq!(raw.values.len(), keys::KEYS.len());
}

/// A printed configuration without its comments, which tell where values came from.
fn values(printed: &str) -> Vec<&str> {
    printed
        .lines()
        .map(|l| l.rsplit_once("  # ").map_or(l, |(value, _)| value.trim_end()))
        .collect()
}
