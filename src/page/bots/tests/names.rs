//! Bots by their names, wherever makers write them, and the people who have such names in their user agents.

use super::super::tables::lines;
use super::super::*;
use super::name;

/// The shapes in which makers of AI readers write their names, with and without an address.
fn shapes(name: &str) -> Vec<String> {
    let computer = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
    let phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";
    vec![
        format!("{name}/1.0"),
        format!("{name}/1.0 (+https://example.com/why)"),
        format!("Mozilla/5.0 (compatible; {name}/1.0)"),
        format!("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; {name}/1.0)"),
        format!(
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; {name}/1.0) Chrome/141.0.0.0 Safari/537.36"
        ),
        format!("{computer} (compatible; {name}/1.0)"),
        format!("{phone} (compatible; {name}/1.0)"),
        format!("{computer}; {name}/1.0"),
        format!("{computer} {name}/1.0"),
        format!("{phone} {name}/1.0"),
    ]
}

#[test]
fn an_ai_reader_of_the_table_is_known_in_every_shape() {
    let mut names = 0;
    for line in lines(include_str!("../known.txt")) {
        let (text, rest) = line.split_once(" | ").unwrap();
        if !rest.starts_with("ai_") {
            continue;
        }
        names += 1;
        let text = text.split_once(" = ").map_or(text, |(text, _)| text);
        let text = text.trim_start_matches(['>', '^']).trim().trim_end_matches('/');
        // `Grok-` stands for each name that starts so.
        let ending = if text.ends_with('-') { "Reader" } else { "" };
        for agent in shapes(&format!("{text}{ending}")) {
            let bot = recognise(Some(agent.as_bytes())).unwrap_or_else(|| panic!("{agent}"));
            let is_ai = matches!(bot.kind, BotKind::AiIndex | BotKind::AiUser | BotKind::AiTraining);
            assert!(is_ai || bot.name != OTHER, "{agent}: {bot:?}");
        }
    }
    assert!(names > 150);
}

#[test]
fn a_name_that_is_a_word_of_every_day_is_a_bots_only_in_a_bots_place() {
    // An editor's window, an extension of Firefox, a toolbar, a reader of feeds with a browser.
    for person in [
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Code/1.96.2 Chrome/128.0.6613.186 Electron/32.2.6 Safari/537.36",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Cursor/1.7.4 Chrome/138.0.7204.251 Electron/37.3.1 Safari/537.36",
        "Mozilla/5.0 (X11; U; Linux i686; en-US; rv:1.6) Gecko/20040211 Bluetibetyak/0.8",
        "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; StumbleUpon.com 1.760; .NET CLR 1.1.4322)",
        "Mozilla/5.0 (Macintosh; U; Intel Mac OS X; en) AppleWebKit/418.9 (KHTML, like Gecko) NetNewsWire/2.1",
    ] {
        assert_eq!(name(person), None, "{person}");
    }
    let reader = "NetNewsWire/2.1 (Mac OS X; gzip-happy)";
    assert_eq!(name(reader), Some("NetNewsWire"));
}

#[test]
fn a_bot_beside_a_phones_browser_is_told_by_its_version() {
    let phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile Safari/537.36";
    for bot in [
        "Foobot/1.0",
        "FooCrawler/1.0",
        "Foospider/2",
        "Foo-User/1.0",
        "FooFetcher/1.0",
    ] {
        let agent = format!("{phone} {bot}");
        assert_eq!(name(&agent), Some(OTHER), "{agent}");
    }
    for app in [
        "CamScanner/6.70",
        "Scrapbook/3.1",
        "BOTIM/3.4",
        "[FB_IAB/FB4A;FBCR/OrangeBot]",
        "GlucoseMonitor/1.0",
    ] {
        let agent = format!("{phone} {app}");
        assert_eq!(name(&agent), None, "{agent}");
    }
}

#[test]
fn what_reads_for_an_assistant_is_told_by_how_makers_name_it() {
    let browser = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36";
    for (product, kind) in [
        ("NewestAI-User/1.0", BotKind::AiUser),
        ("NewestAI-Training/1.0", BotKind::AiTraining),
        ("NewestAI-Index/1.0", BotKind::AiIndex),
        ("NewestAI-Search/1.0", BotKind::Search),
        ("NewestAgent/1.0", BotKind::Other),
    ] {
        let agent = format!("{browser} {product}");
        assert_eq!(
            recognise(Some(agent.as_bytes())).map(|bot| bot.kind),
            Some(kind),
            "{agent}"
        );
    }
    assert_eq!(name(&format!("{browser} Vivaldi/7.6")), None);
    assert!(name("hey.example/imageproxy Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36").is_some());
    assert_eq!(
        name("Mozilla/5.0 (AmigaOS; U; AmigaOS 1.3; en; rv:1.8.1.19) AmigaVoyager/3.2"),
        None
    );
    for program in ["Watchtower/1.0", "voyager/1.0"] {
        assert_eq!(name(program), Some(OTHER), "{program}");
    }
}
