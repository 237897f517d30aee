//! The webhook registrations of the chart for an operator that runs on this machine.
//! A bare control plane has no Service network: the Service is an external name, which the API server dials at the
//! port of the registration while it checks the certificate against the Service's own name.

use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Service,
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// Requests of this user are not reviewed: for objects that an older release admitted.
pub const UNREVIEWED_USER: &str = "unreviewed";

/// Names of what [`register`] made, as the operator's flags want them.
#[derive(Debug, Clone)]
pub struct Webhooks {
    pub service: String,
    pub namespace: String,
    pub validating: String,
    pub mutating: String,
}

/// What differs between registrations.
#[derive(Debug, Clone)]
pub struct Registration<'a> {
    /// Prefix of every name, so that several operators can be registered.
    pub prefix: &'a str,
    /// Where the Service and the certificate's Secret are.
    pub namespace: &'a str,
    /// The port on this machine.
    pub port: u16,
    /// Only objects of these namespaces are reviewed.
    pub reviewed: &'a [String],
}

const KINDS: [&str; 4] =
    ["dynamocomponentdeployment", "dynamographdeployment", "dynamomodel", "dynamographdeploymentrequest"];

/// Registers all five webhooks of the contract (`operator-process.md` section 6), without a bundle.
pub async fn register(client: &Client, registration: &Registration<'_>) -> Webhooks {
    let Registration { prefix, namespace, port, reviewed } = registration;
    let names = Webhooks {
        service: format!("{prefix}-webhook-service"),
        namespace: (*namespace).to_owned(),
        validating: format!("{prefix}-validating"),
        mutating: format!("{prefix}-mutating"),
    };
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": names.service},
        "spec": {"type": "ExternalName", "externalName": "localhost"},
    });
    apply(&Api::<Service>::namespaced(client.clone(), namespace), &names.service, &service).await;
    let webhook = |name: String, path: String, kind: &str, operations: Value| {
        json!({
            "name": name, "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "failurePolicy": "Fail", "timeoutSeconds": 10,
            "clientConfig": {"service": {"name": names.service, "namespace": namespace, "path": path, "port": port}},
            "namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": reviewed}]},
            "matchConditions": [{"name": "reviewed-user",
                "expression": format!("request.userInfo.username != '{UNREVIEWED_USER}'")}],
            "rules": [{"apiGroups": ["nvidia.com"], "apiVersions": ["v1alpha1"], "operations": operations,
                "resources": [format!("{kind}s")]}],
        })
    };
    let validating: Vec<Value> = KINDS
        .iter()
        .map(|kind| {
            let path = format!("/validate-nvidia-com-v1alpha1-{kind}");
            webhook(format!("v{kind}.kb.io"), path, kind, json!(["CREATE", "UPDATE"]))
        })
        .collect();
    let graph = KINDS[1];
    let path = format!("/mutate-nvidia-com-v1alpha1-{graph}");
    let mutating = [webhook(format!("m{graph}.kb.io"), path, graph, json!(["CREATE"]))];
    let configuration = |kind: &str, name: &str, webhooks: &[Value]| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind,
            "metadata": {"name": name}, "webhooks": webhooks,
        })
    };
    let object = configuration("ValidatingWebhookConfiguration", &names.validating, &validating);
    apply(&Api::<ValidatingWebhookConfiguration>::all(client.clone()), &names.validating, &object).await;
    let object = configuration("MutatingWebhookConfiguration", &names.mutating, &mutating);
    apply(&Api::<MutatingWebhookConfiguration>::all(client.clone()), &names.mutating, &object).await;
    names
}

/// Takes the registrations away, so that nothing is reviewed any more.
pub async fn unregister(client: &Client, names: &Webhooks) {
    let params = DeleteParams::default();
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone());
    validating.delete(&names.validating, &params).await.expect("validating registration");
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone());
    mutating.delete(&names.mutating, &params).await.expect("mutating registration");
}

/// The flags by which an operator serves these registrations with certificates of its own making.
#[must_use]
pub fn flags(names: &Webhooks, port: u16) -> Vec<String> {
    vec![
        "--enable-webhooks=true".to_owned(),
        format!("--webhook-bind-address=127.0.0.1:{port}"),
        "--webhook-certificate-mode=operator".to_owned(),
        format!("--webhook-certificate-secret={}-cert", names.service),
        format!("--webhook-service={}", names.service),
        format!("--webhook-namespace={}", names.namespace),
        format!("--webhook-validating-configuration={}", names.validating),
        format!("--webhook-mutating-configuration={}", names.mutating),
        "--webhook-bundle-settle=1s".to_owned(),
    ]
}

async fn apply<K>(api: &Api<K>, name: &str, object: &Value)
where
    K: Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let params = PatchParams::apply("chart").force();
    api.patch(name, &params, &Patch::Apply(object)).await.unwrap_or_else(|error| panic!("{name}: {error}"));
}
