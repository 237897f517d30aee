//! Debugging by annotation (`workload.md` section 6.9): a container beside the others, or a pod beside the others.
//! The pods of a component that nobody debugs are not touched.

use std::collections::BTreeMap;

use dynamo_api::{
    labels::{self, annotations},
    v1alpha1::SharedSpec,
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Capabilities, Container, PodSpec, ResourceRequirements, SecurityContext, Service},
    },
    apimachinery::pkg::api::resource::Quantity,
};

use crate::{config::OperatorConfig, names};

const DEBUGGER: &str = "debugger";
/// The user of the debugger where pods must not run as root, which its image does by itself: the user of the
/// runtimes, whose processes it is to trace.
const USER: i64 = 1000;
/// Value of the label by which the Service of the debug pod finds it.
const DEBUG: &str = "debug";

/// Whether the component's own pods get the container.
pub(super) fn is_on(spec: &SharedSpec) -> bool {
    is_true(spec, annotations::DEBUG)
}

/// Whether a debug pod runs beside the component's own.
pub(crate) fn steals_traffic(spec: &SharedSpec) -> bool {
    is_true(spec, annotations::STEAL_TRAFFIC)
}

fn is_true(spec: &SharedSpec, annotation: &str) -> bool {
    spec.annotations.get(annotation).is_some_and(|value| value == "true")
}

/// Adds a container from which the processes of the others can be seen and traced. One of that name that the user
/// brought along stays as it is.
pub(super) fn add_debugger(pod: &mut PodSpec, config: &OperatorConfig) {
    pod.share_process_namespace = Some(true);
    if pod.containers.iter().any(|container| container.name == DEBUGGER) {
        return;
    }
    let has_user = pod.security_context.as_ref().is_some_and(|context| context.run_as_user.is_some());
    let amounts = |cpu: &str, memory: &str| {
        let all = [("cpu", cpu), ("memory", memory)];
        Some(all.map(|(name, amount)| (name.to_owned(), Quantity(amount.to_owned()))).into())
    };
    pod.containers.push(Container {
        name: DEBUGGER.to_owned(),
        image: Some(config.debugger_image.clone()),
        command: Some(vec!["sleep".to_owned(), "infinity".to_owned()]),
        security_context: Some(SecurityContext {
            capabilities: Some(Capabilities { add: Some(vec!["SYS_PTRACE".to_owned()]), drop: None }),
            run_as_user: (config.restricted_security && !has_user).then_some(USER),
            ..SecurityContext::default()
        }),
        resources: Some(ResourceRequirements {
            requests: amounts("100m", "100Mi"),
            limits: amounts("1000m", "1000Mi"),
            claims: None,
        }),
        stdin: Some(true),
        tty: Some(true),
        ..Container::default()
    });
}

/// Makes the component's Deployment the one of its debug pod. `pod` is the component's own with a debugger.
pub(super) fn build_deployment(of_component: &Deployment, pod: Option<PodSpec>) -> Deployment {
    let mut deployment = of_component.clone();
    let name = names::debug(of_component.metadata.name.as_deref().unwrap_or_default());
    if let Some(spec) = &mut deployment.spec {
        spec.replicas = Some(1);
        spec.selector.match_labels = Some(BTreeMap::from([(labels::SELECTOR.to_owned(), name.clone())]));
        spec.template.spec = pod;
        let all = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
        all.insert(labels::SELECTOR.to_owned(), name.clone());
        all.insert(labels::TARGET_TYPE.to_owned(), DEBUG.to_owned());
    }
    deployment.metadata.name = Some(name);
    deployment
}

/// The addresses of a component that is debugged, besides its own: all its pods, and the debug pod alone. The first
/// finds what the component's own Service finds, so neither is a source of discovery or of a model: pods would be
/// counted twice.
pub(super) fn build_services(of_component: &Service) -> [Service; 2] {
    let name = of_component.metadata.name.as_deref().unwrap_or_default();
    let named = |name: String| {
        let mut service = of_component.clone();
        service.metadata.name = Some(name);
        if let Some(all) = &mut service.metadata.labels {
            all.retain(|key, _| {
                ![labels::DISCOVERY_BACKEND, labels::DISCOVERY_ENABLED, labels::BASE_MODEL_HASH]
                    .contains(&key.as_str())
            });
        }
        service
    };
    let mut debug = named(names::debug(name));
    if let Some(spec) = &mut debug.spec {
        let selector = spec.selector.get_or_insert_default();
        selector.insert(labels::TARGET_TYPE.to_owned(), DEBUG.to_owned());
    }
    [named(names::production(name)), debug]
}
