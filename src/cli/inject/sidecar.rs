//! What is added to a pod: the container, and the volume of its queue.

use clap::ValueEnum;
use serde_json::{Value, json};

/// The container's name, by which it is known in a manifest that has one already.
pub(super) const NAME: &str = "gatecount";
/// The name of the volume with its queue.
pub(super) const QUEUE_VOLUME: &str = "gatecount-queue";
/// The name of the volume with its configuration.
pub(super) const CONFIG_VOLUME: &str = "gatecount-config";
/// The name of its port for the admin address.
pub(super) const ADMIN_PORT: &str = "gatecount-admin";
/// The variable that says where the app is.
pub(super) const APP_URL: &str = "GATECOUNT_APP_URL";

/// The user and group in which it runs.
const USER: u32 = 65532;
/// Where the queue's volume is mounted.
const STATE: &str = "/var/lib/gatecount";
/// Where the configuration's volume is mounted.
const CONFIGURATION: &str = "/etc/gatecount";
/// A pod's grace period where it says none, in seconds.
const DEFAULT_GRACE: u64 = 30;
/// What of the grace period is left to the last sends and writes, in seconds.
const AFTER_DRAIN: u64 = 5;

/// How Kubernetes runs the sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SidecarKind {
    /// As an init container that is restarted: it is up before the app and ends after it (Kubernetes 1.29)
    Native,
    /// As a container beside the app's (any Kubernetes)
    Classic,
}

impl SidecarKind {
    /// The key of the pod's list that it goes into.
    pub(super) fn list(self) -> &'static str {
        match self {
            SidecarKind::Native => "initContainers",
            SidecarKind::Classic => "containers",
        }
    }
}

/// What the sidecar is told, the same for every pod.
#[derive(Debug, Clone)]
pub(super) struct SidecarSettings {
    pub(super) kind: SidecarKind,
    pub(super) image: String,
    /// With commas between them; empty where the configuration has the sites.
    pub(super) domain: String,
    pub(super) plausible: Option<String>,
    /// A `ConfigMap` whose `gatecount.toml` is read.
    pub(super) config_map: Option<String>,
    /// Where it listens in each pod.
    pub(super) port: u16,
    /// Its admin port.
    pub(super) admin_port: u16,
}

/// What it is told of one pod.
#[derive(Debug, Clone, Copy)]
pub(super) struct PodFacts {
    /// The app's port.
    pub(super) app_port: u16,
    /// `terminationGracePeriodSeconds`
    pub(super) grace: Option<u64>,
}

/// The container.
pub(super) fn container(settings: &SidecarSettings, pod: PodFacts) -> Value {
    let mut environment = vec![
        variable("GATECOUNT_LISTEN_ADDRESS", &format!("0.0.0.0:{}", settings.port)),
        // The kubelet and Prometheus ask from outside of the pod.
        variable(
            "GATECOUNT_ADMIN_ADDRESS",
            &format!("0.0.0.0:{}", settings.admin_port),
        ),
        variable(APP_URL, &format!("http://127.0.0.1:{}", pod.app_port)),
    ];
    if !settings.domain.is_empty() {
        environment.push(variable("GATECOUNT_DOMAIN", &settings.domain));
    }
    if let Some(url) = &settings.plausible {
        environment.push(variable("GATECOUNT_PLAUSIBLE_URL", url));
    }
    if settings.config_map.is_some() {
        let file = format!("{CONFIGURATION}/gatecount.toml");
        environment.push(variable("GATECOUNT_CONFIG", &file));
    }
    environment.push(variable("GATECOUNT_QUEUE_PATH", &format!("{STATE}/queue")));
    // What the limit of memory below is enough for.
    environment.push(variable("GATECOUNT_LISTEN_MAX_CONNECTIONS", "1000"));
    if let Some(grace) = pod.grace.filter(|grace| *grace < DEFAULT_GRACE) {
        let drain = grace.saturating_sub(AFTER_DRAIN).max(1);
        environment.push(variable("GATECOUNT_LISTEN_DRAIN", &format!("{drain}s")));
    }
    let mut mounts = vec![json!({"name": QUEUE_VOLUME, "mountPath": STATE})];
    if settings.config_map.is_some() {
        mounts.push(json!({"name": CONFIG_VOLUME, "mountPath": CONFIGURATION, "readOnly": true}));
    }
    let probe = |path: &str, period: u32, failures: u32| {
        json!({
            "httpGet": {"path": path, "port": ADMIN_PORT},
            "periodSeconds": period,
            "failureThreshold": failures,
        })
    };
    let mut container = json!({"name": NAME, "image": settings.image});
    let native = settings.kind == SidecarKind::Native;
    if native {
        container["restartPolicy"] = "Always".into();
    }
    container["env"] = environment.into();
    container["ports"] = json!([
        {"name": NAME, "containerPort": settings.port},
        {"name": ADMIN_PORT, "containerPort": settings.admin_port},
    ]);
    if native {
        // The app's containers are started once it listens.
        container["startupProbe"] = probe("/readyz", 1, 30);
    }
    container["readinessProbe"] = probe("/readyz", 2, 2);
    container["livenessProbe"] = probe("/livez", 10, 3);
    container["resources"] = json!({
        "requests": {"cpu": "20m", "memory": "64Mi"},
        "limits": {"memory": "256Mi"},
    });
    container["securityContext"] = json!({
        "runAsNonRoot": true,
        "runAsUser": USER,
        "runAsGroup": USER,
        "allowPrivilegeEscalation": false,
        "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    container["volumeMounts"] = mounts.into();
    container
}

fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// The volumes that the container mounts.
pub(super) fn volumes(settings: &SidecarSettings) -> Vec<Value> {
    let queue = json!({"name": QUEUE_VOLUME, "emptyDir": {"sizeLimit": "512Mi"}});
    let config = settings
        .config_map
        .as_ref()
        .map(|name| json!({"name": CONFIG_VOLUME, "configMap": {"name": name}}));
    [queue].into_iter().chain(config).collect()
}
