//! The request as flags.

use super::super::{Arguments, case};

fn arguments(words: &[&str]) -> Arguments {
    use clap::{Args as _, FromArgMatches};
    let command = Arguments::augment_args(clap::Command::new("explain"));
    let matches = command
        .try_get_matches_from(["explain"].iter().chain(words))
        .unwrap();
    Arguments::from_arg_matches(&matches).unwrap()
}

#[test]
fn flags_are_curls() {
    let asked = case(arguments(&[
        "-X",
        "POST",
        "-H",
        "Host: example.com",
        "-H",
        "X-Empty;",
        "--peer",
        "[2001:db8::1]:80",
        "--status",
        "404",
        "--response-header",
        "Content-Type: text/plain",
        "/a",
    ]))
    .unwrap();
    assert_eq!((asked.method.as_str(), asked.url.as_str()), ("POST", "/a"));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        asked.headers,
        [header("Host", "example.com"), header("X-Empty", "")]
    );
    assert_eq!(asked.peer.ip(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(asked.response.status, 404);
    assert_eq!(asked.response.headers, [header("Content-Type", "text/plain")]);
    let plain = case(arguments(&["/", "--response-header", "x-a: b"])).unwrap();
    assert_eq!(plain.response.headers.len(), 2, "a page unless a type is said");
    assert!(
        case(arguments(&["/", "-H", "nothing"]))
            .unwrap_err()
            .contains("NAME: VALUE")
    );
}
