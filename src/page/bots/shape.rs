//! What no person's browser sends, whatever name it goes by: a version that does not exist, a brand of a headless
//! browser. Other such rules were tried on recorded browsers and left out, because they cost people or found no
//! bot: `tests/corpus/agents/README.md` has the figures.

use memchr::{memchr_iter, memmem};

/// Chrome and Firefox get at most 26 versions a year and are at about 150 in 2026. Some programs built on Qt give
/// Firefox the version of their engine, which is about 600.
const IMPOSSIBLE: [(&[u8], u32); 2] = [(b"Chrome/", 500), (b"Firefox/", 1_000)];

/// Whether the user agent claims a version of Chrome or Firefox that is years away.
pub(super) fn has_impossible_version(agent: &[u8]) -> bool {
    IMPOSSIBLE.iter().any(|(name, first)| {
        memmem::find(agent, name).is_some_and(|at| leading_number(&agent[at + name.len()..]) >= *first)
    })
}

/// What computers say of themselves.
const COMPUTERS: [&[u8]; 3] = [b"(Windows NT ", b"(Macintosh;", b"(X11;"];

/// Whether a name follows a computer's whole browser behind a semicolon: `Safari/537.36; Name/1.0`. Browsers have
/// blanks between their products, and so have the programs that are built on one. Some apps of phones do the same.
pub(super) fn has_a_name_behind(agent: &[u8]) -> bool {
    let Some(at) = memmem::find(agent, b" Safari/").filter(|_| agent.starts_with(b"Mozilla/5.0 (")) else {
        return false;
    };
    let version = &agent[at + b" Safari/".len()..];
    let end = version.iter().position(|b| !(b.is_ascii_digit() || *b == b'.'));
    let behind = version[end.unwrap_or(version.len())..].trim_ascii_start();
    let Some(name) = behind.strip_prefix(b";").map(<[u8]>::trim_ascii_start) else {
        return false;
    };
    let end = name.iter().position(|b| matches!(b, b'/' | b';' | b'(' | b')'));
    let is_product = name.first().is_some_and(u8::is_ascii_alphabetic)
        && end.is_some_and(|end| name[end] == b'/' && name.get(end + 1).is_some_and(u8::is_ascii_digit));
    let count = |bracket| memchr::memchr_iter(bracket, &agent[..at]).count();
    is_product
        && count(b'(') == count(b')')
        && COMPUTERS
            .iter()
            .any(|computer| memmem::find(&agent[..at], computer).is_some())
}

/// The number at the start of a text; 0 without one.
fn leading_number(text: &[u8]) -> u32 {
    text.iter()
        .take_while(|b| b.is_ascii_digit())
        .fold(0, |n, b| n.saturating_mul(10).saturating_add(u32::from(b - b'0')))
}

/// Whether the brands in `Sec-CH-UA` say that the browser is headless.
///
/// By the first letter: each page comes here, hardly one has it, and to prepare a search for the word costs more.
pub(super) fn says_headless(brands: &[u8]) -> bool {
    memchr_iter(b'H', brands).any(|at| brands[at..].starts_with(b"HeadlessChrome"))
}
