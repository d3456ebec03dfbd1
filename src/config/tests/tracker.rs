//! `[tracker]`: which paths are on, and where the script comes from.

use std::time::Duration;

use super::*;
use crate::page::CountMode;
use crate::tracker::Settings;

fn tracker(table: &str) -> Settings {
    from_file(&format!("[tracker]\n{table}")).unwrap().tracker
}

fn mistakes(table: &str) -> Vec<String> {
    told(from_file(&format!("[tracker]\n{table}")))
}

#[test]
fn nothing_is_on_by_default_and_the_event_path_comes_with_the_script() {
    assert!(from_file("").unwrap().tracker.is_off());
    assert!(tracker("script = \"/s.js\"").is_off(), "it has no source");
    let on = |table: &str| {
        let Settings { script, event, pixel } = tracker(table);
        (script.map(|script| script.path), event, pixel)
    };
    let path = |path: &str| Some(path.to_owned());
    for (table, expected) in [
        (
            "source = \"/js/pa-1.js\"",
            (path("/js/script.js"), path("/api/event"), None),
        ),
        (
            "source = \"/js/pa-1.js\"\nscript = \"/s.js\"\nevent = \"\"",
            (path("/s.js"), None, None),
        ),
        ("event = \"/api/event\"", (None, path("/api/event"), None)),
        (
            "event = \"/e\"\npixel = \"/p.gif\"",
            (None, path("/e"), path("/p.gif")),
        ),
        ("pixel = \"/p.gif\"", (None, None, path("/p.gif"))),
    ] {
        assert_eq!(on(table), expected, "{table}");
    }
}

#[test]
fn the_source_is_a_file_of_plausibles_or_of_another_server() {
    let source = |plausible: &str, source: &str| {
        let file = format!("[plausible]\nurl = \"{plausible}\"\n[tracker]\nsource = \"{source}\"");
        from_file(&file).unwrap().tracker.script.unwrap().source()
    };
    for (plausible, file, url) in [
        (
            "https://plausible.io",
            "/js/pa-1.js",
            "https://plausible.io/js/pa-1.js",
        ),
        (
            "http://p.example:8000/base",
            "/js/x.js",
            "http://p.example:8000/base/js/x.js",
        ),
        (
            "http://p.example/base",
            "https://cdn.example/x.js?v=1",
            "https://cdn.example/x.js?v=1",
        ),
    ] {
        assert_eq!(source(plausible, file), url);
    }
    let wanted = "a path of Plausible's such as \"/js/pa-XXXXX.js\", or a whole URL, is wanted";
    for wrong in ["js/x.js", "//cdn.example/x.js", "/x y.js", "/x.js#a"] {
        assert_eq!(
            mistakes(&format!("source = \"{wrong}\"")),
            [format!(
                "gatecount.toml:2: tracker.source = \"{wrong}\": {wanted}"
            )]
        );
    }
    for wrong in [
        "ftp://cdn.example/x.js",
        "https://cdn.example",
        "https://cdn.example/",
    ] {
        let told = mistakes(&format!("source = \"{wrong}\""));
        assert!(told.len() == 1 && told[0].contains(wanted), "{told:?}");
    }
}

#[test]
fn the_scripts_server_has_the_proxy_that_the_environment_has_for_it() {
    let proxy = |plausible_key: &str, source: &str| {
        let file = format!("[plausible]\n{plausible_key}[tracker]\nsource = \"{source}\"");
        let environment = [("HTTPS_PROXY", "http://outer:1"), ("NO_PROXY", "cdn.example")];
        let config = load(&sources(&[("gatecount.toml", &file)], &environment, enough())).unwrap();
        let proxy = config.tracker.script.unwrap().proxy;
        proxy.map(|proxy| proxy.host)
    };
    assert_eq!(proxy("", "/x.js").as_deref(), Some("outer"));
    assert_eq!(proxy("", "https://cdn.example/x.js"), None);
    assert_eq!(proxy("", "http://other.example/x.js"), None);
    let key = "proxy = \"http://ours:2\"\n";
    assert_eq!(proxy(key, "https://cdn.example/x.js").as_deref(), Some("ours"));
}

#[test]
fn paths_are_of_this_host_and_differ() {
    let wanted = "a path here is wanted, such as \"/js/script.js\", without a query";
    for (key, suffix) in [
        ("script", ""),
        ("event", "; \"\" is off"),
        ("pixel", "; \"\" is off"),
    ] {
        for wrong in ["x.js", "/", "/a?b", "/a b", "https://example.com/a"] {
            assert_eq!(
                mistakes(&format!("{key} = \"{wrong}\"")),
                [format!(
                    "gatecount.toml:2: tracker.{key} = \"{wrong}\": {wanted}{suffix}"
                )]
            );
        }
    }
    assert_eq!(
        mistakes("source = \"/x.js\"\nscript = \"/api/event\"\npixel = \"/api/event\""),
        [
            "gatecount.toml:3: tracker.script = \"/api/event\": tracker.script and tracker.event must differ",
            "gatecount.toml:4: tracker.pixel = \"/api/event\": tracker.script and tracker.pixel must differ",
            "gatecount.toml:4: tracker.pixel = \"/api/event\": tracker.event and tracker.pixel must differ",
        ]
    );
}

#[test]
fn what_check_prints_of_an_event_path_that_is_off_is_off() {
    let config = from_file("[tracker]\npixel = \"/p.gif\"").unwrap();
    let again = from_file(&config.to_toml().replace("[app]", "[app]\n#")).unwrap();
    assert_eq!(again.tracker, config.tracker);
}

#[test]
fn its_paths_need_no_app_and_pages_that_get_the_script_do() {
    let load_without_app = |file: &str| {
        let flags = Flags {
            app: None,
            ..enough()
        };
        load(&sources(&[("gatecount.toml", file)], &[], flags))
    };
    for file in [
        "[tracker]\nevent = \"/api/event\"",
        "[tracker]\npixel = \"/p.gif\"\n[observe]\nmirror = \"127.0.0.1:8081\"",
    ] {
        let config = load_without_app(file).unwrap();
        assert!(config.says_of_no_app().is_some(), "{file}");
    }
    let observed = load_without_app("[observe]\nmirror = \"127.0.0.1:8081\"").unwrap();
    assert!(observed.proxy.is_none() && observed.says_of_no_app().is_none());
    let told = told(load_without_app(
        "[tracker]\nsource = \"/js/script.js\"\ninject = true",
    ));
    assert!(
        told.len() == 1 && told[0].starts_with("app.url: missing"),
        "{told:?}"
    );
}

#[test]
fn where_the_script_counts_its_pages_those_count_that_it_does_not_unless_it_is_said_otherwise() {
    let untracked = |seconds| CountMode::Untracked(Duration::from_secs(seconds));
    for (file, expected, word) in [
        ("", CountMode::Always, "always"),
        ("[tracker]\npixel = \"/p.gif\"", CountMode::Always, "always"),
        (
            "[tracker]\nsource = \"/js/script.js\"",
            untracked(10),
            "untracked",
        ),
        ("[tracker]\nevent = \"/e\"", untracked(10), "untracked"),
        (
            "[tracker]\nsource = \"/js/script.js\"\ninject = true\n[pages]\ntracker_wait = \"3s\"",
            untracked(3),
            "untracked",
        ),
        // Its events do not come here.
        (
            "[tracker]\nsource = \"/js/script.js\"\nevent = \"\"",
            CountMode::Never,
            "never",
        ),
        (
            "[tracker]\nevent = \"/e\"\n[pages]\ncount = \"always\"",
            CountMode::Always,
            "always",
        ),
        (
            "[tracker]\nevent = \"/e\"\n[pages]\ncount = \"never\"",
            CountMode::Never,
            "never",
        ),
        (
            "[tracker]\npixel = \"/p.gif\"\n[pages]\ncount = \"untracked\"\ntracker_wait = \"5m\"",
            untracked(300),
            "untracked",
        ),
    ] {
        let config = from_file(file).unwrap();
        assert_eq!(config.page.count, expected, "{file}");
        assert!(
            config.to_toml().contains(&format!("count = \"{word}\"")),
            "{file}"
        );
    }
}

#[test]
fn the_wait_for_the_script_is_bounded_and_has_to_have_a_script() {
    for (file, mistake) in [
        (
            "[pages]\ncount = \"untracked\"",
            "gatecount.toml:2: pages.count = \"untracked\": count = \"untracked\" counts the pages that the \
             tracker script does not: it has to post its events here, by tracker.event",
        ),
        (
            "[pages]\ntracker_wait = \"6m\"",
            "gatecount.toml:2: pages.tracker_wait = \"6m\": a time up to \"5m\" is wanted",
        ),
        (
            "[pages]\ntracker_wait = \"60s\"\n[tracker]\nevent = \"/e\"\n[plausible]\nmax_age = \"1m\"",
            "gatecount.toml:6: plausible.max_age = \"1m\": pages.tracker_wait must be less than \
             plausible.max_age",
        ),
    ] {
        assert_eq!(told(from_file(file)), [mistake]);
    }
}
