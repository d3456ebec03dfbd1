//! `gatecount man`: the manual page, from the command line's definition and the table of keys.

use std::io::{self, Write};

use clap::{Arg, Command};
use clap_mangen::{
    Man,
    roff::{Inline, Roff, bold, italic, roman},
};

use crate::config::{self, DescribedKey};

use super::error::CommandError;

/// When this version was released.
const RELEASED: &str = "2026-11-26";

/// Each exit status and what it means.
const EXIT_STATUS: [(&str, &str); 4] = [
    ("0", "Fine."),
    ("1", "Failed while running, or could not start."),
    (
        "2",
        "Bad usage or configuration. Every mistake is listed with its key, its value and what would be accepted.",
    ),
    (
        "the app's",
        "Where gatecount has started the app by a command behind --: its exit status, or 128 and the number of the \
         signal that has ended it.",
    ),
];

const SIGNALS: [(&str, &str); 3] = [
    (
        "TERM, INT",
        "Turns readiness off, finishes the requests in flight within [listen] drain, keeps what waits in the queue, \
         and ends. A second one ends at once.",
    ),
    (
        "HUP",
        "Reads the configuration again, as a change of its files does. A broken file leaves the running \
         configuration in place, with an error logged.",
    ),
    (
        "TERM, INT, HUP, QUIT, USR1, USR2",
        "With a command behind -- they are passed on to the app and to what it has started: TERM and INT after the \
         drain, the others as they come.",
    ),
];

/// Variables that are no keys.
const ENVIRONMENT: [(&str, &str); 7] = [
    ("GATECOUNT_CONFIG", "The configuration file, as --config."),
    (
        "GATECOUNT_DOMAIN",
        "The site's name at Plausible for every host, as --domain; several by commas.",
    ),
    (
        "RUST_LOG",
        "What is logged, where neither file, environment nor flag says so.",
    ),
    (
        "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY",
        "The proxy on the way to Plausible, where [plausible] proxy is not set.",
    ),
    (
        "STATE_DIRECTORY",
        "Where the queue is, unless [queue] path is set; systemd sets it.",
    ),
    (
        "PORT",
        "With a command behind --: where gatecount listens, if nothing sets [listen] address. The app finds its own \
         port in it.",
    ),
    (
        "LISTEN_FDS, NOTIFY_SOCKET",
        "Set by systemd: sockets that it passes on, and where it is told of start, reload and stop.",
    ),
];

const EXAMPLES: [(&str, &str); 5] = [
    (
        "gatecount --app http://127.0.0.1:3000 --domain example.com",
        "Stands before an app, on port 8080.",
    ),
    (
        "gatecount --domain example.com -- npm start",
        "Starts the app too, and ends with it.",
    ),
    ("gatecount demo", "Shows it at work, with nothing else needed."),
    (
        "gatecount check --config gatecount.toml",
        "Says what holds, or every mistake at once.",
    ),
    (
        "gatecount explain --domain example.com -H 'Accept: text/html' http://example.com/",
        "Tells what would be sent for a request, and why.",
    ),
];

pub(super) fn run(command: Command) -> Result<(), CommandError> {
    let page = page(command)?;
    let mut out = io::stdout().lock();
    out.write_all(&page)?;
    out.flush()?;
    Ok(())
}

/// The page as roff.
fn page(mut command: Command) -> io::Result<Vec<u8>> {
    command.build();
    let man = Man::new(command.clone()).date(RELEASED).manual("gatecount");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]);
    synopsis.text([bold("gatecount"), roman(" [OPTIONS] [COMMAND]")]);
    synopsis.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    commands(&mut roff, &command);
    configuration(&mut roff);
    list(&mut roff, "ENVIRONMENT", &ENVIRONMENT);
    list(&mut roff, "SIGNALS", &SIGNALS);
    list(&mut roff, "EXIT STATUS", &EXIT_STATUS);
    list(&mut roff, "EXAMPLES", &EXAMPLES);
    roff.to_writer(&mut page)?;
    Ok(page)
}

/// Each command with the flags that it alone has.
fn commands(roff: &mut Roff, command: &Command) {
    roff.control("SH", ["COMMANDS"]);
    roff.text([roman(
        "Commands that read a configuration take the options above as well, before or after their names.",
    )]);
    let general: Vec<&str> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
    for sub in visible(command) {
        subsection(roff, sub, sub.get_name(), &general);
        for inner in visible(sub) {
            subsection(
                roff,
                inner,
                &format!("{} {}", sub.get_name(), inner.get_name()),
                &general,
            );
        }
    }
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn subsection(roff: &mut Roff, command: &Command, name: &str, general: &[&str]) {
    roff.control("SS", [name]);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    roff.text([roman(format!("{about}."))]);
    let own = command.get_arguments().filter(|arg| {
        let id = arg.get_id().as_str();
        !arg.is_hide_set() && id != "help" && !general.contains(&id)
    });
    for arg in own {
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        entry(roff, argument(arg), [roman(help)]);
    }
}

/// `--ports SITE,RECEIVER,LIVE`
fn argument(arg: &Arg) -> Vec<Inline> {
    let mut parts = Vec::new();
    if let Some(short) = arg.get_short() {
        parts.push(bold(format!("-{short}")));
    }
    if let Some(long) = arg.get_long() {
        if !parts.is_empty() {
            parts.push(roman(", "));
        }
        parts.push(bold(format!("--{long}")));
    }
    if arg.get_action().takes_values() {
        for name in arg.get_value_names().unwrap_or_default() {
            if !parts.is_empty() {
                parts.push(roman(" "));
            }
            parts.push(italic(name.as_str()));
        }
    }
    parts
}

/// Every key of the file.
fn configuration(roff: &mut Roff) {
    roff.control("SH", ["CONFIGURATION"]);
    roff.text([
        roman("The file is TOML. Any key can be set in the environment as well, by the variable that is named with it; \
               lists are comma-separated. Flags beat the environment, the environment beats the file. "),
        bold("gatecount check"),
        roman(" says what holds and where each value came from, "),
        bold("gatecount schema --toml"),
        roman(" prints a file with every key."),
    ]);
    for table in config::described() {
        roff.control("SS", [table.header.as_str()]);
        roff.text([roman(table.about)]);
        for key in &table.keys {
            let default = key
                .default
                .map(|default| format!(" = {default}"))
                .unwrap_or_default();
            entry(roff, [bold(key.name), roman(default)], [roman(about(key))]);
        }
    }
}

fn about(key: &DescribedKey) -> String {
    let DescribedKey {
        about,
        kind,
        variable,
        ..
    } = key;
    match variable {
        Some(variable) => format!("{about} ({kind}; {variable})"),
        None => format!("{about} ({kind})"),
    }
}

fn list(roff: &mut Roff, heading: &str, entries: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (name, about) in entries {
        entry(roff, [bold(*name)], [roman(*about)]);
    }
}

fn entry(roff: &mut Roff, head: impl Into<Vec<Inline>>, body: impl Into<Vec<Inline>>) {
    roff.control("TP", []);
    roff.text(head.into());
    roff.text(body.into());
}
