//! `gatecount demo`: a site, a receiver, and the sidecar between them, all on loopback.

use std::{
    future::pending,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    thread,
};

use crate::{
    config::{self, Flags, Sources},
    demo::{receiver, site},
    sidecar,
};

use super::Failure;

/// The site's name at the receiver.
const DOMAIN: &str = "demo.example";

/// Runs until a signal ends it. Nothing is kept, and nothing of the environment counts but what is logged.
pub(super) fn run() -> Result<(), Failure> {
    let (site, receiver) = (loopback()?, loopback()?);
    let (site_at, receiver_at) = (site.local_addr()?, receiver.local_addr()?);
    // The sidecar binds for itself: the port is found here, so that it can be told, and let go again.
    let listen = loopback()?.local_addr()?;
    let sources = sources(site_at, receiver_at, listen);
    let config = config::load(&sources)?;
    serve(site, receiver)?;
    write!(
        io::stdout(),
        "The site through gatecount:  http://{listen}/\n\
         What Plausible would show:   http://{receiver_at}/\n\
         The site by itself:          http://{site_at}/\n\
         Open the first two side by side and click around. Ctrl-C ends it.\n"
    )?;
    sidecar::run(config, &sources).map_err(|error| Failure::Running(error.into()))
}

fn loopback() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}

/// A configuration that also counts what the site has beside pages: a download, and what is not found.
fn sources(site: SocketAddr, receiver: SocketAddr, listen: SocketAddr) -> Sources {
    let mut sources = Sources::of_process(Flags {
        app: Some(format!("http://{site}")),
        domain: vec![DOMAIN.to_owned()],
        plausible: Some(format!("http://{receiver}")),
        listen: Some(listen.to_string()),
        admin: Some("127.0.0.1:0".to_owned()),
        queue: Some("memory".to_owned()),
        ..Flags::default()
    });
    sources
        .environment
        .retain(|name, _| matches!(name.as_str(), "RUST_LOG" | "GATECOUNT_LOG"));
    for key in ["GATECOUNT_PAGES_DOWNLOADS", "GATECOUNT_PAGES_NOT_FOUND"] {
        sources.environment.insert(key.to_owned(), "true".into());
    }
    sources
}

/// Serves site and receiver from a thread of their own, as long as the process runs.
fn serve(site: TcpListener, receiver: TcpListener) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let convert = |listener: TcpListener| {
        let _guard = runtime.enter();
        listener.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(listener)
    };
    let (site, receiver) = (convert(site)?, convert(receiver)?);
    thread::Builder::new()
        .name("gatecount-demo".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                tokio::join!(
                    site::serve(site, pending()),
                    receiver::serve(receiver, DOMAIN, pending())
                );
            });
        })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demos_configuration_is_valid_whatever_the_environment() {
        let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let config = config::load(&sources(at(1001), at(1002), at(1003))).unwrap();
        assert_eq!(config.queue.at, crate::queue::At::Memory);
        assert_eq!(config.event.sites.find(Some("127.0.0.1:1003")), Some(DOMAIN));
        assert!(config.page.not_found && config.page.downloads.is_some());
    }
}
