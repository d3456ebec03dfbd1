//! Names that are not known: hints, names of later versions, names that are nobody's mistake.

use std::ffi::OsString;

use super::*;

#[test]
fn an_unknown_key_is_a_mistake_and_the_nearest_is_named() {
    for (file, expected) in [
        (
            "[listen]\nadress = \"a\"",
            "gatecount.toml:2: listen.adress: no such key; did you mean listen.address?",
        ),
        (
            "[listen]\naddr = \"a\"",
            "gatecount.toml:2: listen.addr: no such key; did you mean listen.address?",
        ),
        (
            "[app]\nkeep-alive = \"4s\"",
            "gatecount.toml:2: app.keep-alive: no such key; did you mean app.keep_alive?",
        ),
        (
            "[listen]\nto_app = \"keep\"",
            "gatecount.toml:2: listen.to_app: no such key; did you mean client.to_app?",
        ),
        (
            "[queue]\ncolour = \"red\"",
            "gatecount.toml:2: queue.colour: no such key; [queue] has at, path and max_bytes",
        ),
        (
            "listen.port = 1",
            "gatecount.toml:1: listen.port: no such key; did you mean listen.address?",
        ),
        (
            "[[site]]\nhosts = [\"a\"]",
            "gatecount.toml:1: site: no such table; did you mean [[sites]]?",
        ),
        (
            "[app]\ntimeout = \"1s\"",
            "gatecount.toml:2: app.timeout: no such key; did you mean app.connect_timeout or app.response_timeout?",
        ),
        (
            "[app]\nuri = \"http://a\"",
            "gatecount.toml:2: app.uri: no such key; did you mean app.url?",
        ),
        (
            "[app]\nport = 3000",
            "gatecount.toml:2: app.port: no such key; did you mean app.url?",
        ),
        (
            "[[events]]\nname = \"Signup\"\npath = \"/signup\"\nprop = { a = \"b\" }",
            "gatecount.toml:4: events.prop: no such key; did you mean events.props?",
        ),
        (
            "[events]\nname = \"Signup\"",
            "gatecount.toml:1: events: written as [[events]], once for each event, with name and path",
        ),
        (
            "events = [1]",
            "gatecount.toml:1: events = 1: a table with name and path is wanted",
        ),
        (
            "[event]\nname = \"Signup\"",
            "gatecount.toml:1: event: no such table; did you mean [[events]]?",
        ),
        (
            "[plausable]\nurl = \"a\"",
            "gatecount.toml:1: plausable: no such table; did you mean [plausible]?",
        ),
        (
            "domain = \"a\"",
            "gatecount.toml:1: domain: no such table; did you mean domain in [[sites]]?",
        ),
        (
            "url = \"http://a\"",
            "gatecount.toml:1: url: no such table; did you mean app.url?",
        ),
        (
            "[streams]\nurl = \"\"",
            "gatecount.toml:1: streams: no such table; did you mean [stream]?",
        ),
        (
            "[colour]\nred = 1",
            "gatecount.toml:1: colour: no such table; there are listen, listen.tls, app, admin, log, client, plausible, queue, pages, tracker, observe, stream, sites and events",
        ),
        (
            "[listen]\ncertificate = \"a\"",
            "gatecount.toml:2: listen.certificate: no such key; did you mean listen.tls.certificate?",
        ),
        (
            "[[sites]]\nhost = [\"a\"]\nhosts = [\"a\"]\ndomain = \"a\"",
            "gatecount.toml:2: sites.host: no such key; did you mean sites.hosts?",
        ),
        (
            "listen = \"0.0.0.0:80\"",
            "gatecount.toml:1: listen = \"0.0.0.0:80\": a table is wanted: [listen] with address, workers, proxy_protocol, drain, max_connections, header_timeout, idle_timeout, max_head_bytes, body_timeout, min_rate, http2 and max_streams",
        ),
        (
            "[sites]\nhosts = [\"a\"]",
            "gatecount.toml:1: sites: written as [[sites]], once for each site, with hosts and domain",
        ),
        (
            "sites = [1]",
            "gatecount.toml:1: sites = 1: a table with hosts and domain is wanted",
        ),
    ] {
        assert_eq!(told(from_file(file)), [expected], "{file}");
    }
}

#[test]
fn a_queue_that_looks_like_a_slip_of_a_word_is_no_directory() {
    let queue = |text: &str| {
        let flags = Flags {
            queue: Some(text.to_owned()),
            ..enough()
        };
        told(load(&sources(&[], &[], flags)))
    };
    for slip in ["memry", "Memory", "disc", "mem"] {
        let problem = format!("memory or a directory is wanted (./{slip} for a directory of that name)");
        assert_eq!(
            queue(slip),
            [format!("--queue: queue.path = {slip:?}: {problem}")]
        );
    }
    for directory in ["./memry", "/disc", "queue", "data"] {
        assert_eq!(queue(directory), [""; 0], "{directory}");
    }
}

#[test]
fn variables_that_a_container_platform_sets_are_not_ours() {
    let environment = [
        ("GATECOUNT_SERVICE_HOST", "10.0.0.1"),
        ("GATECOUNT_SERVICE_PORT", "80"),
        ("GATECOUNT_SERVICE_PORT_HTTP", "80"),
        ("GATECOUNT_PORT", "tcp://10.0.0.1:80"),
        ("GATECOUNT_PORT_80_TCP", "tcp://10.0.0.1:80"),
        ("GATECOUNT_PORT_80_TCP_ADDR", "10.0.0.1"),
        ("GATECOUNT_ADMIN_PORT_9090_TCP_PROTO", "tcp"),
        ("GATECOUNT_ADMIN_SERVICE_HOST", "10.0.0.1"),
    ];
    assert_eq!(told(load(&sources(&[], &environment, enough()))), [""; 0]);
    let ours = [("GATECOUNT_PORT", "8080")];
    assert_eq!(
        told(load(&sources(&[], &ours, enough()))),
        [
            "GATECOUNT_PORT: no such variable; they are called GATECOUNT_ and a key's path, such as GATECOUNT_LISTEN_ADDRESS"
        ]
    );
}

#[test]
fn a_variable_that_is_not_utf8_is_a_mistake() {
    use std::os::unix::ffi::OsStringExt;
    let sources = Sources {
        environment: [(
            "GATECOUNT_QUEUE_PATH".to_owned(),
            OsString::from_vec(b"/a\xff".to_vec()),
        )]
        .into(),
        ..sources(&[], &[], enough())
    };
    assert_eq!(
        told(load(&sources)),
        ["GATECOUNT_QUEUE_PATH: queue.path = \"/a\u{fffd}\": not UTF-8"]
    );
}
