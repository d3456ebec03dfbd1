//! `gatecount demo`: a site, a receiver and the sidecar between them, all on loopback.

mod ports;
mod terminal;

use std::{
    error::Error,
    io::{self, Write},
};

use clap::Args;
use tokio::{net::TcpListener, sync::watch};

use crate::{
    config::{self, Flags, Sources},
    demo::{self, DemoLinks},
    lifecycle::Signals,
    sidecar::Sidecar,
    telemetry,
};

use self::{
    ports::{DemoPorts, Place},
    terminal::DecisionPrinter,
};
use super::{
    error::{CommandError, usage},
    explain::explain_pasted,
};

/// The site's name at the receiver.
const DOMAIN: &str = "demo.example";

/// What `demo` is told.
#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// The ports of the site, the receiver and the live page; 0 is any free one [default: 8080,8081,9090, and
    /// free ones where these are taken]
    #[arg(long, value_name = "SITE,RECEIVER,LIVE", value_delimiter = ',')]
    ports: Vec<u16>,
    /// Don't print decisions
    #[arg(long)]
    quiet: bool,
}

pub(super) fn run(arguments: &DemoArguments) -> Result<(), CommandError> {
    let ports = match *arguments.ports {
        [] => DemoPorts::usual(),
        [site, receiver, live] => DemoPorts::exactly([site, receiver, live]),
        _ => {
            return Err(usage(
                "--ports takes three: those of the site, the receiver and the live page",
            ));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run_demo(ports, arguments.quiet));
    outcome.map_err(CommandError::Running)
}

async fn run_demo(ports: DemoPorts, quiet: bool) -> Result<(), Box<dyn Error>> {
    let _last_lines = telemetry::init_logging(&telemetry::Settings {
        level: "warn".to_owned(),
        format: telemetry::LogFormat::Auto,
    })?;
    let mut signals = Signals::listen()?;
    let [site, receiver, live] = ports.choose()?;
    let links = DemoLinks {
        site: site.url(),
        receiver: receiver.url(),
        live: live.url(),
    };
    let app = TcpListener::bind((ports::HOST, 0)).await?;
    let plausible = TcpListener::bind(receiver.address).await?;
    let sources = Sources::of_flags(Flags {
        app: Some(format!("http://{}", app.local_addr()?)),
        domain: vec![DOMAIN.to_owned()],
        plausible: Some(receiver.url()),
        listen: Some(site.address.to_string()),
        admin: Some(live.address.to_string()),
        queue: Some("memory".to_owned()),
        ..Flags::default()
    });
    let mut config = config::load(&sources).map_err(|mistakes| mistakes.to_string())?;
    config.admin.links = vec![
        ("the demo site".to_owned(), links.site.clone()),
        ("what Plausible would show".to_owned(), links.receiver.clone()),
    ];

    let (stop, stopped) = watch::channel(());
    let shutdown = || {
        let mut stopped = stopped.clone();
        async move {
            // An error means that the sender was dropped.
            while stopped.changed().await.is_ok() {}
        }
    };
    let app = tokio::spawn(demo::site::serve(app, links.clone(), shutdown()));
    let plausible = tokio::spawn(demo::receiver::serve(plausible, DOMAIN, links, shutdown()));
    let sidecar = Sidecar::start(config, explain_pasted).await?;
    greet(&[&site, &receiver, &live], quiet)?;
    let printer = (!quiet).then(|| {
        let printer = DecisionPrinter::on_standard_output();
        tokio::spawn(printer.print(sidecar.decisions(), shutdown()))
    });
    sidecar
        .serve(&mut signals, move || config::load(&sources))
        .await?;
    drop(stop);
    app.await?;
    plausible.await?;
    if let Some(printer) = printer {
        printer.await?;
    }
    Ok(())
}

/// Says where everything is.
fn greet([site, receiver, live]: &[&Place; 3], quiet: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "Click through the site, and watch what is counted:\n")?;
    writeln!(out, "  the site, behind gatecount   {}", site.url())?;
    writeln!(out, "  what Plausible would show    {}", receiver.url())?;
    writeln!(out, "  how gatecount is doing       {}\n", live.url())?;
    for place in [site, receiver, live] {
        if let Some(taken) = place.instead_of {
            writeln!(out, "Port {taken} is taken, so {} is used.", place.address.port())?;
        }
    }
    if quiet {
        writeln!(out, "Ctrl-C ends it.")?;
    } else {
        writeln!(
            out,
            "Ctrl-C ends it. Each request, as it is decided (times in UTC):\n"
        )?;
    }
    out.flush()
}
