//! `gatecount inject`: adds the sidecar to the workloads of a stream of Kubernetes manifests, and leads their
//! Services to it.
//!
//! The text is changed in single places ([`edit`]), and whatever is not changed stays byte by byte as it was,
//! comments and anchors too. Before anything is printed, the result is read again and compared.

mod edit;
mod manifest;
mod sidecar;
mod yaml;

use std::{
    collections::BTreeSet,
    fmt::Display,
    io::{self, Read, Write},
};

use clap::Args;

use self::{
    edit::{TextEdits, only_changed},
    manifest::{Pod, Resource},
    sidecar::{PodFacts, SidecarKind, SidecarSettings, container, volumes},
    yaml::{YamlContent, documents},
};
use super::error::{CommandError, usage};
use crate::config::{self, Flags, Sources};

/// Where gatecount listens in a pod, if nobody else does.
const PORT: u16 = 8080;
/// Its admin port, likewise.
const ADMIN_PORT: u16 = 9090;

/// How the sidecar is set up.
#[derive(Debug, Args)]
#[expect(
    clippy::doc_markdown,
    reason = "these comments are the help text, which is no Markdown"
)]
pub(super) struct InjectArguments {
    /// The site's name at Plausible, for every host; several by commas or by repeating
    #[arg(long, value_name = "DOMAIN")]
    domain: Vec<String>,
    /// Where Plausible is [default: https://plausible.io]
    #[arg(long, value_name = "URL")]
    plausible: Option<String>,
    /// A ConfigMap with the configuration in its key gatecount.toml, in place of --domain or beside it
    #[arg(long, value_name = "NAME")]
    config_map: Option<String>,
    /// The container's image
    #[arg(long, value_name = "IMAGE", default_value = concat!("gatecount:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// Where the sidecar listens in the pod [default: 8080, or the next port that no container has]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// Where it tells how it is doing [default: 9090, or the next port that no container has]
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    admin_port: Option<u16>,
    /// The app's port, by number or name [default: where the Service leads, else what its container declares]
    #[arg(long, value_name = "PORT")]
    app_port: Option<String>,
    /// How Kubernetes runs the sidecar
    #[arg(long, value_enum, default_value = "native")]
    sidecar: SidecarKind,
}

/// Why a stream can't be given sidecars.
#[derive(Debug, thiserror::Error)]
enum InjectError {
    #[error("standard input is no YAML: {0}")]
    NotYaml(String),
    #[error("standard input has no Deployment, StatefulSet or DaemonSet")]
    NoWorkload,
    #[error("{}", .0.join("\n"))]
    Workloads(Vec<String>),
    #[error(
        "the manifests are written in a way that can't be changed in place; rewriting them (kubectl create \
             --dry-run=client -o yaml -f -) helps"
    )]
    Unchangeable,
}

/// The manifests with sidecars, and what was done.
#[derive(Debug)]
struct Injected {
    text: String,
    said: Vec<String>,
}

pub(super) fn run(arguments: &InjectArguments) -> Result<(), CommandError> {
    if arguments.domain.is_empty() && arguments.config_map.is_none() {
        return Err(usage(
            "say the site by --domain, or the configuration by --config-map",
        ));
    }
    check(arguments)?;
    let mut text = String::new();
    io::stdin().lock().read_to_string(&mut text)?;
    let injected = inject(&text, arguments).map_err(|error| CommandError::Running(error.into()))?;
    let mut out = io::stdout().lock();
    out.write_all(injected.text.as_bytes())?;
    out.flush()?;
    for line in injected.said {
        writeln!(io::stderr(), "{line}")?;
    }
    Ok(())
}

/// Reports values that the sidecar would refuse when it starts.
fn check(arguments: &InjectArguments) -> Result<(), CommandError> {
    let domain = if arguments.domain.is_empty() {
        vec!["example.com".to_owned()]
    } else {
        arguments.domain.clone()
    };
    config::load(&Sources::of_flags(Flags {
        app: Some("http://127.0.0.1:1".to_owned()),
        domain,
        plausible: arguments.plausible.clone(),
        queue: Some("memory".to_owned()),
        ..Flags::default()
    }))?;
    Ok(())
}

/// Adds the sidecar to every workload of the stream that has none.
fn inject(text: &str, arguments: &InjectArguments) -> Result<Injected, InjectError> {
    let documents = documents(text).map_err(|error| InjectError::NotYaml(error.to_string()))?;
    let resources = manifest::resources(&documents);
    let services: Vec<&Resource<'_>> = resources
        .iter()
        .filter(|resource| resource.is_service())
        .collect();
    let mut problems = Vec::new();
    let mut found = Vec::new();
    for workload in resources.iter().filter(|resource| resource.is_workload()) {
        match Pod::of(workload) {
            Ok(pod) => found.push((workload, pod)),
            Err(problem) => problems.push(format!("{}: {problem}", workload.title())),
        }
    }
    if found.is_empty() && problems.is_empty() {
        return Err(InjectError::NoWorkload);
    }
    let settings = settings(arguments, &found).map_err(|problem| InjectError::Workloads(vec![problem]))?;
    let mut stream = Stream {
        edits: TextEdits::of(text),
        changed: Vec::new(),
        added: Vec::new(),
        said: Vec::new(),
    };
    for (workload, pod) in &found {
        if let Err(problem) = stream.workload(workload, pod, &services, arguments, &settings) {
            problems.push(format!("{}: {problem}", workload.title()));
        }
    }
    if !problems.is_empty() {
        return Err(InjectError::Workloads(problems));
    }
    stream.finish(text)
}

/// Chooses ports that no container of any of the pods has: a Service may lead to the pods of several.
fn settings(
    arguments: &InjectArguments,
    found: &[(&Resource<'_>, Pod<'_>)],
) -> Result<SidecarSettings, String> {
    let pods = || found.iter().map(|(_, pod)| pod);
    let mut taken: BTreeSet<u16> = pods().flat_map(Pod::app_ports).map(|port| port.number).collect();
    taken.extend(
        arguments
            .app_port
            .iter()
            .filter_map(|port| port.parse::<u16>().ok()),
    );
    let mut choose = |flag: &str, said: Option<u16>, usual: u16| {
        let chosen = match said {
            Some(port) if taken.contains(&port) => {
                return Err(format!("a container has port {port} already: say another {flag}"));
            }
            Some(port) => port,
            None => (usual..=u16::MAX)
                .find(|port| !taken.contains(port))
                .ok_or_else(|| format!("no port is free: say {flag}"))?,
        };
        taken.insert(chosen);
        Ok(chosen)
    };
    Ok(SidecarSettings {
        kind: arguments.sidecar,
        image: arguments.image.clone(),
        domain: arguments.domain.join(","),
        plausible: arguments.plausible.clone(),
        config_map: arguments.config_map.clone(),
        port: choose("--port", arguments.port, PORT)?,
        admin_port: choose("--admin-port", arguments.admin_port, ADMIN_PORT)?,
    })
}

/// A stream that is being changed.
struct Stream<'t> {
    edits: TextEdits<'t>,
    /// The paths of scalars that get another value.
    changed: Vec<String>,
    /// The paths below which something is added.
    added: Vec<String>,
    said: Vec<String>,
}

impl Stream<'_> {
    /// Adds the sidecar to one workload where it is missing, and leads its Services to it.
    fn workload(
        &mut self,
        workload: &Resource<'_>,
        pod: &Pod<'_>,
        services: &[&Resource<'_>],
        arguments: &InjectArguments,
        settings: &SidecarSettings,
    ) -> Result<(), String> {
        let before: Vec<&&Resource<'_>> = services
            .iter()
            .filter(|service| service.selects(workload))
            .collect();
        let title = workload.title();
        let (app_port, own_port) = if pod.sidecar().is_some() {
            let ports = pod.sidecar_ports();
            self.say(&title, "it has the sidecar already, which stays as it is");
            let Some(ports) = ports else { return Ok(()) };
            ports
        } else {
            let ports: Vec<_> = before
                .iter()
                .flat_map(|service| service.service_ports())
                .collect();
            let app_port = pod.app_port(arguments.app_port.as_deref(), &ports)?;
            if app_port == settings.port || app_port == settings.admin_port {
                return Err(format!(
                    "the app has port {app_port} itself: say another --port or --admin-port"
                ));
            }
            self.add_sidecar(workload, pod, app_port, settings)?;
            self.say(
                &title,
                format!(
                    "the sidecar listens on port {} before the app's port {app_port}",
                    settings.port
                ),
            );
            self.hint(&title, pod, app_port, before.is_empty(), settings);
            (app_port, settings.port)
        };
        for service in before {
            self.lead(service, pod, app_port, own_port);
        }
        Ok(())
    }

    fn say(&mut self, title: &str, what: impl Display) {
        self.said.push(format!("{title}: {what}"));
    }

    /// What the user has to see to.
    fn hint(&mut self, title: &str, pod: &Pod<'_>, app_port: u16, alone: bool, settings: &SidecarSettings) {
        if alone {
            let port = settings.port;
            self.say(
                title,
                format!("no Service here leads to it: make yours lead to port {port}"),
            );
        }
        if pod.is_on_host() {
            self.say(
                title,
                "it has the node's network: both of the sidecar's ports have to be free on each node",
            );
        }
        let on_host = pod
            .app_ports()
            .find(|port| port.number == app_port && port.on_host);
        if let Some(port) = on_host {
            let container = port.container;
            self.say(
                title,
                format!("the hostPort of {container} leads past the sidecar"),
            );
        }
    }

    fn add_sidecar(
        &mut self,
        workload: &Resource<'_>,
        pod: &Pod<'_>,
        app_port: u16,
        settings: &SidecarSettings,
    ) -> Result<(), String> {
        let facts = PodFacts {
            app_port,
            grace: pod.grace(),
        };
        let container = container(settings, facts);
        let path = format!("{}/spec/template/spec", workload.path);
        let indent = pod.list_indent();
        // Items come before keys: both may go to the end of the same line.
        let lists = [
            (settings.kind.list(), vec![container]),
            ("volumes", volumes(settings)),
        ];
        let mut missing = Vec::new();
        for (list, items) in lists {
            let path = format!("{path}/{list}");
            let entry = pod
                .spec
                .entries()
                .iter()
                .find(|(key, _)| key.text() == Some(list));
            let first = match entry {
                None => {
                    missing.push((list, items));
                    0
                }
                Some((key, value)) if value.is_null() => {
                    self.edits.replace((key, value), &items.into());
                    self.changed.push(path.clone());
                    0
                }
                Some((_, value)) if matches!(value.content, YamlContent::List { .. }) => {
                    let first = value.items().len();
                    for item in &items {
                        self.edits.append_item(value, item, indent);
                    }
                    first
                }
                Some(_) => return Err(format!("its {list} are no list that is written out")),
            };
            // No pod has more volumes than this.
            self.added
                .extend((first..first + 2).map(|number| format!("{path}/{number}/")));
        }
        for (list, items) in missing {
            self.edits.add_key(pod.spec, list, &items.into(), indent);
        }
        Ok(())
    }

    /// Makes the ports of a Service that lead to the app lead to the sidecar.
    fn lead(&mut self, service: &Resource<'_>, pod: &Pod<'_>, app_port: u16, own_port: u16) {
        let title = service.title();
        if service.is_headless() {
            self.say(
                &title,
                format!("it is headless: whoever asks the pods' port {app_port} goes past the sidecar"),
            );
            return;
        }
        for port in service.service_ports() {
            let path = format!("{}/spec/ports/{}/targetPort", service.path, port.number);
            if pod.number_of(port.target()) != Some(app_port) || self.changed.contains(&path) {
                continue;
            }
            let entry = port
                .node
                .entries()
                .iter()
                .find(|(key, _)| key.text() == Some("targetPort"));
            match entry {
                Some((key, value)) => self.edits.replace((key, value), &own_port.into()),
                None => self.edits.add_key(port.node, "targetPort", &own_port.into(), 0),
            }
            self.changed.push(path);
            let (from, target) = (port.port, port.target());
            self.say(
                &title,
                format!("port {from} leads to {own_port}, the sidecar's, in place of {target}"),
            );
        }
    }

    /// The changed text, if it says what was asked for and nothing else.
    fn finish(self, before: &str) -> Result<Injected, InjectError> {
        let (changed, added, said) = (self.changed, self.added, self.said);
        if self.edits.is_empty() {
            let text = before.to_owned();
            return Ok(Injected { text, said });
        }
        let text = self.edits.apply();
        if !only_changed(before, &text, &changed, &added) {
            return Err(InjectError::Unchangeable);
        }
        Ok(Injected { text, said })
    }
}

#[cfg(test)]
mod tests;
