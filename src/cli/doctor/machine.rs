//! This machine: the configuration, a gatecount that runs, ports, the queue's directory, the observed log, the
//! app.

use std::{
    fs::File,
    io::{self, Write},
    net::{TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::Value;

use crate::{
    config::Config,
    observe::LogSource,
    proxy::{App, Upstream},
    queue::{
        At,
        inspect::{self, InspectError},
    },
};

use super::{
    super::surroundings::{self, Answered, RunningSidecar},
    report::Report,
    visits,
};

/// Which file, what is counted, what is probably not meant in it, and who could choose its address.
pub(super) fn configuration(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let file = match config.files.first() {
        Some(file) => file.display().to_string(),
        None => "no file".to_owned(),
    };
    report.passed("configuration", format!("{file}: {}", config.sites_in_words()))?;
    for warning in &config.warnings {
        report.warned(
            "configuration",
            warning.to_string(),
            "`gatecount check` says more",
        )?;
    }
    let trust = config.client.who_could_choose();
    if config.client.believes_everybody() {
        let advice =
            "name the proxies in front in trusted_proxies of [client], or say none: trusted_proxies = []";
        return report.warned("trust", trust, advice);
    }
    report.passed("trust", trust)
}

/// What a gatecount at this admin address says of itself.
pub(super) fn running(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let at = config.admin.address;
    let Some(RunningSidecar { status, .. }) = RunningSidecar::find(at) else {
        return report.skipped(
            "running",
            format!("no gatecount answers at {at}: start one to see more"),
        );
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let delivery = &status["delivery"];
    let finished = |outcome: &str| delivery["finished"][outcome].as_u64().unwrap_or(0);
    let said = format!(
        "gatecount {} answers at {at}: delivery is {}, {} events delivered, {} dropped by Plausible, {} waiting",
        text(&status["version"]),
        text(&delivery["state"]),
        finished("delivered"),
        finished("dropped_by_plausible"),
        status["queue"]["events"]
    );
    let mut troubles: Vec<String> = Vec::new();
    if delivery["last_error_over"] == Value::Bool(false) {
        troubles.push(format!(
            "{}; {}",
            text(&delivery["last_error"]),
            text(&delivery["hint"])
        ));
    }
    troubles.extend(delivery["warnings"].as_array().into_iter().flatten().map(text));
    if status["queue"]["alarm"].is_string() {
        troubles.push(text(&status["queue"]["alarm"]));
    }
    if troubles.is_empty() {
        report.passed("running", said)
    } else {
        report.warned("running", said, troubles.join("; "))
    }
}

/// Whether each port can be listened on, or is by the gatecount that runs here.
pub(super) fn ports(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let running = RunningSidecar::find(config.admin.address);
    if let Some(path) = surroundings::wanted_socket(config) {
        let shown = path.display();
        if running.as_ref().is_some_and(|running| running.listens_on(path)) {
            report.passed(
                "port",
                format!("{shown} is listened on by the gatecount that runs here"),
            )?;
        } else if let Some(problem) = surroundings::socket_problem(path) {
            let advice =
                "make the directory for the process's user, or choose another path for listen.address";
            report.failed("port", format!("{shown} (listen.address): {problem}"), advice)?;
        } else {
            report.passed("port", format!("{shown} (listen.address) can be listened on"))?;
        }
    }
    for wanted in surroundings::wanted_ports(config) {
        let (key, address) = (wanted.key, wanted.address);
        if running
            .as_ref()
            .is_some_and(|running| running.listens_at(&wanted))
        {
            report.passed(
                "port",
                format!("{address} ({key}) is listened on by the gatecount that runs here"),
            )?;
            continue;
        }
        match surroundings::look_at(address, wanted.protocol).problem(address) {
            None => report.passed("port", format!("{address} ({key}) can be listened on"))?,
            Some(problem) => {
                let advice = format!("choose another address for {key}, or stop what is in its way");
                report.failed("port", format!("{address} ({key}): {problem}"), advice)?;
            }
        }
    }
    Ok(())
}

/// Whether the queue can be written, and how much room it has.
pub(super) fn queue(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let max = config.queue.max_bytes;
    let most = surroundings::in_words(max);
    let At::Disk(path) = &config.queue.at else {
        let said = format!("in memory, up to {most}: what waits there is lost with the process");
        return report.passed("queue", said);
    };
    let shown = path.display();
    let room = match surroundings::directory(path) {
        Ok(room) => room,
        Err(error) => {
            let advice = "give the process's user the directory (chown, StateDirectory=, a volume), or set path in \
                          [queue]; until then events are kept in memory";
            return report.failed("queue", error.to_string(), advice);
        }
    };
    let totals = match inspect::totals(path) {
        Ok(totals) => totals,
        // A new one is made at the start.
        Err(InspectError::NoQueue(_)) => inspect::Totals::default(),
        Err(_) if !room.exists => inspect::Totals::default(),
        Err(error) => {
            let advice = "the directory must belong to the process's user alone";
            return report.failed("queue", crate::telemetry::chain(&error), advice);
        }
    };
    let kind = match (room.exists, totals.in_use) {
        (false, _) => "can be made",
        (true, false) => "can be written",
        (true, true) => "can be written, and is in use",
    };
    let said = format!("{shown} {kind}; {} events wait", totals.pending);
    let Some(free) = room.free else {
        return report.passed("queue", said);
    };
    let said = format!(
        "{said}; {} are free, and it takes {most} at most",
        surroundings::in_words(free)
    );
    if free < max.saturating_sub(totals.bytes) {
        let advice =
            "lower max_bytes in [queue], or give it a larger disk: a full disk takes the queue into memory";
        return report.warned("queue", said, advice);
    }
    report.passed("queue", said)
}

/// Whether the observed log can be read.
pub(super) fn log(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    match &config.observe.log {
        // Its port is among the others.
        None | Some(LogSource::Udp(_)) => Ok(()),
        Some(LogSource::File(path)) => log_file(path, report),
        Some(LogSource::Unixgram(path)) => {
            let parent = path.parent().unwrap_or(Path::new("/"));
            match surroundings::directory(parent) {
                Ok(room) if room.exists => report.passed("log", format!("{} can be made", path.display())),
                Ok(_) => {
                    let said = format!(
                        "{} is not there, so no socket can be made in it",
                        parent.display()
                    );
                    report.failed(
                        "log",
                        said,
                        "make the directory (RuntimeDirectory= of systemd does)",
                    )
                }
                Err(error) => report.failed("log", error.to_string(), "let the process's user write there"),
            }
        }
    }
}

fn log_file(path: &Path, report: &mut Report<impl Write>) -> io::Result<()> {
    let shown = path.display();
    match File::open(path) {
        Ok(file) if file.metadata().is_ok_and(|facts| facts.is_file()) => {
            report.passed("log", format!("{shown} can be read"))
        }
        Ok(_) => report.failed(
            "log",
            format!("{shown} is no file"),
            "name the file in log of [observe]",
        ),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let advice = "it is followed from its beginning once it is there; is the path right?";
            report.warned("log", format!("{shown} is not there"), advice)
        }
        Err(error) => {
            let advice = "let the process's user read it and search its directory, often by the group adm";
            report.failed("log", format!("{shown}: {error}"), advice)
        }
    }
}

/// Whether the app answers.
pub(super) fn app(config: &Config, report: &mut Report<impl Write>) -> io::Result<()> {
    let Some(proxy) = &config.proxy else {
        return report.skipped("app", "none: requests are only seen from aside");
    };
    let app = &proxy.app;
    if let Some(said) = config.says_of_no_app() {
        return report.skipped("app", said);
    }
    let at = app.upstream.to_string();
    let host = visits::host(config);
    match ask(app, &host) {
        Ok(answered) if answered.status < 500 => {
            let said = format!("{at} answers {} to GET / for {host}", answered.status);
            report.passed("app", said)
        }
        Ok(answered) => {
            let said = format!("{at} answers {} to GET / for {host}", answered.status);
            report.warned("app", said, "the app's own log says why")
        }
        Err(error) => {
            let why = match error.kind() {
                io::ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                    "it does not answer in time".to_owned()
                }
                _ => error.to_string(),
            };
            let advice = "start the app, or correct url in [app]; visitors would get 502 or 504";
            report.failed("app", format!("{at}: {why}"), advice)
        }
    }
}

fn ask(app: &App, host: &str) -> io::Result<Answered> {
    let patience = Some(app.response_timeout.min(Duration::from_secs(10)));
    match &app.upstream {
        Upstream::Nothing => Err(io::Error::other("there is none")),
        Upstream::Tcp(name, port) => {
            let mut error = io::Error::other("its name has no address");
            for address in (name.as_str(), *port).to_socket_addrs()? {
                match TcpStream::connect_timeout(&address, app.connect_timeout) {
                    Ok(stream) => {
                        stream.set_read_timeout(patience)?;
                        return surroundings::get(stream, host, "/", "text/html");
                    }
                    Err(refused) => error = refused,
                }
            }
            Err(error)
        }
        Upstream::Unix(path) => {
            let stream = UnixStream::connect(path)?;
            stream.set_read_timeout(patience)?;
            surroundings::get(stream, host, "/", "text/html")
        }
    }
}
