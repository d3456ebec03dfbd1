//! What a second load can change, and what is worth one.

use super::*;

#[test]
fn a_reload_tells_what_it_cannot_apply() {
    let old = from_file("[client]\ntrusted_proxies = []\n[queue]\npath = \"/a\"\n").unwrap();
    let new = "[listen]\ndrain = \"1s\"\n[client]\ntrusted_proxies = [\"loopback\"]\n[pages]\nnot_found = true\n[queue]\nat = \"memory\"\npath = \"/a\"\n";
    assert_eq!(
        old.needs_restart(&from_file(new).unwrap()),
        ["listen.drain", "queue.at"]
    );
    assert_eq!(old.needs_restart(&old), [""; 0]);
}

#[test]
fn sites_can_be_reloaded() {
    let flags = || Flags {
        app: Some("http://127.0.0.1:3000".to_owned()),
        ..Flags::default()
    };
    let site = |domain: &str| {
        let file = format!("[[sites]]\nhosts = [\"a.example\"]\ndomain = \"{domain}\"\n");
        load(&sources(&[("gatecount.toml", &file)], &[], flags())).unwrap()
    };
    let (old, new) = (site("one"), site("two"));
    assert_eq!(old.needs_restart(&new), [""; 0]);
    assert_eq!(new.event.sites.find(Some("a.example")), Some("two"));
}

#[test]
fn the_file_and_its_lists_are_watched() {
    let files = [
        (
            "gatecount.toml",
            "[client]\ntrusted_proxies = [\"@cdn\", \"@/etc/gatecount/more\"]\n",
        ),
        ("cdn", "203.0.113.1"),
        ("more", ""),
    ];
    let config = load(&sources(&files, &[], enough())).unwrap();
    let expected = ["gatecount.toml", "cdn", "more"].map(|f| Path::new("/etc/gatecount").join(f));
    assert_eq!(config.files, expected);
}

#[test]
fn a_broken_list_is_told_with_its_own_line() {
    let files = [
        (
            "gatecount.toml",
            "[client]\ntrusted_proxies = [\n\"@cdn\",\n\"@none\",\n\"10.0.0.0/33\"]\n",
        ),
        ("cdn", "203.0.113.1\n# fine\nexample.com # not\n"),
    ];
    let told = told(load(&sources(&files, &[], enough())));
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].starts_with("/etc/gatecount/cdn:3: client.trusted_proxies = \"example.com\": "),
        "{told:?}"
    );
    assert_eq!(
        told[1],
        "gatecount.toml:4: client.trusted_proxies = \"@none\": can't be read: no such file"
    );
    assert!(
        told[2].starts_with("gatecount.toml:5: client.trusted_proxies = \"10.0.0.0/33\": "),
        "{told:?}"
    );
}
