//! Flags to commands.

use crate::config::Flags;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    super::parse(line.split(' ').map(OsString::from))
}

/// The configuration's flags of a command that has some.
fn flags(line: &str) -> Flags {
    let Cli { options, command, .. } = parse(line).unwrap();
    match command {
        None => options.flags_after(Options::default()),
        Some(
            CliCommand::Run { options: own, .. }
            | CliCommand::Check { options: own, .. }
            | CliCommand::Doctor { options: own, .. }
            | CliCommand::Explain { options: own, .. },
        ) => own.flags_after(options),
        other => panic!("{other:?} has no flags"),
    }
}

#[test]
fn the_command_line_is_well_formed() {
    command().debug_assert();
}

#[test]
fn flags_are_taken_with_and_without_run_before_and_after() {
    for line in [
        "gatecount --app http://a --domain b,c --domain d",
        "gatecount run --app http://a --domain b,c --domain d",
        "gatecount --app http://a run --domain b,c --domain d",
        "gatecount --app http://z doctor --app http://a --domain b,c --domain d --json",
        "gatecount --app http://z check --app http://a --domain b,c --domain d",
        "gatecount --domain b,c --domain d explain --app http://a /",
    ] {
        let flags = flags(line);
        assert_eq!(flags.app.as_deref(), Some("http://a"), "{line}");
        assert_eq!(flags.domain, ["b,c", "d"], "{line}");
    }
    let all = "gatecount -c c --plausible p --listen l --admin a --queue q --log g --log-format json";
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
        ("gatecount doctor --wait long", 2),
        ("gatecount check --deny", 2),
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

/// The long help of a command, by its path.
fn help(path: &[&str]) -> String {
    let mut root = command();
    root.build();
    let of = path
        .iter()
        .fold(&mut root, |of, name| of.find_subcommand_mut(name).unwrap());
    of.render_long_help().to_string()
}

#[test]
fn help_lists_the_flags_that_a_command_obeys_and_takes_them_all() {
    for path in [
        &["explain"][..],
        &["observe"],
        &["queue", "status"],
        &["queue", "purge"],
    ] {
        let help = help(path);
        assert!(help.contains("--config"), "{path:?}: {help}");
        for flag in ["--app", "--listen", "--admin", "--log "] {
            assert!(!help.contains(flag), "{path:?} lists {flag}: {help}");
        }
    }
    for path in [&["run"][..], &["check"], &["doctor"]] {
        for option in OPTIONS {
            let flag = format!("--{}", option.replace('_', "-"));
            assert!(help(path).contains(&flag), "{path:?} lists no {flag}");
        }
    }
    let gateway = help(&["gateway"]);
    for flag in ["--config", "--plausible", "--admin", "--log "] {
        assert!(gateway.contains(flag), "gateway lists no {flag}: {gateway}");
    }
    assert!(
        !gateway.contains("--app") && !gateway.contains("--domain"),
        "{gateway}"
    );
    parse("gatecount explain --app http://a --log debug /").unwrap();
}

#[test]
fn help_names_exit_statuses_an_example_and_variables_that_exist() {
    let help = help(&[]);
    for part in [
        "Exit status: 0",
        "gatecount --app http://127.0.0.1:3000 --domain example.com",
        "-c, --config",
    ] {
        assert!(help.contains(part), "no {part:?} in {help}");
    }
    let one_line = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let named: Vec<&str> = one_line
        .split("[env: ")
        .skip(1)
        .flat_map(|rest| rest.split(']').next().unwrap().split(", "))
        .collect();
    assert_eq!(named.len(), OPTIONS.len() + 1, "the queue has two: {named:?}");
    for name in named {
        let environment = [(name.to_owned(), OsString::from("nonsense"))].into();
        let sources = crate::config::Sources {
            environment,
            ..crate::config::Sources::of_flags(Flags::default())
        };
        let mistakes = crate::config::load(&sources).unwrap_err().to_string();
        assert!(!mistakes.contains("no such variable"), "{name}: {mistakes}");
    }
}

#[test]
fn a_pasted_curl_command_line_is_taken_whole() {
    let line =
        "gatecount explain --domain a.example --peer 10.0.0.1 curl -X POST -H a:b --json {} -h https://a/";
    let Some(CliCommand::Explain { .. }) = parse(line).unwrap().command else {
        panic!("no explain")
    };
}
