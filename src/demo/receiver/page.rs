//! The receiver's page.

use std::fmt::Write as _;

use hyper::Response;

use crate::web::{
    chart::Chart,
    html::{Bar, Escaped, Grouped, Icon, LivePage, bar_list},
    response::ResponseBody,
};

use super::{
    DemoLinks,
    board::{Arrival, Board, COLUMN, COLUMNS, Fate, ReceivedAt},
};

/// How many names a list shows.
const MAX_ROWS: usize = 10;

/// Renders the page of the site `domain`.
pub(super) fn page(
    domain: &str,
    links: &DemoLinks,
    board: &Board,
    now: ReceivedAt,
) -> Response<ResponseBody> {
    LivePage {
        title: &format!("{domain} · receiver"),
        icon: Icon::Calm,
        events: Some("live"),
        forms: false,
        main: &main(domain, links, board, now),
    }
    .response()
}

fn main(domain: &str, links: &DemoLinks, board: &Board, now: ReceivedAt) -> String {
    let mut html = format!(
        "<header><h1>{}</h1><p class=muted>{} here now</p><p id=live class=live>snapshot</p>",
        Escaped(domain),
        Grouped(board.current(now) as u64),
    );
    let _ = write!(
        html,
        "<p class=\"muted note\">What Plausible would show. See also <a href=\"{site}\">the site</a> and \
         <a href=\"{live}\">how gatecount decides</a>, request by request.</p>",
        site = Escaped(&links.site),
        live = Escaped(&links.live),
    );
    html.push_str("</header>\n<section class=cards>\n");
    card(
        &mut html,
        "Unique visitors",
        &Grouped(board.unique()).to_string(),
        "",
    );
    card(&mut html, "Visits", &Grouped(board.visits).to_string(), "");
    card(&mut html, "Page views", &Grouped(board.views).to_string(), "");
    let bounces = board
        .bounce_rate()
        .map_or("—".to_owned(), |rate| format!("{rate} %"));
    card(&mut html, "Bounce rate", &bounces, "");
    if board.dropped > 0 {
        card(
            &mut html,
            "Dropped",
            &Grouped(board.dropped).to_string(),
            "warning",
        );
    }
    if board.refused > 0 {
        card(&mut html, "Refused", &Grouped(board.refused).to_string(), "bad");
    }

    html.push_str("</section>\n<div class=columns>\n");
    panel(
        &mut html,
        "full",
        "Page views in the last five minutes",
        &chart(board, now),
    );
    let listed = |what, none, rows: Vec<(&str, u64)>| {
        let bar = |(name, count)| Bar {
            name,
            code: "",
            kind: "",
            count,
        };
        let bars: Vec<Bar<'_>> = rows.into_iter().map(bar).collect();
        bar_list(what, none, &bars)
    };
    let pages = listed("page views by page", "No page yet.", board.pages(MAX_ROWS));
    panel(&mut html, "half", "Top pages, by page views", &pages);
    let sources = listed("arrivals by source", "No arrival yet.", board.sources(MAX_ROWS));
    panel(&mut html, "half", "Sources, by arrivals from elsewhere", &sources);
    let customs = board.customs(MAX_ROWS);
    if !customs.is_empty() {
        panel(
            &mut html,
            "full",
            "Other events",
            &listed("events by name", "", customs),
        );
    }
    let newest = latest(board);
    let title = "Latest events (times in <span data-zone>UTC</span>)";
    panel(&mut html, "full", title, &newest);
    html.push_str(
        "</div>\n<footer><span>A Plausible-compatible receiver, in memory only. \
         Events arrive at <code>/api/event</code>.</span></footer>\n",
    );
    html
}

/// `value` is HTML.
fn card(html: &mut String, title: &str, value: &str, kind: &str) {
    let _ = writeln!(
        html,
        "<div class=card data-kind=\"{kind}\"><h2>{title}</h2><p class=figure>{value}</p></div>"
    );
}

/// `title` and `inside` are HTML.
fn panel(html: &mut String, width: &str, title: &str, inside: &str) {
    let _ = writeln!(
        html,
        "<section class=\"panel {width}\">\n<h2>{title}</h2>\n{inside}\n</section>"
    );
}

/// Columns of page views.
fn chart(board: &Board, now: ReceivedAt) -> String {
    let columns: Vec<Vec<u64>> = board.chart(now).map(|views| vec![views]).collect();
    let views = |at: usize| columns[at][0];
    let total: u64 = (0..COLUMNS).map(views).sum();
    let seconds = COLUMN.as_secs();
    Chart {
        label: &format!("{total} page views in the last five minutes, by {seconds} seconds"),
        kinds: &["views"],
        columns: &columns,
        titles: &|at| {
            format!(
                "{} s ago: {} page views",
                (COLUMNS - 1 - at) as u64 * seconds,
                views(at)
            )
        },
        axis: &["5 min ago", "4", "3", "2", "1 min ago", "now"],
        empty: "No page view in the last five minutes.",
    }
    .html()
}

fn latest(board: &Board) -> String {
    if board.latest.is_empty() {
        return "<p class=none>Nothing has arrived yet. Open the site, click around, and watch this page.</p>".to_owned();
    }
    let mut html = String::from("<ol class=log>\n");
    for arrival in &board.latest {
        entry(&mut html, arrival);
    }
    html.push_str("</ol>");
    html
}

fn entry(html: &mut String, arrival: &Arrival) {
    let (kind, word) = match arrival.fate {
        Fate::Counted => ("good", arrival.name.as_str()),
        Fate::Dropped => ("warning", "dropped"),
        Fate::Refused => ("bad", "refused"),
    };
    let at = humantime::format_rfc3339_millis(arrival.clock).to_string();
    // All that is known about a refused event is what is wrong with it.
    let (place, about) = match arrival.fate {
        Fate::Refused => (arrival.about.join(" · "), String::new()),
        Fate::Counted | Fate::Dropped => (arrival.place.clone(), arrival.about.join(" · ")),
    };
    let _ = writeln!(
        html,
        "<li data-key={seq}><time datetime=\"{at}\" data-clock=second>{clock}</time>\
         <span class=verdict><span class=badge data-kind={kind}>{word}</span></span>\
         <span class=what>{place}</span><span class=muted>{about}</span></li>",
        seq = arrival.seq,
        clock = at.get(11..19).unwrap_or(&at),
        word = Escaped(word),
        place = Escaped(&place),
        about = Escaped(&about),
    );
}
