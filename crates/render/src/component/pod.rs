//! The pod template of a component, in the order of `workload.md` section 6.3.
//! What the user wrote is merged over the role's defaults; nothing is read from a cluster.

use std::collections::BTreeMap;

use dynamo_api::{
    labels::{self, annotations},
    v1alpha1::{BackendFramework, ExtraPodMetadata, SharedSpec},
};
use k8s_openapi::{
    api::core::v1::{
        Container, EnvFromSource, EnvVar, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
        SecretEnvSource,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::{BuildError, ComponentType, MergeError, Role, debug, defaults};
use crate::{
    checkpoint,
    config::{DiscoveryBackend, OperatorConfig},
    credentials,
    facts::Facts,
    graph::effective_backend,
    names, origin,
    parts::{
        env,
        merge::{self, Zeros},
        pull_secrets, resources, security, volumes,
    },
    picker,
    validate::ValidatedComponent,
};

/// Where vLLM keeps compiled kernels unless told otherwise.
const VLLM_CACHE: &str = "/root/.cache/vllm";

/// `with_debugger` adds a container to debug the others from.
pub(super) fn build_template(
    component: &ValidatedComponent<'_>,
    config: &OperatorConfig,
    facts: &Facts,
    with_debugger: bool,
) -> Result<PodTemplateSpec, BuildError> {
    let metadata = component.spec.extra_pod_metadata.clone().unwrap_or_default();
    let mut annotations = pod_annotations(component, &metadata);
    let ours = origin::is_ours(&component.spec.annotations);
    if let Some(checksum) = credentials::given(component.spec, &facts.credentials).checksum() {
        annotations.insert(annotations::CREDENTIALS_CHECKSUM.to_owned(), checksum);
    }
    let mut pod = build_pod(component, config, facts)?;
    if let Some((config, hash)) = checkpoint::resolve(component.spec, config, facts.checkpoint.as_ref())? {
        checkpoint::prepare_pod(&mut pod, &mut annotations, &hash, config, ours)?;
    }
    if with_debugger {
        debug::add_debugger(&mut pod, config);
    }
    // A value that had no effect before must not change the pods of graphs that ran under it.
    if config.restricted_security && ours {
        security::restrict(&mut pod);
    }
    Ok(PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(pod_labels(component, &metadata)),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(pod),
    })
}

fn pod_labels(component: &ValidatedComponent<'_>, extra: &ExtraPodMetadata) -> BTreeMap<String, String> {
    let spec = component.spec;
    let mut all = component_labels(component);
    // Pods name the graph that the spec names, whatever the metadata says.
    let graph = spec.labels.get(labels::GRAPH_NAME).cloned().unwrap_or_default();
    all.insert(labels::GRAPH_NAME.to_owned(), graph);
    let typed = [
        (labels::COMPONENT_TYPE, spec.component_type.as_ref()),
        (labels::SUB_COMPONENT_TYPE, spec.sub_component_type.as_ref()),
    ];
    all.extend(typed.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone()))));
    all.insert(labels::SELECTOR.to_owned(), component.name.to_owned());
    if spec.annotations.get(annotations::ENABLE_METRICS).map(String::as_str) != Some("false") {
        all.insert(labels::METRICS_ENABLED.to_owned(), "true".to_owned());
    }
    all.extend(extra.labels.clone());
    all
}

fn pod_annotations(component: &ValidatedComponent<'_>, extra: &ExtraPodMetadata) -> BTreeMap<String, String> {
    let mut all = extra.annotations.clone();
    if let Some(id) = component.spec.annotations.get(annotations::RESTART_AT) {
        all.insert(annotations::RESTART_AT.to_owned(), id.clone());
    }
    all
}

/// Labels of every object of the component: what the spec says, what the metadata says over it, the base model. The
/// graph's name is always among them, empty for a component written by hand: the operator watches objects that have it.
pub(super) fn component_labels(component: &ValidatedComponent<'_>) -> BTreeMap<String, String> {
    let mut all = component.spec.labels.clone();
    all.extend(component.metadata_labels.clone());
    all.entry(labels::GRAPH_NAME.to_owned()).or_default();
    if let Some(model) = base_model(component) {
        all.insert(labels::BASE_MODEL_HASH.to_owned(), names::model_hash(model));
    }
    all
}

/// Name of the model that the component serves.
pub(super) fn base_model<'a>(component: &ValidatedComponent<'a>) -> Option<&'a str> {
    let model = component.spec.model_ref.as_ref()?;
    Some(model.name.as_str()).filter(|name| !name.is_empty())
}

/// The pod before anything is done to it for a checkpoint or for debugging; its last container is the main one.
pub(crate) fn build_pod(
    component: &ValidatedComponent<'_>,
    config: &OperatorConfig,
    facts: &Facts,
) -> Result<PodSpec, MergeError> {
    let spec = component.spec;
    let user = spec.extra_pod_spec.clone().unwrap_or_default();
    let given = credentials::given(spec, &facts.credentials);
    let main = build_main_container(component, config, &given.env)?;

    let base = defaults::base_pod(component.component_type);
    let base_account = base.service_account_name.clone();
    let zeros = zeros(origin::is_ours(&spec.annotations));
    let mut pod: PodSpec = merge::over(&base, &user.pod_spec, zeros)?;
    if user.pod_spec.security_context.is_none() {
        pod.security_context =
            Some(PodSecurityContext { fs_group: Some(1000), ..PodSecurityContext::default() });
    }
    // The deprecated spelling is the API server's copy of the name; kept, it would differ for ever.
    pod.service_account = None;
    pod.service_account_name = Some(account(component, config, facts, &user.pod_spec, base_account));
    pod.containers.push(main);
    pod.image_pull_secrets = pull_secrets::merge(pod.image_pull_secrets.take(), spec, facts);
    let volumes = volumes::build_volumes(spec, component.graph, origin::is_ours(&spec.annotations));
    let known: Vec<_> = pod.volumes.iter().flatten().map(|volume| volume.name.clone()).collect();
    let added = volumes.into_iter().filter(|volume| !known.contains(&volume.name));
    pod.volumes.get_or_insert_default().extend(added);
    given.mount_in(&mut pod);
    pod.containers.iter_mut().for_each(env::keep_last_of_each_name);
    pod.init_containers.iter_mut().flatten().for_each(env::keep_last_of_each_name);
    Ok(pod)
}

fn account(
    component: &ValidatedComponent<'_>,
    config: &OperatorConfig,
    facts: &Facts,
    user: &PodSpec,
    base: Option<String>,
) -> String {
    let of_user = [&user.service_account_name, &user.service_account];
    let chosen = of_user.into_iter().flatten().find(|name| !name.is_empty()).cloned().or(base);
    let uses_kubernetes =
        effective_backend(Some(&component.spec.annotations), config) == DiscoveryBackend::Kubernetes.as_str();
    chosen
        // A component written by hand has no graph, and so no discovery account of its own.
        .or_else(|| {
            (uses_kubernetes && !component.graph.is_empty())
                .then(|| names::discovery_account(component.graph))
        })
        .or_else(|| facts.component_account.clone())
        .unwrap_or_else(|| "default".to_owned())
}

fn zeros(ours: bool) -> Zeros {
    if ours { Zeros::Override } else { Zeros::Yield }
}

/// The main container as far as it does not depend on the graph: what the user wrote over the role's defaults, with
/// the probes and the resources of the service. Validation judges it, so that it sees what the API server will.
pub(crate) fn merge_main(spec: &SharedSpec, ours: bool) -> Result<Container, MergeError> {
    let role = Role::of(ComponentType::of(spec));
    let user = spec.extra_pod_spec.as_ref().and_then(|pod| pod.main_container.clone()).unwrap_or_default();
    let mut main: Container = merge::over(&defaults::base_container(role), &user, zeros(ours))?;
    // A startup probe is one decision: timings for another handler make no sense, and none may lack a handler.
    if user.startup_probe.is_some() {
        main.startup_probe.clone_from(&user.startup_probe);
    }
    // Likewise a probe with a handler; one without changes the timings of the default.
    let whole = |probe: &Option<Probe>| probe.clone().filter(|probe| ours && has_handler(probe));
    for (probe, of_user) in [
        (&mut main.liveness_probe, whole(&user.liveness_probe)),
        (&mut main.readiness_probe, whole(&user.readiness_probe)),
    ] {
        if of_user.is_some() {
            *probe = of_user;
        }
    }
    for (probe, override_) in
        [(&mut main.liveness_probe, &spec.liveness_probe), (&mut main.readiness_probe, &spec.readiness_probe)]
    {
        if override_.is_some() {
            probe.clone_from(override_);
        }
    }
    main.resources = resources::over(main.resources.take(), spec.resources.as_ref(), ours);
    Ok(main)
}

fn has_handler(probe: &Probe) -> bool {
    probe.exec.is_some() || probe.grpc.is_some() || probe.http_get.is_some() || probe.tcp_socket.is_some()
}

fn build_main_container(
    component: &ValidatedComponent<'_>,
    config: &OperatorConfig,
    credentials: &[EnvVar],
) -> Result<Container, MergeError> {
    let spec = component.spec;
    let role = Role::of(component.component_type);
    let user = spec.extra_pod_spec.as_ref().and_then(|pod| pod.main_container.as_ref());
    let of_user = user.and_then(|container| container.env.as_deref()).unwrap_or_default();
    let ours = origin::is_ours(&spec.annotations);
    let mut main = merge_main(spec, ours)?;
    if role == Role::Epp && main.args.as_ref().is_none_or(|args| args.is_empty() && !ours) {
        main.args = Some(picker::args(component.graph, component.namespace));
    }
    if let Some(secret) = &spec.env_from_secret {
        main.env_from.get_or_insert_default().push(EnvFromSource {
            secret_ref: Some(SecretEnvSource { name: secret.clone(), optional: None }),
            ..EnvFromSource::default()
        });
    }
    main.env = Some(build_env(component, config, role, credentials, of_user));
    main.volume_mounts = Some(volumes::build_mounts(spec, main.volume_mounts.take(), VLLM_CACHE, ours));
    Ok(main)
}

/// Variables by precedence, sorted by name (`workload.md` section 6.2).
fn build_env(
    component: &ValidatedComponent<'_>,
    config: &OperatorConfig,
    role: Role,
    credentials: &[EnvVar],
    of_container: &[EnvVar],
) -> Vec<EnvVar> {
    let spec = component.spec;
    let infrastructure: Vec<EnvVar> = [
        ("NATS_SERVER", &config.nats_address),
        ("ETCD_ENDPOINTS", &config.etcd_address),
        ("MODEL_EXPRESS_URL", &config.model_express_url),
        ("PROMETHEUS_ENDPOINT", &config.prometheus_endpoint),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some(env::text(name, value.as_deref()?)))
    .collect();

    let pod_dynamo_namespace = names::dynamo_namespace_of(component.namespace, component.graph, spec);
    let mut standard = vec![
        env::text("DYN_NAMESPACE", &pod_dynamo_namespace),
        env::text("DYN_COMPONENT", spec.component_type.as_deref().unwrap_or_default()),
        env::text("DYN_PARENT_DGD_K8S_NAME", component.graph),
        env::text("DYN_PARENT_DGD_K8S_NAMESPACE", component.namespace),
        env::field("POD_NAME", "metadata.name"),
        env::field("POD_NAMESPACE", "metadata.namespace"),
        env::field("POD_UID", "metadata.uid"),
    ];
    if effective_backend(Some(&spec.annotations), config) != DiscoveryBackend::Etcd.as_str() {
        standard.push(env::text("DYN_DISCOVERY_BACKEND", DiscoveryBackend::Kubernetes.as_str()));
    }
    standard.extend(defaults::role_env(role).iter().map(|(name, value)| env::text(name, value)));

    let mut all = env::merge([&infrastructure[..], credentials, &standard, of_container, &spec.envs]);
    let cache = spec.volume_mounts.iter().find(|mount| mount.use_as_compilation_cache);
    let cache_point = cache.and_then(|mount| mount.mount_point.as_deref());
    if let (Some(BackendFramework::Vllm), Some(point)) = (&component.backend, cache_point) {
        all.retain(|variable| variable.name != "VLLM_CACHE_ROOT");
        all.push(env::text("VLLM_CACHE_ROOT", point));
    }
    all
}
