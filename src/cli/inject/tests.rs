//! Manifests of many shapes, before and after.

use clap::Parser;
use proptest::prelude::*;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    arguments: InjectArguments,
}

fn arguments(line: &str) -> InjectArguments {
    Line::parse_from(
        ["inject", "--domain", "example.com"]
            .into_iter()
            .chain(line.split_whitespace()),
    )
    .arguments
}

fn injected(text: &str, line: &str) -> Injected {
    inject(text, &arguments(line)).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// What is at a path, as text.
fn at(text: &str, document: usize, path: &str) -> String {
    let documents = documents(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    let mut node = &documents[document];
    for key in path.split('/') {
        let next = match key.parse::<usize>() {
            Ok(number) => node.items().get(number),
            Err(_) => node.get(key),
        };
        node = next.unwrap_or_else(|| panic!("no {key} of {path} in\n{text}"));
    }
    node.text().unwrap_or("(a collection)").to_owned()
}

const DEPLOYMENT: &str = "\
# Ours.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web   # the shop
  namespace: shop
spec:
  template:
    metadata:
      labels: {app: web, tier: front}
    spec:
      containers:
        - name: web
          image: shop:1
          args: [\"yes\", 0o17, 1e3, off]
          ports:
            - name: http
              containerPort: 3000
        # The last one.
        - name: helper
          image: helper:1
";

const SERVICE: &str = "\
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec:
  selector:
    app: web
  ports:
    - port: 80
      targetPort: http   # by name
    - port: 9000
      targetPort: 9000
";

#[test]
fn a_deployment_gets_the_sidecar_and_its_service_leads_there() {
    let text = format!("{DEPLOYMENT}---\n{SERVICE}");
    let Injected { text: after, said } =
        injected(&text, "--plausible https://p.example --image me/gatecount:2");
    let expected_before = text.replace("targetPort: http ", "targetPort: 8080 ");
    let added = after.lines().filter(|line| !expected_before.contains(line));
    assert!(added.count() > 30, "{after}");
    for line in expected_before.lines() {
        assert!(after.contains(line), "{line} is gone:\n{after}");
    }
    let spec = "spec/template/spec";
    for (path, value) in [
        ("initContainers/0/name", "gatecount"),
        ("initContainers/0/image", "me/gatecount:2"),
        ("initContainers/0/restartPolicy", "Always"),
        ("initContainers/0/env/0/value", "0.0.0.0:8080"),
        ("initContainers/0/env/2/value", "http://127.0.0.1:3000"),
        ("initContainers/0/env/3/value", "example.com"),
        ("initContainers/0/env/4/value", "https://p.example"),
        ("initContainers/0/securityContext/runAsUser", "65532"),
        ("volumes/0/name", "gatecount-queue"),
    ] {
        assert_eq!(at(&after, 0, &format!("{spec}/{path}")), value, "{path}");
    }
    assert_eq!(
        said,
        [
            "Deployment shop/web: the sidecar listens on port 8080 before the app's port 3000",
            "Service shop/web: port 80 leads to 8080, the sidecar's, in place of http",
        ]
    );
}

#[test]
fn what_has_the_sidecar_stays_as_it_is() {
    let once = injected(&format!("{DEPLOYMENT}---\n{SERVICE}"), "").text;
    let twice = injected(&once, "--image another:1 --domain other.example");
    assert_eq!(twice.text, once);
    assert_eq!(
        twice.said,
        ["Deployment shop/web: it has the sidecar already, which stays as it is"]
    );
    // A Service that comes later is led to it all the same.
    let with_service = injected(
        &format!("{}---\n{SERVICE}", injected(DEPLOYMENT, "--port 8123").text),
        "",
    );
    assert_eq!(at(&with_service.text, 1, "spec/ports/0/targetPort"), "8123");
}

#[test]
fn a_port_that_a_container_has_is_not_taken() {
    let text = DEPLOYMENT.replace("3000", "8080");
    let after = injected(&format!("{text}---\n{SERVICE}"), "").text;
    assert_eq!(
        at(&after, 0, "spec/template/spec/initContainers/0/env/0/value"),
        "0.0.0.0:8081"
    );
    assert_eq!(at(&after, 1, "spec/ports/0/targetPort"), "8081");
    let error = inject(&text, &arguments("--port 8080")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a container has port 8080 already: say another --port"
    );
}

#[test]
fn the_apps_port_is_the_services_else_the_one_that_is_declared_else_asked_for() {
    let app = |text: &str, line: &str| {
        let after = injected(text, line).text;
        at(&after, 0, "spec/template/spec/initContainers/0/env/2/value")
    };
    assert_eq!(app(DEPLOYMENT, ""), "http://127.0.0.1:3000");
    assert_eq!(app(DEPLOYMENT, "--app-port 4000"), "http://127.0.0.1:4000");
    let by_number = format!(
        "{DEPLOYMENT}---\n{}",
        SERVICE.replace("targetPort: http", "targetPort: 5000")
    );
    assert_eq!(app(&by_number, ""), "http://127.0.0.1:5000");
    let elsewhere = by_number.replace("namespace: shop}", "namespace: other}");
    assert_eq!(app(&elsewhere, ""), "http://127.0.0.1:3000");
    let silent = DEPLOYMENT.replace("containerPort: 3000", "containerPort: null");
    let error = inject(&silent, &arguments("")).unwrap_err().to_string();
    assert!(
        error.contains("Deployment shop/web: no Service") && error.contains("--app-port"),
        "{error}"
    );
    let error = inject(DEPLOYMENT, &arguments("--app-port https"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no container has a port named \"https\""),
        "{error}"
    );
}

#[test]
fn a_service_without_a_target_gets_one_and_a_headless_one_is_told_of() {
    let without = SERVICE
        .replace("      targetPort: http   # by name\n", "")
        .replace("port: 80", "port: 3000");
    let after = injected(&format!("{DEPLOYMENT}---\n{without}"), "").text;
    assert_eq!(at(&after, 1, "spec/ports/0/targetPort"), "8080");
    let headless = SERVICE.replace("  selector:", "  clusterIP: None\n  selector:");
    let Injected { text, said } = injected(&format!("{DEPLOYMENT}---\n{headless}"), "");
    assert_eq!(at(&text, 1, "spec/ports/0/targetPort"), "http");
    assert!(said.iter().any(|line| line.contains("headless")), "{said:?}");
}

#[test]
fn lists_and_json_are_changed_in_place() {
    let indented = |text: &str| text.replace("\n# Ours.", "").replace('\n', "\n    ");
    let list = format!(
        "apiVersion: v1\nkind: List\nitems:\n  - {}\n  - {}\n",
        indented(DEPLOYMENT.trim_start_matches("# Ours.\n")).trim_end(),
        indented(SERVICE).trim_end()
    );
    let after = injected(&list, "").text;
    assert_eq!(
        at(&after, 0, "items/0/spec/template/spec/initContainers/0/name"),
        "gatecount"
    );
    assert_eq!(at(&after, 0, "items/1/spec/ports/0/targetPort"), "8080");

    for pretty in [true, false] {
        let json = serde_json::json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "db"},
            "spec": {"template": {"spec": {
                "containers": [{"name": "db", "ports": [{"containerPort": 1234}]}], "volumes": [],
            }}},
        });
        let text = if pretty {
            serde_json::to_string_pretty(&json).unwrap()
        } else {
            json.to_string()
        };
        let after = injected(&text, "--sidecar classic").text;
        let after: serde_json::Value = serde_json::from_str(&after).expect("still JSON");
        let pod = &after["spec"]["template"]["spec"];
        assert_eq!(
            pod["containers"][0],
            json["spec"]["template"]["spec"]["containers"][0]
        );
        assert_eq!(pod["containers"][1]["name"], "gatecount");
        assert_eq!(pod["containers"][1].get("restartPolicy"), None);
        assert_eq!(pod["volumes"][0]["name"], "gatecount-queue");
    }
}

#[test]
fn lists_that_are_empty_or_null_are_filled() {
    for empty in [
        "initContainers:",
        "initContainers: []",
        "initContainers: null",
        "initContainers: ~",
    ] {
        let text = DEPLOYMENT.replace("      containers:", &format!("      {empty}\n      containers:"));
        let after = injected(&text, "").text;
        assert_eq!(
            at(&after, 0, "spec/template/spec/initContainers/0/name"),
            "gatecount",
            "{empty}"
        );
        assert_eq!(
            at(&after, 0, "spec/template/spec/containers/0/name"),
            "web",
            "{empty}"
        );
    }
}

#[test]
fn a_short_grace_period_shortens_the_drain() {
    let with_grace = |seconds: &str| {
        let line = format!("      terminationGracePeriodSeconds: {seconds}\n      containers:");
        injected(&DEPLOYMENT.replace("      containers:", &line), "").text
    };
    assert!(with_grace("12").contains("name: GATECOUNT_LISTEN_DRAIN\n              value: \"7s\""));
    assert!(!with_grace("30").contains("GATECOUNT_LISTEN_DRAIN"));
}

#[test]
fn what_cant_be_changed_is_told_and_nothing_is_printed() {
    let alias = "\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
x: &all [{name: web}]
spec: {template: {spec: {containers: *all}}}
";
    for (text, wanted) in [
        ("a: [", "no YAML"),
        ("kind: Job\n", "no Deployment"),
        (alias, "Deployment a: its containers is an alias"),
        (
            "apiVersion: apps/v1\nkind: DaemonSet\n",
            "DaemonSet without a name: it has no spec",
        ),
    ] {
        let error = inject(text, &arguments("--app-port 1")).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn a_knative_service_is_none_of_these() {
    let knative = SERVICE.replace("apiVersion: v1", "apiVersion: serving.knative.dev/v1");
    let after = injected(&format!("{DEPLOYMENT}---\n{knative}"), "").text;
    assert_eq!(at(&after, 1, "spec/ports/0/targetPort"), "http");
}

/// How a stream is written.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
struct Shape {
    kind: &'static str,
    list_indent: usize,
    target: &'static str,
    odd: &'static str,
    sidecars: &'static str,
    volumes: &'static str,
    tail: &'static str,
    service_first: bool,
    crlf: bool,
    last_break: bool,
    comments: bool,
}

impl Shape {
    fn stream(&self) -> String {
        let dash = " ".repeat(self.list_indent);
        let comment = if self.comments {
            "# a note: with a colon\n"
        } else {
            ""
        };
        let workload = format!(
            "{comment}apiVersion: apps/v1\nkind: {}\nmetadata:\n  name: web\n  annotations:\n    odd: {}\nspec:\n  \
             template:\n    metadata:\n      labels:\n        app: web\n        \"on\": \"yes\"\n    spec:\n{}{}      \
             containers:\n      {dash}- name: web\n      {dash}  ports:\n      {dash}  - {{name: http, containerPort: \
             3000}}\n      {dash}  env:\n      {dash}  - name: SCRIPT\n      {dash}    value: {}\n{}",
            self.kind,
            self.odd,
            self.sidecars,
            self.volumes,
            self.odd.replace("\n    ", &format!("\n          {dash}")),
            self.tail,
        );
        let service = format!(
            "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  ports:\n  - name: http\n    port: 3000\n\
             {}  - name: other\n    port: 1\n    targetPort: 1\n  selector:\n    app: web\n",
            self.target
        );
        let other =
            "kind: ConfigMap\napiVersion: v1\ndata:\n  a: 0o17\n  b: &x yes\n  c: *x\n  d: |+\n    text\n\n";
        let parts = if self.service_first {
            [service.as_str(), other, workload.as_str()]
        } else {
            [other, workload.as_str(), service.as_str()]
        };
        let mut text = parts.join("---\n");
        if !self.last_break {
            text.truncate(text.trim_end().len());
        }
        if self.crlf {
            text.replace('\n', "\r\n")
        } else {
            text
        }
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let odd = [
        "\"yes\"",
        "'0o17'",
        "1.0",
        "~",
        "|-\n      set -e\n      # no comment: text\n      - run\n",
        ">+\n      folded\n      text\n\n",
        "\"a # b\"",
        "it's plain # a comment",
    ];
    let sidecars = [
        "",
        "      initContainers:\n      - name: migrate\n        image: x:1\n",
        "      initContainers: []\n",
    ];
    let volumes = [
        "",
        "      volumes:\n        - name: data\n          emptyDir:\n",
        "      volumes: [{name: data}]\n",
    ];
    let tail = [
        "",
        "      terminationGracePeriodSeconds: 10\n",
        "      nodeSelector: {}\n",
        "      serviceAccountName:\n",
        "  replicas: 2\n",
    ];
    let target = [
        "",
        "    targetPort: http\n",
        "    targetPort: 3000\n",
        "    targetPort: \"http\" # there\n",
    ];
    let words = (
        prop::sample::select(vec!["Deployment", "StatefulSet", "DaemonSet"]),
        prop::sample::select(vec![0usize, 2, 4]),
        prop::sample::select(target.to_vec()),
        prop::sample::select(odd.to_vec()),
        prop::sample::select(sidecars.to_vec()),
        prop::sample::select(volumes.to_vec()),
        prop::sample::select(tail.to_vec()),
    );
    (words, any::<[bool; 4]>()).prop_map(|(words, flags)| {
        let (kind, list_indent, target, odd, sidecars, volumes, tail) = words;
        let [service_first, crlf, last_break, comments] = flags;
        Shape {
            kind,
            list_indent,
            target,
            odd,
            sidecars,
            volumes,
            tail,
            service_first,
            crlf,
            last_break,
            comments,
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_stream_of_any_shape_keeps_every_line_but_the_services_target(shape in shapes(), classic: bool) {
        let text = shape.stream();
        let line = if classic { "--sidecar classic" } else { "" };
        let after = injected(&text, line).text;
        let mut rest = after.split('\n').map(|line| line.trim_end_matches('\r'));
        for line in text.split('\n').map(|line| line.trim_end_matches('\r')) {
            let moved = line.contains("targetPort: 3000") || line.contains("targetPort: http")
                || line.contains("targetPort: \"http\"");
            let filled = line.ends_with("[]") || line.ends_with("[{name: data}]");
            if !moved && !filled {
                prop_assert!(rest.any(|kept| kept == line), "{line:?} is gone or has moved:\n{after}");
            }
        }
        prop_assert_eq!(after.contains('\r'), shape.crlf);

        let found = documents(&after).expect("YAML");
        let resources = manifest::resources(&found);
        let workload = resources.iter().find(|resource| resource.is_workload()).expect("the workload");
        let pod = Pod::of(workload).expect("its pod");
        prop_assert_eq!(pod.sidecar_ports(), Some((3000, 8080)));
        let service = resources.iter().find(|resource| resource.is_service()).expect("the Service");
        let targets: Vec<&str> = service.service_ports().iter().map(manifest::ServicePort::target).collect();
        prop_assert_eq!(targets, ["8080", "1"]);

        prop_assert_eq!(injected(&after, line).text, after);
    }
}
