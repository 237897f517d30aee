//! The chart of a standalone endpoint picker (charts.md sections 14 and 15): as files, in pods, beside other releases.
//! Must not need a cluster: the pool and the route are kinds of other projects.

mod recorded;
mod script;
mod values;

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::helm::{Helm, Objects, Output, copy, text, workspace, yaml};
use crate::or_skip;

pub use recorded::renders;

const RELEASE: &str = "dynamo-gaie";
const NAMESPACE: &str = "my-model";

fn gateway() -> PathBuf {
    workspace().join("deploy/inference-gateway")
}

fn chart() -> PathBuf {
    gateway().join("standalone/helm/dynamo-gaie")
}

/// `values` with an image, without which nothing renders.
fn with_image(values: &Value) -> Value {
    let mut values = values.clone();
    if values["extension"].is_null() {
        values["extension"] = json!({"image": "reg.example/dynamo-epp:1"});
    }
    values
}

fn render(helm: &Helm, values: &Value) -> Objects {
    Objects::parse(&helm.template(&chart(), RELEASE, NAMESPACE, &with_image(values)))
}

fn refusal(helm: &Helm, values: &Value) -> String {
    let output = helm.template(&chart(), RELEASE, NAMESPACE, &with_image(values));
    assert!(!output.ok, "these values must not render: {values}");
    output.stderr
}

fn only<'a>(objects: &'a Objects, kind: &str) -> &'a Value {
    objects.0.iter().find(|object| object["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn notes(helm: &Helm, values: &Value) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let copied = dir.path().join("dynamo-gaie");
    copy(&chart(), &copied);
    let notes = std::fs::read_to_string(copied.join("templates/NOTES.txt")).expect("the notes");
    let wrapped = format!(
        "{{{{- define \"notes\" -}}}}{notes}{{{{- end -}}}}\nkind: Notes\nmetadata: {{name: notes}}\n\
         text: {{{{ include \"notes\" . | toJson }}}}\n"
    );
    std::fs::write(copied.join("templates/notes.yaml"), wrapped).expect("the notes are wrapped");
    let objects = Objects::parse(&helm.template(&copied, RELEASE, NAMESPACE, &with_image(values)));
    text(&objects.get("Notes", "notes")["text"]).to_owned()
}

#[test]
fn the_chart_has_the_name_and_versions_of_the_contract() {
    let about = yaml(&chart().join("Chart.yaml"));
    assert_eq!(about["apiVersion"], "v2");
    assert_eq!(about["type"], "application");
    assert_eq!(about["name"], "dynamo-gaie");
    assert_eq!(about["version"], "0.2.0");
    assert_eq!(about["appVersion"], "1.16.0");
    assert_eq!(about["dependencies"], Value::Null);
}

#[test]
fn the_chart_passes_lint_strict_with_and_without_values() {
    let helm = or_skip!(Helm::find(), "helm");
    let (chart, sample) = (chart(), gateway().join("standalone/vllm_agg_qwen.yaml"));
    let (chart, sample) = (chart.to_str().expect("a plain path"), sample.to_str().expect("a plain path"));
    for extra in [
        vec![],
        vec!["--values", sample],
        vec!["--set", "epp.useDynamo=false"],
        vec!["--set", "serviceAccount.create=false,rbac.clusterReviews=false,httpRoute.enabled=false"],
    ] {
        let args = ["lint", "--strict", chart, "--set-string", "extension.image=reg.example/epp:1"];
        let output = helm.run(args.into_iter().chain(extra.iter().copied()));
        assert!(output.ok, "{extra:?}: {}{}", output.stdout, output.stderr);
    }
    let bare = helm.run(["lint", "--strict", chart]);
    assert!(bare.ok, "{}{}", bare.stdout, bare.stderr);
}

#[test]
fn install_and_upgrade_render_the_same_bytes_each_time() {
    let helm = or_skip!(Helm::find(), "helm");
    let chart = chart();
    let chart = chart.to_str().expect("a plain path");
    let render = |extra: &[&str]| {
        let args = ["template", RELEASE, chart, "-n", NAMESPACE, "--set-string", "extension.image=r/e:1"];
        let Output { ok, stdout, stderr } = helm.run(args.into_iter().chain(extra.iter().copied()));
        assert!(ok, "{stderr}");
        stdout
    };
    let first = render(&[]);
    assert_eq!(first, render(&[]));
    assert_eq!(first, render(&["--is-upgrade"]));
    assert!(!first.contains("helm.sh/hook"), "hooks would run again on every upgrade");
}

/// Step 5b of the guide, as `helm template`, from the folder that it names.
#[test]
fn the_literal_command_of_the_guide_renders_with_the_sample_values() {
    let helm = or_skip!(Helm::find(), "helm");
    let command = "template dynamo-gaie ./helm/dynamo-gaie -n my-model -f ./vllm_agg_qwen.yaml \
                   --set-string extension.image=reg.example/dynamo-epp:1";
    for etcd in [false, true] {
        let command = format!("{command} --set epp.dynamo.useEtcd={etcd}");
        let output = helm.run_in(&gateway().join("standalone"), command.split_whitespace());
        let objects = Objects::parse(&output);
        let env = objects.manager()["env"].clone();
        let has = |name: &str| env.as_array().into_iter().flatten().any(|entry| entry["name"] == name);
        assert_eq!((has("ETCD_ENDPOINTS"), has("DYN_DISCOVERY_BACKEND")), (etcd, !etcd));
        assert_eq!(objects.manager()["startupProbe"]["failureThreshold"], 180);
    }
}

#[test]
fn the_picker_gets_the_configuration_of_the_contract() {
    let helm = or_skip!(Helm::find(), "helm");
    for values in [json!({}), json!({"epp": {"useDynamo": false}})] {
        let objects = render(&helm, &values);
        let config = text(&only(&objects, "ConfigMap")["data"]["epp-config-dynamo.yaml"]);
        let config: Value = serde_yaml_ng::from_str(config).expect("the configuration is YAML");
        let expected = json!({
            "apiVersion": "inference.networking.x-k8s.io/v1alpha1",
            "kind": "EndpointPickerConfig",
            "plugins": [
                {"type": "single-profile-handler"},
                {"name": "picker", "type": "max-score-picker"},
                {"name": "dyn-kv", "type": "kv-aware-scorer"},
            ],
            "schedulingProfiles": [{
                "name": "default",
                "plugins": [{"pluginRef": "dyn-kv", "weight": 1}, {"pluginRef": "picker"}],
            }],
        });
        assert_eq!(config, expected);
    }
}

#[test]
fn the_picker_meets_pod_security_level_restricted() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = render(&helm, &json!({}));
    let pod = &objects.pod()["securityContext"];
    assert_eq!(pod["runAsNonRoot"], true);
    assert_eq!(pod["runAsUser"], 65532);
    assert_eq!(pod["seccompProfile"], json!({"type": "RuntimeDefault"}));
    let container = &objects.manager()["securityContext"];
    assert_eq!(container["allowPrivilegeEscalation"], false);
    assert_eq!(container["capabilities"], json!({"drop": ["ALL"]}));
    for volume in objects.pod()["volumes"].as_array().into_iter().flatten() {
        assert!(volume.get("emptyDir").or_else(|| volume.get("configMap")).is_some(), "{volume}");
    }
}

/// With hyphens alone, release `a` in `b-c` and release `a-b` in `c` could share a name.
#[test]
fn no_two_releases_share_a_cluster_scoped_object() {
    let helm = or_skip!(Helm::find(), "helm");
    let mut names = Vec::new();
    for (release, namespace) in [("dynamo-gaie", "a"), ("dynamo-gaie", "b"), ("gw", "a"), ("gw", "b-dynamo")]
    {
        let output = helm.template(&chart(), release, namespace, &with_image(&json!({})));
        for object in Objects::parse(&output).0 {
            if text(&object["kind"]).starts_with("ClusterRole") {
                names.push(format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"])));
            }
        }
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), count), (8, 8), "{names:?}");
}

#[test]
fn a_release_without_cluster_rights_has_no_cluster_scoped_object() {
    let helm = or_skip!(Helm::find(), "helm");
    let objects = render(&helm, &json!({"rbac": {"clusterReviews": false}}));
    assert!(!objects.list().iter().any(|name| name.starts_with("ClusterRole")), "{:?}", objects.list());
    assert!(objects.find("RoleBinding", "dynamo-gaie-epp").is_some());
}

#[test]
fn the_account_is_the_one_that_the_rights_are_bound_to() {
    let helm = or_skip!(Helm::find(), "helm");
    for (account, name, made) in [
        (json!({}), "dynamo-gaie-epp", true),
        (json!({"name": "mine"}), "mine", true),
        (json!({"create": false, "name": "mine"}), "mine", false),
        (json!({"create": false}), "default", false),
        (Value::Null, "default", false),
    ] {
        let objects = render(&helm, &json!({"serviceAccount": account}));
        assert_eq!(objects.pod()["serviceAccountName"], name, "{account}");
        assert_eq!(objects.find("ServiceAccount", name).is_some(), made, "{account}");
        for kind in ["RoleBinding", "ClusterRoleBinding"] {
            let expected = json!([{"kind": "ServiceAccount", "name": name, "namespace": NAMESPACE}]);
            assert_eq!(only(&objects, kind)["subjects"], expected, "{account}");
        }
    }
}

#[test]
fn the_notes_say_what_was_installed_and_how_to_check_it() {
    let helm = or_skip!(Helm::find(), "helm");
    let notes_of = notes(&helm, &json!({"httpRoute": {"gatewayNamespace": "gw"}}));
    for words in [
        "graph vllm-agg in namespace my-model, release dynamo-gaie",
        "image reg.example/dynamo-epp:1",
        "kubectl -n my-model rollout status deployment/qwen-epp",
        "kubectl -n my-model get inferencepool qwen-pool",
        "kubectl -n my-model get service qwen-epp",
        "nvidia.com/dynamo-component=Frontend,nvidia.com/dynamo-namespace=my-model-vllm-agg",
        "kubectl -n my-model describe httproute qwen-route",
        "kubectl -n gw get gateways.gateway.networking.k8s.io inference-gateway",
        "kubectl -n gw port-forward service/inference-gateway 8000:80",
        "curl http://127.0.0.1:8000/v1/models",
        "--block-size 16",
        "DYN_ROUTER_MODE=kv",
    ] {
        assert!(notes_of.contains(words), "{words:?} is missing in:\n{notes_of}");
    }
    let plain = notes(&helm, &json!({"httpRoute": {"enabled": false}, "epp": {"useDynamo": false}}));
    assert!(plain.contains("none (httpRoute.enabled is false)") && plain.contains("port 8000"), "{plain}");
    for words in ["qwen-route", "port-forward", "--block-size"] {
        assert!(!plain.contains(words), "{words:?} is in:\n{plain}");
    }
}
