//! In Kubernetes: what `inject` writes, the Kustomize overlays and the Helm chart are rendered by the real
//! programs and held against Kubernetes' own schemas.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::support::{
    process::{has, run},
    skip,
};

/// The versions of Kubernetes that are tried: the oldest one that has sidecars, and the newest one.
const VERSIONS: [&str; 2] = ["1.30.0", "1.37.0"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Kubernetes' programs, where `tests/run` puts them.
fn tools() -> Option<PathBuf> {
    let tools = root().join("tests/.cache/kubernetes");
    if tools.join("site/kubernetes_validate").is_dir() && tools.join("helm").exists() && has("python3") {
        return Some(tools);
    }
    skip("kubectl, helm and kubernetes-validate are not installed");
    None
}

#[track_caller]
fn rendered(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs Python on a text, with the libraries of `tests/.cache/kubernetes/site`.
fn python(tools: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new("python3")
        .env("PYTHONPATH", tools.join("site"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// The objects of a stream as JSON, as another reader of YAML understands them.
fn objects(tools: &Path, stream: &str) -> Vec<Value> {
    let load =
        "import json, sys, yaml; json.dump([d for d in yaml.safe_load_all(sys.stdin) if d], sys.stdout)";
    let output = python(tools, &["-c", load], stream);
    serde_json::from_str(&rendered(&output)).unwrap()
}

/// Holds every object of a stream against the schemas. A kind that is not Kubernetes' own has none.
#[track_caller]
fn validate(tools: &Path, stream: &str) {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    fs::write(file.path(), stream).unwrap();
    for version in VERSIONS {
        let path = file.path().to_str().unwrap();
        let output = python(
            tools,
            &["-m", "kubernetes_validate", "--strict", "-k", version, path],
            "",
        );
        let said = [output.stdout, output.stderr].concat();
        assert!(
            output.status.success(),
            "{version}: {}\n{stream}",
            String::from_utf8_lossy(&said)
        );
    }
}

/// The pods' specs of the workloads.
fn pods(objects: &[Value]) -> Vec<&Value> {
    let kinds = ["Deployment", "StatefulSet", "DaemonSet"];
    let workloads = objects
        .iter()
        .filter(|object| kinds.contains(&object["kind"].as_str().unwrap()));
    workloads
        .map(|workload| &workload["spec"]["template"]["spec"])
        .collect()
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["containers", "initContainers"].into_iter();
    lists.filter_map(|list| pod[list].as_array()).flatten()
}

/// gatecount's container would start as it is configured, runs as it should, and has its time to drain.
#[track_caller]
fn assert_sound(pod: &Value) {
    let container = containers(pod)
        .find(|container| container["name"] == "gatecount")
        .expect("gatecount");
    let environment: BTreeMap<&str, &str> = container["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| {
            (
                variable["name"].as_str().unwrap(),
                variable["value"].as_str().expect("a text"),
            )
        })
        .collect();
    let checked = Command::new(crate::support::process::BINARY)
        .arg("check")
        .env_clear()
        .envs(
            environment
                .iter()
                .filter(|(name, _)| **name != "GATECOUNT_CONFIG"),
        )
        .envs((!environment.contains_key("GATECOUNT_DOMAIN")).then_some(("GATECOUNT_DOMAIN", "a.example")))
        .output()
        .unwrap();
    let resolved = rendered(&checked);

    let listens = |key: &str| {
        let port: u64 = environment[key].rsplit(':').next().unwrap().parse().unwrap();
        let ports = container["ports"].as_array().unwrap();
        ports.iter().any(|declared| declared["containerPort"] == port)
    };
    assert!(listens("GATECOUNT_LISTEN_ADDRESS") && listens("GATECOUNT_ADMIN_ADDRESS"));
    let image = container["image"].as_str().unwrap();
    let version = format!("gatecount:{}", env!("CARGO_PKG_VERSION"));
    assert!(image == version || image.starts_with("me/"), "{image}");
    let security = &container["securityContext"];
    assert_eq!(security["runAsNonRoot"], true);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"][0], "ALL");
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    for probe in ["readinessProbe", "livenessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "gatecount-admin", "{probe}");
    }

    let drain = resolved
        .lines()
        .find_map(|line| line.strip_prefix("drain = \""))
        .unwrap();
    let drain = humantime::parse_duration(drain.split('"').next().unwrap())
        .unwrap()
        .as_secs();
    let grace = pod["terminationGracePeriodSeconds"].as_u64().unwrap_or(30);
    let pause = |container: &Value| {
        container["lifecycle"]["preStop"]["sleep"]["seconds"]
            .as_u64()
            .unwrap_or(0)
    };
    assert!(
        grace >= pause(container) + drain + 3,
        "{grace} s for {} s and {drain} s",
        pause(container)
    );
    // A sidecar of the classic kind gets its signal with the app, which it still needs.
    let beside: Vec<&Value> = pod["containers"].as_array().unwrap().iter().collect();
    if beside.len() > 1 && beside.contains(&container) && pause(container) > 0 {
        assert!(
            beside
                .iter()
                .all(|other| other == &container || pause(other) > pause(container))
        );
    }
}

#[test]
fn the_overlays_are_what_kubernetes_takes() {
    let Some(tools) = tools() else { return };
    let mut count = 0;
    for overlay in fs::read_dir(root().join("deploy/kubernetes/overlays")).unwrap() {
        let overlay = overlay.unwrap().path();
        let output = Command::new(tools.join("kubectl"))
            .arg("kustomize")
            .arg(&overlay)
            .output()
            .unwrap();
        let stream = rendered(&output);
        validate(&tools, &stream);
        let objects = objects(&tools, &stream);
        let name = overlay.file_name().unwrap().to_str().unwrap().to_owned();
        let pods = pods(&objects);
        let with_gatecount: Vec<&&Value> = pods
            .iter()
            .filter(|pod| containers(pod).any(|container| container["name"] == "gatecount"))
            .collect();
        assert_eq!(with_gatecount.len(), 1, "{name}");
        assert_sound(with_gatecount[0]);
        let targets: Vec<String> = objects
            .iter()
            .filter(|object| object["kind"] == "Service")
            .map(|service| service["spec"]["ports"][0]["targetPort"].to_string())
            .collect();
        let wanted: &[&str] = if name.starts_with("gateway") {
            &["\"gatecount\"", "\"http\""]
        } else {
            &["8080"]
        };
        assert_eq!(targets, wanted, "{name}");
        let native = with_gatecount[0]["initContainers"][0]["restartPolicy"] == "Always";
        assert_eq!(native, ["native-sidecar", "stream"].contains(&name.as_str()));
        let publishes = containers(with_gatecount[0]).any(has_stream);
        assert_eq!(publishes, name == "stream");
        assert_eq!(delivers_in_turn(&objects), name == "stream");
        count += 1;
    }
    assert_eq!(count, 5);
}

/// Whether a container is given the stream's servers.
fn has_stream(container: &Value) -> bool {
    let environment = container["env"].as_array();
    environment.is_some_and(|list| {
        list.iter()
            .any(|variable| variable["name"] == "GATECOUNT_STREAM_URL")
    })
}

/// Whether there are gateways of the stream, which then are as they should be: there are several, they are kept
/// apart, one may go at a time, each would start as it is configured, and has its time to hand over.
#[track_caller]
fn delivers_in_turn(objects: &[Value]) -> bool {
    let gateways = objects.iter().find(|object| {
        object["kind"] == "Deployment"
            && containers(&object["spec"]["template"]["spec"]).any(|c| c["name"] == "gatecount-gateway")
    });
    let Some(gateways) = gateways else { return false };
    let pod = &gateways["spec"]["template"]["spec"];
    assert_eq!(gateways["spec"]["replicas"], 2);
    assert_eq!(
        pod["topologySpreadConstraints"][0]["topologyKey"],
        "kubernetes.io/hostname"
    );
    assert!(pod["terminationGracePeriodSeconds"].as_u64() >= Some(30));
    let labels = &gateways["spec"]["template"]["metadata"]["labels"];
    assert!(
        objects
            .iter()
            .any(|object| object["kind"] == "PodDisruptionBudget"
                && &object["spec"]["selector"]["matchLabels"] == labels)
    );
    let container = &pod["containers"][0];
    assert_eq!(container["args"], serde_json::json!(["gateway"]));
    assert!(has_stream(container));
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    assert_eq!(
        container["readinessProbe"]["exec"]["command"],
        serde_json::json!(["/gatecount", "healthcheck"])
    );
    let variables = container["env"].as_array().unwrap().iter();
    let checked = Command::new(crate::support::process::BINARY)
        .args(["check", "--gateway"])
        .env_clear()
        .envs(
            variables
                .map(|variable| {
                    (
                        variable["name"].as_str().unwrap(),
                        variable["value"].as_str().unwrap(),
                    )
                })
                .filter(|(name, _)| *name != "GATECOUNT_CONFIG"),
        )
        .output()
        .unwrap();
    rendered(&checked);
    true
}

/// What is asked of NATS' own chart is what the README and the doctor ask.
#[test]
fn the_values_for_nats_keep_each_event_on_three_disks() {
    let Some(tools) = tools() else { return };
    let values = fs::read_to_string(root().join("deploy/kubernetes/nats/values.yaml")).unwrap();
    let values = &objects(&tools, &values)[0]["config"];
    assert_eq!(values["cluster"]["replicas"], 3);
    assert_eq!(values["jetstream"]["fileStore"]["pvc"]["enabled"], true);
    assert_eq!(values["jetstream"]["merge"]["sync_interval"], "always");
}

#[test]
fn the_chart_is_what_kubernetes_takes_in_every_shape() {
    let Some(tools) = tools() else { return };
    let chart = root().join("deploy/helm/gatecount");
    let gateway = ["domain=a.example", "gateway.appUrl=http://shop:80"];
    let sidecar = ["domain=a.example", "mode=sidecar", "app.image=shop:1"];
    let shapes: [(&[&str], &[&str]); 10] = [
        (&gateway, &["podMonitor.enabled=true"]),
        (
            &gateway,
            &["queue.kind=persistent", "queue.storageClassName=fast"],
        ),
        (
            &gateway,
            &[
                "queue.kind=ephemeral",
                "preStopSeconds=0",
                "networkPolicy.enabled=false",
            ],
        ),
        (
            &gateway,
            &["config=[pages]\nbots = \"count\"\n", "drainSeconds=60"],
        ),
        (&sidecar, &[]),
        (
            &sidecar,
            &[
                "sidecar.kind=classic",
                "queue.kind=memory",
                "env[0].name=GATECOUNT_LOG",
                "env[0].value=debug",
            ],
        ),
        (
            &sidecar,
            &["queue.kind=ephemeral", "app.env[0].name=A", "app.env[0].value=b"],
        ),
        (
            &sidecar,
            &["stream.url=nats://nats:4222", "podMonitor.enabled=true"],
        ),
        (
            &gateway,
            &["stream.url=nats://nats:4222", "imagePullSecrets[0].name=a"],
        ),
        (
            &gateway,
            &[
                "stream.url=nats://nats:4222",
                "config=[pages]\nbots = \"count\"\n",
            ],
        ),
    ];
    for (base, more) in shapes {
        let mut helm = Command::new(tools.join("helm"));
        helm.args(["template", "web"]).arg(&chart);
        for value in base.iter().chain(more) {
            helm.args(["--set", value]);
        }
        let stream = rendered(&helm.output().unwrap());
        validate(&tools, &stream);
        let objects = objects(&tools, &stream);
        let pods = pods(&objects);
        let counting = |pod: &&Value| containers(pod).any(|container| container["name"] == "gatecount");
        let counting: Vec<&Value> = pods.iter().copied().filter(counting).collect();
        assert_eq!(counting.len(), 1, "{more:?}");
        assert_sound(counting[0]);
        let streams = more.iter().any(|value| value.starts_with("stream.url"));
        assert_eq!(containers(counting[0]).any(has_stream), streams, "{more:?}");
        assert_eq!(delivers_in_turn(&objects), streams, "{more:?}");
    }
    let bad: [&[&str]; 3] = [
        &[],
        &["mode=both"],
        &["mode=sidecar", "app.image=a", "domain=a", "queue.kind=persistent"],
    ];
    for values in bad {
        let mut helm = Command::new(tools.join("helm"));
        helm.args(["template", "web"]).arg(&chart);
        for value in values {
            helm.args(["--set", value]);
        }
        assert!(!helm.output().unwrap().status.success(), "{values:?}");
    }
    let linted = Command::new(tools.join("helm"))
        .args(["lint", "--strict"])
        .arg(&chart)
        .args(["--set", "domain=a.example,gateway.appUrl=http://shop:80"])
        .output()
        .unwrap();
    rendered(&linted);
}

#[test]
fn what_inject_writes_is_what_kubernetes_takes() {
    let Some(tools) = tools() else { return };
    let app = fs::read_to_string(root().join("deploy/kubernetes/base/app.yaml")).unwrap();
    let daemon = "---\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: d}\nspec:\n  selector: {matchLabels: {a: b}}\n  \
                  template:\n    metadata: {labels: {a: b}}\n    spec:\n      terminationGracePeriodSeconds: 20\n      \
                  containers: [{name: c, image: \"c:1\", ports: [{containerPort: 8080}]}]\n";
    let stream = format!("{app}{daemon}");
    for flags in [
        &["--domain", "example.com"][..],
        &[
            "--domain",
            "a.example,b.example",
            "--sidecar",
            "classic",
            "--plausible",
            "https://p.example",
        ],
        &[
            "--config-map",
            "gatecount",
            "--port",
            "8888",
            "--admin-port",
            "9999",
            "--image",
            "me/gatecount:2",
        ],
    ] {
        let output = run(&[&["inject"], flags].concat(), &stream);
        let injected = rendered(&output);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("Service shop: port 80 leads to"), "{said}");
        validate(&tools, &injected);
        let objects = objects(&tools, &injected);
        pods(&objects).into_iter().for_each(assert_sound);

        let again = run(&[&["inject"], flags].concat(), &injected);
        assert_eq!(rendered(&again), injected, "a second time changes something");
    }
    // As `kubectl get -o json` writes it.
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects(&tools, &stream)})
        .to_string();
    let injected = rendered(&run(&["inject", "--domain", "example.com"], &list));
    let list: Value = serde_json::from_str(&injected).expect("JSON");
    let items = list["items"].as_array().unwrap();
    pods(items).into_iter().for_each(assert_sound);
    for item in items {
        validate(&tools, &item.to_string());
    }
}

#[test]
fn inject_refuses_what_it_cant_do_before_it_prints_anything() {
    for (flags, input, status, wanted) in [
        (&["inject"][..], "", 2, "--domain"),
        (&["inject", "--domain", "no domain"], "", 2, "domain"),
        (
            &["inject", "--domain", "a.example", "--plausible", "nowhere"],
            "",
            2,
            "plausible.url",
        ),
        (
            &["inject", "--domain", "a.example"],
            "kind: Pod\n",
            1,
            "no Deployment",
        ),
        (
            &["--admin", "127.0.0.1:1", "inject", "--domain", "a.example"],
            "",
            2,
            "behind its name",
        ),
    ] {
        let output = run(flags, input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{said}");
        assert!(said.contains(wanted) && output.stdout.is_empty(), "{said}");
    }
}

/// The variables of `deploy/compose.yaml` make a configuration.
#[test]
fn the_compose_file_configures_gatecount() {
    let Some(tools) = tools() else { return };
    let compose = fs::read_to_string(root().join("deploy/compose.yaml")).unwrap();
    let compose = &objects(&tools, &compose)[0];
    let gatecount = &compose["services"]["gatecount"];
    let environment = gatecount["environment"].as_object().unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| (name, value.as_str().unwrap()));
    let checked = Command::new(crate::support::process::BINARY)
        .args(["check", "--queue", "memory"])
        .env_clear()
        .envs(environment)
        .output()
        .unwrap();
    rendered(&checked);
    let app = environment_host(gatecount["environment"]["GATECOUNT_APP_URL"].as_str().unwrap());
    assert!(compose["services"][app].is_object(), "{app} is no service");
    assert_eq!(gatecount["read_only"], true);
}

fn environment_host(url: &str) -> &str {
    url.trim_start_matches("http://").split(':').next().unwrap()
}
