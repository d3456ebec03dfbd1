//! The live page: the status and the newest decisions at a glance.

use std::{
    cmp::Reverse,
    fmt::{self, Display, Formatter, Write as _},
    time::Duration,
};

use hyper::Response;

use crate::{
    page::Decision,
    web::{
        html::{self, Escaped, Grouped},
        response::ResponseBody,
    },
};

use super::{
    decision::DecisionRecord,
    status::{QueueReport, SendingState, StatusReport, Storage},
};

/// How many of the newest decisions are shown.
const NEWEST: usize = 50;

/// The colour of a badge or a card.
#[derive(Clone, Copy)]
enum Tone {
    Good,
    Warning,
    Bad,
    Neutral,
}

impl Display for Tone {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Tone::Good => "good",
            Tone::Warning => "warning",
            Tone::Bad => "bad",
            Tone::Neutral => "neutral",
        })
    }
}

/// Renders the page. `links` are texts with the addresses of pages that belong to it.
pub(super) fn page(
    status: &StatusReport,
    decisions: &[DecisionRecord],
    links: &[(String, String)],
) -> Response<ResponseBody> {
    html::page("gatecount", "decisions", &main(status, decisions, links))
}

fn main(status: &StatusReport, decisions: &[DecisionRecord], links: &[(String, String)]) -> String {
    let mut html = String::new();
    write_header(&mut html, status);
    html.push_str("<section class=cards>\n");
    write_traffic(&mut html, status);
    write_delivery(&mut html, status);
    write_queue(&mut html, &status.queue);
    html.push_str("</section>\n<div class=columns>\n<section class=panel>\n<h2>Decisions</h2>\n");
    html.push_str(&by_decision(status));
    html.push_str("\n</section>\n<section class=\"panel wide\">\n<h2>Newest (times in UTC)</h2>\n");
    write_newest(&mut html, decisions);
    html.push_str(
        "</section>\n</div>\n<footer><a href=metrics>/metrics</a> <a href=status>/status</a> \
         <a href=decisions>/decisions</a> <a href=readyz>/readyz</a> <a href=livez>/livez</a>",
    );
    for (text, address) in links {
        let _ = write!(html, " <a href=\"{}\">{}</a>", Escaped(address), Escaped(text));
    }
    html.push_str("</footer>\n");
    html
}

fn write_header(html: &mut String, status: &StatusReport) {
    let (tone, word) = if status.ready {
        (Tone::Good, "ready")
    } else {
        (Tone::Bad, "not ready")
    };
    let _ = writeln!(
        html,
        "<header><h1>gatecount</h1><span class=badge data-kind={tone}>{word}</span>\
         <span class=muted>{version} · up {uptime} · on {listen}</span>\
         <span id=live class=live>snapshot</span></header>",
        version = Escaped(status.version),
        uptime = duration(status.uptime_seconds),
        listen = Escaped(&status.listen),
    );
}

fn write_traffic(html: &mut String, status: &StatusReport) {
    let counts = || status.decisions.0.iter();
    let total: u64 = counts().map(|(_, count)| count).sum();
    let counted: u64 = counts()
        .filter(|(decision, _)| matches!(tone(*decision), Tone::Good))
        .map(|(_, count)| count)
        .sum();
    let note = format!("of {} requests decided", Grouped(total));
    write_card(
        html,
        "Pages counted",
        &Grouped(counted).to_string(),
        Tone::Good,
        &note,
    );
}

fn write_delivery(html: &mut String, status: &StatusReport) {
    let delivery = &status.delivery;
    let tone = match delivery.state {
        SendingState::Passing if status.has_trouble() || !delivery.warnings.is_empty() => Tone::Warning,
        SendingState::Passing => Tone::Good,
        SendingState::Tripped | SendingState::Stopped => Tone::Bad,
        SendingState::Starting | SendingState::Failing | SendingState::Probing | SendingState::Restarting => {
            Tone::Warning
        }
    };
    let note = match (&delivery.last_error, delivery.last_error_seconds) {
        (Some(error), _) if status.has_trouble() => {
            let mut note = format!("last error: {}", Escaped(error));
            if let Some(hint) = &delivery.hint {
                let _ = write!(note, "<br>{}", Escaped(hint));
            }
            note
        }
        _ if !delivery.warnings.is_empty() => Escaped(&delivery.warnings.join(" ")).to_string(),
        (Some(error), Some(age)) => format!(
            "<span title=\"{}\">last trouble {} ago</span>",
            Escaped(error),
            duration(age as f64)
        ),
        _ => format!("{} in flight", Grouped(delivery.in_flight as u64)),
    };
    write_card(html, "Delivery", delivery.state.label(), tone, &note);
}

fn write_queue(html: &mut String, queue: &QueueReport) {
    let place = match queue.at {
        Storage::Disk => "on disk",
        Storage::Memory => "in memory",
    };
    let (tone, note) = match &queue.alarm {
        Some(alarm) => (Tone::Bad, Escaped(alarm).to_string()),
        None if queue.events == 0 => (Tone::Good, format!("nothing waits, {place}")),
        None => {
            let (size, age) = (bytes(queue.bytes), duration(queue.oldest_seconds));
            (Tone::Warning, format!("{size}, oldest {age}, {place}"))
        }
    };
    write_card(html, "Queue", &Grouped(queue.events).to_string(), tone, &note);
}

/// `value` and `note` are HTML.
fn write_card(html: &mut String, title: &str, value: &str, tone: Tone, note: &str) {
    let _ = writeln!(
        html,
        "<div class=card data-kind={tone}><h2>{title}</h2><p class=figure>{value}</p><p class=muted>{note}</p></div>"
    );
}

fn by_decision(status: &StatusReport) -> String {
    let mut counts: Vec<(&str, u64)> = status
        .decisions
        .0
        .iter()
        .map(|(decision, count)| (decision.label(), *count))
        .collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    html::bar_list("requests by decision", "No request yet.", counts.into_iter())
}

fn write_newest(html: &mut String, decisions: &[DecisionRecord]) {
    if decisions.is_empty() {
        html.push_str("<p class=none>No request yet.</p>\n");
        return;
    }
    html.push_str("<ol class=log>\n");
    for decision in decisions.iter().rev().take(NEWEST) {
        write_entry(html, decision);
    }
    html.push_str("</ol>\n");
}

fn write_entry(html: &mut String, record: &DecisionRecord) {
    let mut about = Vec::new();
    if record.status > 0 {
        about.push(record.status.to_string());
    }
    if let Some(client) = record.client {
        about.push(format!("{client} by {}", Escaped(record.client_from)));
    }
    about.push(Escaped(record.why).to_string());
    let time = record.time();
    let _ = writeln!(
        html,
        "<li data-key={seq}><time datetime=\"{time}\">{clock}</time>\
         <span class=badge data-kind={tone}>{decision}</span>\
         <span class=what>{method} <b>{host}</b>{path}</span><span class=muted>{about}</span></li>",
        seq = record.seq,
        clock = time.get(11..19).unwrap_or(&time),
        tone = tone(record.decision),
        decision = record.decision,
        method = Escaped(&record.method),
        host = Escaped(&record.host),
        path = Escaped(&record.path),
        about = about.join(" · "),
    );
}

/// Good: the request was a page view. Bad: something went wrong before or behind gatecount.
fn tone(decision: Decision) -> Tone {
    match decision {
        Decision::Counted | Decision::SoftNavigation | Decision::Activated | Decision::Declared => Tone::Good,
        Decision::ErrorStatus | Decision::Aborted | Decision::NoClient => Tone::Bad,
        Decision::NotPage
        | Decision::NotHtml
        | Decision::Redirect
        | Decision::NotFound
        | Decision::Download
        | Decision::Prefetch
        | Decision::Bot
        | Decision::Excluded
        | Decision::UnknownSite
        | Decision::OptedOut
        | Decision::Suppressed
        | Decision::Dedicated => Tone::Neutral,
    }
}

/// Seconds as text, in the two largest units.
fn duration(seconds: f64) -> String {
    let whole = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    match (whole / 86_400, whole / 3_600 % 24, whole / 60 % 60, whole % 60) {
        (0, 0, 0, s) => format!("{s} s"),
        (0, 0, m, s) => format!("{m} min {s} s"),
        (0, h, m, _) => format!("{h} h {m} min"),
        (d, h, _, _) => format!("{d} d {h} h"),
    }
}

fn bytes(n: u64) -> String {
    match n {
        0..1_024 => format!("{n} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", n as f64 / 1_024.0),
        _ => format!("{:.1} MiB", n as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::{
        super::{masked, status::tests::healthy},
        *,
    };

    fn record(seq: u64) -> DecisionRecord {
        DecisionRecord {
            seq,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            decision: Decision::Counted,
            why: "A navigation.",
            method: "GET".to_owned(),
            host: "example.com".to_owned(),
            path: "/".to_owned(),
            status: 200,
            client: Some(masked([203, 0, 113, 7].into())),
            client_from: "x-forwarded-for",
        }
    }

    #[test]
    fn what_clients_sent_is_escaped() {
        let evil = "<img src=x onerror=alert(1)>\"'".to_owned();
        let mut status = healthy();
        status.listen.clone_from(&evil);
        status.queue.alarm = Some(evil.clone());
        status.delivery.last_error = Some(evil.clone());
        status.delivery.last_error_seconds = Some(0);
        let record = DecisionRecord {
            method: evil.clone(),
            host: evil.clone(),
            path: evil.clone(),
            ..record(1)
        };
        let mut html = main(&status, std::slice::from_ref(&record), &[]);
        status.delivery.state = SendingState::Tripped;
        html += &main(&status, &[record], &[]);
        assert!(!html.contains("<img"), "{html}");
        let escaped = "&lt;img src=x onerror=alert(1)&gt;&quot;&#39;";
        assert_eq!(html.matches(escaped).count(), 2 * 6, "{html}");
    }

    #[test]
    fn the_newest_decision_comes_first_and_old_ones_are_left_out() {
        let decisions: Vec<_> = (1..=60).map(record).collect();
        let html = main(&healthy(), &decisions, &[]);
        let at = |seq: u64| html.find(&format!("data-key={seq}>"));
        assert!(at(60) < at(11), "newest first");
        assert_eq!(at(10), None);
        assert!(html.contains("22:13:20</time>") && html.contains("203.0.113.0/24 by x-forwarded-for"));
    }

    #[test]
    fn an_alarm_and_a_tripped_breaker_are_shown_as_trouble() {
        let mut status = healthy();
        status.ready = false;
        status.queue.alarm = Some("the disk is full".to_owned());
        status.delivery.state = SendingState::Tripped;
        status.delivery.last_error = Some("connection refused".to_owned());
        status.delivery.last_error_seconds = Some(3);
        let html = main(&status, &[], &[]);
        assert_eq!(html.matches("class=card data-kind=bad").count(), 2, "{html}");
        assert!(html.contains("the disk is full") && html.contains("last error: connection refused"));
        assert!(html.contains(">not ready<"));
    }

    #[test]
    fn trouble_that_is_over_is_shown_with_its_age() {
        let mut status = healthy();
        status.delivery.last_error = Some("connection refused".to_owned());
        status.delivery.last_error_seconds = Some(7_260);
        let html = main(&status, &[], &[]);
        assert!(html.contains(">last trouble 2 h 1 min ago<"), "{html}");
        assert!(!html.contains("last error:"), "{html}");
        assert!(html.contains("class=card data-kind=good><h2>Delivery"), "{html}");
    }

    #[test]
    fn the_page_tells_where_the_queue_is_and_how_many_pages_were_counted() {
        let mut status = healthy();
        let html = main(&status, &[], &[]);
        assert!(
            html.contains("nothing waits, on disk") && html.contains("of 4 requests decided"),
            "{html}"
        );
        assert!(html.contains("<p class=figure>3</p>"), "{html}");
        status.queue.at = Storage::Memory;
        status.queue.events = 2;
        status.queue.bytes = 2_048;
        assert!(main(&status, &[], &[]).contains("2.0 KiB, oldest 0 s, in memory"));
    }

    #[test]
    fn durations_and_sizes_are_read_at_a_glance() {
        for (seconds, shown) in [
            (5.9, "5 s"),
            (61.0, "1 min 1 s"),
            (7_260.0, "2 h 1 min"),
            (90_000.0, "1 d 1 h"),
        ] {
            assert_eq!(duration(seconds), shown);
        }
        for (n, shown) in [(12, "12 bytes"), (2_048, "2.0 KiB"), (3_145_728, "3.0 MiB")] {
            assert_eq!(bytes(n), shown);
        }
    }
}
