//! What no person's browser sends, whatever name it goes by: a version that does not exist, a brand of a headless
//! browser. Other such rules were tried on recorded browsers and left out, because they cost people or found no
//! bot: `tests/corpus/agents/README.md` has the figures.

use memchr::memmem;

/// Chrome and Firefox get at most 26 versions a year and are at about 150 in 2026. Some programs built on Qt give
/// Firefox the version of their engine, which is about 600.
const IMPOSSIBLE: [(&[u8], u32); 2] = [(b"Chrome/", 500), (b"Firefox/", 1_000)];

/// Whether the user agent claims a version of Chrome or Firefox that is years away.
pub(super) fn has_impossible_version(agent: &[u8]) -> bool {
    IMPOSSIBLE.iter().any(|(name, first)| {
        memmem::find(agent, name).is_some_and(|at| leading_number(&agent[at + name.len()..]) >= *first)
    })
}

/// The number at the start of a text; 0 without one.
fn leading_number(text: &[u8]) -> u32 {
    text.iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0, |n, b| n.saturating_mul(10).saturating_add(u32::from(b - b'0')))
}

/// Whether the brands in `Sec-CH-UA` say that the browser is headless.
pub(super) fn says_headless(brands: &[u8]) -> bool {
    memmem::find(brands, b"HeadlessChrome").is_some()
}
