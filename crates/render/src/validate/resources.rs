//! Amounts of resources, judged on the container that would be made (`api.md` section 5, Resources).
//! A value that the service overrides is not looked at: the API server never sees it.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{ResourceItem, SharedSpec};
use k8s_openapi::{api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity};

use super::{Rule, Verdict, amount::Amount, texts};
use crate::{
    names,
    parts::resources::{DEFAULT_GPU, requested_gpu},
};

const QUANTITY: &str =
    "is not a quantity: write a number with an optional suffix, such as \"2\", \"500m\" or \"64Gi\"";
/// Names without a domain that a container may ask for, beside `hugepages-<size>`.
const STANDARD: [&str; 3] = ["cpu", "memory", "ephemeral-storage"];

/// Requests or limits.
type Amounts = BTreeMap<String, Quantity>;

/// A GPU that is only requested is given by graphs that this operator admitted, and by no others (`workload.md`
/// section 6.4); beside a limit the request is nothing.
pub(super) fn check_ignored(field: &str, spec: &SharedSpec, ours: bool, verdict: &mut Verdict) {
    let Some(resources) = &spec.resources else { return };
    let gpu = |item: Option<&ResourceItem>| item.and_then(|item| item.gpu.clone());
    let Some(request) = gpu(resources.requests.as_ref()) else { return };
    let words = match gpu(resources.limits.as_ref()) {
        Some(limit) if Amount::parse(&limit) == Amount::parse(&request) => return,
        Some(_) => "is ignored: pods get resources.limits.gpu, write the same number or leave it out",
        None if ours && requested_gpu(resources).is_some() => return,
        None => "is ignored: write the number of GPUs into resources.limits.gpu",
    };
    verdict.missing(Rule::GpuRequestIgnored, format!("{field}.resources.requests.gpu"), words);
}

/// The resources of the main container, those of the service over its own.
pub(super) fn check_main(
    field: &str,
    spec: &SharedSpec,
    merged: &ResourceRequirements,
    verdict: &mut Verdict,
) {
    let path = |side: &str, name: &str| {
        let service = spec.resources.as_ref();
        let is_requested = service.and_then(requested_gpu).is_some_and(|(gpu, _)| gpu == name);
        if side == "limits" && is_requested {
            return format!("{field}.resources.requests.gpu");
        }
        let item = match side {
            "requests" => service.and_then(|service| service.requests.as_ref()),
            _ => service.and_then(|service| service.limits.as_ref()),
        };
        match item.and_then(|item| key_of(item, side, name)) {
            Some(key) => format!("{field}.resources.{side}.{key}"),
            None => format!("{field}.extraPodSpec.mainContainer.resources.{side}[{name}]"),
        }
    };
    check(merged, path, verdict);
}

/// The key of a service's resources that says how much of `name` there is.
fn key_of(item: &ResourceItem, side: &str, name: &str) -> Option<String> {
    if item.custom.contains_key(name) {
        return Some(format!("custom[{name}]"));
    }
    let gpu_name = item.gpu_type.as_deref().unwrap_or(DEFAULT_GPU);
    match name {
        "cpu" if item.cpu.is_some() => Some("cpu".to_owned()),
        "memory" if item.memory.is_some() => Some("memory".to_owned()),
        _ if name == gpu_name && side == "limits" && item.gpu.is_some() => Some("gpu".to_owned()),
        _ => None,
    }
}

/// Requests and limits of any container; `path` is the field of one of them.
pub(super) fn check(
    resources: &ResourceRequirements,
    path: impl Fn(&str, &str) -> String,
    verdict: &mut Verdict,
) {
    static NONE: Amounts = Amounts::new();
    let (requests, limits) =
        (resources.requests.as_ref().unwrap_or(&NONE), resources.limits.as_ref().unwrap_or(&NONE));
    for (side, amounts) in [("requests", requests), ("limits", limits)] {
        for (name, quantity) in amounts {
            check_one(&path(side, name), name, quantity, verdict);
        }
    }
    for (name, request) in requests {
        let limit = limits.get(name);
        let field = path("requests", name);
        let Some(least) = Amount::parse(&request.0) else { continue };
        let most = limit.and_then(|limit| Amount::parse(&limit.0));
        if is_device(name) || is_huge_page(name) {
            if limit.is_none() || most.is_some_and(|most| least != most) {
                let words = "must have a limit equal to its request: it cannot be overcommitted";
                verdict.invalid(Rule::RequestNotLimit, field, &request.0, words);
            }
        } else if most.is_some_and(|most| least > most) {
            let most = limit.map_or("", |limit| limit.0.as_str());
            let words = format!("is more than the limit {most}: raise the limit or ask for less");
            verdict.invalid(Rule::RequestOverLimit, field, &request.0, &words);
        }
    }
}

/// One amount of any container.
pub(super) fn check_one(field: &str, name: &str, quantity: &Quantity, verdict: &mut Verdict) {
    let known = match name.contains('/') {
        true => names::is_qualified_name(name),
        false => STANDARD.contains(&name) || is_huge_page(name),
    };
    if !known {
        let words = "is no name of a resource: write cpu, memory, ephemeral-storage or a name with a domain, such as \
                     nvidia.com/gpu";
        verdict.invalid(Rule::ResourceNameInvalid, field, name, words);
    }
    let text = &quantity.0;
    match Amount::parse(text) {
        None => verdict.invalid(Rule::QuantityInvalid, field, text, QUANTITY),
        Some(amount) if amount.is_negative() => {
            verdict.invalid(Rule::QuantityNegative, field, text, texts::NEGATIVE);
        }
        Some(amount) if is_device(name) && !amount.is_whole() => {
            let words = "must be a whole number: devices are not divided";
            verdict.invalid(Rule::QuantityFraction, field, text, words);
        }
        Some(_) => {}
    }
}

/// The size of a claim or of shared memory.
pub(super) fn check_size(field: String, size: &str, verdict: &mut Verdict) {
    match Amount::parse(size) {
        None => verdict.invalid(Rule::QuantityInvalid, field, size, "is not a quantity, such as \"16Gi\""),
        Some(amount) if amount.is_negative() => {
            verdict.invalid(Rule::QuantityNegative, field, size, texts::NEGATIVE);
        }
        Some(_) => {}
    }
}

/// What the API server calls an extended resource: one of a domain that is not Kubernetes' own.
fn is_device(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

fn is_huge_page(name: &str) -> bool {
    name.starts_with("hugepages-")
}
