//! A real nginx in front of gatecount.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use super::{
    DEADLINE,
    process::free_port,
    tls::{Authority, Pair},
};

/// A running nginx; stopped when dropped.
pub(crate) struct Nginx {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    child: Child,
    directory: TempDir,
}

/// Whether an nginx is installed, with the stream module or without.
pub(crate) fn installed() -> bool {
    Command::new("nginx")
        .arg("-v")
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// The line that loads the stream module where it is a shared object, empty where it is built in; `None`
/// where nginx has none.
pub(crate) fn stream_module() -> Option<String> {
    let built_in = Command::new("nginx").arg("-V").output().ok()?;
    let flags = String::from_utf8_lossy(&built_in.stderr).into_owned();
    if flags.contains("--with-stream ") {
        return Some(String::new());
    }
    [
        "/usr/lib/nginx/modules",
        "/usr/lib64/nginx/modules",
        "/usr/local/lib/nginx/modules",
    ]
    .iter()
    .map(|folder| format!("{folder}/ngx_stream_module.so"))
    .find(|file| Path::new(file).exists())
    .map(|file| format!("load_module {file};\n"))
}

impl Nginx {
    /// The configuration of `deploy/nginx`, its addresses changed and as one behind another proxy has it: it
    /// appends the client to `X-Forwarded-For`. There is no app behind gatecount's back.
    pub(crate) fn appending(to: SocketAddr) -> Nginx {
        let deployed = fs::read_to_string(deployed()).expect("read deploy/nginx");
        let (shown, backup) = ("server 127.0.0.1:8080 ", "server 127.0.0.1:3000 backup;");
        let edge = "X-Forwarded-For $remote_addr;";
        for part in [shown, backup, edge, "listen 8000;"] {
            assert!(deployed.contains(part), "no {part}");
        }
        Nginx::with_servers(|listen| {
            deployed
                .replace(shown, &format!("server {to} "))
                .replace(backup, "")
                .replace(edge, "X-Forwarded-For $proxy_add_x_forwarded_for;")
                .replace("listen 8000;", &format!("listen {listen};"))
        })
    }

    /// With these `server` blocks, made for the address it gets.
    pub(crate) fn with_servers(servers: impl Fn(SocketAddr) -> String) -> Nginx {
        Nginx::start("", |listen| http(&servers(listen)))
    }

    /// Another configuration of `deploy/nginx`, with these texts replaced, of which each has to be there. Its
    /// `listen` is.
    pub(crate) fn deployed_as(file: &str, replaced: &[(&str, String)]) -> Nginx {
        let path = deployed().with_file_name(file);
        let deployed = fs::read_to_string(path).expect("read deploy/nginx");
        Nginx::start("", |listen| {
            let listen = ("listen 8000;", format!("listen {listen};"));
            let server = replaced
                .iter()
                .chain([&listen])
                .fold(deployed.clone(), |text, (old, new)| {
                    assert!(text.contains(old), "no {old} in {file}");
                    text.replace(old, new)
                });
            http(&server)
        })
    }

    /// An HTTP proxy that speaks TLS to gatecount and accepts no other certificate than one of `authority`
    /// for `localhost`. It shows its own where it has one.
    pub(crate) fn verifying(to: SocketAddr, authority: &Authority, identity: Option<&Pair>) -> Nginx {
        let own = identity.map_or_else(String::new, |pair| {
            format!(
                "proxy_ssl_certificate {}; proxy_ssl_certificate_key {};",
                pair.certificate.display(),
                pair.key.display()
            )
        });
        Nginx::start("", |listen| {
            http(&format!(
                "upstream gatecount {{ server {to}; keepalive 8; }}
                 server {{
                     listen {listen};
                     location / {{
                         proxy_pass https://gatecount;
                         proxy_http_version 1.1;
                         proxy_set_header Connection \"\";
                         proxy_set_header Host $host;
                         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                         proxy_set_header X-Forwarded-Proto $scheme;
                         proxy_ssl_verify on;
                         proxy_ssl_trusted_certificate {};
                         proxy_ssl_name localhost;
                         proxy_ssl_server_name on;
                         {own}
                     }}
                 }}",
                authority.file().display()
            ))
        })
    }

    /// An HTTP proxy before several instances, with so many kept connections to each, or a new one for each
    /// request; a request that one did not take goes to the next.
    pub(crate) fn balancing(to: &[SocketAddr], kept: usize) -> Nginx {
        use std::fmt::Write;
        let servers = to.iter().fold(String::new(), |mut all, address| {
            let _ = write!(all, "server {address} max_fails=0; ");
            all
        });
        let keep = match kept {
            0 => String::new(),
            kept => format!("keepalive {kept}; keepalive_requests 1000000;"),
        };
        let connection = if kept == 0 { "close" } else { "" };
        Nginx::start("", |listen| {
            http(&format!(
                "upstream instances {{ {servers} {keep} }}\n\
                 server {{ listen {listen}; keepalive_requests 1000000; location / {{ proxy_pass http://instances; proxy_http_version 1.1; \
                 proxy_set_header Connection \"{connection}\"; proxy_set_header Host $http_host; }} }}"
            ))
        })
    }

    /// A TCP proxy that says who the client is by the PROXY protocol.
    pub(crate) fn proxy_protocol(module: &str, to: SocketAddr) -> Nginx {
        Nginx::start(module, |listen| {
            format!("stream {{ server {{ listen {listen}; proxy_pass {to}; proxy_protocol on; }} }}")
        })
    }

    /// Starts one with this body of a configuration, made for the address it gets. A free port can be taken
    /// by another process before nginx has it: then the next is tried.
    pub(crate) fn start(before: &str, body: impl Fn(SocketAddr) -> String) -> Nginx {
        for _ in 0..5 {
            let directory = TempDir::new().expect("a directory");
            let address = free_port();
            let user = if is_root() { "user root;\n" } else { "" };
            let text = format!(
                "{before}{user}daemon off; worker_processes 1; pid nginx.pid; error_log nginx.err info;\n\
                 events {{ worker_connections 512; }}\n{}\n",
                body(address)
            );
            fs::write(directory.path().join("nginx.conf"), text).expect("write the configuration");
            let child = command(directory.path()).spawn().expect("start nginx");
            let mut nginx = Nginx {
                address,
                child,
                directory,
            };
            if nginx.answers() {
                return nginx;
            }
        }
        panic!("nginx did not start");
    }

    /// Has it open its logs anew, as after a rotation.
    pub(crate) fn reopen(&self) {
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -USR1 {}", self.child.id())])
            .status();
    }

    fn answers(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < DEADLINE {
            if TcpStream::connect(self.address).is_ok() {
                return true;
            }
            if let Ok(Some(_)) = self.child.try_wait() {
                let log = fs::read_to_string(self.directory.path().join("nginx.err")).unwrap_or_default();
                eprintln!("nginx ended: {log}");
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // SIGTERM to the master ends the workers too; SIGKILL would leave them behind.
        let _ = Command::new("sh")
            .args(["-c", &format!("kill -TERM {}", self.child.id())])
            .status();
        let _ = self.child.wait();
    }
}

/// Whether nginx takes a file of `server` blocks (`nginx -t`), or what it says against it.
pub(crate) fn check(servers: &str) -> Result<(), String> {
    let directory = TempDir::new().map_err(|e| e.to_string())?;
    let text = format!("pid nginx.pid; events {{}}\n{}\n", http(servers));
    fs::write(directory.path().join("nginx.conf"), text).map_err(|e| e.to_string())?;
    let output = command(directory.path())
        .arg("-t")
        .output()
        .map_err(|e| e.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The configuration that is deployed with gatecount.
pub(crate) fn deployed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/nginx/gatecount.conf")
}

/// Around `server` blocks, everything nginx writes kept in its own directory.
fn http(servers: &str) -> String {
    format!(
        "http {{ access_log off; client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3;\n\
         uwsgi_temp_path t4; scgi_temp_path t5;\n{servers}\n}}"
    )
}

fn command(directory: &Path) -> Command {
    let mut command = Command::new("nginx");
    command
        .arg("-p")
        .arg(directory)
        .args(["-c", "nginx.conf", "-e", "nginx.err"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0)
}
