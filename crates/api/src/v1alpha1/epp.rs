//! Configuration of the endpoint picker (`api.md` 5, EPPConfig).
//! Keys we do not know pass through untouched: the picker, not the platform, reads them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMapKeySelector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient;

/// Configuration of the endpoint picker: exactly one of configMapRef and config.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct EppConfig {
    /// Key of a ConfigMap that holds an EndpointPickerConfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<ConfigMapKeySelector>,
    /// The EndpointPickerConfig itself; the operator puts it into a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<EndpointPickerConfig>,
}

/// An EndpointPickerConfig of the inference extension.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct EndpointPickerConfig {
    /// Version of this representation; the operator writes its own.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind of this representation; the operator writes its own.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Experimental features that are switched on.
    #[serde(deserialize_with = "lenient::or_default", skip_serializing_if = "Vec::is_empty")]
    pub feature_gates: Vec<String>,
    /// The plugins to instantiate.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(extend("x-required" = true))]
    pub plugins: Vec<PluginSpec>,
    /// When an endpoint counts as saturated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturation_detector: Option<SaturationDetector>,
    /// The profiles by which requests are scheduled.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(extend("x-required" = true))]
    pub scheduling_profiles: Vec<SchedulingProfile>,
    /// Keys of newer pickers.
    #[serde(flatten)]
    #[schemars(skip)]
    pub extra: BTreeMap<String, Value>,
}

/// A plugin to instantiate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginSpec {
    /// Name by which profiles refer to it; its type if absent.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Parameters of the plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::bytes")]
    pub parameters: Option<Value>,
    /// Type of the plugin.
    #[serde(rename = "type", deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub type_: String,
}

/// When an endpoint counts as saturated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SaturationDetector {
    /// Share of the KV cache in use, 0.0 to 1.0, above which an endpoint is saturated.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::plain_number")]
    pub kv_cache_util_threshold: Option<f64>,
    /// Age above which an endpoint's metrics are stale, as a duration such as 200ms.
    #[serde(deserialize_with = "lenient::text", skip_serializing_if = "Option::is_none")]
    pub metrics_staleness_threshold: Option<String>,
    /// Number of waiting requests above which an endpoint is saturated.
    #[serde(deserialize_with = "lenient::integer", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::plain_integer")]
    pub queue_depth_threshold: Option<i64>,
}

/// A profile by which requests are scheduled.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SchedulingProfile {
    /// Name of the profile.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub name: String,
    /// Its plugins.
    #[serde(deserialize_with = "lenient::or_default")]
    #[schemars(extend("x-required" = true))]
    pub plugins: Vec<SchedulingPlugin>,
}

/// A plugin of a profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SchedulingPlugin {
    /// Name of an entry of plugins.
    #[serde(deserialize_with = "lenient::required_text")]
    #[schemars(extend("x-required" = true))]
    pub plugin_ref: String,
    /// Weight of a scorer.
    #[serde(deserialize_with = "lenient::integer", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "crate::schema::plain_integer")]
    pub weight: Option<i64>,
}
