//! A real proxy in front of gatecount, with the configuration that is deployed with it.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::{
    eventually,
    nginx::Nginx,
    process::{free_port, has},
};

/// A running proxy; stopped when dropped.
pub(crate) struct Front {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    _running: Running,
}

enum Running {
    Nginx { _nginx: Nginx },
    Process { child: Child, _directory: TempDir },
}

/// What stands behind it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind {
    pub(crate) gatecount: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) app: SocketAddr,
}

/// The programs that have a file in `deploy`, and can be tested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Nginx,
    HaProxy,
    Caddy,
}

impl Program {
    pub(crate) const ALL: [Program; 3] = [Program::Nginx, Program::HaProxy, Program::Caddy];

    fn name(self) -> &'static str {
        match self {
            Program::Nginx => "nginx",
            Program::HaProxy => "haproxy",
            Program::Caddy => "caddy",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Program::Nginx => "deploy/nginx/gatecount.conf",
            Program::HaProxy => "deploy/haproxy/haproxy.cfg",
            Program::Caddy => "deploy/caddy/Caddyfile",
        }
    }

    /// Starts it with its file, the addresses changed to those behind it; nothing where it is not installed.
    pub(crate) fn start(self, behind: Behind) -> Option<Front> {
        self.start_with(
            self.file(),
            &[
                ("127.0.0.1:8080", behind.gatecount.to_string()),
                ("127.0.0.1:3000", behind.app.to_string()),
            ],
            &[("port 9090", format!("port {}", behind.admin.port()))],
        )
    }

    /// Starts it with a file of `deploy`, in which these texts are replaced: those of `there` are in it, those
    /// of `perhaps` need not be. Nothing where it is not installed.
    pub(crate) fn start_with(
        self,
        file: &str,
        there: &[(&str, String)],
        perhaps: &[(&str, String)],
    ) -> Option<Front> {
        if !has(self.name()) {
            return None;
        }
        let deployed = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file));
        let deployed = deployed.expect("read the file in deploy");
        let text = |listen: SocketAddr| {
            let mut text = deployed.clone();
            let places = [
                ("listen 8000", format!("listen {listen}")),
                ("bind :8000", format!("bind {listen}")),
                ("\n:8000 {", format!("\n:{} {{\n\tbind 127.0.0.1", listen.port())),
            ];
            for (shown, ours) in there {
                assert!(text.contains(shown), "{shown} is not in {text}");
                text = text.replace(shown, ours);
            }
            for (shown, ours) in perhaps.iter().chain(&places) {
                text = text.replace(shown, ours);
            }
            text
        };
        if self == Program::Nginx {
            let nginx = Nginx::with_servers(text);
            return Some(Front {
                address: nginx.address,
                _running: Running::Nginx { _nginx: nginx },
            });
        }
        let directory = TempDir::new().expect("a directory");
        let (address, file) = (free_port(), directory.path().join("config"));
        let global = if self == Program::Caddy {
            "{\n\tadmin off\n}\n"
        } else {
            ""
        };
        fs::write(&file, format!("{global}{}", text(address))).expect("write the configuration");
        let mut command = Command::new(self.name());
        if self == Program::Caddy {
            command
                .args(["run", "--adapter", "caddyfile", "--config"])
                .arg(&file);
            for name in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
                command.env(name, directory.path());
            }
        } else {
            command.args(["-db", "-f"]).arg(&file);
        }
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start the proxy");
        let running = Running::Process {
            child,
            _directory: directory,
        };
        eventually(&format!("{} listens", self.name()), || {
            TcpStream::connect(address).map_err(|e| e.to_string())
        });
        Some(Front {
            address,
            _running: running,
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Running::Process { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
