//! Prints decisions as they happen, for those who have no browser on the machine.

use std::{
    env,
    io::{self, IsTerminal, Write},
    sync::mpsc::{self, SyncSender, TrySendError},
    thread,
    time::Duration,
};

use crate::{
    admin::{DecisionRecord, DecisionsSince},
    page::Decision,
};

/// How often new decisions are looked for.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

const RESET: &str = "\x1b[0m";
const GREEN: &str = "\x1b[1;32m";
const YELLOW: &str = "\x1b[33m";
const FAINT: &str = "\x1b[2m";

/// Writes decisions to standard output.
pub(super) struct DecisionPrinter {
    colour: bool,
}

impl DecisionPrinter {
    /// In colour on a terminal, unless `NO_COLOR` is set.
    pub(super) fn on_standard_output() -> Self {
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|value| value == "dumb");
        DecisionPrinter {
            colour: !plain && io::stdout().is_terminal(),
        }
    }

    /// Prints each decision once, until `shutdown` is ready or nobody reads any more.
    pub(super) async fn print(self, decisions: DecisionsSince, shutdown: impl Future<Output = ()>) {
        let lines = write_aside();
        let print = async {
            let mut last = 0;
            loop {
                let new = decisions(last).await;
                if let Some(newest) = new.last() {
                    last = newest.seq;
                    let text = new.iter().map(|record| self.line(record)).collect();
                    if let Err(TrySendError::Disconnected(_)) = lines.try_send(text) {
                        return;
                    }
                }
                tokio::time::sleep(POLL_INTERVAL).await;
            }
        };
        tokio::select! {
            () = shutdown => {}
            () = print => {}
        }
    }

    /// Time, decision, method and path, then the reason and by whom.
    fn line(&self, record: &DecisionRecord) -> String {
        let time = humantime::format_rfc3339_seconds(record.at).to_string();
        let clock = time.get(11..19).unwrap_or(&time);
        let decision = record.decision.label().replace('_', " ");
        let about = match record.client {
            Some(client) => format!("{} By {client}.", record.why),
            None => record.why.to_owned(),
        };
        let (mark, faint, reset) = match (self.colour, record.decision) {
            (false, _) => ("", "", ""),
            (
                true,
                Decision::Counted
                | Decision::SoftNavigation
                | Decision::Activated
                | Decision::Declared
                | Decision::Tracked,
            ) => (GREEN, FAINT, RESET),
            (true, Decision::NotPage) => (FAINT, FAINT, RESET),
            (true, _) => (YELLOW, FAINT, RESET),
        };
        format!(
            "  {faint}{clock}{reset}  {mark}{decision:<12}{reset}  {method} {path:<28}  {faint}{about}{reset}\n",
            method = shown(&record.method),
            path = shown(&record.path),
        )
    }
}

/// A thread that writes to standard output, so that a terminal that is held (Ctrl-S) holds nothing else. What
/// it can't take in time is left out.
fn write_aside() -> SyncSender<String> {
    let (sender, texts) = mpsc::sync_channel::<String>(64);
    thread::spawn(move || {
        for text in texts {
            let mut out = io::stdout().lock();
            if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    });
    sender
}

/// What a client sent, without what a terminal would obey.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::client::masked;

    fn record(decision: Decision) -> DecisionRecord {
        DecisionRecord {
            seq: 1,
            at: SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000),
            decision,
            why: "A navigation answered with a document.",
            method: "GET".to_owned(),
            host: "127.0.0.1:8080".to_owned(),
            path: "/books".to_owned(),
            status: 200,
            client: Some(masked([203, 0, 113, 7].into())),
            client_from: "peer",
        }
    }

    #[test]
    fn a_line_has_the_time_the_decision_in_words_the_page_and_the_masked_client() {
        let printer = DecisionPrinter { colour: false };
        assert_eq!(
            printer.line(&record(Decision::Counted)),
            "  22:13:20  counted       GET /books                        A navigation answered with a document. \
             By 203.0.113.0/24.\n"
        );
        assert!(
            printer
                .line(&record(Decision::NotFound))
                .contains("  not found     GET")
        );
    }

    #[test]
    fn a_page_view_stands_out_in_colour_and_is_the_same_without_it() {
        let colours = [GREEN, YELLOW, FAINT, RESET];
        let coloured = DecisionPrinter { colour: true };
        let plain = DecisionPrinter { colour: false };
        for (decision, colour) in [
            (Decision::Counted, GREEN),
            (Decision::Redirect, YELLOW),
            (Decision::NotPage, FAINT),
        ] {
            let line = coloured.line(&record(decision));
            let label = decision.label().replace('_', " ");
            assert!(line.contains(&format!("{colour}{label}")), "{line:?}");
            let bare = colours.iter().fold(line, |line, colour| line.replace(colour, ""));
            assert_eq!(bare, plain.line(&record(decision)));
        }
    }

    #[test]
    fn what_clients_sent_cannot_drive_the_terminal() {
        let record = DecisionRecord {
            path: "/\u{1b}[2J\u{9b}31m".to_owned(),
            ..record(Decision::Counted)
        };
        let line = DecisionPrinter { colour: false }.line(&record);
        assert!(line.contains("/\u{fffd}[2J\u{fffd}31m"), "{line:?}");
    }
}
