//! Circles: who needs somebody that needs them in turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::needs::Needs;

/// For each need that is part of a circle the shortest one, each circle once, the shorter ones first, as
/// `a.rs → b.rs → a.rs by NAME, NAME`: the names that make the first need the second, and so on.
pub(super) fn circles(needs: &Needs) -> Vec<String> {
    let mut found: BTreeSet<(usize, Vec<&str>)> = BTreeSet::new();
    for (from, others) in needs {
        for to in others.keys() {
            if let Some(mut circle) = shortest(needs, to, from) {
                // It begins at the name that comes first, so that the same one is not told twice.
                let first = (0..circle.len()).min_by_key(|&at| circle[at]).unwrap_or_default();
                circle.rotate_left(first);
                found.insert((circle.len(), circle));
            }
        }
    }
    found.iter().map(|(_, circle)| told(needs, circle)).collect()
}

/// The shortest way from one file to another, both with it.
fn shortest<'a>(needs: &'a Needs, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut before: BTreeMap<&str, &str> = BTreeMap::new();
    let mut waiting = VecDeque::from([from]);
    while let Some(at) = waiting.pop_front() {
        if at == to {
            let mut way = vec![at];
            while way.last() != Some(&from) {
                way.push(before[way[way.len() - 1]]);
            }
            way.reverse();
            return Some(way);
        }
        for next in needs.get(at).into_iter().flat_map(BTreeMap::keys) {
            if next != from && !before.contains_key(next.as_str()) {
                before.insert(next, at);
                waiting.push_back(next);
            }
        }
    }
    None
}

fn told(needs: &Needs, circle: &[&str]) -> String {
    let round: Vec<&str> = circle.iter().chain(circle.first()).copied().collect();
    let by = round.windows(2).map(|step| {
        let names: Vec<&str> = needs[step[0]][step[1]].iter().map(String::as_str).collect();
        names.join("/")
    });
    format!(
        "{} by {}",
        round.join(" → "),
        by.collect::<Vec<String>>().join(", ")
    )
}
