//! Which browsers ask for secure pages (`Upgrade-Insecure-Requests`) with every navigation. They send it with
//! no fetch and no XHR, which makes it the sign of a navigation where there is no `Sec-Fetch-*`.

use memchr::memmem;

/// The last versions that may not send it.
const CHROME: u32 = 44;
const FIREFOX: u32 = 48;
/// Of Edge's own engine, which names a Chrome as well.
const EDGE: u32 = 16;
/// The engine's version of Safari 10.0; 10.1 has 603.
const WEBKIT: u32 = 602;

/// Whether a browser with this user agent sends it.
pub(super) fn asks_to_upgrade(user_agent: &[u8]) -> bool {
    let newer = |product: &str, last| version(user_agent, product).map(|version| version > last);
    newer("Edge/", EDGE)
        .or_else(|| newer("Chrome/", CHROME))
        .or_else(|| newer("Firefox/", FIREFOX))
        .unwrap_or_else(|| is_webkit(user_agent))
}

/// Whether it is Safari or its kin of that age: it sends the `Accept` of a navigation, and nothing else, for a link with
/// `download`.
pub(super) fn is_webkit(user_agent: &[u8]) -> bool {
    let has = |text: &str| memmem::find(user_agent, text.as_bytes()).is_some();
    version(user_agent, "AppleWebKit/").is_some_and(|version| version > WEBKIT)
        && !has("Chrome/")
        && !has("Chromium/")
        && (has("Safari/") || has("Mac OS X"))
}

fn version(user_agent: &[u8], product: &str) -> Option<u32> {
    let at = memmem::find(user_agent, product.as_bytes())? + product.len();
    let digits = user_agent[at..].iter().take_while(|b| b.is_ascii_digit());
    digits.take(6).fold(None, |number: Option<u32>, digit| {
        Some(number.unwrap_or(0) * 10 + u32::from(digit - b'0'))
    })
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
}
