//! The four figures that matter, each with a line on what to do.

use std::fmt::Write as _;

use crate::{
    admin::{
        status::{AppCondition, SendingState, StatusReport, Storage, StreamReport, StreamRole},
        words::{self, Group},
    },
    web::html::{Escaped, Grouped},
};

use super::format::{bytes, duration, plural};

/// The outcomes that mean that an event is lost.
const LOST: [&str; 5] = ["rejected", "expired", "evicted", "corrupt", "overflow"];

/// Troubles that keep events waiting. What is wrong, and what may help, stands above the cards.
const HOLDING_UP: [&str; 6] = [
    "plausible_unreachable",
    "plausible_refuses",
    "stream_unreachable",
    "stream_refuses",
    "queue_filling",
    "queue_storage",
];

/// The colour of a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tone {
    Calm,
    Warning,
    Bad,
}

/// One card. All but the tone are HTML.
struct Card {
    title: &'static str,
    figure: String,
    tone: Tone,
    facts: String,
    /// What to do, in a sentence.
    advice: String,
}

/// Writes the cards.
pub(super) fn write(html: &mut String, status: &StatusReport, views_in_the_hour: u64) {
    html.push_str("<section class=cards aria-label=\"At a glance\">\n");
    for card in [
        views(status, views_in_the_hour),
        delivered(status),
        waiting(status),
        match &status.stream {
            Some(stream) if stream.role == StreamRole::Delivers => of_the_stream(stream),
            _ => app(status),
        },
    ] {
        let tone = match card.tone {
            Tone::Calm => "calm",
            Tone::Warning => "warning",
            Tone::Bad => "bad",
        };
        let _ = writeln!(
            html,
            "<div class=card data-kind={tone}><h2>{title}</h2><p class=figure>{figure}</p>\
             <p class=facts>{facts}</p><p class=advice>{advice}</p></div>",
            title = card.title,
            figure = card.figure,
            facts = card.facts,
            advice = card.advice,
        );
    }
    html.push_str("</section>\n");
}

fn views(status: &StatusReport, views_in_the_hour: u64) -> Card {
    let of = |group| {
        let of_group = status
            .decisions
            .0
            .iter()
            .filter(move |(decision, _)| words::of_decision(decision.label()).group == group);
        of_group.map(|(_, count)| count).sum::<u64>()
    };
    let counted = of(Group::Counted);
    let not_counted: u64 = Group::CHARTED.into_iter().skip(1).map(of).sum();
    let advice = match (counted, not_counted) {
        (0, 0) => "Nobody has asked for a page yet. Open the site through this address.".to_owned(),
        (0, _) => "No page was counted yet: the list below says why, request by request.".to_owned(),
        _ => "Each is an event for Plausible. Nothing to do.".to_owned(),
    };
    Card {
        title: "Page views",
        figure: Grouped(counted).to_string(),
        tone: Tone::Calm,
        facts: format!(
            "{} in the last hour · {} {} not counted",
            Grouped(views_in_the_hour),
            Grouped(not_counted),
            plural(not_counted, "page", "pages"),
        ),
        advice,
    }
}

fn delivered(status: &StatusReport) -> Card {
    let finished = &status.delivery.finished;
    let count = |outcome: &str| finished.get(outcome).copied().unwrap_or(0);
    let (delivered, dropped) = (count("delivered"), count("dropped_by_plausible"));
    let publishes_alone = status
        .stream
        .as_ref()
        .is_some_and(|stream| stream.role == StreamRole::Publishes);
    let lost: u64 = LOST.into_iter().map(count).sum();
    let worst = LOST
        .into_iter()
        .max_by_key(|outcome| count(outcome))
        .unwrap_or_default();
    let (tone, advice) = if status.has(&["domain_dropped"]) {
        (
            Tone::Bad,
            "Plausible takes the events and drops them: is the site added there under this name?",
        )
    } else if status.has(&["events_rejected"]) {
        (Tone::Bad, "Plausible finds events invalid: see above.")
    } else if lost > 0 {
        let why = match worst {
            "rejected" => "Some events were rejected; the log says when.",
            "expired" => "Some waited longer than max_age allows; it can be raised.",
            "evicted" => "The queue was full and the oldest went; max_bytes can be raised.",
            "corrupt" => "The queue's files were damaged; the log says when.",
            _ => "Some came faster than they could be taken; the log says when.",
        };
        (Tone::Warning, why)
    } else if dropped > 0 {
        (
            Tone::Calm,
            "Plausible drops bots, spam and what its shields block. Nothing to do here.",
        )
    } else {
        (Tone::Calm, "Nothing was lost. Nothing to do.")
    };
    if publishes_alone {
        return Card {
            title: "In the shared stream",
            figure: Grouped(count("published")).to_string(),
            tone,
            facts: format!("a gateway delivers them · <span>{} lost</span>", Grouped(lost)),
            advice: advice.to_owned(),
        };
    }
    Card {
        title: "Delivered to Plausible",
        figure: Grouped(delivered).to_string(),
        tone,
        facts: format!(
            "<span>{} dropped by Plausible</span> · <span>{} lost</span>",
            Grouped(dropped),
            Grouped(lost)
        ),
        advice: advice.to_owned(),
    }
}

fn waiting(status: &StatusReport) -> Card {
    let (queue, delivery) = (&status.queue, &status.delivery);
    let tone = match delivery.state {
        SendingState::Stopped => Tone::Bad,
        _ if status.has(&["queue_storage", "plausible_refuses", "stream_refuses"]) => Tone::Bad,
        SendingState::Failing | SendingState::Tripped | SendingState::Probing | SendingState::Restarting => {
            Tone::Warning
        }
        _ if status.has(&["plausible_unreachable", "stream_unreachable", "queue_filling"]) => Tone::Warning,
        SendingState::Starting | SendingState::Passing => Tone::Calm,
    };
    let place = match queue.at {
        Storage::Disk => "on disk",
        Storage::Memory => "in memory",
    };
    let mut facts = if queue.events == 0 {
        format!("room for {} {place}", bytes(queue.max_bytes))
    } else {
        format!(
            "the oldest for {}, {} of {} {place}",
            duration(queue.oldest_seconds),
            bytes(queue.bytes),
            bytes(queue.max_bytes)
        )
    };
    let state = words::of_state(delivery.state);
    let code = delivery.state.label();
    let _ = write!(facts, "<br>{state} <small class=code>{code}</small>");
    let is_over = delivery.last_error_over.unwrap_or(false);
    let advice = match (&delivery.last_error, delivery.last_error_seconds) {
        _ if status.has(&HOLDING_UP) => "Why, and what may help: see above.".to_owned(),
        _ if queue.alarm.is_some() => Escaped(queue.alarm.as_deref().unwrap_or_default()).to_string(),
        (Some(error), _) if !is_over => {
            let hint = delivery.hint.as_deref().unwrap_or_default();
            format!(
                "<span class=error>last error: {}</span> {}",
                Escaped(error),
                Escaped(hint)
            )
        }
        (Some(error), Some(age)) => format!(
            "<span title=\"{}\">Nothing to do; the last trouble was {} ago.</span>",
            Escaped(error),
            duration(age as f64)
        ),
        _ if queue.events > 0 => "They go one by one. Nothing to do.".to_owned(),
        _ => "Nothing to do.".to_owned(),
    };
    Card {
        title: "Waiting",
        figure: Grouped(queue.events).to_string(),
        tone,
        facts,
        advice,
    }
}

/// A gateway's side of the stream, in the place of the app.
fn of_the_stream(stream: &StreamReport) -> Card {
    let (tone, advice) = match &stream.error {
        _ if !stream.connected => (Tone::Warning, "No server can be reached: see above."),
        Some(_) => (Tone::Bad, "The stream can't be used: see above."),
        None if stream.owned == 0 => (
            Tone::Calm,
            "Other gateways deliver, or nothing has been published yet. Nothing to do.",
        ),
        None => (Tone::Calm, "Nothing to do."),
    };
    Card {
        title: "The stream",
        figure: format!("{} of {} parts", stream.owned, stream.partitions),
        tone,
        facts: format!(
            "{} at {} · {} wait in it, {} came again",
            Escaped(&stream.name),
            Escaped(&stream.servers),
            Grouped(stream.waiting),
            Grouped(stream.redelivered),
        ),
        advice: advice.to_owned(),
    }
}

fn app(status: &StatusReport) -> Card {
    let Some(app) = &status.app else {
        let observe = status.observe.as_ref();
        let mirror = observe.and_then(|observe| observe.mirror.as_deref());
        let log = observe.and_then(|observe| observe.log.as_deref());
        let sources: Vec<String> = [mirror, log]
            .into_iter()
            .flatten()
            .map(|source| Escaped(source).to_string())
            .collect();
        return Card {
            title: "Seen from aside",
            figure: "No app".to_owned(),
            tone: Tone::Calm,
            facts: sources.join(" · "),
            advice: "Requests are seen in copies or in a log; none is proxied.".to_owned(),
        };
    };
    let (figure, tone, advice) = match app.state {
        AppCondition::Down => (
            "Down",
            Tone::Bad,
            "Start it, or set [app] url to where it listens. It is tried every few seconds.",
        ),
        AppCondition::Unknown => (
            "Not asked yet",
            Tone::Calm,
            "The first request will show whether it is up.",
        ),
        AppCondition::Up if app.errors > 0 => (
            "Up",
            Tone::Calm,
            "Some requests failed at the app; the log says how.",
        ),
        AppCondition::Up => ("Up", Tone::Calm, "Nothing to do."),
    };
    Card {
        title: "The app",
        figure: figure.to_owned(),
        tone,
        facts: format!(
            "at {} · <span>{} {}</span>",
            // It is http in any case; cards are narrow.
            Escaped(app.url.trim_start_matches("http://")),
            Grouped(app.errors),
            plural(app.errors, "request failed", "requests failed"),
        ),
        advice: advice.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::status::tests::{healthy, trouble};

    fn cards(status: &StatusReport) -> String {
        let mut html = String::new();
        write(&mut html, status, 2);
        html
    }

    #[test]
    fn a_calm_page_has_four_calm_cards_that_ask_for_nothing() {
        let mut status = healthy();
        status.app.as_mut().unwrap().errors = 0;
        let html = cards(&status);
        assert_eq!(
            html.matches("<div class=card data-kind=calm>").count(),
            4,
            "{html}"
        );
        assert_eq!(html.matches("Nothing to do").count(), 4, "{html}");
        assert!(html.contains("2 in the last hour · 1 page not counted"), "{html}");
        assert!(
            html.contains("room for 256.0 MiB on disk<br>Sending <small class=code>passing</small>"),
            "{html}"
        );
    }

    #[test]
    fn an_error_is_shown_while_it_lasts_and_as_past_afterwards() {
        let mut status = healthy();
        status.delivery.state = SendingState::Failing;
        status.delivery.last_error = Some("connection refused".to_owned());
        status.delivery.last_error_seconds = Some(7_260);
        status.delivery.last_error_over = Some(false);
        status.delivery.hint = Some("is it up?".to_owned());
        status.queue.events = 2;
        status.queue.bytes = 2_048;
        let html = cards(&status);
        assert!(
            html.contains("last error: connection refused</span> is it up?"),
            "{html}"
        );
        assert!(
            html.contains("the oldest for 0 s, 2.0 KiB of 256.0 MiB on disk"),
            "{html}"
        );
        assert!(
            html.contains("<div class=card data-kind=warning><h2>Waiting"),
            "{html}"
        );

        // A trouble is told above the cards, and not again.
        status.troubles.push(trouble("plausible_unreachable", None));
        let html = cards(&status);
        assert!(
            html.contains("see above") && !html.contains("last error:"),
            "{html}"
        );
        assert!(
            html.contains("<div class=card data-kind=warning><h2>Waiting"),
            "{html}"
        );

        status.troubles.clear();
        status.delivery.state = SendingState::Passing;
        status.delivery.last_error_over = Some(true);
        let html = cards(&status);
        assert!(html.contains("the last trouble was 2 h 1 min ago"), "{html}");
        assert!(!html.contains("last error:"), "{html}");
    }

    #[test]
    fn what_plausible_drops_and_what_is_lost_is_told_with_its_cure() {
        let mut status = healthy();
        status.delivery.finished.insert("dropped_by_plausible", 42);
        let html = cards(&status);
        assert!(
            html.contains("42 dropped by Plausible</span> · <span>0 lost"),
            "{html}"
        );
        status.troubles.push(trouble("domain_dropped", None));
        assert!(cards(&status).contains("data-kind=bad><h2>Delivered"), "{html}");
        let mut status = healthy();
        status.delivery.finished.insert("evicted", 5);
        assert!(cards(&status).contains("max_bytes can be raised"));
    }

    #[test]
    fn a_process_that_publishes_and_a_gateway_say_what_they_do_with_the_stream() {
        let mut status = healthy();
        status.delivery.finished = [("published", 12), ("evicted", 2)].into();
        status.stream = Some(StreamReport {
            role: StreamRole::Publishes,
            servers: "nats://a<b:4222".to_owned(),
            name: "gatecount".to_owned(),
            connected: true,
            error: None,
            published: 12,
            partitions: 64,
            owned: 22,
            waiting: 7,
            redelivered: 3,
            delivery: None,
        });
        let html = cards(&status);
        assert!(
            html.contains("In the shared stream</h2><p class=figure>12<"),
            "{html}"
        );
        assert!(html.contains("2 lost") && html.contains("<h2>The app"), "{html}");

        status.stream.as_mut().unwrap().role = StreamRole::Delivers;
        let html = cards(&status);
        assert!(
            html.contains("The stream</h2><p class=figure>22 of 64 parts"),
            "{html}"
        );
        assert!(
            html.contains("7 wait in it, 3 came again") && html.contains("a&lt;b"),
            "{html}"
        );
        assert!(!html.contains("<h2>The app"), "{html}");
        status.stream.as_mut().unwrap().connected = false;
        assert!(cards(&status).contains("data-kind=warning><h2>The stream"));
    }

    #[test]
    fn an_app_that_is_down_and_one_that_is_not_there() {
        let mut status = healthy();
        status.app.as_mut().unwrap().state = AppCondition::Down;
        assert!(cards(&status).contains("data-kind=bad><h2>The app</h2><p class=figure>Down"));
        status.app = None;
        assert!(cards(&status).contains("No app"));
    }
}
