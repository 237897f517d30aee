//! Schemas of single fields that the type alone does not give.
//! Each is used by name from an attribute in `v1alpha1`.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An integer without a format.
pub(crate) fn plain_integer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer" })
}

/// A number without a format.
pub(crate) fn plain_number(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "number" })
}

/// Base64 text.
pub(crate) fn bytes(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "byte" })
}

/// A whole Kubernetes object, whose content the API server keeps as it is.
pub(crate) fn embedded_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-embedded-resource": true,
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// An object whose content the API server keeps as it is.
pub(crate) fn open_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
