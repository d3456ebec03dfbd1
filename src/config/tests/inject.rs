//! `[tracker] inject`, and the keys that it goes by.

use super::*;
use crate::tracker::inject::InjectSettings;

#[test]
fn what_is_put_into_pages_is_read_from_the_table() {
    let config = from_file(
        "[tracker]\nscript = \"/js/s.js\"\nsource = \"/js/pa-AbC.js\"\nevent = \"/e\"\ninject = true\n\
         [plausible]\nurl = \"https://stats.example.net:8443\"",
    );
    let expected = InjectSettings {
        script: "/js/s.js".to_owned(),
        event: "/e".to_owned(),
        needs_init: true,
        plausible: "stats.example.net".to_owned(),
    };
    assert_eq!(config.unwrap().proxy.unwrap().inject, Some(expected));
    let url = "[tracker]\nsource = \"https://plausible.io/js/script.js\"\ninject = true";
    let inject = from_file(url).unwrap().proxy.unwrap().inject.unwrap();
    assert!(!inject.needs_init && inject.script == "/js/script.js" && inject.event == "/api/event");
    let off = "[tracker]\nsource = \"/js/script.js\"";
    assert_eq!(from_file(off).unwrap().proxy.unwrap().inject, None);
}

#[test]
fn what_is_no_path_and_no_source_is_a_mistake() {
    for (line, key) in [
        ("script = \"\"", "tracker.script"),
        ("script = \"js/script.js\"", "tracker.script"),
        ("script = \"//cdn.example/script.js\"", "tracker.script"),
        ("script = \"/s.js?v=1\"", "tracker.script"),
        ("script = \"/\\\"><b>\"", "tracker.script"),
        ("event = \"https://plausible.io/api/event\"", "tracker.event"),
        ("source = \"script.js\"", "tracker.source"),
        ("source = \"https://plausible.io\"", "tracker.source"),
        ("source = \"ftp://plausible.io/script.js\"", "tracker.source"),
    ] {
        let mistakes = told(from_file(&format!("[tracker]\n{line}")));
        assert_eq!(mistakes.len(), 1, "{line}: {mistakes:?}");
        assert!(
            mistakes[0].starts_with(&format!("gatecount.toml:2: {key} = ")),
            "{mistakes:?}"
        );
    }
}
