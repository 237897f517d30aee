//! What a graph with an endpoint picker owns beside it: the picker's configuration and the pool that it picks from
//! (`workload.md` section 11). The picker's pods are a component like any other.

use std::collections::BTreeMap;

use dynamo_api::{
    foreign::{
        InferencePool, InferencePoolSelector, InferencePoolSpec, PickerPort, PickerReference, PoolPort,
    },
    labels,
    v1alpha1::{EndpointPickerConfig, PluginSpec, SaturationDetector, SchedulingProfile, SharedSpec},
};
use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use serde_json::{Map, Value, json};

use crate::{
    component::{ComponentType, EPP_PORT, HTTP_PORT},
    names,
    parts::yaml,
    validate::ValidatedGraph,
};

/// Key of the configuration in the ConfigMap, and its file name in the pod.
pub(crate) const CONFIG_KEY: &str = "epp-config-dynamo.yaml";
const CONFIG_API_VERSION: &str = "inference.networking.x-k8s.io/v1alpha1";
const CONFIG_KIND: &str = "EndpointPickerConfig";
const FRONTEND: &str = "frontend";

/// Objects of the endpoint picker.
#[derive(Debug, Clone, PartialEq)]
pub struct PickerObjects {
    /// Absent when the graph names a ConfigMap of its own.
    pub config: Option<ConfigMap>,
    pub pool: InferencePool,
}

/// The objects of the graph's picker; `None` without one.
#[must_use]
pub fn build_picker(graph: &ValidatedGraph<'_>) -> Option<PickerObjects> {
    let (service, spec) =
        graph.services.iter().find(|(_, spec)| ComponentType::of(spec) == ComponentType::Epp)?;
    let config = spec.epp_config.as_ref().and_then(|epp| epp.config.as_ref());
    Some(PickerObjects {
        config: config.map(|config| ConfigMap {
            metadata: metadata(graph, service, names::picker_config(graph.name)),
            data: Some(BTreeMap::from([(CONFIG_KEY.to_owned(), config_text(config))])),
            ..ConfigMap::default()
        }),
        pool: build_pool(graph, service, spec),
    })
}

/// Says of which API a configuration is, whatever the user wrote.
pub(crate) fn force_type(config: &mut EndpointPickerConfig) {
    config.api_version = Some(CONFIG_API_VERSION.to_owned());
    config.kind = Some(CONFIG_KIND.to_owned());
}

/// The arguments of a picker's program unless the user gives some.
pub(crate) fn args(graph: &str, namespace: &str) -> Vec<String> {
    let pool = names::picker_pool(graph);
    let config = format!("{}/{CONFIG_KEY}", crate::parts::volumes::PICKER_CONFIG_PATH);
    [
        ("-pool-name", pool.as_str()),
        ("-pool-namespace", namespace),
        ("-pool-group", "inference.networking.k8s.io"),
        ("-v", "4"),
        ("--zap-encoder", "json"),
        ("-grpc-port", "9002"),
        ("-grpc-health-port", "9003"),
        ("-config-file", &config),
    ]
    .into_iter()
    .flat_map(|(flag, value)| [flag.to_owned(), value.to_owned()])
    .collect()
}

fn metadata(graph: &ValidatedGraph<'_>, service: &str, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(graph.namespace.to_owned()),
        labels: Some(BTreeMap::from([
            (labels::COMPONENT.to_owned(), service.to_owned()),
            (labels::COMPONENT_TYPE.to_owned(), "epp".to_owned()),
            (labels::GRAPH_NAME.to_owned(), graph.name.to_owned()),
        ])),
        ..ObjectMeta::default()
    }
}

fn build_pool(graph: &ValidatedGraph<'_>, service: &str, picker: &SharedSpec) -> InferencePool {
    // The pods that it selects say where they belong; without a frontend in this graph they are those of another one
    // in the picker's namespace.
    let selected = graph.services.values().find(|spec| ComponentType::of(spec) == ComponentType::Frontend);
    let dynamo_namespace =
        names::dynamo_namespace_of(graph.namespace, graph.name, selected.unwrap_or(picker));
    InferencePool {
        metadata: metadata(graph, service, names::picker_pool(graph.name)),
        spec: InferencePoolSpec {
            target_ports: vec![PoolPort { number: HTTP_PORT }],
            selector: InferencePoolSelector {
                match_labels: BTreeMap::from([
                    (labels::COMPONENT_TYPE.to_owned(), FRONTEND.to_owned()),
                    (labels::DYNAMO_NAMESPACE.to_owned(), dynamo_namespace),
                ]),
            },
            endpoint_picker_ref: PickerReference {
                kind: "Service".to_owned(),
                name: names::component(graph.name, service),
                port: PickerPort { number: EPP_PORT },
            },
        },
    }
}

/// The configuration as the picker reads it. Keys that we do not know pass through.
fn config_text(config: &EndpointPickerConfig) -> String {
    let mut config = config.clone();
    force_type(&mut config);
    let EndpointPickerConfig {
        api_version,
        kind,
        feature_gates,
        plugins,
        saturation_detector,
        scheduling_profiles,
        extra,
    } = config;
    let mut fields: Map<String, Value> = extra.into_iter().collect();
    fields.insert("apiVersion".to_owned(), json!(api_version));
    fields.insert("kind".to_owned(), json!(kind));
    fields.insert("plugins".to_owned(), plugins.into_iter().map(plugin).collect());
    fields.insert("schedulingProfiles".to_owned(), scheduling_profiles.into_iter().map(profile).collect());
    if !feature_gates.is_empty() {
        fields.insert("featureGates".to_owned(), json!(feature_gates));
    }
    if let Some(detector) = saturation_detector {
        fields.insert("saturationDetector".to_owned(), saturation(detector));
    }
    yaml::to_text(&Value::Object(fields))
}

/// With every key, also of what is not set.
fn plugin(plugin: PluginSpec) -> Value {
    let PluginSpec { name, parameters, type_ } = plugin;
    json!({"name": name.unwrap_or_default(), "parameters": parameters, "type": type_})
}

fn profile(profile: SchedulingProfile) -> Value {
    let SchedulingProfile { name, plugins } = profile;
    let plugins = plugins.into_iter().map(|plugin| {
        let (plugin_ref, weight) = (plugin.plugin_ref, plugin.weight);
        json!({"pluginRef": plugin_ref, "weight": weight})
    });
    json!({"name": name, "plugins": plugins.collect::<Vec<_>>()})
}

fn saturation(detector: SaturationDetector) -> Value {
    let SaturationDetector { kv_cache_util_threshold, metrics_staleness_threshold, queue_depth_threshold } =
        detector;
    let staleness = metrics_staleness_threshold.unwrap_or_else(|| "0s".to_owned());
    let mut fields = Map::from_iter([("metricsStalenessThreshold".to_owned(), json!(staleness))]);
    if let Some(threshold) = kv_cache_util_threshold {
        fields.insert("kvCacheUtilThreshold".to_owned(), json!(threshold));
    }
    if let Some(threshold) = queue_depth_threshold {
        fields.insert("queueDepthThreshold".to_owned(), json!(threshold));
    }
    Value::Object(fields)
}
