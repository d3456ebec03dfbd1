//! Which browsers ask for secure pages (`Upgrade-Insecure-Requests`) with every navigation, Safari over plain
//! http alone. They send it with no fetch and no XHR, which makes it the sign of a navigation where there is no
//! `Sec-Fetch-*`.

use memchr::memmem;

/// The last versions that may not send it.
const CHROME: u32 = 44;
const FIREFOX: u32 = 48;
/// Of Edge's own engine, which names a Chrome as well.
const EDGE: u32 = 16;
/// The engine's version of Safari 10.0; 10.1 has 603.
const WEBKIT: u32 = 602;

/// The first version of Safari that sends `Sec-Fetch-*`.
const METADATA: (u32, u32) = (16, 4);

/// Whether a browser with this user agent sends it.
pub(super) fn asks_to_upgrade(user_agent: &[u8]) -> bool {
    let newer = |product: &str, last| version(user_agent, product).map(|version| version > last);
    newer("Edge/", EDGE)
        .or_else(|| newer("Chrome/", CHROME))
        .or_else(|| newer("Firefox/", FIREFOX))
        .unwrap_or_else(|| is_webkit(user_agent))
}

/// Whether it is Safari or its kin of that age.
pub(super) fn is_webkit(user_agent: &[u8]) -> bool {
    let has = |text: &str| memmem::find(user_agent, text.as_bytes()).is_some();
    version(user_agent, "AppleWebKit/").is_some_and(|version| version > WEBKIT)
        && !has("Chrome/")
        && !has("Chromium/")
        && (has("Safari/") || has("Mac OS X"))
}

/// Whether Safari or its kin with this user agent sends `Sec-Fetch-*` with what it shows, over https and to localhost.
/// Safari 16.4 was the first, and its system's apps with it. False if the version is not told.
pub(super) fn webkit_sends_metadata(user_agent: &[u8]) -> bool {
    let safari = versions(user_agent, "Version/");
    // Apps say which iOS it is: `CPU iPhone OS 16_3`, `CPU OS 16_3`.
    let told = safari.or_else(|| versions(user_agent, "CPU iPhone OS "));
    told.or_else(|| versions(user_agent, "CPU OS "))
        .is_some_and(|version| version >= METADATA)
}

fn version(user_agent: &[u8], product: &str) -> Option<u32> {
    versions(user_agent, product).map(|(major, _)| major)
}

/// The first number after the product, and the second or 0.
fn versions(user_agent: &[u8], product: &str) -> Option<(u32, u32)> {
    let at = memmem::find(user_agent, product.as_bytes())? + product.len();
    let (major, rest) = number(&user_agent[at..])?;
    let minor = match rest.split_first() {
        Some((b'.' | b'_', rest)) => number(rest).map(|(minor, _)| minor),
        _ => None,
    };
    Some((major, minor.unwrap_or(0)))
}

/// The digits that a text begins with, at most six of them, and the text after them.
fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let end = text.iter().take(6).take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(end);
    let number = digits.iter().fold(0, |n, digit| n * 10 + u32::from(digit - b'0'));
    (end > 0).then_some((number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_of_the_last_decade_ask_and_older_ones_do_not() {
        let chrome = |version| format!("Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) {version}");
        for (agent, asks) in [
            (chrome("Chrome/131.0.0.0 Safari/537.36"), true),
            (chrome("Chrome/45.0.2454.85 Safari/537.36"), true),
            (chrome("Chrome/44.0.2403.133 Safari/537.36"), false),
            (chrome("Chrome/58.0.3029.110 Safari/537.36 Edge/16.16299"), false),
            (chrome("Chrome/64.0.3282.140 Safari/537.36 Edge/18.17763"), true),
            (
                "Mozilla/5.0 (X11; rv:140.0) Gecko/20100101 Firefox/140.0".to_owned(),
                true,
            ),
            (
                "Mozilla/5.0 (X11; rv:45.0) Gecko/20100101 Firefox/45.0".to_owned(),
                false,
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 15_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like \
                 Gecko) Version/15.6 Mobile/15E148 Safari/604.1"
                    .to_owned(),
                true,
            ),
            (
                "Mozilla/5.0 (iPad; CPU OS 9_3 like Mac OS X) AppleWebKit/601.1.46 (KHTML, like Gecko) \
                 Version/9.0 Mobile/13E188a Safari/601.1"
                    .to_owned(),
                false,
            ),
            (
                "Mozilla/5.0 (Windows NT 6.1; Trident/7.0; rv:11.0) like Gecko".to_owned(),
                false,
            ),
            (String::new(), false),
            ("Chrome/".to_owned(), false),
            ("Chrome/99999999999999".to_owned(), true),
        ] {
            assert_eq!(asks_to_upgrade(agent.as_bytes()), asks, "{agent}");
        }
    }

    #[test]
    fn safari_and_apps_say_since_when_they_send_metadata() {
        let webkit = |rest: &str| format!("Mozilla/5.0 ({rest}");
        for (agent, sends) in [
            (
                webkit("Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15"),
                true,
            ),
            (
                webkit("Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.4 Safari/605.1.15"),
                true,
            ),
            (
                webkit("Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/16.3 Safari/605.1.15"),
                false,
            ),
            (
                webkit("Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/9 Safari/601.1"),
                false,
            ),
            (
                webkit(
                    "iPhone; CPU iPhone OS 16_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/1",
                ),
                true,
            ),
            (
                webkit("iPad; CPU OS 15_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/1"),
                false,
            ),
            // An app on a Mac, which does not tell.
            (
                webkit("Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"),
                false,
            ),
            ("Version/".to_owned(), false),
            ("Version/99999999999999.9".to_owned(), true),
            ("Version/16.".to_owned(), false),
        ] {
            assert_eq!(webkit_sends_metadata(agent.as_bytes()), sends, "{agent}");
        }
    }
}
