//! `gatecount queue`: looks into a disk queue, in use or not.

use std::{
    fmt::Display,
    io::{self, BufWriter, Write},
    net::IpAddr,
    ops::ControlFlow,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

use crate::{
    client::masked,
    config,
    event::Event,
    queue::{
        At,
        inspect::{self, PendingRecord, Totals},
    },
};

use super::{
    error::{CommandError, usage},
    options::Options,
};

/// Said in the place of a record that is no event.
const UNREAD: &str = "no event of this version's";

/// What to do with the queue.
#[derive(Debug, Subcommand)]
pub(super) enum Action {
    /// How much waits, since when
    Status(QueueDirectory),
    /// The events that wait, oldest first, their addresses masked
    List(QueueDirectory),
    /// The events that wait, whole, as one JSON object a line
    Export(QueueDirectory),
    /// Remove every event; refused while a process uses the queue
    Purge(QueueDirectory),
}

/// Which queue.
#[derive(Debug, Args)]
pub(super) struct QueueDirectory {
    #[command(flatten)]
    options: Options,
    /// The queue's directory [default: the configured one]
    #[arg(value_name = "DIRECTORY")]
    directory: Option<PathBuf>,
}

pub(super) fn run(before: Options, action: Action) -> Result<(), CommandError> {
    let mut out = BufWriter::new(io::stdout().lock());
    match action {
        Action::Status(directory) => {
            let directory = directory.find(before)?;
            let totals = inspect::totals(&directory).map_err(running)?;
            write_status(&mut out, &directory.display(), &totals, SystemTime::now())?;
        }
        Action::List(directory) => each(&directory.find(before)?, |item| write_listed(&mut out, item))?,
        Action::Export(directory) => each(&directory.find(before)?, |item| write_exported(&mut out, item))?,
        Action::Purge(directory) => {
            let purged = inspect::purge(&directory.find(before)?).map_err(running)?;
            writeln!(out, "{purged} events removed")?;
        }
    }
    out.flush()?;
    Ok(())
}

impl QueueDirectory {
    fn find(self, before: Options) -> Result<PathBuf, CommandError> {
        if let Some(directory) = self.directory {
            return Ok(directory);
        }
        match config::load_queue(&self.options.after(before))?.at {
            At::Disk(directory) => Ok(directory),
            At::Memory => Err(usage("the configured queue is in memory: name a directory")),
        }
    }
}

fn running(error: inspect::InspectError) -> CommandError {
    CommandError::Running(error.into())
}

/// Shows every event that waits, until the output takes no more.
fn each(
    directory: &std::path::Path,
    mut show: impl FnMut(&PendingRecord<'_>) -> io::Result<()>,
) -> Result<(), CommandError> {
    let mut outcome = Ok(());
    inspect::pending_records(directory, &mut |item| match show(&item) {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => {
            outcome = Err(error);
            ControlFlow::Break(())
        }
    })
    .map_err(running)?;
    Ok(outcome?)
}

fn write_status(
    out: &mut impl Write,
    directory: &impl Display,
    totals: &Totals,
    now: SystemTime,
) -> io::Result<()> {
    let Totals {
        in_use,
        segments,
        bytes,
        pending,
        ended,
        corrupt,
        unreadable,
        oldest,
    } = totals;
    writeln!(out, "directory    {directory}")?;
    writeln!(out, "in use       {}", if *in_use { "yes" } else { "no" })?;
    writeln!(out, "pending      {pending}")?;
    if let Some(oldest) = oldest {
        let age = now.duration_since(time(*oldest)).unwrap_or_default();
        let age = humantime::format_duration(Duration::from_secs(age.as_secs()));
        writeln!(out, "oldest       {} ({age} ago)", told(*oldest))?;
    }
    writeln!(out, "ended        {ended}")?;
    writeln!(out, "corrupt      {corrupt}")?;
    writeln!(out, "files        {segments}")?;
    writeln!(out, "bytes        {bytes}")?;
    if *unreadable > 0 {
        writeln!(out, "unreadable   {unreadable}")?;
    }
    Ok(())
}

/// Position, time, masked address, domain, name, url: a line, its parts parted by tabs.
fn write_listed(out: &mut impl Write, item: &PendingRecord<'_>) -> io::Result<()> {
    write!(out, "{}\t{}\t", item.position, told(item.record.at))?;
    let Some(event) = Event::decode(item.record.bytes) else {
        return writeln!(out, "{UNREAD}");
    };
    let body: Value = serde_json::from_slice(&event.body).unwrap_or_default();
    let member = |name: &str| {
        let text = body.get(name).and_then(Value::as_str).unwrap_or("-");
        text.escape_debug().to_string()
    };
    writeln!(
        out,
        "{}\t{}\t{}\t{}",
        masked(event.client),
        member("domain"),
        member("name"),
        member("url")
    )
}

/// An event as it would be sent; one that this version can't read has an `error` in place of the rest.
#[derive(Debug, Serialize)]
struct Exported {
    position: String,
    at: String,
    client: IpAddr,
    user_agent: String,
    body: Option<Box<RawValue>>,
}

fn write_exported(out: &mut impl Write, item: &PendingRecord<'_>) -> io::Result<()> {
    let Some(event) = Event::decode(item.record.bytes) else {
        let (position, at) = (item.position.to_string(), told(item.record.at));
        let unread = json!({"position": position, "at": at, "error": UNREAD});
        return writeln!(out, "{unread}");
    };
    let exported = Exported {
        position: item.position.to_string(),
        at: told(item.record.at),
        client: event.client,
        user_agent: String::from_utf8_lossy(&event.user_agent).into_owned(),
        body: RawValue::from_string(String::from_utf8_lossy(&event.body).into_owned()).ok(),
    };
    serde_json::to_writer(&mut *out, &exported)?;
    out.write_all(b"\n")
}

fn time(millis: u64) -> SystemTime {
    // A damaged time may be any number; one that no clock can show is shown as the beginning.
    UNIX_EPOCH
        .checked_add(Duration::from_millis(millis))
        .unwrap_or(UNIX_EPOCH)
}

fn told(millis: u64) -> String {
    /// The end of the year 9999, beyond which RFC 3339 has no spelling.
    const LAST: u64 = 253_402_300_799_000;
    humantime::format_rfc3339_seconds(time(millis.min(LAST))).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::{Position, Record};

    #[test]
    fn a_status_tells_the_oldest_in_human_terms() {
        let totals = Totals {
            pending: 2,
            bytes: 900,
            oldest: Some(1_700_000_000_000),
            ..Totals::default()
        };
        let mut out = Vec::new();
        let now = time(1_700_000_000_000) + Duration::from_secs(3_725);
        write_status(&mut out, &"/q", &totals, now).unwrap();
        let told = String::from_utf8(out).unwrap();
        assert!(
            told.starts_with("directory    /q\nin use       no\npending      2\n"),
            "{told}"
        );
        assert!(
            told.contains("oldest       2023-11-14T22:13:20Z (1h 2m 5s ago)\n"),
            "{told}"
        );
        assert!(!told.contains("unreadable"), "{told}");
    }

    #[test]
    fn a_list_masks_addresses_and_an_export_is_whole() {
        let event = Event {
            user_agent: b"Mozilla/5.0"[..].into(),
            client: "203.0.113.7".parse().unwrap(),
            body: br#"{"name":"pageview","url":"http://a.example/\u0007","domain":"a.example"}"#[..].into(),
        };
        let mut bytes = Vec::new();
        event.encode(&mut bytes);
        let item = |bytes| PendingRecord {
            position: Position::new(1, 16),
            record: Record {
                key: 0,
                at: 1_700_000_000_000,
                tag: 0,
                bytes,
            },
        };
        let mut out = Vec::new();
        write_listed(&mut out, &item(&bytes)).unwrap();
        write_listed(&mut out, &item(b"rubbish")).unwrap();
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "1:16\t2023-11-14T22:13:20Z\t203.0.113.0/24\ta.example\tpageview\thttp://a.example/\\u{7}\n\
             1:16\t2023-11-14T22:13:20Z\tno event of this version's\n"
        );
        let mut out = Vec::new();
        write_exported(&mut out, &item(b"rubbish")).unwrap();
        let unread: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(unread["position"], "1:16");
        assert_eq!(unread["error"], UNREAD);
        out.clear();
        write_exported(&mut out, &item(&bytes)).unwrap();
        let exported: Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(exported["client"], "203.0.113.7");
        assert_eq!(exported["user_agent"], "Mozilla/5.0");
        assert_eq!(exported["body"]["url"], "http://a.example/\u{7}");
    }

    #[test]
    fn a_time_that_no_calendar_has_is_shown_as_one_it_has() {
        assert_eq!(told(0), "1970-01-01T00:00:00Z");
        assert_eq!(told(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
