//! The pod that a component would get: its containers, as the API server will see them (`workload.md` section 6).
//! Judged are the fields that make the API server refuse the Deployment or its pods, not taste.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_api::v1alpha1::SharedSpec;
use k8s_openapi::api::core::v1::{Container, ContainerPort, EnvVar, EnvVarSource, PodSpec};

use super::{Kind, Rule, Verdict, component::Place, probes, resources, texts};
use crate::{checkpoint, component::ComponentType, config::OperatorConfig, names, parts::volumes};

const PORTS: std::ops::RangeInclusive<i32> = 1..=65535;
const PORT: &str = "must be a port: a number from 1 to 65535, or a name of at most 15 of a-z, 0-9 and '-'";

/// The volumes by which containers can mount something.
struct Volumes<'a> {
    there: BTreeSet<&'a str>,
    /// Those that are not made now, although the graph counts on them.
    not_made: &'a [&'a str],
}

/// Volumes that come with checkpoints (`workload.md` section 6.8), where these are off or not known to be on.
fn not_made(spec: &SharedSpec, config: &OperatorConfig) -> &'static [&'static str] {
    match checkpoint::is_enabled(spec) && config.checkpoint.is_none() {
        true => &["checkpoint-signal", "checkpoint-storage", "podinfo"],
        false => &[],
    }
}

/// Volumes that checkpoints bring along.
fn of_checkpoints(spec: &SharedSpec, config: &OperatorConfig) -> &'static [&'static str] {
    let config = config.checkpoint.as_ref().filter(|_| checkpoint::is_enabled(spec));
    config.map_or(&[], checkpoint::volume_names)
}

/// `main` is the main container as it would be made.
pub(super) fn check(place: &Place<'_>, spec: &SharedSpec, main: Option<&Container>, verdict: &mut Verdict) {
    let (none, no_labels) = (PodSpec::default(), BTreeMap::new());
    let field = format!("{}.extraPodSpec", place.field);
    let user = spec.extra_pod_spec.as_ref();
    let pod = user.map_or(&none, |user| &user.pod_spec);
    let own = user.and_then(|user| user.main_container.as_ref());
    texts::check_labels(
        &format!("{field}.nodeSelector"),
        pod.node_selector.as_ref().unwrap_or(&no_labels),
        verdict,
    );
    // Only their names count, and no name depends on that of the graph.
    let added = volumes::build_volumes(spec, "", place.ours);
    let volumes = Volumes {
        there: pod
            .volumes
            .iter()
            .flatten()
            .chain(&added)
            .map(|volume| volume.name.as_str())
            .chain(of_checkpoints(spec, place.policy.config).iter().copied())
            .collect(),
        not_made: not_made(spec, place.policy.config),
    };
    if let Some(main) = main {
        check_main(place, spec, main, verdict);
        check_mounts(&format!("{field}.mainContainer"), main, &volumes, verdict);
        if let Some(env) = own.and_then(|own| own.env.as_ref()) {
            check_variables(&format!("{field}.mainContainer.env"), env, verdict);
        }
        check_others(&field, pod, &main.name, &volumes, verdict);
    }
    // The planner of a graph of the reference always runs under its own account.
    if place.kind != Kind::Graph || place.ours || ComponentType::of(spec) != ComponentType::Planner {
        let named = [
            ("serviceAccountName", pod.service_account_name.as_deref()),
            ("serviceAccount", pod.service_account.as_deref()),
        ];
        // The deprecated spelling counts where the other one is not given.
        let named =
            named.into_iter().find_map(|(key, name)| Some((key, name.filter(|name| !name.is_empty())?)));
        if let Some((key, name)) = named.filter(|(_, name)| !names::is_dns_subdomain(name)) {
            verdict.invalid(Rule::AccountNameInvalid, format!("{field}.{key}"), name, texts::SUBDOMAIN);
        }
    }
    let policy = pod.restart_policy.as_deref().unwrap_or_default();
    if !["", "Always"].contains(&policy) {
        let words = "must be Always in a Deployment: leave it out";
        verdict.invalid(Rule::RestartPolicyFixed, format!("{field}.restartPolicy"), policy, words);
    }
}

fn check_main(place: &Place<'_>, spec: &SharedSpec, main: &Container, verdict: &mut Verdict) {
    let field = format!("{}.extraPodSpec.mainContainer", place.field);
    check_container(&field, main, verdict);
    let of_service = |given: bool, key: &str| {
        if given { format!("{}.{key}", place.field) } else { format!("{field}.{key}") }
    };
    let fields = [
        of_service(spec.liveness_probe.is_some(), "livenessProbe"),
        of_service(spec.readiness_probe.is_some(), "readinessProbe"),
        format!("{field}.startupProbe"),
    ];
    probes::check(fields, main, verdict);
}

/// Sidecars and init containers.
fn check_others(field: &str, pod: &PodSpec, main: &str, volumes: &Volumes<'_>, verdict: &mut Verdict) {
    let mut taken: BTreeMap<&str, String> = BTreeMap::new();
    let sidecars =
        pod.containers.iter().enumerate().map(|(at, one)| (format!("{field}.containers[{at}]"), one));
    let first = pod.init_containers.iter().flatten().enumerate();
    let first = first.map(|(at, one)| (format!("{field}.initContainers[{at}]"), one));
    for (field, container) in sidecars.chain(first) {
        check_container(&field, container, verdict);
        check_mounts(&field, container, volumes, verdict);
        let name = container.name.as_str();
        let of_name = format!("{field}.name");
        if name == main {
            let words =
                "is the name of the component's own container: give it another one, or use mainContainer";
            verdict.invalid(Rule::SidecarNamedMain, &of_name, name, words);
        } else if let Some(other) = taken.insert(name, field.clone()).filter(|_| !name.is_empty()) {
            let words = format!("is already the name of {other}: give each container a name of its own");
            verdict.invalid(Rule::ContainerNameTaken, &of_name, name, &words);
        }
        if let Some(env) = &container.env {
            check_variables(&format!("{field}.env"), env, verdict);
        }
        if let Some(resources) = &container.resources {
            resources::check(resources, |side, name| format!("{field}.resources.{side}[{name}]"), verdict);
        }
        let fields = ["livenessProbe", "readinessProbe", "startupProbe"].map(|key| format!("{field}.{key}"));
        probes::check(fields, container, verdict);
    }
}

fn check_container(field: &str, container: &Container, verdict: &mut Verdict) {
    if !names::is_dns_label(&container.name) {
        let field = format!("{field}.name");
        verdict.invalid(Rule::ContainerNameInvalid, field, &container.name, texts::DNS_LABEL);
    }
    let image = container.image.as_deref().unwrap_or_default();
    let of_image = format!("{field}.image");
    if image.is_empty() {
        verdict.missing(Rule::ImageMissing, of_image, "is required: there is no default image");
    } else if image.trim() != image {
        verdict.invalid(Rule::ImageBlank, of_image, image, "has spaces around it: take them out");
    }
    for (at, port) in container.ports.iter().flatten().enumerate() {
        check_port(&format!("{field}.ports[{at}]"), port, verdict);
    }
}

fn check_mounts(field: &str, container: &Container, volumes: &Volumes<'_>, verdict: &mut Verdict) {
    for (at, mount) in container.volume_mounts.iter().flatten().enumerate() {
        let name = mount.name.as_str();
        if volumes.there.contains(name) {
            continue;
        }
        let field = format!("{field}.volumeMounts[{at}].name");
        if volumes.not_made.contains(&name) {
            let text = format!(
                "{field}: {name:?}: is no volume of the pod while checkpoints are off: start the operator with \
                 --checkpoint-enabled, or add it to extraPodSpec.volumes"
            );
            verdict.warn(Rule::MountVolumeUnknown, field, text);
        } else {
            let words =
                "is no volume of the pod: add it to extraPodSpec.volumes, or the claim to volumeMounts";
            verdict.invalid(Rule::MountVolumeUnknown, field, name, words);
        }
    }
}

fn check_port(field: &str, port: &ContainerPort, verdict: &mut Verdict) {
    let number = port.container_port;
    if !PORTS.contains(&number) {
        verdict.invalid(Rule::PortInvalid, format!("{field}.containerPort"), &number.to_string(), PORT);
    }
    // The host's port is left open by 0.
    if let Some(number) = port.host_port.filter(|number| *number != 0 && !PORTS.contains(number)) {
        verdict.invalid(Rule::PortInvalid, format!("{field}.hostPort"), &number.to_string(), PORT);
    }
    if let Some(name) = port.name.as_deref().filter(|name| !name.is_empty() && !names::is_port_name(name)) {
        verdict.invalid(Rule::PortInvalid, format!("{field}.name"), name, PORT);
    }
}

/// The number of a port that a probe asks.
pub(super) fn check_port_number(field: &str, number: i32, verdict: &mut Verdict) {
    if !PORTS.contains(&number) {
        verdict.invalid(Rule::PortInvalid, field, &number.to_string(), PORT);
    }
}

/// The name of a port that a probe asks.
pub(super) fn check_port_name(field: &str, name: &str, verdict: &mut Verdict) {
    if !names::is_port_name(name) {
        verdict.invalid(Rule::PortInvalid, field, name, PORT);
    }
}

/// Variables of a container, a service or a graph.
pub(super) fn check_variables(field: &str, variables: &[EnvVar], verdict: &mut Verdict) {
    for (at, variable) in variables.iter().enumerate() {
        let name = &variable.name;
        let is_name = !name.is_empty() && name.chars().all(|c| (' '..='~').contains(&c) && c != '=');
        if !is_name {
            let words = "must be the name of a variable: at least one printable ASCII character, and no '='";
            verdict.invalid(Rule::VariableNameInvalid, format!("{field}[{at}].name"), name, words);
        }
        let Some(source) = &variable.value_from else { continue };
        let field = format!("{field}[{at}]");
        if variable.value.as_ref().is_some_and(|value| !value.is_empty()) {
            // Without the value, which may be a password.
            let words = "stands beside valueFrom: a variable has one of them, take one out";
            verdict.missing(Rule::VariableSource, format!("{field}.value"), words);
        } else if count_sources(source) != 1 {
            let words = "must name exactly one source, such as secretKeyRef";
            verdict.missing(Rule::VariableSource, format!("{field}.valueFrom"), words);
        }
    }
}

fn count_sources(source: &EnvVarSource) -> usize {
    let given = [
        source.config_map_key_ref.is_some(),
        source.field_ref.is_some(),
        source.file_key_ref.is_some(),
        source.resource_field_ref.is_some(),
        source.secret_key_ref.is_some(),
    ];
    given.into_iter().filter(|given| *given).count()
}
