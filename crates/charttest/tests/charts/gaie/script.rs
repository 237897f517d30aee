//! The script that installs the gateway, run with stand-ins for `kubectl` and `helm` that write down what they are asked.
//! Must not reach a cluster or a network: that the commands work is for whoever has both.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::gateway;

const KUBECTL: &str = r#"#!/bin/bash
echo "kubectl $*" >> "$CALLS"
case "$*" in
  "get crd "*) printf %s "$DEFINITIONS" ;;
  "get "*" -o name") printf %s "$EXISTING" ;;
  "wait gateways"*) exit "$ACCEPTED" ;;
esac
"#;
const HELM: &str = "#!/bin/bash\necho \"helm $*\" >> \"$CALLS\"\n";

/// What the cluster has before the script runs.
struct Cluster {
    /// Version of the definitions; empty: none.
    definitions: &'static str,
    /// Whether namespace and Gateway are there.
    existing: bool,
    accepts: bool,
}

const FRESH: Cluster = Cluster { definitions: "", existing: false, accepts: true };

struct Run {
    ok: bool,
    calls: Vec<String>,
    stdout: String,
    stderr: String,
}

fn stand_in(dir: &Path, name: &str, content: &str) {
    let path = dir.join(name);
    std::fs::write(&path, content).expect("the stand-in is written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
}

fn run(cluster: &Cluster, namespace: Option<&str>) -> Run {
    let dir = tempfile::tempdir().expect("a folder");
    stand_in(dir.path(), "kubectl", KUBECTL);
    stand_in(dir.path(), "helm", HELM);
    let calls = dir.path().join("calls");
    let mut command = Command::new("/bin/bash");
    command
        .arg(gateway().join("scripts/install_gaie_crd_kgateway.sh"))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", dir.path().display()))
        .env("CALLS", &calls)
        .env("DEFINITIONS", cluster.definitions)
        .env("EXISTING", if cluster.existing { "it/is-there" } else { "" })
        .env("ACCEPTED", if cluster.accepts { "0" } else { "1" });
    if let Some(namespace) = namespace {
        command.env("NAMESPACE", namespace);
    }
    let output = command.output().expect("bash starts");
    let calls = std::fs::read_to_string(&calls).unwrap_or_default();
    Run {
        ok: output.status.success(),
        calls: calls.lines().map(str::to_owned).collect(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Whether the calls hold these, in this order.
fn in_order(calls: &[String], wanted: &[&str]) {
    let mut rest = calls.iter();
    for words in wanted {
        assert!(rest.any(|call| call.contains(words)), "{words:?} is missing or too late in {calls:#?}");
    }
}

#[test]
fn a_fresh_cluster_gets_the_versions_of_the_contract_in_its_order() {
    let run = run(&FRESH, Some("my-model"));
    assert!(run.ok, "{}", run.stderr);
    in_order(
        &run.calls,
        &[
            "apply --server-side -f https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.4.1/standard-install.yaml",
            "apply --server-side -f https://github.com/kubernetes-sigs/gateway-api-inference-extension/releases/download/v1.2.1/manifests.yaml",
            "helm upgrade --install kgateway-crds oci://cr.kgateway.dev/kgateway-dev/charts/kgateway-crds --version v2.1.1 --namespace kgateway-system --create-namespace",
            "helm upgrade --install kgateway oci://cr.kgateway.dev/kgateway-dev/charts/kgateway --version v2.1.1 --namespace kgateway-system --set inferenceExtension.enabled=true",
            "create namespace my-model",
            "apply --namespace my-model -f https://github.com/kubernetes-sigs/gateway-api-inference-extension/raw/v1.2.1/config/manifests/gateway/kgateway/gateway.yaml",
            r#"patch gateways.gateway.networking.k8s.io inference-gateway --namespace my-model --type merge --patch {"spec":{"gatewayClassName":"kgateway"}}"#,
            "wait gateways.gateway.networking.k8s.io/inference-gateway --namespace my-model --for=condition=Accepted",
        ],
    );
    assert!(run.stdout.contains("== Gateway inference-gateway in namespace my-model"), "{}", run.stdout);
    assert!(run.stdout.contains("port-forward --namespace my-model service/inference-gateway 8000:80"));
}

#[test]
fn without_a_namespace_the_gateway_is_in_default() {
    let run = run(&FRESH, None);
    assert!(run.ok, "{}", run.stderr);
    in_order(&run.calls, &["apply --namespace default", "patch gateways.gateway.networking.k8s.io"]);
}

#[test]
fn a_second_run_keeps_the_namespace_and_the_class_of_the_gateway() {
    let again = Cluster { definitions: "v1.2.1", existing: true, ..FRESH };
    let run = run(&again, Some("my-model"));
    assert!(run.ok, "{}", run.stderr);
    assert!(!run.calls.iter().any(|call| call.contains("create namespace")), "{:#?}", run.calls);
    assert!(!run.calls.iter().any(|call| call.contains("gateway.yaml")), "{:#?}", run.calls);
    in_order(&run.calls, &["standard-install.yaml", "manifests.yaml", "helm upgrade", "patch gateways"]);
}

#[test]
fn newer_definitions_of_the_cluster_are_kept() {
    for (found, applied) in [("v1.10.0", 0), ("v1.4.1", 1), ("v1.4.1-rc.1", 1), ("v1.3.0", 1), ("v1.1.0", 2)]
    {
        let run = run(&Cluster { definitions: found, ..FRESH }, None);
        assert!(run.ok, "{found}: {}", run.stderr);
        let count = run.calls.iter().filter(|call| call.contains("apply --server-side")).count();
        assert_eq!(count, applied, "{found}: {:#?}", run.calls);
        assert_eq!(run.stdout.contains(&format!("kept: the cluster has {found}")), applied < 2, "{found}");
    }
}

#[test]
fn a_gateway_that_nobody_accepts_is_a_failure_that_says_where_to_look() {
    let run = run(&Cluster { accepts: false, ..FRESH }, None);
    assert!(!run.ok);
    assert!(run.stderr.contains("error: kgateway did not accept the Gateway"), "{}", run.stderr);
    assert!(!run.stdout.contains("== Done"), "{}", run.stdout);
}
