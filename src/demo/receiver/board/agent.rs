//! A browser's name from its user agent, short enough for a list.

/// Marks of browsers, the more special ones first: most of them say that they are Chrome and Safari too.
const BROWSERS: [(&str, &str); 9] = [
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("HeadlessChrome/", "Headless Chrome"),
    ("Chrome/", "Chrome"),
    ("Version/", "Safari"),
];
/// Marks of systems, the more special ones first.
const SYSTEMS: [(&str, &str); 7] = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iPadOS"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
];
/// The start of a user agent that is no browser's, in characters.
const LONGEST: usize = 40;

/// Browser, version and system; the user agent's start if it is no browser's.
pub(super) fn name_of(user_agent: &str) -> String {
    let browser = BROWSERS.iter().find_map(|(mark, name)| {
        let (_, after) = user_agent.split_once(mark)?;
        let digits = after.split(|c: char| !c.is_ascii_digit()).next()?;
        Some(format!("{name} {digits}"))
    });
    let Some(browser) = browser else {
        let mut start: String = user_agent.chars().take(LONGEST).collect();
        if start.len() < user_agent.len() {
            start.push('…');
        }
        return start;
    };
    match SYSTEMS.iter().find(|(mark, _)| user_agent.contains(mark)) {
        Some((_, system)) => format!("{browser} on {system}"),
        None => browser,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_named_with_version_and_system_and_others_are_cut() {
        for (user_agent, name) in [
            (
                "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/150.0.0.0 Safari/537.36",
                "Chrome 150 on Linux",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                 Version/18.0 Mobile/15E148 Safari/604.1",
                "Safari 18 on iOS",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0; rv:128.0) Gecko/20100101 Firefox/128.0",
                "Firefox 128 on Windows",
            ),
            ("Mozilla/5.0", "Mozilla/5.0"),
            (&"ü".repeat(60), &format!("{}…", "ü".repeat(40))),
        ] {
            assert_eq!(name_of(user_agent), name);
        }
    }
}
