//! Rules of core/v1 and meta/v1 types that their generated schema leaves out.
//! Must not hold rules of our own types: those stand beside the fields.

use serde_json::{Map, Value, json};

use super::{SchemaError, descriptions::FLATTENED};

/// Every definition of Kubernetes is named with this prefix; the tables leave it out.
pub(super) const PREFIX: &str = "io.k8s.";

const QUANTITY: &str = "apimachinery.pkg.api.resource.Quantity";
const QUANTITY_PATTERN: &str = r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$";
const INT_OR_STRING: &str = "apimachinery.pkg.util.intstr.IntOrString";
const OBJECT_META: &str = "apimachinery.pkg.apis.meta.v1.ObjectMeta";
const CONDITION: &str = "apimachinery.pkg.apis.meta.v1.Condition";

/// Its fields are also those of our [`FLATTENED`] type, and so are its rules.
const POD_SPEC: &str = "api.core.v1.PodSpec";

/// Lists that server-side apply replaces as a whole: type, fields.
const ATOMIC_LISTS: &[(&str, &[&str])] = &[
    ("api.autoscaling.v2.HPAScalingRules", &["policies"]),
    ("api.core.v1.Capabilities", &["add", "drop"]),
    ("api.core.v1.CephFSVolumeSource", &["monitors"]),
    ("api.core.v1.ConfigMapProjection", &["items"]),
    ("api.core.v1.ConfigMapVolumeSource", &["items"]),
    ("api.core.v1.Container", &["args", "command", "envFrom", "resizePolicy", "restartPolicyRules"]),
    ("api.core.v1.DownwardAPIProjection", &["items"]),
    ("api.core.v1.DownwardAPIVolumeSource", &["items"]),
    ("api.core.v1.EphemeralContainer", &["args", "command", "envFrom", "resizePolicy", "restartPolicyRules"]),
    ("api.core.v1.ExecAction", &["command"]),
    ("api.core.v1.FCVolumeSource", &["targetWWNs", "wwids"]),
    ("api.core.v1.HTTPGetAction", &["httpHeaders"]),
    ("api.core.v1.HostAlias", &["hostnames"]),
    ("api.core.v1.ISCSIVolumeSource", &["portals"]),
    ("api.core.v1.NodeAffinity", &["preferredDuringSchedulingIgnoredDuringExecution"]),
    ("api.core.v1.NodeSelector", &["nodeSelectorTerms"]),
    ("api.core.v1.NodeSelectorRequirement", &["values"]),
    ("api.core.v1.NodeSelectorTerm", &["matchExpressions", "matchFields"]),
    ("api.core.v1.PersistentVolumeClaimSpec", &["accessModes"]),
    (
        "api.core.v1.PodAffinity",
        &[
            "preferredDuringSchedulingIgnoredDuringExecution",
            "requiredDuringSchedulingIgnoredDuringExecution",
        ],
    ),
    ("api.core.v1.PodAffinityTerm", &["matchLabelKeys", "mismatchLabelKeys", "namespaces"]),
    (
        "api.core.v1.PodAntiAffinity",
        &[
            "preferredDuringSchedulingIgnoredDuringExecution",
            "requiredDuringSchedulingIgnoredDuringExecution",
        ],
    ),
    ("api.core.v1.PodDNSConfig", &["nameservers", "options", "searches"]),
    ("api.core.v1.PodSecurityContext", &["supplementalGroups", "sysctls"]),
    ("api.core.v1.ProjectedVolumeSource", &["sources"]),
    ("api.core.v1.RBDVolumeSource", &["monitors"]),
    ("api.core.v1.SecretProjection", &["items"]),
    ("api.core.v1.SecretVolumeSource", &["items"]),
    ("api.core.v1.TopologySpreadConstraint", &["matchLabelKeys"]),
    ("apimachinery.pkg.apis.meta.v1.LabelSelector", &["matchExpressions"]),
    ("apimachinery.pkg.apis.meta.v1.LabelSelectorRequirement", &["values"]),
    (POD_SPEC, &["readinessGates", "tolerations"]),
];

/// Lists whose items are told apart by keys: type, field, keys.
const KEYED_LISTS: &[(&str, &str, &[&str])] = &[
    ("api.core.v1.Container", "env", &["name"]),
    ("api.core.v1.Container", "ports", &["containerPort", "protocol"]),
    ("api.core.v1.Container", "volumeDevices", &["devicePath"]),
    ("api.core.v1.Container", "volumeMounts", &["mountPath"]),
    ("api.core.v1.EphemeralContainer", "env", &["name"]),
    ("api.core.v1.EphemeralContainer", "ports", &["containerPort", "protocol"]),
    ("api.core.v1.EphemeralContainer", "volumeDevices", &["devicePath"]),
    ("api.core.v1.EphemeralContainer", "volumeMounts", &["mountPath"]),
    ("api.core.v1.ResourceRequirements", "claims", &["name"]),
    (POD_SPEC, "containers", &["name"]),
    (POD_SPEC, "ephemeralContainers", &["name"]),
    (POD_SPEC, "hostAliases", &["ip"]),
    (POD_SPEC, "imagePullSecrets", &["name"]),
    (POD_SPEC, "initContainers", &["name"]),
    (POD_SPEC, "resourceClaims", &["name"]),
    (POD_SPEC, "schedulingGates", &["name"]),
    (POD_SPEC, "topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    (POD_SPEC, "volumes", &["name"]),
];

/// Lists without repetition: type, field.
const SETS: &[(&str, &str)] = &[("api.core.v1.ContainerRestartRuleOnExitCodes", "values")];

/// Objects that server-side apply replaces as a whole.
const ATOMIC_OBJECTS: &[&str] = &[
    "api.core.v1.ConfigMapEnvSource",
    "api.core.v1.ConfigMapKeySelector",
    "api.core.v1.ConfigMapProjection",
    "api.core.v1.ConfigMapVolumeSource",
    "api.core.v1.FileKeySelector",
    "api.core.v1.LocalObjectReference",
    "api.core.v1.NodeSelector",
    "api.core.v1.NodeSelectorTerm",
    "api.core.v1.ObjectFieldSelector",
    "api.core.v1.ResourceFieldSelector",
    "api.core.v1.SecretEnvSource",
    "api.core.v1.SecretKeySelector",
    "api.core.v1.SecretProjection",
    "api.core.v1.TypedLocalObjectReference",
    "apimachinery.pkg.apis.meta.v1.LabelSelector",
];

/// Maps inside a type that server-side apply replaces as a whole: type, field.
const ATOMIC_MAPS: &[(&str, &str)] = &[(POD_SPEC, "nodeSelector")];

/// References whose `name` may be left out, for compatibility with old objects.
const OPTIONAL_NAMES: &[&str] = &[
    "api.core.v1.ConfigMapEnvSource",
    "api.core.v1.ConfigMapKeySelector",
    "api.core.v1.ConfigMapProjection",
    "api.core.v1.ConfigMapVolumeSource",
    "api.core.v1.LocalObjectReference",
    "api.core.v1.SecretEnvSource",
    "api.core.v1.SecretKeySelector",
    "api.core.v1.SecretProjection",
];

#[derive(Clone, Copy, Debug)]
enum Default {
    Text(&'static str),
    Switch(bool),
}

/// Defaults that the API server fills in: type, field, value.
const DEFAULTS: &[(&str, &str, Default)] = &[
    ("api.core.v1.AzureDiskVolumeSource", "fsType", Default::Text("ext4")),
    ("api.core.v1.AzureDiskVolumeSource", "readOnly", Default::Switch(false)),
    ("api.core.v1.ConfigMapEnvSource", "name", Default::Text("")),
    ("api.core.v1.ConfigMapKeySelector", "name", Default::Text("")),
    ("api.core.v1.ConfigMapProjection", "name", Default::Text("")),
    ("api.core.v1.ConfigMapVolumeSource", "name", Default::Text("")),
    ("api.core.v1.ContainerPort", "protocol", Default::Text("TCP")),
    ("api.core.v1.FileKeySelector", "optional", Default::Switch(false)),
    ("api.core.v1.GRPCAction", "service", Default::Text("")),
    ("api.core.v1.ISCSIVolumeSource", "iscsiInterface", Default::Text("default")),
    ("api.core.v1.LocalObjectReference", "name", Default::Text("")),
    ("api.core.v1.RBDVolumeSource", "keyring", Default::Text("/etc/ceph/keyring")),
    ("api.core.v1.RBDVolumeSource", "pool", Default::Text("rbd")),
    ("api.core.v1.RBDVolumeSource", "user", Default::Text("admin")),
    ("api.core.v1.ScaleIOVolumeSource", "fsType", Default::Text("xfs")),
    ("api.core.v1.ScaleIOVolumeSource", "storageMode", Default::Text("ThinProvisioned")),
    ("api.core.v1.SecretEnvSource", "name", Default::Text("")),
    ("api.core.v1.SecretKeySelector", "name", Default::Text("")),
    ("api.core.v1.SecretProjection", "name", Default::Text("")),
];

/// Adds the rules to the definitions that are present.
///
/// # Errors
/// When a rule names a field its definition does not have.
pub(super) fn apply(definitions: &mut Map<String, Value>) -> Result<(), SchemaError> {
    replace_scalars(definitions);
    for (name, fields) in ATOMIC_LISTS {
        for field in *fields {
            set(definitions, name, field, json!({ "x-kubernetes-list-type": "atomic" }))?;
        }
    }
    for (name, field, keys) in KEYED_LISTS {
        let rule = json!({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys });
        set(definitions, name, field, rule)?;
    }
    for (name, field) in SETS {
        set(definitions, name, field, json!({ "x-kubernetes-list-type": "set" }))?;
    }
    for name in ATOMIC_OBJECTS {
        if let Some(definition) = find(definitions, name) {
            definition.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
        }
    }
    for (name, field) in ATOMIC_MAPS {
        set(definitions, name, field, json!({ "x-kubernetes-map-type": "atomic" }))?;
    }
    for name in OPTIONAL_NAMES {
        if let Some(Value::Array(required)) = find(definitions, name).and_then(|it| it.get_mut("required")) {
            required.retain(|field| field != "name");
        }
    }
    for (name, field, default) in DEFAULTS {
        let default = match default {
            Default::Text(text) => json!(text),
            Default::Switch(on) => json!(on),
        };
        set(definitions, name, field, json!({ "x-default": default }))?;
    }
    condition(definitions)
}

/// Types whose form in JSON is not that of their generated schema.
fn replace_scalars(definitions: &mut Map<String, Value>) {
    let number_or_text = json!([{ "type": "integer" }, { "type": "string" }]);
    let replacements = [
        (
            QUANTITY,
            json!({ "anyOf": number_or_text, "pattern": QUANTITY_PATTERN, "x-kubernetes-int-or-string": true }),
        ),
        (INT_OR_STRING, json!({ "anyOf": number_or_text, "x-kubernetes-int-or-string": true })),
        (OBJECT_META, json!({ "type": "object" })),
    ];
    for (name, schema) in replacements {
        if let Some(definition) = definitions.get_mut(&format!("{PREFIX}{name}")) {
            *definition = schema;
        }
    }
}

/// The limits of a condition, which the API server enforces (`api.md` 2, Times).
fn condition(definitions: &mut Map<String, Value>) -> Result<(), SchemaError> {
    set(definitions, CONDITION, "message", json!({ "maxLength": 32768 }))?;
    set(definitions, CONDITION, "observedGeneration", json!({ "minimum": 0 }))?;
    let reason =
        json!({ "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$" });
    set(definitions, CONDITION, "reason", reason)?;
    set(definitions, CONDITION, "status", json!({ "enum": ["True", "False", "Unknown"] }))?;
    let kind = json!({
        "maxLength": 316,
        "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
    });
    set(definitions, CONDITION, "type", kind)
}

/// The definition of a Kubernetes type.
fn find<'a>(definitions: &'a mut Map<String, Value>, name: &str) -> Option<&'a mut Map<String, Value>> {
    definitions.get_mut(&format!("{PREFIX}{name}")).and_then(Value::as_object_mut)
}

/// Adds `rule` to a field of a type, and of ours that repeats it; one that the root does not use is passed over.
fn set(
    definitions: &mut Map<String, Value>,
    name: &str,
    field: &str,
    rule: Value,
) -> Result<(), SchemaError> {
    let repeated = (name == POD_SPEC).then(|| FLATTENED.to_owned());
    for key in std::iter::once(format!("{PREFIX}{name}")).chain(repeated) {
        let Some(definition) = definitions.get_mut(&key) else { continue };
        let property =
            definition.get_mut("properties").and_then(|it| it.get_mut(field)).and_then(Value::as_object_mut);
        match (property, &rule) {
            (Some(property), Value::Object(rule)) => property.extend(rule.clone()),
            _ => return Err(SchemaError::UnknownField { definition: key, field: field.to_owned() }),
        }
    }
    Ok(())
}
