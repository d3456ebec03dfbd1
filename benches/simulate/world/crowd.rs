//! Who visits the site in a day, and when.

use super::chance::{Chance, whole};

/// Requests by hour at the web server of NASA's Kennedy Space Center in August 1995, all 1,569,898 of its
/// public log (the Internet Traffic Archive's NASA-HTTP): the curve of a real site's day.
const BY_HOUR: [u32; 24] = [
    47_862, 38_531, 32_508, 29_995, 26_756, 27_587, 31_287, 47_386, 65_443, 78_695, 88_309, 95_344, 105_143,
    104_536, 101_394, 109_465, 99_527, 80_834, 66_809, 59_315, 59_944, 57_985, 60_673, 54_570,
];

/// Visits of a visitor: at least n with a probability of n⁻². The most of one.
const MOST_VISITS: f64 = 300.0;
/// Pages of a visit: an inverse Gaussian, as Huberman and others found it for the web (1998). The mean, the
/// shape, and the most.
const PAGES: (f64, f64, f64) = (3.0, 2.0, 500.0);
/// The share of events that follow the one before at once: a redirect, a click through, an event of the page.
const AT_ONCE: f64 = 0.1;
/// The mean time until these, in milliseconds.
const SOON: f64 = 300.0;
/// The median time on a page, in milliseconds, and the spread of its logarithm.
const ON_PAGE: (f64, f64) = (25_000.0, 1.1);

const HOUR: f64 = 3_600_000.0;

/// An event: a visitor's page at a time in milliseconds since the day began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PageShown {
    pub(crate) at: u32,
    pub(crate) visitor: u32,
}

/// The events of so many visitors, in their order.
pub(crate) fn day(seed: u64, visitors: u32, hours: usize) -> Vec<PageShown> {
    let mut chance = Chance::new(seed ^ 0xC0_FFEE);
    let curve = &BY_HOUR[24 - hours..];
    let total: u32 = curve.iter().sum();
    let mut pages = Vec::with_capacity(visitors as usize * 5);
    for visitor in 0..visitors {
        let visits = whole((1.0 - chance.even()).powf(-0.5).min(MOST_VISITS));
        for _ in 0..visits {
            let mut place = chance.between(0, u64::from(total) - 1) as u32;
            let mut hour = 0;
            while place >= curve[hour] {
                place -= curve[hour];
                hour += 1;
            }
            let mut at = (hour as f64 + chance.even()) * HOUR;
            let count = whole(chance.inverse_gaussian(PAGES.0, PAGES.1).ceil().min(PAGES.2));
            for _ in 0..count {
                if at >= hours as f64 * HOUR {
                    break;
                }
                pages.push(PageShown {
                    at: whole(at) as u32,
                    visitor,
                });
                at += if chance.happens(AT_ONCE) {
                    chance.exponential(SOON)
                } else {
                    chance.log_normal(ON_PAGE.0, ON_PAGE.1)
                };
            }
        }
    }
    pages.sort_unstable();
    pages
}

/// A visitor's key, as even as a keyed hash (the finaliser of splitmix64).
pub(crate) fn key(visitor: u32) -> u64 {
    let mut key = (u64::from(visitor) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    key = (key ^ key >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    key = (key ^ key >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    key ^ key >> 31
}
