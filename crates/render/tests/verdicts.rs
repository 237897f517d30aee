//! Verdicts as a whole: the order and form of messages, changes of objects that broke rules before, who may scale, and
//! the published manifests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use dynamo_api::v1alpha1::{DynamoGraphDeployment, DynamoModel};
use dynamo_render::{
    OperatorConfig, Policy,
    validate::{Judged, Requester, Rule, Verdict},
};
use serde_json::{Value, json};

/// A graph with one service, into which `parts` are merged at a path such as `/spec/services/Worker`.
fn graph(parts: &[(&str, Value)]) -> DynamoGraphDeployment {
    let mut manifest = json!({
        "apiVersion": "nvidia.com/v1alpha1",
        "kind": "DynamoGraphDeployment",
        "metadata": {"name": "chat", "namespace": "demo"},
        "spec": {"services": {"Worker": {
            "componentType": "worker",
            "replicas": 1,
            "extraPodSpec": {"mainContainer": {"image": "example.com/engine:1"}},
        }}},
    });
    for (path, part) in parts {
        let target = manifest.pointer_mut(path).unwrap();
        for (key, value) in part.as_object().unwrap() {
            target[key] = value.clone();
        }
    }
    serde_json::from_value(manifest).unwrap()
}

fn create(dgd: &DynamoGraphDeployment) -> Verdict {
    dgd.on_create(&Policy::stateless(&OperatorConfig::default()))
}

fn update(old: &DynamoGraphDeployment, new: &DynamoGraphDeployment) -> Verdict {
    new.on_update(old, &Requester::default(), &Policy::stateless(&OperatorConfig::default()))
}

fn rules(verdict: &Verdict) -> Vec<Rule> {
    verdict.errors.0.iter().map(|error| error.rule).collect()
}

const WORKER: &str = "/spec/services/Worker";

#[test]
fn a_denial_names_every_broken_rule_in_the_order_of_the_fields_and_keeps_the_warnings() {
    let dgd = graph(&[
        ("/spec", json!({"pvcs": [{"name": ""}], "restart": {"id": ""}})),
        (WORKER, json!({"replicas": -1, "dynamoNamespace": "mine", "ingress": {"enabled": true}})),
        ("/spec/services", json!({"A": {"autoscaling": {}, "extraPodSpec": {"mainContainer": {}}}})),
    ]);
    let verdict = create(&dgd);
    assert_eq!(
        verdict.denial().unwrap(),
        "validation failed: spec.pvcs[0].name is required: the name of the claim\n\
         spec.restart.id is required: any text, a new one for each restart\n\
         spec.services[A].extraPodSpec.mainContainer.image is required: there is no default image\n\
         spec.services[Worker].ingress.host is required when ingress is enabled\n\
         spec.services[Worker].replicas must be non-negative, not -1"
    );
    let warned: Vec<Rule> = verdict.warnings.iter().map(|warning| warning.rule).collect();
    assert_eq!(warned, [Rule::AutoscalingIgnored, Rule::DynamoNamespaceIgnored, Rule::IngressIgnored]);
    assert_eq!(create(&graph(&[])).denial(), None);
}

#[test]
fn a_key_with_a_line_break_cannot_write_a_line_of_its_own() {
    let forged = json!({"annotations": {"a\nspec.services must have": ""}, "labels": {"a\nb": ""}});
    let verdict =
        create(&graph(&[("/spec/services", json!({"a\nspec.services must have": {}})), (WORKER, forged)]));
    let denial = verdict.denial().unwrap();
    assert_eq!(denial.lines().count(), verdict.errors.0.len(), "{denial}");
    assert!(denial.contains(r"spec.services[a\nspec.services must have]: "), "{denial}");
    assert!(verdict.warnings.iter().all(|warning| !warning.text.contains(char::is_control)));
}

#[test]
fn an_object_that_broke_a_rule_of_ours_before_can_be_edited_and_is_warned() {
    let odd = json!({"annotations": {"nvidia.com/dynamo-discovery-backend": "nats"}});
    let old = graph(&[(WORKER, odd.clone())]);
    assert_eq!(rules(&create(&old)), [Rule::DiscoveryBackendUnknown]);

    let verdict = update(&old, &graph(&[(WORKER, odd), (WORKER, json!({"replicas": 2}))]));
    assert_eq!(verdict.denial(), None, "scaling has nothing to do with it");
    assert_eq!(verdict.warnings[0].rule, Rule::DiscoveryBackendUnknown);
    assert!(verdict.warnings[0].text.contains("must be kubernetes or etcd"), "{:?}", verdict.warnings);
}

#[test]
fn a_rule_of_ours_that_is_broken_anew_or_otherwise_refuses_the_change() {
    let with = |value: &str| {
        graph(&[(WORKER, json!({"annotations": {"nvidia.com/dynamo-discovery-backend": value}}))])
    };
    assert_eq!(rules(&update(&with("nats"), &with("zookeeper"))), [Rule::DiscoveryBackendUnknown]);
    assert_eq!(rules(&update(&with("etcd"), &with("nats"))), [Rule::DiscoveryBackendUnknown]);
}

#[test]
fn a_rule_of_the_contract_refuses_a_change_even_if_it_was_broken_before() {
    let old = graph(&[(WORKER, json!({"ingress": {"enabled": true}}))]);
    let new = graph(&[(WORKER, json!({"ingress": {"enabled": true}, "replicas": 2}))]);
    assert_eq!(rules(&update(&old, &new)), [Rule::IngressHostMissing]);
}

#[test]
fn what_only_grove_would_refuse_is_a_warning() {
    let long = graph(&[("/metadata", json!({"name": "g".repeat(40)}))]);
    let labelled = graph(&[(WORKER, json!({"labels": {"team": "a b"}}))]);
    for (dgd, rule) in [(long, Rule::GroveNameLong), (labelled, Rule::LabelValueInvalid)] {
        let verdict = create(&dgd);
        assert_eq!(rules(&verdict), []);
        assert_eq!(verdict.warnings.iter().map(|warning| warning.rule).collect::<Vec<_>>(), [rule]);
    }
}

#[test]
fn a_verdict_is_short_however_many_rules_are_broken() {
    let empty = || vec![json!({"name": ""}); 20_000];
    let long = "s".repeat(900);
    let worker = json!({"envs": empty(), "labels": (0..200).map(|at| (format!("l{at}"), json!("a b"))).collect::<serde_json::Map<_, _>>()});
    let dgd = graph(&[
        ("/spec", json!({"envs": [{"name": format!("={}", "\n".repeat(5_000))}]})),
        ("/spec/services", json!({long.clone(): {"envs": empty()}, "é".repeat(900): {"envs": empty()}})),
        (WORKER, worker),
    ]);
    let verdict = create(&dgd);
    assert_eq!(verdict.errors.0.len(), 100);
    assert_eq!(verdict.errors.1, 1 + 1 + 1 + 20_000 - 100);
    assert_eq!((verdict.warnings.len(), verdict.more_warnings), (50, 150));
    assert!(verdict.errors.0.iter().all(|error| error.field.chars().count() <= 100), "paths are short");
    let denial = verdict.denial().unwrap();
    assert!(denial.ends_with("\nand 19903 more errors"), "{}", &denial[denial.len() - 100..]);
    assert!(denial.len() < 100 * 1_000, "{} bytes", denial.len());

    // What is beyond the first hundred is forgiven like the rest, and hides nothing that is new.
    assert_eq!(update(&dgd, &dgd).denial(), None);
    let mut next = dgd.clone();
    next.spec.services.get_mut("Worker").unwrap().replicas = Some(-1);
    assert_eq!(rules(&update(&dgd, &next)), [Rule::ReplicasNegative]);
}

#[test]
fn a_password_beside_a_source_is_not_repeated() {
    let both =
        json!([{"name": "A", "value": "hunter2", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    let verdict = create(&graph(&[(WORKER, json!({"envs": both}))]));
    assert_eq!(rules(&verdict), [Rule::VariableSource]);
    assert!(!format!("{verdict:?}").contains("hunter2"));
}

#[test]
fn an_object_that_is_being_deleted_may_change_in_any_way() {
    let dying = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    let old = graph(&[("/metadata", dying.clone())]);
    let new = graph(&[("/metadata", dying), ("/spec", json!({"services": {}}))]);
    assert_eq!(update(&old, &new), Verdict::default());

    let model = |spec: Value, dying: bool| -> DynamoModel {
        let mut metadata = json!({"name": "m", "namespace": "demo"});
        if dying {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        serde_json::from_value(json!({"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoModel",
            "metadata": metadata, "spec": spec}))
        .unwrap()
    };
    let config = OperatorConfig::default();
    let judge = |dying| {
        let old = model(json!({"modelName": "a", "baseModelName": "b"}), dying);
        let requester = Requester::default();
        model(json!({}), dying).on_update(&old, &requester, &Policy::stateless(&config))
    };
    assert_eq!(judge(true), Verdict::default());
    assert_eq!(judge(false).errors.0.len(), 3, "{:?}", judge(false));
}

#[test]
fn only_exact_names_may_set_the_replicas_that_an_adapter_owns() {
    let trusted = ["system:serviceaccount:platform:dynamo-operator-controller-manager".to_owned()];
    let may = |username: Option<&str>, namespace: &str| {
        Requester { username, trusted: &trusted }.may_scale(namespace)
    };
    for good in [&trusted[0], "system:serviceaccount:demo:planner-serviceaccount"] {
        assert!(may(Some(good), "demo"), "{good}");
    }
    for bad in [
        "",
        "admin",
        "planner-serviceaccount",
        "dynamo-operator-controller-manager",
        "system:serviceaccount:other:planner-serviceaccount",
        "system:serviceaccount:demo:x-planner-serviceaccount",
        "system:serviceaccount:demo:planner-serviceaccount-x",
        "system:serviceaccount:demo:planner-serviceaccount:x",
        "system:serviceaccount:demo:planner-serviceaccount ",
        "x:system:serviceaccount:demo:planner-serviceaccount",
        "system:serviceaccount::planner-serviceaccount",
        "system:serviceaccount:planner-serviceaccount",
        "System:serviceaccount:demo:planner-serviceaccount",
        "system:serviceaccount:demo:Planner-serviceaccount",
        "system:node:demo:planner-serviceaccount",
        "system:serviceaccount:demo:x-dynamo-operator-controller-manager",
        "system:serviceaccount:demo:dynamo-operator-controller-manager",
        "system:serviceaccount:platform:x-dynamo-operator-controller-manager",
        "system:serviceaccount:platform:dynamo-operator-controller-manager-x",
    ] {
        assert!(!may(Some(bad), "demo"), "{bad}");
    }
    assert!(!may(None, "demo"), "nobody");
    assert!(!may(Some("system:serviceaccount::planner-serviceaccount"), ""), "no namespace, no planner");
}

#[test]
fn every_published_manifest_is_accepted_as_it_is_and_again_as_an_update() {
    let Some(inputs) = support::parity_inputs() else { return };
    let config = support::platform();
    let installations = [
        Policy::stateless(&config),
        Policy { inference_pools: Some(true), ..Policy::stateless(&config) },
        Policy { inference_pools: Some(true), restricted: true, ..Policy::stateless(&config) },
    ];
    let (mut judged, mut refused) = (0, Vec::new());
    for (path, policy) in
        inputs.iter().flat_map(|path| installations.iter().map(move |policy| (path, policy)))
    {
        for document in support::documents(path) {
            if document["kind"] != "DynamoGraphDeployment" {
                continue;
            }
            let mut dgd: DynamoGraphDeployment = serde_json::from_value(document).unwrap();
            dgd.metadata.namespace = Some("ns-x".to_owned());
            judged += 1;
            let created = dgd.on_create(policy);
            assert_eq!(dgd.on_update(&dgd, &Requester::default(), policy), created, "{}", path.display());
            if let Some(denial) = created.denial() {
                refused.push((path.file_stem().unwrap().to_string_lossy().into_owned(), denial));
            }
        }
    }
    assert!(judged >= 3 * 60, "only {judged} graphs were judged");
    // The sample of the reference's own repository has no spec at all.
    refused.retain(|(name, denial)| {
        !(name == "deploy-operator-config-samples-nvidia-com-v1alpha1-dynamographdeployment"
            && denial == "validation failed: spec.services must have at least one service")
    });
    assert!(refused.is_empty(), "{refused:#?}");
}
