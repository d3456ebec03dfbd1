//! The table, for a terminal or for `benches/README.md`.

use crate::{
    machine,
    session::Session,
    statistics,
    table::{Goal, Row, Table, Unit},
};

/// Prints what was measured.
pub(crate) fn print(session: &Session, table: &Table) {
    let markdown = session.options.markdown;
    if markdown {
        println!("# What it costs\n");
    } else {
        for line in &table.details {
            println!("{line}");
        }
        println!();
    }
    println!("{}\n", preface(session));
    let cells: Vec<[String; 5]> = table.rows.iter().map(cells).collect();
    print_table(&cells);
    println!();
    for note in table.notes() {
        println!("- {note}");
    }
    if session.options.runs < 3 {
        println!("- Fewer than three runs: not a figure to show to others.");
    }
    if markdown {
        println!(
            "\nMeasure it on your machine: `cargo bench --bench side_by_side` (Linux, two CPUs; nginx, HAProxy and \
             nghttp2's h2load installed); `-- --help` has the options."
        );
    }
}

/// When, where and against what.
fn preface(session: &Session) -> String {
    let version = |name: &str, version: &Option<String>| match version {
        Some(version) => format!("{name} {version}"),
        None => format!("{name} not installed"),
    };
    let options = session.options;
    format!(
        "{}, {}; {}, {}. Median of {} runs of {} s for each measurement, in brackets the least and the greatest. \
         Ratios are of CPU per request in user space and kernel, side by side in one run; gatecount counts, queues \
         on disk and delivers within the measured process.",
        machine::today(),
        session.machine.describe(),
        version("nginx", &session.nginx),
        version("HAProxy", &session.haproxy),
        options.runs,
        options.seconds,
    )
}

const HEADINGS: [&str; 5] = ["", "measured", "at most", "aim", ""];

fn cells(row: &Row) -> [String; 5] {
    let (limit, aim) = match row.goal {
        Goal::AtMost { limit, aim } => (written(limit, row.unit), written(aim, row.unit)),
        Goal::AtLeast(limit) => (format!("at least {}", written(limit, row.unit)), String::new()),
        Goal::Shown => (String::new(), String::new()),
    };
    if row.figures.is_empty() {
        return [row.label.clone(), "—".to_owned(), limit, aim, String::new()];
    }
    let median = statistics::median(&row.figures);
    let (least, greatest) = statistics::spread(&row.figures);
    let measured = format!(
        "{} ({}–{})",
        written(median, row.unit),
        bare(least, row.unit),
        bare(greatest, row.unit)
    );
    [
        row.label.clone(),
        measured,
        limit,
        aim,
        verdict(median, row.goal).to_owned(),
    ]
}

fn verdict(figure: f64, goal: Goal) -> &'static str {
    match goal {
        Goal::AtMost { aim, .. } if figure <= aim => "aim reached",
        Goal::AtMost { limit, .. } if figure <= limit => "holds",
        Goal::AtLeast(limit) if figure >= limit => "holds",
        Goal::Shown => "",
        _ => "missed",
    }
}

fn written(figure: f64, unit: Unit) -> String {
    let bare = bare(figure, unit);
    match unit {
        Unit::Ratio => bare,
        Unit::Microseconds => format!("{bare} µs"),
        Unit::Percent => format!("{bare} %"),
        Unit::Mebibytes => format!("{bare} MiB"),
    }
}

fn bare(figure: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{figure:.2}"),
        Unit::Microseconds | Unit::Percent | Unit::Mebibytes => format!("{figure:.1}"),
    }
}

/// Prints a markdown table whose columns line up, so that it reads well in a terminal too.
fn print_table(rows: &[[String; 5]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([HEADINGS[column].len(), 3]).max().unwrap_or(3)
    };
    let widths: Vec<usize> = (0..HEADINGS.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:width$}"))
            .collect();
        println!("| {} |", padded.join(" | "));
    };
    line(&HEADINGS.map(str::to_owned));
    let rule: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
    println!("| {} |", rule.join(" | "));
    for row in rows {
        line(row);
    }
}
