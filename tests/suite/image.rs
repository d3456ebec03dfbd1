//! gatecount as the only thing in an image: no shell, no `/proc`, nothing that can be written but the queue,
//! another user than root.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use tempfile::TempDir;

use crate::support::{
    client::{NAVIGATION, Request},
    full,
    origin::{self, Origin},
    process::{BINARY, Builder, forget_the_tests_own, run},
    receiver::Receiver,
    skip,
    tls::Authority,
};

/// The longest that the binary of the image may be, in bytes. The image has some 200 KiB of roots beside it.
const MAX_IMAGE: u64 = 14_700_000;

/// A root file system with these files, each in the place of another, and the directory of the queue.
fn empty_root(files: &[(String, String)]) -> TempDir {
    let root = TempDir::new().unwrap();
    for (file, place) in files {
        let place = root.path().join(place.trim_start_matches('/'));
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(file, &place).unwrap();
    }
    let queue = root.path().join("var/lib/gatecount");
    fs::create_dir_all(&queue).unwrap();
    fs::set_permissions(&queue, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    root
}

/// The binary under test, and what it is linked with.
#[test]
fn it_runs_in_an_empty_read_only_root_as_another_user() {
    let Ok(linked) = Command::new("ldd").arg(BINARY).output() else {
        return skip("there is no ldd");
    };
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/'));
    let files: Vec<(String, String)> = [BINARY]
        .into_iter()
        .chain(libraries)
        .map(|file| (file.to_owned(), file.to_owned()))
        .collect();
    serve_within(&empty_root(&files));
}

/// A binary as the image has it, but for the C library that it is linked with.
#[test]
fn a_static_binary_is_small_and_needs_no_other_file() {
    if !full() {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let compiler = Command::new("rustc").arg("-vV").output().unwrap();
    let compiler = String::from_utf8(compiler.stdout).unwrap();
    let host = compiler
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let target = root.join("target/static");
    // The image's own settings; Alpine's compiler links statically by itself.
    let dockerfile = fs::read_to_string(root.join("deploy/Dockerfile")).unwrap();
    let settings = dockerfile.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("ENV ")?.split_once('=')?;
        let value = value.trim_matches('"').to_owned();
        Some(match name {
            "RUSTFLAGS" => (name, format!("-C target-feature=+crt-static {value}")),
            _ => (name, value),
        })
    });
    let settings: Vec<_> = settings.collect();
    assert_eq!(settings.len(), 4, "{settings:?}");
    let built = Command::new("cargo")
        .args([
            "build",
            "--release",
            "--locked",
            "--quiet",
            "--target",
            host,
            "--target-dir",
        ])
        .arg(&target)
        .envs(settings)
        .current_dir(root)
        .status()
        .unwrap();
    assert!(built.success());
    let binary = target.join(host).join("release/gatecount");
    let length = fs::metadata(&binary).unwrap().len();
    println!("the static binary has {length} bytes");
    assert!(length < MAX_IMAGE, "{length} bytes");
    serve_within(&empty_root(&[(
        binary.to_str().unwrap().to_owned(),
        BINARY.to_owned(),
    )]));
}

#[track_caller]
fn serve_within(root: &TempDir) {
    // Plausible's certificate is of an authority that only the image's file of roots has.
    let authority = Authority::new();
    let (app, plausible) = (Origin::start(origin::pages), Receiver::tls(&authority));
    let roots = root.path().join("etc/ssl/certs");
    fs::create_dir_all(&roots).unwrap();
    fs::copy(authority.file(), roots.join("ca-certificates.crt")).unwrap();
    let path = root.path().to_str().unwrap().to_owned();
    // The queue's directory is a volume; all else can't be written.
    let enter = "mount --bind \"$0\" \"$0\" && mount --bind \"$0/var/lib/gatecount\" \"$0/var/lib/gatecount\" && \
                 mount -o remount,bind,ro \"$0\" && exec chroot --userspec=65532:65532 \"$0\" \"$@\"";
    let runner = ["unshare", "-m", "sh", "-c", enter, &path];
    let works = Command::new(runner[0])
        .args(&runner[1..])
        .args([BINARY, "--version"])
        .output();
    if !works.is_ok_and(|output| output.status.success()) {
        return skip("no root of its own can be made here");
    }
    let builder = Builder::before(&app)
        .set("plausible.url", plausible.url().replace("localhost", "127.0.0.1"))
        .set("queue.path", "/var/lib/gatecount/queue")
        .under(&runner);
    // The configuration is a volume too.
    let inside = root.path().join(builder.directory().strip_prefix("/").unwrap());
    fs::create_dir_all(&inside).unwrap();
    builder.write();
    fs::copy(builder.file(), inside.join("gatecount.toml")).unwrap();
    let mut sidecar = builder.start();
    let page = Request::get("/page").as_(NAVIGATION).from("203.0.113.7");
    assert_eq!(sidecar.client().ask(&page).status(), 200);
    plausible.await_recorded(1);
    let status = sidecar.status();
    assert_eq!(status["queue"]["at"], "disk", "{status}");
    assert_eq!(status["queue"]["alarm"], serde_json::Value::Null, "{status}");
    // HEALTHCHECK of the image.
    let mut health = Command::new(runner[0]);
    forget_the_tests_own(&mut health);
    let health = health
        .args(&runner[1..])
        .args([BINARY, "healthcheck"])
        .env("GATECOUNT_ADMIN_ADDRESS", sidecar.admin.to_string())
        .output()
        .unwrap();
    assert!(health.status.success(), "{health:?}");
    sidecar.stop();
}

#[test]
fn the_binary_itself_says_whether_it_is_well() {
    let app = Origin::start(origin::pages);
    let mut sidecar = Builder::before(&app).start();
    let admin = sidecar.admin.to_string();
    let check = |more: &[&str]| run(&[&["healthcheck", "--admin", admin.as_str()], more].concat(), "");
    assert!(check(&[]).status.success());
    assert!(check(&["--live"]).status.success());
    sidecar.stop();
    let gone = check(&[]);
    assert_eq!(gone.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&gone.stderr).contains("/readyz: "),
        "{gone:?}"
    );
    let any = run(&["healthcheck", "--admin", "127.0.0.1:0"], "");
    assert_eq!(any.status.code(), Some(2));
}
