//! Requests to the API server: counted for every request, watches at their start.
//! Nothing here sends or changes one.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ClientLabels {
    code: String,
    method: String,
    host: String,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResourceLabels {
    verb: &'static str,
    resource: String,
    /// HTTP status, 0 when no answer came.
    code: u16,
}

/// One request, as the counters see it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) host: String,
    pub(crate) verb: &'static str,
    pub(crate) resource: String,
}

/// Requests to the API server.
#[derive(Debug, Default)]
pub struct ApiMetrics {
    client: Family<ClientLabels, Counter>,
    requests: Family<ResourceLabels, Counter>,
}

impl ApiMetrics {
    /// Adds the families to `registry`.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "rest_client_requests",
            "Requests to the Kubernetes API by HTTP status (<error> without an answer), method and host",
            self.client.clone(),
        );
        registry.register(
            "dynamo_operator_api_requests",
            "Requests to the Kubernetes API by verb (create, update, patch, delete: writes; list: a watch that began anew), resource with its subresource, and HTTP status, 0 without an answer",
            self.requests.clone(),
        );
    }

    /// Counts a request that was answered with `code`, or not at all.
    pub(crate) fn count(&self, sent: Sent, code: Option<u16>) {
        let Sent { method, host, verb, resource } = sent;
        let client = code.map_or_else(|| "<error>".to_owned(), |code| code.to_string());
        self.client.get_or_create(&ClientLabels { code: client, method, host }).inc();
        self.requests.get_or_create(&ResourceLabels { verb, resource, code: code.unwrap_or(0) }).inc();
    }
}
