//! Urls and referrers, as sent and as Plausible gets them.

use super::*;

fn url(https: bool, host: &str, target: &str) -> String {
    let mut out = Vec::new();
    write(
        https,
        host.as_bytes(),
        b"fallback.example,other.example",
        split(target.as_bytes()),
        &QueryRule::default(),
        &mut out,
    );
    String::from_utf8(out).unwrap()
}

#[test]
fn the_url_is_what_the_browser_shows_without_what_is_private() {
    for (https, host, target, expected) in [
        (true, "Example.com", "/", "https://example.com/"),
        (false, "example.com:80", "/", "http://example.com/"),
        (true, "example.com:443", "/", "https://example.com/"),
        (true, "example.com:80", "/", "https://example.com:80/"),
        (false, "example.com:443", "/", "http://example.com:443/"),
        (false, "localhost:3000", "/a", "http://localhost:3000/a"),
        (false, "localhost:", "/a", "http://localhost/a"),
        (false, "localhost:8080", "/a", "http://localhost:8080/a"),
        (true, "[2001:DB8::1]:8443", "/", "https://[2001:db8::1]:8443/"),
        (true, "user:secret@example.com", "/", "https://example.com/"),
        (true, "", "/a", "https://fallback.example/a"),
        (true, "a/b", "/a", "https://fallback.example/a"),
        (true, "a b", "/a", "https://fallback.example/a"),
        (
            true,
            "a.test",
            "/A%20b/../c//d;e=f",
            "https://a.test/A%20b/../c//d;e=f",
        ),
        (true, "a.test", "/größe", "https://a.test/größe"),
        (true, "a.test", "/a#secret", "https://a.test/a"),
        (true, "a.test", "*", "https://a.test/*"),
        (true, "a.test", "/?token=1", "https://a.test/"),
        (true, "a.test", "/?", "https://a.test/"),
        (
            true,
            "a.test",
            "/?ref=x%20Y&token=1&utm_source=a+b&&ref",
            "https://a.test/?ref=x%20Y&utm_source=a+b&ref",
        ),
        (true, "a.test", "/?UTM_SOURCE=a&utm_sourcex=b", "https://a.test/"),
        (true, "a.test", "/50%-off", "https://a.test/50%25-off"),
        (true, "a.test", "/a%zz%", "https://a.test/a%25zz%25"),
        (true, "a.test", "/%%41%4", "https://a.test/%25%41%254"),
        (true, "a.test", "/?ref=5%&token=%", "https://a.test/?ref=5%"),
        (
            true,
            "a.test",
            "/a?utm%5Fsource=x&%72ef=y&utm%5Fsourc=z&%72e%=z&utm%5fsourcex=z",
            "https://a.test/a?utm%5Fsource=x&%72ef=y",
        ),
        (true, "a.test", "/?ref=a?b=c#d", "https://a.test/?ref=a?b=c"),
    ] {
        assert_eq!(url(https, host, target), expected);
    }
}

#[test]
fn all_keeps_the_query_as_it_is() {
    let mut out = b"before".to_vec();
    write(
        true,
        b"a.test",
        b"",
        split(b"/?b=2&&a=1&"),
        &QueryRule::All,
        &mut out,
    );
    assert_eq!(out, b"beforehttps://a.test/?b=2&&a=1&");
}

#[test]
fn what_is_too_long_keeps_the_parameters_that_fit_then_the_path_is_cut() {
    let long = format!(
        "/{}?ref={}&source=x&utm_term=y",
        "p".repeat(900),
        "r".repeat(1_067)
    );
    let kept = url(true, "a.test", &long);
    assert_eq!(kept.len(), 1_996);
    assert!(kept.ends_with("r&source=x"), "{kept}");
    let longer = format!("/{}?ref={}&utm_term=t", "p".repeat(900), "r".repeat(2_000));
    assert_eq!(
        url(true, "a.test", &longer),
        format!("https://a.test/{}?utm_term=t", "p".repeat(900))
    );
    let longest = url(true, "a.test", &format!("/{}?ref=x", "p".repeat(3_000)));
    assert_eq!(longest, format!("https://a.test/{}", "p".repeat(1_985)));
}

#[test]
fn a_cut_never_splits_a_character() {
    // "https://a.test/" is 15 bytes long: 1,985 are left.
    for (fill, tail, kept) in [
        (1_984, "ä", 0),
        (1_983, "ä", 2),
        (1_984, "%41", 0),
        (1_983, "%41", 0),
        (1_982, "%41", 3),
        (1_982, "%C3%A4", 0),
        (1_981, "%C3%A4", 0),
        (1_979, "%C3%A4", 6),
        (1_976, "%E2%82%AC", 9),
        (1_977, "%E2%82%AC", 0),
        (1_979, "%E2%82%AC", 0),
        (1_982, "%E2%82%AC", 0),
        (1_974, "%F0%9F%98%80", 0),
        (1_982, "%A4%A4", 3),
        (1_982, "%C3xx", 3),
    ] {
        let cut = url(
            true,
            "a.test",
            &format!("/{}{tail}{}", "p".repeat(fill), "q".repeat(50)),
        );
        let expected = format!("https://a.test/{}{}", "p".repeat(fill), &tail[..kept]);
        assert_eq!(
            cut.strip_suffix(&"q".repeat(2_000 - expected.len().min(2_000)))
                .unwrap_or(&cut),
            expected,
            "{fill} {tail}"
        );
    }
}

#[test]
fn the_referrer_has_no_query_no_fragment_and_no_credentials() {
    for (sent, expected) in [
        (
            &b"https://news.example/a/b?q=secret#x"[..],
            Some("https://news.example/a/b"),
        ),
        (b"https://news.example/#x?y", Some("https://news.example/")),
        (
            b"https://me:secret@news.example/a@b",
            Some("https://news.example/a@b"),
        ),
        (
            b"android-app://com.example.app/",
            Some("android-app://com.example.app/"),
        ),
        (
            b"https://news.example/caf\xc3\xa9",
            Some("https://news.example/café"),
        ),
        (b"about:blank", Some("about:blank")),
        (b"", None),
        (b"  ", None),
        (b"?q", None),
    ] {
        assert_eq!(referrer(sent).as_deref(), expected.map(str::as_bytes));
    }
    let long = format!("https://news.example/{}", "ä".repeat(3_000));
    let cut = String::from_utf8(referrer(long.as_bytes()).unwrap().into_owned()).unwrap();
    assert_eq!(cut.chars().count(), MAX_URL);
    let long = format!("https://news.example/{}%C3%A4", "a".repeat(1_976));
    assert_eq!(referrer(long.as_bytes()).unwrap().len(), 21 + 1_976);
}

#[test]
fn the_names_of_parameters_that_are_cut_are_told_as_sent() {
    let cuts = |rule: &QueryRule, target: &'static str| rule.cuts(target).collect::<Vec<_>>();
    let rule = QueryRule::default();
    let target = "/a?ref=x&session=secret&utm%5Fsource=y&flag&&b=1#c?d=2";
    assert_eq!(cuts(&rule, target), ["session", "flag", "b"]);
    assert!(cuts(&rule, "/a?").is_empty() && cuts(&rule, "/a").is_empty());
    assert!(cuts(&QueryRule::All, target).is_empty());
}
