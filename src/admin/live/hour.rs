//! The chart of the last hour.

use std::{
    fmt::Write as _,
    time::{Duration, SystemTime},
};

use crate::{
    admin::{
        history::{History, MINUTES},
        words::Group,
    },
    web::{chart::Chart, html::Grouped},
};

use super::format::{Clock, plural};

/// So many times stand below the chart.
const TIMES: u64 = 5;

/// Page views in the last hour.
pub(super) fn views(history: &History) -> u64 {
    history.columns().0.iter().map(|column| column[0]).sum()
}

/// So many minutes before a time; no earlier than 1970, where a machine without a clock starts.
fn ago(time: SystemTime, minutes: u64) -> SystemTime {
    let since_1970 = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + since_1970.saturating_sub(Duration::from_mins(minutes))
}

/// Writes the chart with its legend.
pub(super) fn write(html: &mut String, history: &History) {
    let (columns, newest) = history.columns();
    let sums = Group::CHARTED.map(|group| {
        let counts = columns.iter().map(|column| column[group as usize]);
        (group, counts.sum::<u64>())
    });
    html.push_str("<section class=\"panel full\">\n<div class=head><h2>The last hour, by the minute</h2><ul class=legend>");
    for (group, sum) in sums {
        let _ = write!(
            html,
            "<li data-kind={kind}>{plain} <b>{sum}</b></li>",
            kind = group.label(),
            plain = group.plain(),
            sum = Grouped(sum)
        );
    }
    html.push_str("</ul></div>\n");

    let times: Vec<Clock> = (0..TIMES)
        .map(|n| Clock {
            at: ago(newest, (TIMES - 1 - n) * (MINUTES as u64 - 1) / (TIMES - 1)),
            to_the_minute: true,
        })
        .collect();
    let piles: Vec<Vec<u64>> = columns.iter().map(|column| column.to_vec()).collect();
    let told = sums.map(|(group, sum)| format!("{sum} {}", group.plain().to_lowercase()));
    let title = |at: usize| {
        let ago = MINUTES - 1 - at;
        let parts = Group::CHARTED
            .iter()
            .zip(&columns[at])
            .filter(|(_, count)| **count > 0);
        let parts: Vec<String> = parts
            .map(|(group, count)| format!("{count} {}", group.plain().to_lowercase()))
            .collect();
        match ago {
            0 => format!("this minute: {}", parts.join(", ")),
            _ => format!(
                "{ago} {} ago: {}",
                plural(ago as u64, "minute", "minutes"),
                parts.join(", ")
            ),
        }
    };
    let chart = Chart {
        label: &format!(
            "Requests for pages by the minute in the last hour: {}",
            told.join(", ")
        ),
        kinds: &Group::CHARTED.map(Group::label),
        columns: &piles,
        titles: &title,
        axis: &times,
        empty: "No page was asked for in the last hour.",
    };
    html.push_str(&chart.html());
    html.push_str("\n</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admin::status::DecisionCounts, page::Decision};

    #[test]
    fn the_hour_is_drawn_by_colour_with_a_scale_and_times() {
        let mut history = History::new();
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let counts = DecisionCounts(vec![
            (Decision::Counted, 7),
            (Decision::Bot, 1),
            (Decision::NotPage, 90),
        ]);
        history.sample(at, &counts);
        let mut html = String::new();
        write(&mut html, &history);
        assert_eq!(views(&history), 7);
        assert!(
            html.contains("<li data-kind=counted>Page views <b>7</b></li>"),
            "{html}"
        );
        assert!(
            html.contains("<span>10</span><span>5</span><span>0</span>"),
            "{html}"
        );
        assert!(html.contains("this minute: 7 page views, 1 bots"), "{html}");
        assert!(
            html.contains(">21:14</time>") && html.contains(">22:13</time>"),
            "{html}"
        );
        assert!(!html.contains("No page was asked for"), "{html}");
    }
}
