//! What systemd is told of this process, by the protocol of `sd_notify(3)`. Without `NOTIFY_SOCKET` in the
//! environment nobody is told anything.

use std::{
    env, io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    time::Duration,
};

/// The variable that says where systemd listens.
pub(super) const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// The service manager that has started this process, if one has.
#[derive(Debug, Default)]
pub struct ServiceManager(Option<(UnixDatagram, SocketAddr)>);

impl ServiceManager {
    /// The one that the environment names.
    pub fn of_environment() -> Self {
        let Some(name) = env::var_os(NOTIFY_SOCKET).filter(|name| !name.is_empty()) else {
            return ServiceManager(None);
        };
        match connect(name.as_bytes()) {
            Ok(connected) => ServiceManager(Some(connected)),
            Err(error) => {
                tracing::warn!(%error, ?name, "the service manager can't be told anything");
                ServiceManager(None)
            }
        }
    }

    /// Requests are served, with this configuration.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    /// A reload has begun; [`ready`](Self::ready) ends it.
    pub fn reloading(&self) {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let micros = now.tv_sec.unsigned_abs() * 1_000_000 + now.tv_nsec.unsigned_abs() / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The stop has begun, and may take this long.
    pub fn stopping(&self, within: Duration) {
        let micros = within.as_micros();
        self.tell(&format!(
            "STOPPING=1\nSTATUS=Stopping\nEXTEND_TIMEOUT_USEC={micros}"
        ));
    }

    fn tell(&self, what: &str) {
        if let Some((socket, manager)) = &self.0
            && let Err(error) = socket.send_to_addr(what.as_bytes(), manager)
        {
            tracing::warn!(%error, "the service manager was not told: {what}");
        }
    }
}

/// A path, or a name in the abstract namespace behind an `@`.
fn connect(name: &[u8]) -> io::Result<(UnixDatagram, SocketAddr)> {
    let manager = match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name))?,
    };
    let socket = UnixDatagram::unbound()?;
    // Nobody's stop or start waits for a manager that does not read.
    socket.set_nonblocking(true)?;
    Ok((socket, manager))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_told_by_a_path_and_by_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let abstract_name = format!("gatecount-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        for (listener, name) in [
            (
                UnixDatagram::bind(&path).unwrap(),
                path.to_str().unwrap().to_owned(),
            ),
            (
                UnixDatagram::bind_addr(&address).unwrap(),
                format!("@{abstract_name}"),
            ),
        ] {
            let manager = ServiceManager(Some(connect(name.as_bytes()).unwrap()));
            manager.ready("Serving");
            manager.reloading();
            let mut buffer = [0; 200];
            let length = listener.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], b"READY=1\nSTATUS=Serving");
            let length = listener.recv(&mut buffer).unwrap();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            let micros = text.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(micros.parse::<u64>().unwrap() > 0);
        }
    }
}
