//! What a user adds to the pods of a service (`api.md` 2 and 5): metadata and a pod spec with a main container.
//! Must not send what the user left out: an empty `containers` or container name would be refused or overwrite.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::lenient;

/// Key of the main container among the keys of the pod spec.
const MAIN_CONTAINER: &str = "mainContainer";

/// Labels and annotations of the pods; they win over the operator's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ExtraPodMetadata {
    /// Annotations of the pods.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the pods.
    #[serde(deserialize_with = "lenient::text_map", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A pod spec merged over the built-in one. Its containers are sidecars; mainContainer is the component's own.
#[derive(Clone, Debug, Default, PartialEq, JsonSchema)]
#[schemars(rename_all = "camelCase", extend("x-nothing-required" = true))]
pub struct ExtraPodSpec {
    /// Merged over the main container: fields that are set win, environment variables are merged by name.
    #[schemars(extend("x-nothing-required" = true))]
    pub main_container: Option<Container>,
    /// All keys of a core/v1 PodSpec, side by side with mainContainer.
    #[schemars(flatten)]
    pub pod_spec: PodSpec,
}

impl<'de> Deserialize<'de> for ExtraPodSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        lenient::clamp_ports(&mut value);
        let main_container = value.as_object_mut().and_then(|fields| fields.remove(MAIN_CONTAINER));
        let main_container = match main_container {
            Some(container) => serde_json::from_value(container).map_err(serde::de::Error::custom)?,
            None => None,
        };
        let pod_spec: Option<PodSpec> = serde_json::from_value(value).map_err(serde::de::Error::custom)?;
        Ok(Self { main_container, pod_spec: pod_spec.unwrap_or_default() })
    }
}

impl Serialize for ExtraPodSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = serde_json::to_value(&self.pod_spec).map_err(serde::ser::Error::custom)?;
        drop_if_empty(&mut value, "containers");
        if let (Value::Object(fields), Some(container)) = (&mut value, &self.main_container) {
            let mut container = serde_json::to_value(container).map_err(serde::ser::Error::custom)?;
            drop_if_empty(&mut container, "name");
            drop_if_empty(&mut container, "resources");
            fields.insert(MAIN_CONTAINER.to_owned(), container);
        }
        value.serialize(serializer)
    }
}

fn drop_if_empty(object: &mut Value, key: &str) {
    let Value::Object(fields) = object else { return };
    let empty = match fields.get(key) {
        Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        _ => false,
    };
    if empty {
        fields.remove(key);
    }
}
