//! Property tests: whatever a user writes, nothing panics, and what passes validation becomes objects that hold
//! together. Cases: 500, or `PROPTEST_CASES`; 10,000 for the first promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a test that fails"
)]

mod support;

use std::{cell::Cell, collections::BTreeSet};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_render::{
    OperatorConfig, Policy,
    config::CheckpointStorage,
    testing::{
        cluster::{checkpoints_in, facts, installation},
        graphs::{Mood, change, graph},
    },
    validate::{self, Judged, Requester, Rule, Verdict},
};
use k8s_openapi::{api::core::v1::Container, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRunner},
};
use serde_json::Value;
use support::Rendered;

fn cases() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(500);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// `PROPTEST_CASES` does not make them fewer. The quicker random numbers and the threads keep it below a minute.
#[test]
fn ten_thousand_graphs_render_without_panic_and_twice_to_the_same_bytes() {
    let valid = std::thread::scope(|scope| {
        let halves =
            [Mood::Wild, Mood::Tame].map(|mood| scope.spawn(move || render_five_thousand_twice(mood)));
        halves.map(|half| half.join().unwrap())
    });
    assert!(valid[1] > 1_000, "{valid:?} graphs were valid");
}

/// Returns how many of them were valid.
fn render_five_thousand_twice(mood: Mood) -> usize {
    let config = ProptestConfig { cases: 5_000, rng_algorithm: RngAlgorithm::XorShift, ..cases() };
    let valid = Cell::new(0);
    let inputs = (graph(mood), installation(), facts());
    let outcome = TestRunner::new(config).run(&inputs, |(manifest, config, (of_graph, facts))| {
        let dgd = decode(&manifest);
        let bytes = || {
            let rendered = support::render_with(&dgd, &config, &of_graph, &facts)?;
            Ok::<_, String>((serde_json::to_vec(&rendered.objects()).unwrap(), rendered.graph.restart))
        };
        let once = bytes();
        valid.set(valid.get() + usize::from(once.is_ok()));
        prop_assert!(once == bytes(), "rendered twice, two results");
        Ok(())
    });
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
    valid.get()
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn every_valid_graph_becomes_objects_that_hold_together(
        manifest in graph(Mood::Tame),
        config in installation(),
        (of_graph, facts) in facts(),
    ) {
        let dgd = decode(&manifest);
        // A rejected graph is fine here: names collide, backends contradict each other.
        if let Ok(rendered) = support::render_with(&dgd, &config, &of_graph, &facts) {
            check_names(&rendered)?;
            for built in &rendered.components {
                check_selectors(&built.deployment, &built.services[0])?;
                check_pod(&dgd, &built.deployment)?;
            }
        }
    }

    #[test]
    fn every_graph_gets_one_verdict_from_every_caller(manifest in graph(Mood::Wild)) {
        let dgd = decode(&manifest);
        let config = support::platform();
        for policy in policies(&config) {
            let verdict = dgd.on_create(&policy);
            prop_assert_eq!(&dgd.on_create(&policy), &verdict, "judged twice");
            let of_controller = validate::graph(&dgd, &policy).err().unwrap_or_default();
            prop_assert_eq!(&of_controller, &verdict.errors, "controller and webhook");
            let lines = verdict.denial().map_or(0, |denial| denial.lines().count());
            prop_assert_eq!(lines, verdict.errors.0.len() + verdict.errors.1.min(1), "one line for each broken rule");
            // What the reference let in can be edited: rules of ours are warnings as long as nothing else is broken.
            let requester = Requester::default();
            let after = dgd.on_update(&dgd, &requester, &policy);
            let ours = after.errors.0.iter().find(|error| error.rule.spec().is_ours());
            prop_assert!(ours.is_none(), "refused unchanged: {:?}", ours);
            let contract = |verdict: &Verdict| {
                verdict.errors.0.iter().filter(|error| !error.rule.spec().is_ours()).cloned().collect::<Vec<_>>()
            };
            prop_assert_eq!(contract(&after), contract(&verdict), "the contract's own rules stay");
            prop_assert_eq!(
                after.errors.0.len() + after.errors.1 + after.warnings.len() + after.more_warnings,
                verdict.errors.0.len() + verdict.errors.1 + verdict.warnings.len() + verdict.more_warnings,
                "nothing is forgotten"
            );
        }
    }

    #[test]
    fn the_components_of_a_valid_graph_are_valid(
        manifest in graph(Mood::Wild),
        tame in graph(Mood::Tame),
        config in installation(),
    ) {
        for mut dgd in [decode(&manifest), decode(&tame)] {
            // Whether a checkpoint can be used depends on what the cluster has, which no rule knows.
            dgd.spec.services.values_mut().for_each(|service| service.checkpoint = None);
            if validate::graph(&dgd, &Policy::stateless(&config)).is_ok() {
                let rendered = support::render(&dgd, &config).map(|_| ());
                prop_assert_eq!(rendered, Ok(()), "the graph passed, and what it becomes did not");
            }
        }
    }

    #[test]
    fn every_change_gets_a_verdict_and_one_of_a_dying_graph_is_allowed((old, new) in change(Mood::Wild)) {
        let (old, mut new) = (decode(&old), decode(&new));
        let config = support::platform();
        let policy = Policy::stateless(&config);
        let (nobody, trusted) = (Requester::default(), ["boss".to_owned()]);
        let boss = Requester { username: Some("boss"), trusted: &trusted };
        let rules = |requester: &Requester<'_>| -> BTreeSet<Rule> {
            new.on_update(&old, requester, &policy).errors.0.iter().map(|error| error.rule).collect()
        };
        let mut of_nobody = rules(&nobody);
        of_nobody.remove(&Rule::ReplicasOfAdapter);
        prop_assert_eq!(of_nobody, rules(&boss), "trust lifts one rule and no other");
        new.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        prop_assert_eq!(new.on_update(&old, &nobody, &policy), Verdict::default());
    }
}

#[test]
fn most_tame_graphs_are_valid_so_that_the_properties_say_something() {
    let mut runner = TestRunner::deterministic();
    let checkpoint = Some(checkpoints_in(CheckpointStorage::Pvc));
    let config = OperatorConfig { checkpoint, ..support::platform() };
    let valid = (0..200)
        .filter(|_| {
            let manifest = graph(Mood::Tame).new_tree(&mut runner).expect("a graph").current();
            support::render(&decode(&manifest), &config).is_ok()
        })
        .count();
    assert!(valid > 60, "{valid} of 200 graphs are valid");
}

/// Anything of the right JSON type decodes: an object that does not would stop a watch.
fn decode(manifest: &Value) -> DynamoGraphDeployment {
    serde_json::from_value(manifest.clone()).unwrap_or_else(|error| panic!("{error}: {manifest}"))
}

/// Installations that differ in what they judge.
fn policies(config: &OperatorConfig) -> [Policy<'_>; 3] {
    let plain = Policy::stateless(config);
    [
        plain,
        Policy { inference_pools: Some(false), restricted: true, config },
        Policy { inference_pools: Some(true), ..plain },
    ]
}

fn check_names(rendered: &Rendered) -> Result<(), TestCaseError> {
    let objects = rendered.objects();
    let mut taken = BTreeSet::new();
    for object in &objects {
        let id = support::id(object);
        prop_assert!(is_dns_label(&id.1, id.0 == "Service"), "{:?} is no DNS name", id);
        prop_assert!(taken.insert(id.clone()), "{:?} twice", id);
        for labels in ["/metadata/labels", "/spec/template/metadata/labels", "/spec/selector"] {
            for (key, value) in object.pointer(labels).and_then(Value::as_object).into_iter().flatten() {
                if let Some(value) = value.as_str() {
                    prop_assert!(is_label_value(value), "{:?}: label {key}={value:?}", id);
                }
            }
        }
    }
    Ok(())
}

fn check_selectors(
    deployment: &k8s_openapi::api::apps::v1::Deployment,
    service: &k8s_openapi::api::core::v1::Service,
) -> Result<(), TestCaseError> {
    let spec = deployment.spec.as_ref().unwrap();
    let labels = spec.template.metadata.as_ref().unwrap().labels.as_ref().unwrap();
    let of_deployment = spec.selector.match_labels.iter().flatten();
    let of_service = service.spec.as_ref().unwrap().selector.iter().flatten();
    for (key, value) in of_deployment.chain(of_service) {
        prop_assert_eq!(labels.get(key), Some(value), "selector {}", key);
    }
    Ok(())
}

fn check_pod(
    dgd: &DynamoGraphDeployment,
    deployment: &k8s_openapi::api::apps::v1::Deployment,
) -> Result<(), TestCaseError> {
    let pod = deployment.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let volumes: Vec<_> = pod.volumes.iter().flatten().map(|volume| volume.name.as_str()).collect();
    check_unique("volume", volumes.iter().copied())?;
    check_unique("container", pod.containers.iter().map(|container| container.name.as_str()))?;
    for container in &pod.containers {
        check_unique("variable", container.env.iter().flatten().map(|variable| variable.name.as_str()))?;
        check_unique("mount path", mounts(container).map(|(_, path)| path))?;
    }
    let main = pod.containers.last().unwrap();
    let service =
        &dgd.spec.services[&deployment.metadata.labels.as_ref().unwrap()["nvidia.com/dynamo-component"]];
    let user = service.extra_pod_spec.as_ref().and_then(|pod| pod.main_container.as_ref());
    for (name, path) in mounts(main) {
        let own = user.is_some_and(|user| mounts(user).any(|mount| mount == (name, path)));
        prop_assert!(own || volumes.contains(&name), "mount {path} of {name:?}, which is no volume");
    }
    for probe in [&main.liveness_probe, &main.readiness_probe, &main.startup_probe].into_iter().flatten() {
        let handlers = [
            probe.exec.is_some(),
            probe.grpc.is_some(),
            probe.http_get.is_some(),
            probe.tcp_socket.is_some(),
        ];
        prop_assert_eq!(handlers.iter().filter(|present| **present).count(), 1, "handlers of {:?}", probe);
    }
    Ok(())
}

fn mounts(container: &Container) -> impl Iterator<Item = (&str, &str)> {
    container.volume_mounts.iter().flatten().map(|mount| (mount.name.as_str(), mount.mount_path.as_str()))
}

fn check_unique<'a>(what: &str, names: impl Iterator<Item = &'a str>) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::new();
    for name in names {
        prop_assert!(seen.insert(name), "{what} {name:?} twice");
    }
    Ok(())
}

fn is_dns_label(name: &str, letter_first: bool) -> bool {
    let inner = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let ends = name.starts_with(|c: char| c.is_ascii_lowercase() || (!letter_first && c.is_ascii_digit()))
        && !name.ends_with('-');
    inner && ends && (name.len() <= 63 || !letter_first)
}

fn is_label_value(value: &str) -> bool {
    let inner = value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    let ends = |c: char| c.is_ascii_alphanumeric();
    value.is_empty() || (inner && value.len() <= 63 && value.starts_with(ends) && value.ends_with(ends))
}
