//! `gatecount demo`: a site, a receiver and the sidecar between them, all on loopback.

use std::{error::Error, net::Ipv4Addr};

use tokio::{net::TcpListener, sync::watch};

use crate::{
    config::{self, Flags, Sources},
    demo,
    lifecycle::Signals,
    sidecar::Sidecar,
    telemetry,
};

use super::error::CommandError;

/// The site's name at the receiver.
const DOMAIN: &str = "demo.example";

pub(super) fn run() -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(run_demo()).map_err(CommandError::Running)
}

async fn run_demo() -> Result<(), Box<dyn Error>> {
    let _last_lines = telemetry::init_logging(&telemetry::Settings {
        level: "warn".to_owned(),
        format: telemetry::LogFormat::Auto,
    })?;
    let mut signals = Signals::listen()?;
    let site = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let receiver = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let (app, plausible) = (site.local_addr()?, receiver.local_addr()?);
    let sources = Sources::of_flags(Flags {
        app: Some(format!("http://{app}")),
        domain: vec![DOMAIN.to_owned()],
        plausible: Some(format!("http://{plausible}")),
        listen: Some("127.0.0.1:0".to_owned()),
        admin: Some("127.0.0.1:0".to_owned()),
        queue: Some("memory".to_owned()),
        ..Flags::default()
    });
    let config = config::load(&sources).map_err(|mistakes| mistakes.to_string())?;

    let (stop, stopped) = watch::channel(());
    let shutdown = || {
        let mut stopped = stopped.clone();
        async move {
            // An error means that the sender was dropped.
            while stopped.changed().await.is_ok() {}
        }
    };
    let site = tokio::spawn(demo::site::serve(site, shutdown()));
    let receiver = tokio::spawn(demo::receiver::serve(receiver, DOMAIN, shutdown()));
    let sidecar = Sidecar::start(config).await?;
    println!("Click through the site, and watch what is counted:\n");
    if let Some(bound) = sidecar.bound() {
        println!("  the site, behind gatecount   http://{bound}/");
    }
    println!("  what Plausible would show    http://{plausible}/");
    println!(
        "  how gatecount is doing       http://{}/\n",
        sidecar.admin_address()
    );
    println!("Ctrl-C ends it.");
    sidecar
        .serve(&mut signals, move || config::load(&sources))
        .await?;
    drop(stop);
    site.await?;
    receiver.await?;
    Ok(())
}
