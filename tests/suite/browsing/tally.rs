//! The tracker's views and somebody else's, side by side.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::drive::Step;

/// The query parameters that gatecount keeps unless told otherwise.
const KEPT: [&str; 7] = [
    "ref",
    "source",
    "utm_source",
    "utm_medium",
    "utm_campaign",
    "utm_content",
    "utm_term",
];

/// A page view, as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub(super) struct View {
    url: String,
    #[serde(default)]
    referrer: Option<String>,
}

impl View {
    pub(super) fn new(url: &str, referrer: &str) -> View {
        View {
            url: url.into(),
            referrer: Some(referrer.into()),
        }
    }

    /// The scheme and the host, and the path.
    pub(super) fn parts(&self) -> (&str, &str) {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        let path = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
        url.split_at(path)
    }

    /// The step's name and the path within it.
    fn place(&self) -> (&str, &str) {
        let path = self.parts().1.trim_start_matches('/');
        path.split_once('/').unwrap_or((path, ""))
    }

    /// Whether it is of one of these steps' pages.
    pub(super) fn is_of_a_step(&self, steps: &[Step]) -> bool {
        steps.iter().any(|step| step.id == self.place().0)
    }

    /// What both must agree on: the address with the parameters that are kept, and which other site led there.
    /// Where the visitor was on this site before is of no interest to Plausible.
    fn essence(&self, alias: &BTreeMap<String, String>) -> String {
        let (origin, path) = self.parts();
        let (step, within) = self.place();
        let path = alias
            .get(within)
            .map_or_else(|| path.to_owned(), |shown| format!("/{step}/{shown}"));
        let query = self.url.split('#').next().and_then(|url| url.split_once('?'));
        let kept = query.map_or("", |(_, query)| query).split('&');
        let kept = kept.filter(|pair| KEPT.contains(&pair.split('=').next().unwrap_or_default()));
        let from = self.referrer.as_deref().unwrap_or_default();
        let from = from.split(['?', '#']).next().unwrap_or_default();
        let from = if from.contains("//other.test") { from } else { "" };
        format!("{origin}{path} {} {from}", kept.collect::<Vec<_>>().join("&"))
    }
}

/// How far somebody agrees with the tracker.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) steps: usize,
    /// The tracker's.
    pub(super) views: usize,
    pub(super) agreed: usize,
    pub(super) missed: Vec<String>,
    pub(super) invented: Vec<String>,
    /// By the reason why a server cannot see it: how many are missed, and how many invented.
    pub(super) beyond: BTreeMap<String, (usize, usize)>,
    /// Views that a step declares to be out of a server's sight, and that were seen.
    pub(super) unneeded: Vec<String>,
}

impl Tally {
    /// Compares what was counted with what the tracker sent, step by step.
    pub(super) fn of(steps: &[Step], counted: &[View]) -> Tally {
        let mut tally = Tally {
            steps: steps.len(),
            ..Tally::default()
        };
        for step in steps {
            let mut counts: BTreeMap<String, (&str, usize, usize)> = BTreeMap::new();
            for view in &step.events {
                let within = view.place().1;
                let within = step.alias.get(within).map_or(within, String::as_str);
                let count = counts.entry(view.essence(&step.alias)).or_insert((within, 0, 0));
                count.1 += 1;
            }
            for view in counted.iter().filter(|view| view.place().0 == step.id) {
                let count = counts
                    .entry(view.essence(&step.alias))
                    .or_insert((view.place().1, 0, 0));
                count.2 += 1;
            }
            tally.add(step, counts);
        }
        tally
    }

    fn add(&mut self, step: &Step, counts: BTreeMap<String, (&str, usize, usize)>) {
        let mut missed_beyond: Vec<(&str, &str)> = Vec::new();
        let mut invented_beyond: Vec<(&str, &str)> = Vec::new();
        for (why, beyond) in &step.beyond {
            missed_beyond.extend(beyond.missed.iter().map(|path| (path.as_str(), why.as_str())));
            invented_beyond.extend(beyond.invented.iter().map(|path| (path.as_str(), why.as_str())));
        }
        let take = |list: &mut Vec<(&str, &str)>, path: &str| {
            let at = list.iter().position(|(within, _)| *within == path)?;
            Some(list.remove(at).1.to_owned())
        };
        for (address, (path, of_tracker, of_other)) in counts {
            self.views += of_tracker;
            self.agreed += of_tracker.min(of_other);
            for _ in of_other..of_tracker {
                match take(&mut missed_beyond, path) {
                    Some(why) => self.beyond.entry(why).or_default().0 += 1,
                    None => self.missed.push(address.clone()),
                }
            }
            for _ in of_tracker..of_other {
                match take(&mut invented_beyond, path) {
                    Some(why) => self.beyond.entry(why).or_default().1 += 1,
                    None => self.invented.push(address.clone()),
                }
            }
        }
        let left = missed_beyond.into_iter().chain(invented_beyond);
        self.unneeded
            .extend(left.map(|(path, why)| format!("{}/{path}: {why}", step.id)));
    }

    /// The views that a server can see.
    fn visible(&self) -> usize {
        self.agreed + self.missed.len()
    }

    /// The share of the views that a server can see on which both agree.
    pub(super) fn share(&self) -> f64 {
        self.agreed as f64 / self.visible().max(1) as f64
    }

    /// One line, which the test command shows.
    pub(super) fn print(&self, name: &str) {
        let beyond = |count: fn(&(usize, usize)) -> usize| self.beyond.values().map(count).sum::<usize>();
        eprintln!(
            "measured: {name}: {} steps, {} views by the tracker; {} agreed, {} missed, {} invented ({:.1} % of what a \
             server can see); out of a server's sight: {} missed, {} invented",
            self.steps,
            self.views,
            self.agreed,
            self.missed.len(),
            self.invented.len(),
            self.share() * 100.0,
            beyond(|(missed, _)| *missed),
            beyond(|(_, invented)| *invented),
        );
    }

    /// What a server cannot see, with its share of all views.
    pub(super) fn print_beyond(&self, name: &str) {
        for (why, (missed, invented)) in &self.beyond {
            let share = |count: &usize| *count as f64 * 100.0 / self.views.max(1) as f64;
            eprintln!(
                "measured: {name}: {why}: {missed} missed ({:.1} %), {invented} invented ({:.1} %)",
                share(missed),
                share(invented)
            );
        }
    }
}

/// The comparison itself: what it must find, it finds.
#[test]
fn the_comparison_finds_each_difference() {
    let step: Step = serde_json::from_value(serde_json::json!({
        "step": "s", "took": 1, "error": null, "alias": {"old": "new"},
        "events": [
            {"url": "http://site.test:1/s/a?utm_source=x&n=1#y", "referrer": null},
            {"url": "http://site.test:1/s/b", "referrer": "http://other.test:2/"},
            {"url": "http://site.test:1/s/c", "referrer": "http://site.test:1/s/b"},
            {"url": "http://site.test:1/s/old", "referrer": null},
            {"url": "http://site.test:1/s/d", "referrer": null},
            {"url": "http://site.test:1/s/d", "referrer": null},
        ],
        "beyond": {"kept": {"missed": ["d"]}, "framed": {"invented": ["f", "g"]}},
    }))
    .unwrap();
    let sent = [
        ("http://site.test:1/s/a?utm_source=x", ""),
        // Without the site that led there it is not the same.
        ("http://site.test:1/s/b", ""),
        ("http://site.test:1/s/new", ""),
        ("http://site.test:1/s/d", ""),
        ("http://site.test:1/s/f", ""),
        ("http://site.test:1/s/h", ""),
    ];
    let counted: Vec<View> = sent
        .iter()
        .map(|(url, referrer)| View::new(url, referrer))
        .collect();
    let tally = Tally::of(&[step], &counted);
    assert_eq!((tally.views, tally.agreed), (6, 3));
    assert_eq!(
        tally.missed,
        [
            "http://site.test:1/s/b  http://other.test:2/",
            "http://site.test:1/s/c  "
        ]
    );
    assert_eq!(
        tally.invented,
        ["http://site.test:1/s/b  ", "http://site.test:1/s/h  "]
    );
    assert_eq!(tally.beyond["kept"], (1, 0));
    assert_eq!(tally.beyond["framed"], (0, 1));
    assert_eq!(tally.unneeded, ["s/g: framed"]);
}
