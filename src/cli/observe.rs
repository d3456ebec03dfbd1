//! `gatecount observe`: reads an access log and prints what would be counted, and why. Sends nothing.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
    time::SystemTime,
};

use clap::{Args, builder::PossibleValuesParser};

use super::error::{CommandError, usage};
use crate::{
    config::{self, Sources},
    observe::{DryRun, LineFormat, ObserveRules},
};

/// Pages that are listed.
const PAGES: usize = 20;
/// The longest text of a request that is shown, in characters.
const MAX_SHOWN: usize = 100;

/// What is read.
#[derive(Debug, Args)]
pub(super) struct ObserveArguments {
    /// The log: a file, or - for standard input
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Print what would be counted, and send nothing
    #[arg(long)]
    dry_run: bool,
    /// How its lines are written [default: format in \[observe\]]
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(LineFormat::NAMED.map(|(name, _)| name)))]
    format: Option<String>,
}

pub(super) fn run(sources: &Sources, arguments: &ObserveArguments) -> Result<(), CommandError> {
    if !arguments.dry_run {
        return Err(usage(
            "observe reads a log with --dry-run alone; to count one as it grows, set log in [observe] and run gatecount",
        ));
    }
    let rules = config::load_rules(sources)?;
    let format = match &arguments.format {
        None => rules.observe.format,
        Some(name) => {
            let named = LineFormat::NAMED.into_iter().find(|(other, _)| other == name);
            named.ok_or_else(|| usage("no such format"))?.1
        }
    };
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let too_old = now.unwrap_or_default().saturating_sub(rules.observe.max_age);
    let any_site = rules.any_site;
    let rules = ObserveRules {
        client: rules.client,
        page: rules.page,
        sites: rules.event.sites,
    };
    let mut dry_run = DryRun::new(rules, format, too_old.as_millis() as u64);
    let path = &arguments.from;
    let read = if path.as_os_str() == "-" {
        dry_run.read(io::stdin().lock())
    } else {
        File::open(path).and_then(|file| dry_run.read(file))
    };
    read.map_err(|error| {
        let text = format!("can't read {}: {error}", path.display());
        CommandError::Running(text.into())
    })?;
    let mut out = BufWriter::new(io::stdout().lock());
    write_table(&mut out, &dry_run, any_site)?;
    out.flush()?;
    Ok(())
}

fn write_table(out: &mut impl Write, dry_run: &DryRun, any_site: bool) -> io::Result<()> {
    let lines = dry_run.lines;
    let decisions = dry_run.decisions();
    writeln!(
        out,
        "{:<16} {:>12} {:>8}  example",
        "decision", "requests", "share"
    )?;
    for (decision, count, example) in &decisions {
        let share = *count as f64 * 100.0 / lines.decided.max(1) as f64;
        let label = decision.label();
        writeln!(
            out,
            "{label:<16} {count:>12} {share:>6.1} %  {}",
            shown(&example.request)
        )?;
        writeln!(out, "{:<39}  {}", "", example.why)?;
    }
    writeln!(out, "{:<16} {:>12}", "all", lines.decided)?;
    for (count, what) in [
        (lines.malformed, "lines are none of this format"),
        (lines.too_long, "lines are too long"),
        (
            lines.expired,
            "of the events would be too old to be sent ([plausible] max_age)",
        ),
    ] {
        if count > 0 {
            writeln!(out, "\n{count} {what}")?;
        }
    }
    if !any_site && lines.decided > 0 {
        writeln!(out, "\nno site is configured: --domain, or [[sites]] in the file")?;
    }
    let pages = dry_run.pages(PAGES);
    if !pages.is_empty() {
        writeln!(out, "\n{:>12}  page", "views")?;
    }
    for (url, count) in pages {
        writeln!(out, "{count:>12}  {}", shown(url))?;
    }
    if lines.other_pages > 0 {
        writeln!(out, "{:>12}  views of pages that came up late", lines.other_pages)?;
    }
    Ok(())
}

/// A text on one line of a terminal: control characters are escaped, and a long text is cut.
fn shown(text: &str) -> String {
    let mut out: String = text
        .chars()
        .take(MAX_SHOWN)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        out.push('…');
    }
    out
}
