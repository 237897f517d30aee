//! DynamoWorkerMetadata (`api.md` 11): what a worker pod tells the discovery readers about itself.
//! The content of `data` belongs to the runtime; it passes through here untouched.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::lenient::optional_spec;

/// Spec contains the worker's metadata.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "nvidia.com",
    version = "v1alpha1",
    kind = "DynamoWorkerMetadata",
    plural = "dynamoworkermetadatas",
    shortname = "dwm",
    namespaced,
    derive = "Default",
    derive = "PartialEq",
    doc = "DynamoWorkerMetadata holds the discovery metadata of one worker pod.",
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default, remote = "Self")]
pub struct DynamoWorkerMetadataSpec {
    /// Endpoints, model cards and event channels of the worker, as its runtime wrote them.
    #[schemars(schema_with = "crate::schema::open_object", extend("x-required" = true))]
    pub data: Value,
}

optional_spec!(DynamoWorkerMetadataSpec);
