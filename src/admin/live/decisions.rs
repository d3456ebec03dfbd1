//! The newest decisions, and which of them are shown.

use std::fmt::Write as _;

use crate::{
    admin::{
        decision::DecisionRecord,
        status::StatusReport,
        words::{self, Group},
    },
    web::{
        form,
        html::{self, Bar, Escaped},
    },
};

use super::format::Clock;

/// How many of the newest decisions are shown.
const NEWEST: usize = 30;

/// Which decisions are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    /// Those about pages, counted or not.
    Pages,
    Counted,
    All,
}

impl Show {
    const ALL: [(Show, &'static str, &'static str); 3] = [
        (Show::Pages, "pages", "Pages"),
        (Show::Counted, "counted", "Counted"),
        (Show::All, "all", "All requests"),
    ];
}

/// What the reader wants to see of the decisions.
#[derive(Debug)]
pub(super) struct Filter {
    show: Show,
    /// Part of the host's name, in lower case; empty for every host.
    host: String,
}

impl Filter {
    /// Reads it from the page's query. What it does not say is the default.
    pub(super) fn of_query(query: &str) -> Filter {
        let wanted = form::value(query, "show");
        let found = Show::ALL.into_iter().find(|(_, name, _)| *name == wanted);
        Filter {
            show: found.map_or(Show::Pages, |(show, ..)| show),
            host: form::value(query, "host").trim().to_ascii_lowercase(),
        }
    }

    fn wants(&self, record: &DecisionRecord) -> bool {
        let group = words::of_decision(record.decision.label()).group;
        let of_kind = match self.show {
            Show::All => true,
            Show::Pages => group != Group::Part,
            Show::Counted => group == Group::Counted,
        };
        of_kind && record.host.to_ascii_lowercase().contains(&self.host)
    }

    /// The form that sets it. The script sends it by itself, and shows the button that pauses.
    fn write(&self, html: &mut String) {
        html.push_str("<form class=filter data-keep=filter data-filter><fieldset><legend>Show</legend>");
        for (show, name, plain) in Show::ALL {
            let checked = if show == self.show { " checked" } else { "" };
            let _ = write!(
                html,
                "<label><input type=radio name=show value={name}{checked}><span>{plain}</span></label>"
            );
        }
        let _ = writeln!(
            html,
            "</fieldset><label class=host>Host <input name=host value=\"{}\" placeholder=\"any\" autocomplete=off \
             spellcheck=false></label><button class=plain data-submit>Show</button>\
             <button class=plain type=button data-pause aria-pressed=false hidden>Pause</button></form>",
            Escaped(&self.host)
        );
    }
}

/// Writes the form and the newest decisions that it lets through.
pub(super) fn write(html: &mut String, filter: &Filter, decisions: &[DecisionRecord]) {
    html.push_str(
        "<section class=\"panel wide\" id=decisions>\n<div class=head><h2>Newest requests</h2>\
         <span class=muted>times in <span data-zone>UTC</span></span></div>\n",
    );
    filter.write(html);
    let mut shown = decisions
        .iter()
        .rev()
        .filter(|record| filter.wants(record))
        .take(NEWEST)
        .peekable();
    if shown.peek().is_some() {
        html.push_str("<ol class=log>\n");
        shown.for_each(|record| write_entry(html, record));
        html.push_str("</ol>\n");
    } else if decisions.is_empty() {
        html.push_str("<p class=none>No request yet.</p>\n");
    } else {
        html.push_str("<p class=none>None of the newest requests is of this kind.</p>\n");
    }
    html.push_str("</section>\n");
}

fn write_entry(html: &mut String, record: &DecisionRecord) {
    let words = words::of_decision(record.decision.label());
    let mut about = Vec::new();
    if record.status > 0 {
        about.push(record.status.to_string());
    }
    if let Some(client) = record.client {
        about.push(format!("{client} by {}", Escaped(record.client_from)));
    }
    about.push(Escaped(record.why).to_string());
    let clock = Clock {
        at: record.at,
        to_the_minute: false,
    };
    let _ = writeln!(
        html,
        "<li data-key={seq}>{clock}<span class=verdict><span class=badge data-kind={kind}>{plain}</span> \
         <small class=code>{code}</small></span>\
         <span class=what>{method} <b>{host}</b>{path}</span><span class=muted>{about}</span></li>",
        seq = record.seq,
        kind = words.group.label(),
        plain = words.plain,
        code = record.decision,
        method = Escaped(&record.method),
        host = Escaped(&record.host),
        path = Escaped(&record.path),
        about = about.join(" · "),
    );
}

/// Writes how many requests there were by decision, and events by their end.
pub(super) fn write_counts(html: &mut String, status: &StatusReport) {
    let mut decisions: Vec<Bar<'_>> = status
        .decisions
        .0
        .iter()
        .map(|(decision, count)| {
            let words = words::of_decision(decision.label());
            Bar {
                name: words.plain,
                code: decision.label(),
                kind: words.group.label(),
                count: *count,
            }
        })
        .collect();
    decisions.sort_by_key(|bar| std::cmp::Reverse(bar.count));
    let outcomes: Vec<Bar<'_>> = status
        .delivery
        .finished
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(outcome, count)| Bar {
            name: words::of_outcome(outcome),
            code: outcome,
            kind: match *outcome {
                "delivered" | "published" => "counted",
                "tracked" | "handed_over" => "uncounted",
                _ => "failed",
            },
            count: *count,
        })
        .collect();
    let _ = writeln!(
        html,
        "<section class=panel>\n<h2>Requests since the start</h2>\n{}\n<h2>Events since the start</h2>\n{}\n</section>",
        html::bar_list("requests by decision", "No request yet.", &decisions),
        html::bar_list("events by how they ended", "No event has ended yet.", &outcomes),
    );
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::{admin::status::tests::healthy, client::masked, page::Decision};

    fn record(seq: u64, decision: Decision) -> DecisionRecord {
        DecisionRecord {
            seq,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            decision,
            why: "A reason.",
            method: "GET".to_owned(),
            host: if seq.is_multiple_of(2) {
                "even.example"
            } else {
                "Odd.example"
            }
            .to_owned(),
            path: "/".to_owned(),
            status: 200,
            client: Some(masked([203, 0, 113, 7].into())),
            client_from: "x-forwarded-for",
        }
    }

    fn shown(query: &str, decisions: &[DecisionRecord]) -> String {
        let mut html = String::new();
        write(&mut html, &Filter::of_query(query), decisions);
        html
    }

    #[test]
    fn the_newest_decision_comes_first_and_old_ones_are_left_out() {
        let decisions: Vec<_> = (1..=60).map(|seq| record(seq, Decision::Counted)).collect();
        let html = shown("", &decisions);
        let at = |seq: u64| html.find(&format!("data-key={seq}>"));
        assert!(at(60) < at(31), "newest first");
        assert_eq!(at(30), None);
        assert!(html.contains("22:13:20</time>") && html.contains("203.0.113.0/24 by x-forwarded-for"));
        assert!(
            html.contains(">Page view</span> <small class=code>counted</small>"),
            "{html}"
        );
    }

    #[test]
    fn pages_are_shown_unless_other_requests_are_asked_for() {
        let decisions = [
            record(1, Decision::Counted),
            record(2, Decision::Redirect),
            record(3, Decision::NotPage),
        ];
        for (query, seqs) in [
            ("", &[2, 1][..]),
            ("show=rubbish", &[2, 1]),
            ("show=counted", &[1]),
            ("show=all", &[3, 2, 1]),
            ("show=all&host=odd.EX", &[3, 1]),
            ("host=nowhere", &[]),
        ] {
            let html = shown(query, &decisions);
            let found: Vec<u64> = html
                .split("data-key=")
                .skip(1)
                .map(|rest| rest.split('>').next().unwrap().parse().unwrap())
                .collect();
            assert_eq!(found, seqs, "{query}");
        }
        let html = shown("show=counted&host=\"><b>", &decisions);
        assert!(
            html.contains("value=counted checked") && html.contains("value=\"&quot;&gt;&lt;b&gt;\""),
            "{html}"
        );
        assert!(html.contains("None of the newest"), "{html}");
    }

    #[test]
    fn counts_are_told_in_words_with_their_code_word() {
        let mut html = String::new();
        write_counts(&mut html, &healthy());
        assert!(
            html.contains("Page view <small class=code>counted</small></span><span class=n>3<"),
            "{html}"
        );
        assert!(
            html.contains("Delivered <small class=code>delivered</small></span><span class=n>3<"),
            "{html}"
        );
    }
}
