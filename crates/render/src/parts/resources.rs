//! Resources of the main container (`workload.md` section 6.4).
//! Quantities were checked before; here they only move to their places.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{ResourceItem, Resources};
use k8s_openapi::{
    api::core::v1::{ResourceClaim, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};

/// The resource that `gpu` asks for unless `gpuType` names another.
pub const DEFAULT_GPU: &str = "nvidia.com/gpu";

/// Name and number of GPUs that only the requests ask for.
#[must_use]
pub fn requested_gpu(service: &Resources) -> Option<(&str, &str)> {
    let requests = service.requests.as_ref()?;
    let name = requests.gpu_type.as_deref().unwrap_or(DEFAULT_GPU);
    let is_limited = service
        .limits
        .as_ref()
        .is_some_and(|limits| limits.gpu.is_some() || limits.custom.contains_key(name));
    Some((name, requests.gpu.as_deref().filter(|_| !is_limited)?))
}

/// The service's resources over those of the container, key by key. `ours`: a GPU that is only requested is given.
#[must_use]
pub fn over(
    container: Option<ResourceRequirements>,
    service: Option<&Resources>,
    ours: bool,
) -> Option<ResourceRequirements> {
    let Some(service) = service else { return container };
    let mut merged = container.unwrap_or_default();
    if let Some(requests) = &service.requests {
        // The API server fills in the request of a device from its limit.
        put(&mut merged.requests, requests, None);
    }
    if let Some(limits) = &service.limits {
        put(&mut merged.limits, limits, limits.gpu.as_ref());
    }
    if let Some((name, number)) = requested_gpu(service).filter(|_| ours) {
        let limits = merged.limits.get_or_insert_default();
        limits.insert(name.to_owned(), Quantity(number.to_owned()));
    }
    if !service.claims.is_empty() {
        let claims = service.claims.iter();
        let claims =
            claims.map(|claim| ResourceClaim { name: claim.name.clone(), request: claim.request.clone() });
        merged.claims.get_or_insert_default().extend(claims);
    }
    Some(merged)
}

fn put(into: &mut Option<BTreeMap<String, Quantity>>, item: &ResourceItem, gpu: Option<&String>) {
    let gpu_name = item.gpu_type.as_deref().unwrap_or(DEFAULT_GPU);
    let own = [("cpu", item.cpu.as_ref()), ("memory", item.memory.as_ref()), (gpu_name, gpu)];
    let own = own.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let custom = item.custom.iter().map(|(name, value)| (name.clone(), value));
    for (name, value) in own.chain(custom) {
        into.get_or_insert_default().insert(name, Quantity(value.clone()));
    }
}
