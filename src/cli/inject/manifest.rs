//! What a stream of manifests says of workloads, their pods, and the Services before them.

use super::{
    sidecar::{APP_URL, NAME},
    yaml::{YamlContent, YamlNode},
};

/// The kinds that run pods for as long as they are wanted.
const WORKLOADS: [&str; 3] = ["Deployment", "StatefulSet", "DaemonSet"];
/// Names under which apps declare their port.
const USUAL_NAMES: [&str; 3] = ["http", "web", "http-web"];

/// An object of the stream.
#[derive(Debug, Clone)]
pub(super) struct Resource<'t> {
    pub(super) node: &'t YamlNode,
    /// Its place in the stream: the document's number, and `items` and a number within a list.
    pub(super) path: String,
}

/// The objects of the documents, those of lists among them.
pub(super) fn resources(documents: &[YamlNode]) -> Vec<Resource<'_>> {
    let mut found = Vec::new();
    for (number, document) in documents.iter().enumerate() {
        gather(document, number.to_string(), &mut found);
    }
    found
}

fn gather<'t>(node: &'t YamlNode, path: String, found: &mut Vec<Resource<'t>>) {
    let kind = node.get("kind").and_then(YamlNode::text).unwrap_or_default();
    match node.get("items") {
        Some(items) if kind.ends_with("List") => {
            for (number, item) in items.items().iter().enumerate() {
                gather(item, format!("{path}/items/{number}"), found);
            }
        }
        _ => found.push(Resource { node, path }),
    }
}

impl<'t> Resource<'t> {
    fn text(&self, path: &[&str]) -> Option<&'t str> {
        self.node.at(path).and_then(YamlNode::text)
    }

    fn group(&self) -> &'t str {
        let version = self.text(&["apiVersion"]).unwrap_or_default();
        version.split_once('/').map_or("", |(group, _)| group)
    }

    pub(super) fn kind(&self) -> &'t str {
        self.text(&["kind"]).unwrap_or_default()
    }

    pub(super) fn is_workload(&self) -> bool {
        matches!(self.group(), "apps" | "extensions") && WORKLOADS.contains(&self.kind())
    }

    pub(super) fn is_service(&self) -> bool {
        self.group().is_empty() && self.kind() == "Service"
    }

    /// `Deployment shop/web`
    pub(super) fn title(&self) -> String {
        let name = self
            .text(&["metadata", "name"])
            .or_else(|| self.text(&["metadata", "generateName"]));
        let namespace = self.text(&["metadata", "namespace"]);
        let namespace = namespace.map(|namespace| format!("{namespace}/"));
        format!(
            "{} {}{}",
            self.kind(),
            namespace.unwrap_or_default(),
            name.unwrap_or("without a name")
        )
    }

    fn namespace(&self) -> Option<&'t str> {
        self.text(&["metadata", "namespace"])
    }

    /// Whether this Service sends to the pods of that workload.
    pub(super) fn selects(&self, workload: &Resource<'_>) -> bool {
        let labels = workload.node.at(&["spec", "template", "metadata", "labels"]);
        let selector = self
            .node
            .at(&["spec", "selector"])
            .map_or(&[][..], YamlNode::entries);
        !selector.is_empty()
            && self.namespace() == workload.namespace()
            && selector.iter().all(|(key, value)| {
                let label = key.text().and_then(|key| labels?.get(key)?.text());
                label.is_some() && label == value.text()
            })
    }

    /// Whether its clients go to the pods' own addresses.
    pub(super) fn is_headless(&self) -> bool {
        self.text(&["spec", "clusterIP"]) == Some("None")
    }

    /// The ports of a Service.
    pub(super) fn service_ports(&self) -> Vec<ServicePort<'t>> {
        let ports = self.node.at(&["spec", "ports"]).map_or(&[][..], YamlNode::items);
        let is_tcp =
            |port: &&YamlNode| port.get("protocol").and_then(YamlNode::text).unwrap_or("TCP") == "TCP";
        let all = ports.iter().enumerate().filter(|(_, port)| is_tcp(port));
        all.filter_map(|(number, node)| {
            Some(ServicePort {
                node,
                number,
                name: node.get("name").and_then(YamlNode::text),
                port: node.get("port")?.text()?,
                target: node.get("targetPort").and_then(YamlNode::text),
            })
        })
        .collect()
    }
}

/// A port of a Service.
#[derive(Debug, Clone)]
pub(super) struct ServicePort<'t> {
    pub(super) node: &'t YamlNode,
    /// Its place among the Service's ports.
    pub(super) number: usize,
    name: Option<&'t str>,
    pub(super) port: &'t str,
    target: Option<&'t str>,
}

impl<'t> ServicePort<'t> {
    /// Where it sends, as written: a number or a port's name.
    pub(super) fn target(&self) -> &'t str {
        self.target.unwrap_or(self.port)
    }

    /// Whether it looks like the one for visitors.
    fn is_usual(&self) -> bool {
        self.name.is_some_and(|name| USUAL_NAMES.contains(&name)) || self.port == "80"
    }
}

/// The pod of a workload.
#[derive(Debug, Clone)]
pub(super) struct Pod<'t> {
    pub(super) spec: &'t YamlNode,
    ports: Vec<PodPort<'t>>,
}

/// A port that a container declares.
#[derive(Debug, Clone)]
pub(super) struct PodPort<'t> {
    pub(super) number: u16,
    name: Option<&'t str>,
    /// The container that declares it.
    pub(super) container: &'t str,
    /// Whether the node's own port leads there.
    pub(super) on_host: bool,
}

impl<'t> Pod<'t> {
    /// The pod of a workload.
    ///
    /// # Errors
    /// Why it can't be given a sidecar.
    pub(super) fn of(workload: &Resource<'t>) -> Result<Self, String> {
        let spec = place(workload.node, &["spec", "template", "spec"])?;
        let containers = place(spec, &["containers"])?;
        if containers.items().is_empty() {
            return Err("its containers are no list".to_owned());
        }
        let inits = spec.get("initContainers").map_or(&[][..], YamlNode::items);
        let ports = containers
            .items()
            .iter()
            .chain(inits)
            .flat_map(ports_of)
            .collect();
        Ok(Pod { spec, ports })
    }

    /// The sidecar that it has already: its place.
    pub(super) fn sidecar(&self) -> Option<&'t YamlNode> {
        let lists = ["containers", "initContainers"].into_iter();
        lists
            .filter_map(|list| self.spec.get(list))
            .flat_map(YamlNode::items)
            .find(|container| container.get("name").and_then(YamlNode::text) == Some(NAME))
    }

    /// The ports of an existing sidecar: the app's, and its own.
    pub(super) fn sidecar_ports(&self) -> Option<(u16, u16)> {
        let sidecar = self.sidecar()?;
        let variables = sidecar.get("env").map_or(&[][..], YamlNode::items).iter();
        let url = variables
            .filter(|variable| variable.get("name").and_then(YamlNode::text) == Some(APP_URL))
            .find_map(|variable| variable.get("value")?.text())?;
        let app = url.rsplit_once(':')?.1.trim_end_matches('/').parse().ok()?;
        let own = self
            .ports
            .iter()
            .find(|port| port.container == NAME && port.name == Some(NAME));
        Some((app, own?.number))
    }

    /// The ports of the containers, without an existing sidecar's.
    pub(super) fn app_ports(&self) -> impl Iterator<Item = &PodPort<'t>> {
        self.ports.iter().filter(|port| port.container != NAME)
    }

    /// A port by its number or name.
    pub(super) fn number_of(&self, port: &str) -> Option<u16> {
        port.parse().ok().or_else(|| {
            let named = self.app_ports().find(|declared| declared.name == Some(port));
            named.map(|declared| declared.number)
        })
    }

    /// The app's port, as it was said, or as the Services before the pod and its own declarations have it.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn app_port(&self, said: Option<&str>, services: &[ServicePort<'_>]) -> Result<u16, String> {
        let unknown = |port: &str| format!("no container has a port named {port:?}");
        if let Some(said) = said {
            return self.number_of(said).ok_or_else(|| unknown(said));
        }
        let usual = services.iter().find(|port| port.is_usual());
        if let Some(service) = usual.or(services.first()) {
            let target = service.target();
            return self.number_of(target).ok_or_else(|| unknown(target));
        }
        let is_usual = |port: &&PodPort<'_>| port.name.is_some_and(|name| USUAL_NAMES.contains(&name));
        let declared = self
            .app_ports()
            .find(is_usual)
            .or_else(|| self.app_ports().next());
        declared.map(|port| port.number).ok_or_else(|| {
            "no Service of this stream selects it and no container declares a port: say --app-port".to_owned()
        })
    }

    /// Its grace period, in seconds.
    pub(super) fn grace(&self) -> Option<u64> {
        self.spec
            .get("terminationGracePeriodSeconds")?
            .text()?
            .parse()
            .ok()
    }

    /// Whether it has the node's network.
    pub(super) fn is_on_host(&self) -> bool {
        self.spec.get("hostNetwork").and_then(YamlNode::text) == Some("true")
    }

    /// How far its lists are indented from their keys.
    pub(super) fn list_indent(&self) -> usize {
        let containers = self
            .spec
            .entries()
            .iter()
            .find(|(key, _)| key.text() == Some("containers"));
        match containers {
            Some((key, list)) if matches!(list.content, YamlContent::List { flow: false, .. }) => {
                list.column.saturating_sub(key.column)
            }
            _ => 0,
        }
    }
}

fn ports_of(container: &YamlNode) -> Vec<PodPort<'_>> {
    let name = container.get("name").and_then(YamlNode::text).unwrap_or_default();
    let ports = container.get("ports").map_or(&[][..], YamlNode::items);
    let is_tcp = |port: &&YamlNode| port.get("protocol").and_then(YamlNode::text).unwrap_or("TCP") == "TCP";
    let ports = ports.iter().filter(is_tcp);
    ports
        .filter_map(|port| {
            Some(PodPort {
                number: port.get("containerPort")?.text()?.parse().ok()?,
                name: port.get("name").and_then(YamlNode::text),
                container: name,
                on_host: port.get("hostPort").is_some(),
            })
        })
        .collect()
}

/// What is at a path, where it is written out.
fn place<'t>(node: &'t YamlNode, path: &[&str]) -> Result<&'t YamlNode, String> {
    let mut at = node;
    for (depth, key) in path.iter().enumerate() {
        let way = path[..=depth].join(".");
        at = at.get(key).ok_or_else(|| format!("it has no {way}"))?;
        if matches!(at.content, YamlContent::Alias(_)) {
            return Err(format!(
                "its {way} is an alias: it has to be written out to be changed alone"
            ));
        }
    }
    Ok(at)
}
