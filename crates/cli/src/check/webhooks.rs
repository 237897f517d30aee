//! Whether somebody answers for the admission webhooks of the platform: Service, ready endpoints, trust.
//! Nothing is sent to the webhooks themselves.

use std::collections::BTreeMap;

use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{
            MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
            WebhookClientConfig,
        },
        discovery::v1::EndpointSlice,
    },
};
use kube::{Api, ResourceExt, api::ListParams};

use super::report::Verdict;
use crate::{
    cluster::{Cluster, Error},
    pages,
};

const GROUP: &str = "nvidia.com";

/// One configuration that asks one Service.
#[derive(Debug, PartialEq, Eq)]
pub struct Hook {
    configuration: String,
    /// Namespace and name.
    service: (String, String),
    /// Writes are refused when nobody answers.
    strict: bool,
    trusted: bool,
    ready: usize,
}

/// # Errors
/// Webhook configurations or endpoints cannot be listed.
pub async fn gather(cluster: &Cluster) -> Result<Vec<Hook>, Error> {
    let client = &cluster.client;
    let what = "list webhook configurations";
    let validating: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let validating = pages::all(&validating, ListParams::default()).await;
    let mutating: Api<MutatingWebhookConfiguration> = Api::all(client.clone());
    let mutating = pages::all(&mutating, ListParams::default()).await;
    let mut hooks = BTreeMap::new();
    for configuration in validating.map_err(|error| Error::of(what, &error))? {
        let name = configuration.name_any();
        for hook in configuration.webhooks.unwrap_or_default() {
            let strict = hook.failure_policy.as_deref() != Some("Ignore");
            note(&mut hooks, &name, hook.rules.as_deref(), &hook.client_config, strict);
        }
    }
    for configuration in mutating.map_err(|error| Error::of(what, &error))? {
        let name = configuration.name_any();
        for hook in configuration.webhooks.unwrap_or_default() {
            let strict = hook.failure_policy.as_deref() != Some("Ignore");
            note(&mut hooks, &name, hook.rules.as_deref(), &hook.client_config, strict);
        }
    }
    let mut hooks: Vec<Hook> = hooks.into_values().collect();
    for hook in &mut hooks {
        hook.ready = ready(cluster, &hook.service).await?;
    }
    Ok(hooks)
}

fn note(
    hooks: &mut BTreeMap<(String, (String, String)), Hook>,
    configuration: &str,
    rules: Option<&[RuleWithOperations]>,
    client: &WebhookClientConfig,
    strict: bool,
) {
    let has = |words: &Option<Vec<String>>, wanted: &dyn Fn(&str) -> bool| {
        words.iter().flatten().any(|word| wanted(word))
    };
    // Others use the group, too, such as the GPU Operator.
    let ours = rules.unwrap_or_default().iter().any(|rule| {
        has(&rule.api_groups, &|group| group == GROUP)
            && has(&rule.resources, &|resource| resource.starts_with("dynamo"))
    });
    let Some(service) = client.service.as_ref().filter(|_| ours) else { return };
    let service = (service.namespace.clone(), service.name.clone());
    let trusted = client.ca_bundle.as_ref().is_some_and(|ByteString(bytes)| !bytes.is_empty());
    let hook = hooks.entry((configuration.to_owned(), service.clone())).or_insert_with(|| Hook {
        configuration: configuration.to_owned(),
        service,
        strict,
        trusted,
        ready: 0,
    });
    hook.strict |= strict;
    hook.trusted &= trusted;
}

async fn ready(cluster: &Cluster, (namespace, name): &(String, String)) -> Result<usize, Error> {
    let api: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), namespace);
    let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let slices = pages::all(&api, of_service).await;
    let slices =
        slices.map_err(|error| Error::of(format!("list EndpointSlices of namespace {namespace}"), &error))?;
    let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
    Ok(endpoints
        .filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|it| it.ready == Some(true)))
        .count())
}

/// The verdict: a configuration that refuses writes while nobody answers fails the check.
pub fn judge(hooks: &[Hook]) -> Verdict {
    if hooks.is_empty() {
        return Verdict::passed("No admission webhooks of the platform are present yet");
    }
    let mut faults = Vec::new();
    let mut strict = false;
    for hook in hooks {
        let Hook { configuration, service: (namespace, name), .. } = hook;
        let fault = if hook.ready == 0 {
            format!("{configuration}: Service {namespace}/{name} has no ready endpoint")
        } else if !hook.trusted {
            format!("{configuration}: its caBundle is empty, so the API server trusts no answer")
        } else {
            continue;
        };
        strict |= hook.strict;
        faults.push(fault);
    }
    if faults.is_empty() {
        return Verdict::passed(format!(
            "Admission webhooks are answered for ({} configurations)",
            hooks.len()
        ));
    }
    if strict {
        let list = faults.into_iter().map(|fault| format!("  - {fault}"));
        return Verdict::failed(
            "Writes of graphs are refused: nobody answers the admission webhooks",
            "bring the operator up (its pod, its Service, its certificate), or delete configurations that an uninstall \
             left behind",
        )
        .lines(list);
    }
    faults.into_iter().fold(
        Verdict::passed("Admission webhooks are not answered, and graphs are accepted unjudged"),
        Verdict::warn,
    )
}
