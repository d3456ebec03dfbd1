//! The live page: how things stand at a glance, drawn from the values of `/status` and `/decisions`.

use std::fmt::Write as _;
use std::time::Duration;

use hyper::Response;
use serde_json::Value;

use super::answer::Body;
use super::markup::{self, Count, Text};

/// How many of the newest decisions are shown.
const NEWEST: usize = 50;

/// Decisions after which an event was sent.
const COUNTING: [&str; 4] = ["counted", "soft_navigation", "activated", "declared"];
/// Decisions that tell of trouble before or behind.
const TROUBLE: [&str; 3] = ["error_status", "aborted", "no_client"];

/// Draws the page. Values that are absent are shown as a dash or left out.
pub(super) fn page(status: &Value, decisions: &[Value]) -> Response<Body> {
    markup::page("gatecount", "decisions", &main(status, decisions))
}

fn main(status: &Value, decisions: &[Value]) -> String {
    let mut html = String::new();
    header(&mut html, status);
    html.push_str("<section class=cards>\n");
    traffic(&mut html, status);
    delivery(&mut html, status);
    queue(&mut html, status);
    html.push_str("</section>\n<div class=columns>\n<section class=panel>\n<h2>Decisions</h2>\n");
    html.push_str(&by_kind(status));
    html.push_str("\n</section>\n<section class=\"panel wide\">\n<h2>Newest</h2>\n");
    newest(&mut html, decisions);
    html.push_str(
        "</section>\n</div>\n<footer><a href=metrics>/metrics</a> <a href=status>/status</a> \
         <a href=decisions>/decisions</a> <a href=readyz>/readyz</a> <a href=livez>/livez</a></footer>\n",
    );
    html
}

fn header(html: &mut String, status: &Value) {
    let ready = status["ready"].as_bool() == Some(true);
    let (state, word) = if ready {
        ("good", "ready")
    } else {
        ("bad", "not ready")
    };
    let _ = writeln!(
        html,
        "<header><h1>gatecount</h1><span class=badge data-kind={state}>{word}</span>\
         <span class=muted>{version}up {uptime}{listen}</span><span id=live class=live>snapshot</span></header>",
        version = status["version"]
            .as_str()
            .map_or(String::new(), |v| format!("{} · ", Text(v))),
        uptime = duration(status["uptime_seconds"].as_f64().unwrap_or(0.0)),
        listen = status["listen"]
            .as_str()
            .map_or(String::new(), |l| format!(" · on {}", Text(l))),
    );
}

fn traffic(html: &mut String, status: &Value) {
    let kinds = || status["decisions"].as_object().into_iter().flatten();
    let sum = |wanted: &dyn Fn(&str) -> bool| -> u64 {
        kinds()
            .filter(|(kind, _)| wanted(kind))
            .filter_map(|(_, n)| n.as_u64())
            .sum()
    };
    let counted = sum(&|kind| COUNTING.contains(&kind));
    card(
        html,
        "Pages counted",
        &Count(counted).to_string(),
        "good",
        &format!("of {} requests decided", Count(sum(&|_| true))),
    );
}

fn delivery(html: &mut String, status: &Value) {
    let delivery = &status["delivery"];
    let state = delivery["state"].as_str().unwrap_or("—");
    let kind = match state {
        "passing" => "good",
        "tripped" => "bad",
        _ => "soso",
    };
    let note = match delivery["last_error"].as_str() {
        Some(error) => format!("last error: {}", Text(error)),
        None => format!("{} in flight", Count(delivery["in_flight"].as_u64().unwrap_or(0))),
    };
    card(html, "Delivery", &Text(state).to_string(), kind, &note);
}

fn queue(html: &mut String, status: &Value) {
    let queue = &status["queue"];
    let events = queue["events"].as_u64().unwrap_or(0);
    let (kind, note) = match queue["alarm"].as_str() {
        Some(alarm) => ("bad", Text(alarm).to_string()),
        None if events == 0 => ("good", format!("nothing waits{}", place(queue))),
        None => (
            "soso",
            format!(
                "{}, oldest {}{}",
                bytes(queue["bytes"].as_u64().unwrap_or(0)),
                duration(queue["oldest_seconds"].as_f64().unwrap_or(0.0)),
                place(queue),
            ),
        ),
    };
    card(html, "Queue", &Count(events).to_string(), kind, &note);
}

/// Where the queue is kept.
fn place(queue: &Value) -> String {
    match queue["at"].as_str() {
        Some("disk") => ", on disk".to_owned(),
        Some("memory") => ", in memory".to_owned(),
        _ => String::new(),
    }
}

/// `value` and `note` are HTML.
fn card(html: &mut String, title: &str, value: &str, kind: &str, note: &str) {
    let _ = writeln!(
        html,
        "<div class=card data-kind={kind}><h2>{title}</h2><p class=figure>{value}</p><p class=muted>{note}</p></div>"
    );
}

fn by_kind(status: &Value) -> String {
    let mut kinds: Vec<(&str, u64)> = status["decisions"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(kind, n)| Some((kind.as_str(), n.as_u64()?)))
        .filter(|(_, n)| *n > 0)
        .collect();
    kinds.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    markup::bars("requests by decision", "No request yet.", kinds.into_iter())
}

fn newest(html: &mut String, decisions: &[Value]) {
    if decisions.is_empty() {
        html.push_str("<p class=none>No request yet.</p>\n");
        return;
    }
    html.push_str("<ol class=log>\n");
    for decision in decisions.iter().rev().take(NEWEST) {
        entry(html, decision);
    }
    html.push_str("</ol>\n");
}

fn entry(html: &mut String, decision: &Value) {
    let text = |key: &str| decision[key].as_str().unwrap_or("");
    let kind = match text("decision") {
        counting if COUNTING.contains(&counting) => "good",
        trouble if TROUBLE.contains(&trouble) => "bad",
        _ => "plain",
    };
    let mut about = Vec::new();
    if let Some(status) = decision["status"].as_u64() {
        about.push(status.to_string());
    }
    if let Some(client) = decision["client"].as_str() {
        about.push(format!("{} by {}", Text(client), Text(text("client_from"))));
    }
    about.push(Text(text("why")).to_string());
    let at = text("at");
    let _ = writeln!(
        html,
        "<li data-key={seq}><time datetime=\"{at}\">{clock}</time><span class=badge data-kind={kind}>{decision}</span>\
         <span class=what>{method} <b>{host}</b>{path}</span><span class=muted>{about}</span></li>",
        seq = decision["seq"].as_u64().unwrap_or(0),
        clock = Text(at.get(11..19).unwrap_or(at)),
        at = Text(at),
        decision = Text(text("decision")),
        method = Text(text("method")),
        host = Text(text("host")),
        path = Text(text("path")),
        about = about.join(" · "),
    );
}

/// Seconds in the two units that matter.
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
    use serde_json::json;

    use super::*;

    #[test]
    fn what_clients_sent_is_escaped() {
        let evil = "<img src=x onerror=alert(1)>\"'";
        let decision = json!({"seq": 1, "at": evil, "decision": evil, "why": evil, "method": evil, "host": evil,
            "path": evil, "status": 200, "client": evil, "client_from": evil});
        let status = json!({"version": evil, "listen": evil, "queue": {"alarm": evil},
            "delivery": {"state": evil, "last_error": evil}, "decisions": {evil: 1}});
        let html = main(&status, &[decision]);
        assert!(!html.contains("<img"), "{html}");
        assert_eq!(
            html.matches("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;")
                .count(),
            15,
            "{html}"
        );
    }

    #[test]
    fn the_newest_decision_comes_first_and_old_ones_are_left_out() {
        let decisions: Vec<_> = (1..=60).map(|seq| json!({"seq": seq})).collect();
        let html = main(&json!({}), &decisions);
        let at = |seq: u64| html.find(&format!("data-key={seq}>"));
        assert!(at(60) < at(11), "newest first");
        assert_eq!(at(10), None);
    }

    #[test]
    fn an_alarm_and_a_tripped_breaker_show_as_trouble() {
        let status = json!({"ready": false, "queue": {"events": 3, "alarm": "the disk is full"},
            "delivery": {"state": "tripped", "last_error": "connection refused"}});
        let html = main(&status, &[]);
        assert_eq!(html.matches("class=card data-kind=bad").count(), 2, "{html}");
        assert!(html.contains("the disk is full") && html.contains("connection refused"));
        assert!(html.contains(">not ready<"));
    }

    #[test]
    fn spans_and_sizes_are_read_at_a_glance() {
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
