//! Which certificate is shown, and what becomes of files that change.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use rustls::version::TLS13;

use super::{before, over_http1};
use crate::support::{
    client::{Client, Request},
    eventually,
    load::Steady,
    origin::{self, Origin},
    process::{Builder, Sidecar, run},
    site,
    tls::{Authority, Leaf, NAMES, Pair, shown},
};

#[test]
fn the_name_that_is_asked_for_chooses_the_certificate() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let leaves = [
        authority.leaf(&["localhost", "127.0.0.1"]),
        authority.leaf(&["*.example.com"]),
        authority.leaf(&["example.com", "www.example.com"]),
    ];
    let builder = leaves.iter().zip(["first", "wildcard", "exact"]);
    let sidecar = builder
        .fold(Builder::before(&app), |builder, (leaf, name)| {
            builder.tls(&leaf.write(&authority.path(name)))
        })
        .start();
    for (name, chosen) in [
        ("localhost", 0),
        ("example.com", 2),
        ("EXAMPLE.com", 2),
        ("www.example.com", 2),
        ("other.example.com", 1),
        ("too.deep.example.com", 0),
        ("example.org", 0),
        // To an address no name is sent.
        ("127.0.0.1", 0),
    ] {
        let certificate = shown(sidecar.address, name);
        let came = leaves.iter().position(|leaf| *leaf.certificate() == certificate);
        assert_eq!(came, Some(chosen), "{name}");
    }
    // Those that verify agree.
    let config = authority.client(&["http/1.1"]);
    for name in ["example.com", "any.example.com", "localhost"] {
        let stream = std::net::TcpStream::connect(sidecar.address).unwrap();
        let mut client = Client::over_tls(stream, &config, name).unwrap();
        assert_eq!(client.ask(&Request::get("/").host(name)).status(), 200);
    }
}

/// Pairs as Kubernetes mounts them: a link to the folder of the present ones, replaced in one go.
struct Mounted<'a> {
    authority: &'a Authority,
    number: usize,
}

impl Mounted<'_> {
    fn files(&self) -> Pair {
        let folder = self.authority.path("present");
        Pair {
            certificate: folder.join("tls.crt"),
            key: folder.join("tls.key"),
        }
    }

    /// Makes this pair the present one.
    fn mount(&mut self, leaf: &Leaf) {
        self.number += 1;
        let folder = self.authority.path(&format!("version-{}", self.number));
        fs::create_dir(&folder).unwrap();
        leaf.write(&folder.join("tls"));
        let (link, present) = (self.authority.path("next"), self.authority.path("present"));
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        fs::rename(&link, &present).unwrap();
    }
}

#[test]
fn changed_files_are_served_with_and_without_a_signal_and_no_request_fails() {
    let (app, authority) = (site::start(), Authority::new());
    let leaves = [(); 5].map(|()| authority.leaf(&NAMES));
    let mut mounted = Mounted {
        authority: &authority,
        number: 0,
    };
    mounted.mount(&leaves[0]);
    let sidecar = Builder::before(&app).tls(&mounted.files()).start();
    let (address, config) = (sidecar.address, authority.client_of(&TLS13));
    let fresh = Steady::over_fresh({
        let config = config.clone();
        move || Client::over_tls(std::net::TcpStream::connect(address)?, &config, "localhost")
    });
    let kept =
        Steady::over(move || Client::over_tls(std::net::TcpStream::connect(address)?, &config, "localhost"));
    assert_shows(&sidecar, &leaves[0]);
    for (n, leaf) in leaves.iter().enumerate().skip(1) {
        mounted.mount(leaf);
        // The first of them is noticed without a signal.
        if n > 1 {
            sidecar.signal("HUP");
        }
        assert_shows(&sidecar, leaf);
        fresh.goes_on();
        kept.goes_on();
    }
    fresh.finish();
    kept.finish();
    let log = sidecar.log();
    assert!(!log.iter().any(|line| line.contains("ERROR")), "{log:?}");
}

/// This certificate is shown from now on, at the latest after a while.
#[track_caller]
fn assert_shows(sidecar: &Sidecar, leaf: &Leaf) {
    eventually("the certificate is shown", || {
        let certificate = shown(sidecar.address, "localhost");
        let same = certificate == *leaf.certificate();
        same.then_some(()).ok_or("another is".to_owned())
    });
}

#[test]
fn a_broken_pair_leaves_the_running_one_in_place() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let first = authority.leaf(&NAMES);
    let pair = first.write(&authority.path("pair"));
    let sidecar = Builder::before(&app).tls(&pair).start();
    let mut kept = over_http1(&sidecar, &authority);
    let stranger = authority.pair("stranger", &NAMES);
    let whole = fs::read(&pair.certificate).unwrap();
    let breaks: [(&str, &dyn Fn()); 5] = [
        ("a key of another certificate", &|| {
            fs::copy(&stranger.key, &pair.key).map(drop).unwrap();
        }),
        ("a key that is cut", &|| cut(&pair.key)),
        ("no key", &|| fs::remove_file(&pair.key).unwrap()),
        ("a certificate that is cut", &|| {
            first.write(&authority.path("pair"));
            cut(&pair.certificate);
        }),
        ("an empty certificate", &|| {
            fs::write(&pair.certificate, "").unwrap();
        }),
    ];
    for (n, (what, break_it)) in breaks.iter().enumerate() {
        break_it();
        sidecar.signal("HUP");
        eventually(what, || {
            // The files are looked at besides, so there may be more than one.
            let errors = errors(&sidecar);
            let enough = errors.len() > n && errors.iter().all(|line| line.contains("not reloaded"));
            enough.then_some(()).ok_or(format!("{errors:?}"))
        });
        assert_eq!(
            shown(sidecar.address, "localhost"),
            *first.certificate(),
            "{what}"
        );
        assert_eq!(kept.ask(&Request::get("/")).status(), 200, "{what}");
        assert_eq!(
            over_http1(&sidecar, &authority).ask(&Request::get("/")).status(),
            200,
            "{what}"
        );
    }
    assert_ne!(whole, fs::read(&pair.certificate).unwrap());
    let second = authority.leaf(&NAMES);
    second.write(&authority.path("pair"));
    sidecar.signal("HUP");
    assert_shows(&sidecar, &second);
}

fn errors(sidecar: &Sidecar) -> Vec<String> {
    let log = sidecar.log();
    log.into_iter().filter(|line| line.contains("ERROR")).collect()
}

fn cut(file: &Path) {
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, &text[..text.len() / 2]).unwrap();
}

#[test]
fn a_key_that_anyone_may_read_is_warned_of() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let pair = authority.pair("pair", &NAMES);
    let warns = |mode: u32| {
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(mode)).unwrap();
        let sidecar = Builder::before(&app).tls(&pair).start();
        let log = sidecar.log();
        let warning = log.iter().find(|line| line.contains("private key"));
        warning.map(|line| {
            assert!(line.contains("WARN") && line.contains("pair.key"), "{line}");
        })
    };
    assert!(warns(0o644).is_some() && warns(0o604).is_some());
    // The group of a pod's volume may.
    assert!(warns(0o640).is_none() && warns(0o600).is_none());
}

#[test]
fn nothing_of_a_key_is_told() {
    let (app, authority) = (Origin::start(origin::pages), Authority::new());
    let leaf = authority.leaf(&NAMES);
    let pair = leaf.write(&authority.path("pair"));
    let key = fs::read_to_string(&pair.key).unwrap();
    let sidecar = before(&app, &authority)
        .tls(&pair)
        .set("log.level", "trace")
        .start();
    over_http1(&sidecar, &authority).ask(&Request::get("/"));
    let mut told: Vec<String> = ["/", "/status", "/metrics", "/decisions"]
        .map(|target| sidecar.admin(target).text())
        .into();
    let config = sidecar.builder().file();
    let check = |told: &mut Vec<String>| {
        let output = run(&["check", "--config", config.to_str().unwrap()], "");
        told.push(String::from_utf8_lossy(&output.stdout).into_owned());
        told.push(String::from_utf8_lossy(&output.stderr).into_owned());
    };
    check(&mut told);
    // Files that are mixed up, or damaged.
    fs::copy(&pair.key, &pair.certificate).unwrap();
    cut(&pair.key);
    check(&mut told);
    sidecar.signal("HUP");
    sidecar.await_log("not reloaded");
    fs::write(&pair.key, key.replace("-----", "")).unwrap();
    check(&mut told);
    told.extend(sidecar.log());
    let secrets = key.lines().filter(|line| !line.contains("-----"));
    for part in secrets
        .flat_map(|line| line.as_bytes().chunks(16))
        .filter(|part| part.len() == 16)
    {
        let part = std::str::from_utf8(part).unwrap();
        let teller = told.iter().find(|text| text.contains(part));
        assert!(teller.is_none(), "{part:?} of the key is in {teller:?}");
    }
}
