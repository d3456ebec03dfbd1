//! Flags to commands.

use clap::CommandFactory;

use crate::config::Flags;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split(' '))
}

/// The configuration's flags of a command that has some.
fn flags(line: &str) -> Flags {
    let Cli { options, command, .. } = parse(line).unwrap();
    match command {
        None => options.flags_after(Options::default()),
        Some(
            CliCommand::Run { options: own, .. }
            | CliCommand::Check { options: own }
            | CliCommand::Explain { options: own, .. },
        ) => own.flags_after(options),
        other => panic!("{other:?} has no flags"),
    }
}

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn flags_are_taken_with_and_without_run_before_and_after() {
    for line in [
        "gatecount --app http://a --domain b,c --domain d",
        "gatecount run --app http://a --domain b,c --domain d",
        "gatecount --app http://a run --domain b,c --domain d",
        "gatecount --app http://z check --app http://a --domain b,c --domain d",
        "gatecount --domain b,c --domain d explain --app http://a /",
    ] {
        let flags = flags(line);
        assert_eq!(flags.app.as_deref(), Some("http://a"), "{line}");
        assert_eq!(flags.domain, ["b,c", "d"], "{line}");
    }
    let all = "gatecount --config c --plausible p --listen l --admin a --queue q --log g --log-format json";
    let expected = Flags {
        config: Some("c".into()),
        plausible: Some("p".to_owned()),
        listen: Some("l".to_owned()),
        admin: Some("a".to_owned()),
        queue: Some("q".to_owned()),
        log: Some("g".to_owned()),
        log_format: Some("json".to_owned()),
        ..Flags::default()
    };
    assert_eq!(flags(all), expected);
}

#[test]
fn bad_usage_ends_with_2_and_help_with_0() {
    for (line, status) in [
        ("gatecount --port 80", 2),
        ("gatecount walk", 2),
        ("gatecount doctor", 2),
        ("gatecount explain", 2),
        ("gatecount explain --batch /", 2),
        ("gatecount explain --batch -H a:b", 2),
        ("gatecount queue", 2),
        ("gatecount queue burn", 2),
        ("gatecount --help", 0),
        ("gatecount --version", 0),
    ] {
        assert_eq!(parse(line).unwrap_err().exit_code(), status, "{line}");
    }
    let demo = dispatch(["gatecount", "--app", "http://a", "demo"].map(OsString::from));
    assert!(matches!(demo, Err(CommandError::Usage(_))));
}
