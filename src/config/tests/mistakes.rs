//! What is refused, word by word.

use super::*;

/// One line of a file in its table, and what is said of it.
#[test]
fn each_wrong_value_is_told_with_what_would_be_accepted() {
    for (table, line, problem) in [
        (
            "listen",
            "address = \"8080\"",
            "ADDRESS:PORT or unix:/PATH is wanted, such as \"0.0.0.0:8080\"; did you mean \"0.0.0.0:8080\"?",
        ),
        (
            "listen",
            "address = \":8080\"",
            "ADDRESS:PORT or unix:/PATH is wanted, such as \"0.0.0.0:8080\"; did you mean \"0.0.0.0:8080\"?",
        ),
        (
            "listen",
            "address = \"localhost:80\"",
            "ADDRESS:PORT or unix:/PATH is wanted, such as \"0.0.0.0:8080\"; did you mean \"127.0.0.1:80\"?",
        ),
        (
            "listen",
            "address = \"0.0.0.0:65536\"",
            "ADDRESS:PORT or unix:/PATH is wanted, such as \"0.0.0.0:8080\"",
        ),
        ("listen", "address = \"unix:\"", "a path is wanted"),
        ("listen", "address = 8080", "a text in quotes is wanted"),
        (
            "listen",
            "workers = -1",
            "a whole number from 0 to 1024 is wanted",
        ),
        ("listen", "workers = 1.5", "a whole number is wanted"),
        (
            "listen",
            "workers = 99999999999999999999",
            "a whole number is wanted",
        ),
        ("listen", "proxy_protocol = \"yes\"", "true or false is wanted"),
        (
            "listen",
            "drain = \"25 parsecs\"",
            "a duration is wanted, such as \"500ms\", \"25s\" or \"24h\"",
        ),
        ("listen", "drain = 25", "a text in quotes is wanted"),
        (
            "listen",
            "drain = \"-1s\"",
            "a duration is wanted, such as \"500ms\", \"25s\" or \"24h\"",
        ),
        ("listen", "header_timeout = \"0s\"", "more than 0s is wanted"),
        (
            "listen",
            "min_rate = \"1KiB\"",
            "a size a second is wanted, such as \"1KiB/s\"; \"0\" for no least rate",
        ),
        (
            "listen",
            "idle_timeout = \"366d\"",
            "at most \"365d\" is accepted",
        ),
        (
            "listen",
            "max_connections = 0",
            "a whole number from 1 to 10000000 is wanted",
        ),
        (
            "listen",
            "max_head_bytes = \"64 cats\"",
            "a size is wanted, such as \"64KiB\", \"256MiB\" or a number of bytes",
        ),
        (
            "listen",
            "max_head_bytes = 12",
            "a size from \"1KiB\" to \"16MiB\" is wanted",
        ),
        (
            "app",
            "url = \"https://127.0.0.1:3000\"",
            "http://HOST:PORT or unix:/PATH is wanted: the app is spoken to in plain HTTP",
        ),
        (
            "app",
            "url = \"127.0.0.1:3000\"",
            "http://HOST:PORT or unix:/PATH is wanted; did you mean \"http://127.0.0.1:3000\"?",
        ),
        (
            "app",
            "url = \"ftp://a\"",
            "http://HOST:PORT or unix:/PATH is wanted",
        ),
        (
            "app",
            "url = \"http://a/b\"",
            "http://HOST:PORT or unix:/PATH is wanted, without a path or query: the app gets the client's",
        ),
        (
            "app",
            "url = \"http://a?b\"",
            "http://HOST:PORT or unix:/PATH is wanted, without a path or query: the app gets the client's",
        ),
        (
            "app",
            "url = \"http://me:secret@a\"",
            "http://HOST:PORT or unix:/PATH is wanted: no user name or password",
        ),
        (
            "app",
            "url = \"http://:3000\"",
            "http://HOST:PORT or unix:/PATH is wanted: the host is missing",
        ),
        (
            "app",
            "url = \"http://a:0\"",
            "http://HOST:PORT or unix:/PATH is wanted: the port is 1 to 65535",
        ),
        (
            "app",
            "url = \"http://::1:3000\"",
            "http://HOST:PORT or unix:/PATH is wanted: an IPv6 address goes between [ and ]",
        ),
        (
            "app",
            "url = \"http://[::g]\"",
            "http://HOST:PORT or unix:/PATH is wanted: no IPv6 address between [ and ]",
        ),
        (
            "app",
            "url = \"http://a b\"",
            "http://HOST:PORT or unix:/PATH is wanted: the host is no name or address",
        ),
        (
            "admin",
            "address = \"unix:/a\"",
            "ADDRESS:PORT is wanted, such as \"127.0.0.1:9090\"",
        ),
        (
            "admin",
            "hosts = \"a\"",
            "a list of texts is wanted, such as [\"a\", \"b\"]",
        ),
        (
            "client",
            "trusted_proxies = \"loopback\"",
            "a list of texts is wanted, such as [\"a\", \"b\"]",
        ),
        (
            "client",
            "header = \"x-forwarded-fro\"",
            "no such header; did you mean \"x-forwarded-for\"?",
        ),
        (
            "client",
            "header = \"x forwarded\"",
            "expected \"x-forwarded-for\", \"forwarded\", \"none\" or the name of a header with one address such as \"cf-connecting-ip\"",
        ),
        (
            "client",
            "trusted_hops = 256",
            "a whole number from 0 to 255 is wanted",
        ),
        (
            "client",
            "to_app = \"replace\"",
            "expected \"rewrite\", \"append\" or \"keep\"",
        ),
        (
            "plausible",
            "url = \"plausible.io\"",
            "https://HOST or http://HOST is wanted; did you mean \"https://plausible.io\"?",
        ),
        (
            "plausible",
            "url = \"https://plausible.io/api/event\"",
            "Plausible's own address is wanted, without /api/event",
        ),
        (
            "plausible",
            "url = \"https://plausible.io/?a\"",
            "https://HOST or http://HOST is wanted, without a query or fragment",
        ),
        (
            "plausible",
            "url = \"https://plausible.io/a<b\"",
            "https://HOST or http://HOST is wanted, with nothing in its path that a URL can't have",
        ),
        (
            "plausible",
            "url = \"https://-a-\"",
            "https://HOST or http://HOST is wanted: no certificate can name this host",
        ),
        (
            "plausible",
            "url = \"https://a@plausible.io\"",
            "https://HOST or http://HOST is wanted: no user name or password",
        ),
        (
            "plausible",
            "address_header = \"x-real-ip\"",
            "\"x-forwarded-for\" or \"x-plausible-ip\" is wanted",
        ),
        (
            "plausible",
            "address_header = []",
            "\"x-forwarded-for\", \"x-plausible-ip\" or both as a list is wanted",
        ),
        (
            "plausible",
            "concurrency = 0",
            "a whole number from 1 to 10000 is wanted",
        ),
        (
            "plausible",
            "max_tries = 0",
            "a whole number from 1 to 1000000 is wanted",
        ),
        (
            "plausible",
            "ca_file = \"none.pem\"",
            "can't be read: no such file",
        ),
        (
            "plausible",
            "ca_file = \"gatecount.toml\"",
            "a PEM file with certificates is wanted; it has none",
        ),
        ("queue", "at = \"tape\"", "\"disk\" or \"memory\" is wanted"),
        (
            "queue",
            "max_bytes = \"1KiB\"",
            "a size from \"64KiB\" to \"1TiB\" is wanted",
        ),
        (
            "pages",
            "count = \"sometimes\"",
            "\"always\", \"never\" or \"untracked\" is wanted",
        ),
        (
            "pages",
            "prefetch = \"never\"",
            "\"activation\", \"skip\", \"count\" or \"refuse\" is wanted",
        ),
        (
            "pages",
            "include = []",
            "nothing would be counted; [\"/**\"] is every page, and count = \"never\" counts none",
        ),
        (
            "log",
            "level = \"loud\"",
            "off, error, warn, info, debug and trace or directives such as \"info,gatecount=debug\" are wanted",
        ),
        (
            "log",
            "format = \"xml\"",
            "\"auto\", \"text\" or \"json\" is wanted",
        ),
        (
            "pages",
            "bots = \"no bots\"",
            "\"skip\", \"count\" or a site's name at Plausible is wanted",
        ),
        ("pages", "not_found = 1", "true or false is wanted"),
        (
            "pages",
            "downloads = \"pdf\"",
            "true, false or a list of texts is wanted",
        ),
    ] {
        let (name, value) = line.split_once(" = ").unwrap();
        // A password is not repeated.
        let value = value
            .replace("secret", "***")
            .replace("a@plausible.io", "***@plausible.io");
        let expected = format!("gatecount.toml:3: {table}.{name} = {value}: {problem}");
        assert_eq!(told(from_file(&format!("# a\n[{table}]\n{line}\n"))), [expected]);
    }
}

#[test]
fn masks_are_patterns_and_ignored_clients_ranges() {
    let file = "[pages]\nmask = [\"reset/*\"]\nignore_clients = [\"203.0.113.9\", \"office\"]\n";
    assert_eq!(
        told(from_file(file)),
        [
            "gatecount.toml:2: pages.mask = \"reset/*\": a path pattern begins with \"/\", as in \"/admin/**\"",
            "gatecount.toml:3: pages.ignore_clients = \"office\": a range such as \"203.0.113.0/24\", or a \
             single address, is wanted",
        ]
    );
}

/// Lists are judged item by item, each where it stands.
#[test]
fn each_wrong_item_of_a_list_is_told_with_its_own_line() {
    let file = "[pages]\ndownloads = [\n  \"pdf\",\n  \"a/b\",\n  7,\n]\nquery = [\"\"]\n";
    assert_eq!(
        told(from_file(file)),
        [
            "gatecount.toml:5: pages.downloads = 7: a text in quotes is wanted",
            "gatecount.toml:7: pages.query = \"\": a query parameter's name or \"*\" is wanted",
        ]
    );
    let file = file.replace("  7,\n", "");
    assert_eq!(
        told(from_file(&file))[0],
        "gatecount.toml:4: pages.downloads = \"a/b\": a file name's extension is wanted, such as \"pdf\""
    );
}

#[test]
fn what_is_no_toml_is_told_with_line_and_column_and_nothing_is_called_missing() {
    let file = "[listen]\naddress = 0.0.0.0:80\n[app\nurl = \"a\"\n";
    let outcome = load(&sources(&[("gatecount.toml", file)], &[], Flags::default()));
    let told = told(outcome);
    assert!(told[0].starts_with("gatecount.toml:2: not TOML: "), "{told:?}");
    assert!(told[0].contains("(column "), "{told:?}");
    assert!(
        told.iter().any(|t| t.starts_with("gatecount.toml:3: not TOML: ")),
        "{told:?}"
    );
    assert!(told.iter().all(|t| t.contains("not TOML")), "{told:?}");
    let twice = super::told(from_file("[app]\nkeep_alive = \"1s\"\nkeep_alive = \"2s\"\n"));
    assert_eq!(twice, ["gatecount.toml:3: not TOML: duplicate key (column 1)"]);
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_who_named_it() {
    let missing = Flags {
        config: Some("none.toml".into()),
        ..Flags::default()
    };
    let by_flag = load(&sources(&[], &[], missing));
    assert_eq!(
        told(by_flag),
        ["--config: \"none.toml\": can't be read: no such file"]
    );
    let by_variable = load(&sources(
        &[],
        &[("GATECOUNT_CONFIG", "none.toml")],
        Flags::default(),
    ));
    assert_eq!(
        told(by_variable),
        ["GATECOUNT_CONFIG: \"none.toml\": can't be read: no such file"]
    );
    let mut latin1 = sources(&[("gatecount.toml", "")], &[], enough());
    latin1.read = Box::new(|_| Ok(b"# a\n# caf\xe9\n".to_vec()));
    assert_eq!(
        told(load(&latin1)),
        ["gatecount.toml:2: not UTF-8, as TOML must be"]
    );
}

#[test]
fn keys_that_do_not_go_together_are_told() {
    for (file, expected) in [
        (
            "[client]\ntrusted_hops = 1\nheader = \"x-real-ip\"",
            "gatecount.toml:3: client.header = \"x-real-ip\": trusted_hops counts the entries of a list: with it client.header is \"x-forwarded-for\" or \"forwarded\"",
        ),
        (
            "[plausible]\nretry_max = \"100ms\"",
            "gatecount.toml:2: plausible.retry_max = \"100ms\": plausible.retry_max must be at least plausible.retry_initial",
        ),
        (
            "[admin]\naddress = \"127.0.0.1:8080\"",
            "gatecount.toml:2: admin.address = \"127.0.0.1:8080\": listen.address and admin.address must differ, and here both are port 8080",
        ),
        (
            "[listen]\naddress = \"127.0.0.1:3000\"",
            "--app: app.url = \"http://127.0.0.1:3000\": the app's own address is wanted, and this is where gatecount listens (listen.address)",
        ),
        (
            "[listen]\naddress = \"0.0.0.0:3000\"",
            "--app: app.url = \"http://127.0.0.1:3000\": the app's own address is wanted, and this is where gatecount listens (listen.address)",
        ),
        (
            "[plausible]\nurl = \"http://localhost:8080\"",
            "gatecount.toml:2: plausible.url = \"http://localhost:8080\": Plausible's own address is wanted, and this is where gatecount listens (listen.address)",
        ),
        (
            "[plausible]\nurl = \"http://127.0.0.1:9090\"",
            "gatecount.toml:2: plausible.url = \"http://127.0.0.1:9090\": Plausible's own address is wanted, and this is gatecount's admin address (admin.address)",
        ),
        (
            "[admin]\naddress = \"[::]:3000\"",
            "--app: app.url = \"http://127.0.0.1:3000\": the app's own address is wanted, and this is gatecount's admin address (admin.address)",
        ),
    ] {
        assert_eq!(told(from_file(file)), [expected], "{file}");
    }
    let elsewhere = Flags {
        app: Some("http://10.0.0.9:8080".to_owned()),
        ..enough()
    };
    assert_eq!(
        told(load(&sources(&[], &[], elsewhere))),
        [""; 0],
        "another machine's port 8080 is not ours"
    );
}

#[test]
fn mistakes_of_all_sources_are_told_at_once_files_first() {
    let flags = Flags {
        app: Some("3000".to_owned()),
        domain: vec!["a b".to_owned()],
        queue: Some("disk".to_owned()),
        log: Some("debgu".to_owned()),
        ..Flags::default()
    };
    let environment = [
        ("GATECOUNT_LISTEN_DRAIN", "soon"),
        ("GATECOUNT_LISTEN_WORKERS", "two"),
        ("GATECOUNT_LISTEN_ADRESS", "0.0.0.0:80"),
        ("GATECOUNT_SITES", "a"),
        ("PATH", "/bin"),
    ];
    let file = "[app]\nkeep_alive = 4\nurl = \"a:b\"\n";
    assert_eq!(
        told(load(&sources(&[("gatecount.toml", file)], &environment, flags))),
        [
            "gatecount.toml:2: app.keep_alive = 4: a text in quotes is wanted",
            "gatecount.toml:3: app.url = \"a:b\": http://HOST:PORT or unix:/PATH is wanted",
            "GATECOUNT_LISTEN_ADRESS: no such variable; did you mean GATECOUNT_LISTEN_ADDRESS?",
            "GATECOUNT_LISTEN_DRAIN: listen.drain = \"soon\": a duration is wanted, such as \"500ms\", \"25s\" or \"24h\"",
            "GATECOUNT_LISTEN_WORKERS: listen.workers = \"two\": a whole number is wanted",
            "GATECOUNT_SITES: sites can't be given in the environment: GATECOUNT_DOMAIN=example.com stands for every host, [[sites]] in the file for some",
            "--app: app.url = \"3000\": http://HOST:PORT or unix:/PATH is wanted; did you mean \"http://3000\"?",
            "--domain: sites.domain = \"a b\": a site's name at Plausible is wanted, such as \"example.com\"",
            "--log: log.level = \"debgu\": off, error, warn, info, debug and trace or directives such as \"info,gatecount=debug\" are wanted",
            "--queue: queue.path = \"disk\": memory or a directory is wanted (./disk for a directory of that name)",
        ]
    );
}

#[test]
fn a_host_name_of_the_admin_address_has_no_scheme_and_no_port() {
    for host in ["http://a", "a:9090", "a b", ""] {
        let told = told(from_file(&format!("[admin]\nhosts = [{host:?}]\n")));
        let problem = "a host name is wanted, such as \"gatecount.internal\", without scheme and port";
        assert_eq!(
            told,
            [format!("gatecount.toml:2: admin.hosts = {host:?}: {problem}")]
        );
    }
}

#[test]
fn a_password_is_not_repeated() {
    let told = told(from_file(
        "[plausible]\nurl = \"https://me:s3cr@et@plausible.io/a:b@c\"\n",
    ));
    let problem = "https://HOST or http://HOST is wanted: no user name or password";
    assert_eq!(
        told,
        [format!(
            "gatecount.toml:2: plausible.url = \"https://me:***@c\": {problem}"
        )]
    );
}

#[test]
fn a_value_is_told_on_one_line_and_cut() {
    let file = format!("[listen]\ndrain = \"a\\u001b[31m\\n{}\"\n", "x".repeat(200));
    let told = told(from_file(&file));
    assert!(
        told[0].starts_with("gatecount.toml:2: listen.drain = \"a\\u001B[31m\\nxxx"),
        "{told:?}"
    );
    assert!(told[0].contains("xxx…: a duration"), "{told:?}");
}

#[test]
fn a_proxy_of_the_environment_that_cannot_be_used_is_named_with_what_helps() {
    let variables = [("HTTPS_PROXY", "socks5://gate:s3cret@a.example:1080")];
    assert_eq!(
        told(load(&sources(&[], &variables, enough()))),
        [
            "HTTPS_PROXY: plausible.proxy = \"socks5://gate:***@a.example:1080\": http://HOST:PORT or \
          http://USER:PASSWORD@HOST:PORT is wanted: SOCKS proxies can't be used; or set plausible.proxy, or name \
          Plausible's host in NO_PROXY"
        ]
    );
    let direct = [variables[0], ("NO_PROXY", "plausible.io")];
    assert!(
        load(&sources(&[], &direct, enough()))
            .unwrap()
            .delivery
            .proxy
            .is_none()
    );
}
