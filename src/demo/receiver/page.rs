//! The receiver's page.

use std::fmt::Write as _;

use hyper::Response;

use crate::web::{
    html::{self, Escaped, Grouped, bar_list},
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
    let main = main(domain, links, board, now);
    html::page(&format!("{domain} · receiver"), "live", &main)
}

fn main(domain: &str, links: &DemoLinks, board: &Board, now: ReceivedAt) -> String {
    let mut html = format!(
        "<header><h1>{}</h1><span class=muted>{} here now</span><span id=live class=live>snapshot</span></header>\n\
         <section class=cards>\n",
        Escaped(domain),
        Grouped(board.current(now) as u64),
    );
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
    let listed = |what, none, rows: Vec<(&str, u64)>| bar_list(what, none, rows.into_iter());
    let pages = listed("page views by page", "No page yet.", board.pages(MAX_ROWS));
    panel(&mut html, "half", "Top pages", &pages);
    let sources = listed("arrivals by source", "No arrival yet.", board.sources(MAX_ROWS));
    panel(&mut html, "half", "Sources", &sources);
    let customs = board.customs(MAX_ROWS);
    if !customs.is_empty() {
        panel(
            &mut html,
            "full",
            "Other events",
            &listed("events by name", "", customs),
        );
    }
    panel(&mut html, "full", "Latest", &latest(board));
    let _ = writeln!(
        html,
        "</div>\n<footer><a href=\"{site}\">The site</a> <a href=\"{live}\">How gatecount decides</a> \
         <span>A Plausible-compatible receiver, in memory only. \
         Events arrive at <code>/api/event</code>.</span></footer>",
        site = Escaped(&links.site),
        live = Escaped(&links.live),
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

/// `inside` is HTML.
fn panel(html: &mut String, width: &str, title: &str, inside: &str) {
    let _ = writeln!(
        html,
        "<section class=\"panel {width}\">\n<h2>{title}</h2>\n{inside}\n</section>"
    );
}

/// Columns of page views. The highest is as high as the chart.
fn chart(board: &Board, now: ReceivedAt) -> String {
    let columns = board.chart(now);
    let highest = columns.clone().max().unwrap_or(0).max(1);
    let mut rects = String::new();
    for (i, views) in columns.enumerate().filter(|(_, views)| *views > 0) {
        let height = (views * 100).div_ceil(highest);
        let _ = write!(
            rects,
            "<rect x={i}.1 y={y} width=.8 height={height}><title>{views}</title></rect>",
            y = 100 - height
        );
    }
    format!(
        "<svg class=chart viewBox=\"0 0 {COLUMNS} 100\" preserveAspectRatio=none role=img \
         aria-label=\"page views by {} seconds, at most {highest}\">\
         <line x1=0 y1=100 x2={COLUMNS} y2=100></line>{rects}</svg>\
         <p class=\"muted ends\"><span>five minutes ago</span><span>now</span></p>",
        COLUMN.as_secs()
    )
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
        "<li data-key={seq}><time datetime=\"{at}\">{clock}</time><span class=badge data-kind={kind}>{word}</span>\
         <span class=what>{place}</span><span class=muted>{about}</span></li>",
        seq = arrival.seq,
        clock = at.get(11..19).unwrap_or(&at),
        word = Escaped(word),
        place = Escaped(&place),
        about = Escaped(&about),
    );
}
