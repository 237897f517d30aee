//! Claims of a graph, and where services mount them.
//! Whether a claim exists is known to the cluster alone; here a strange one is only pointed out.

use std::collections::BTreeMap;

use dynamo_api::v1alpha1::{BackendFramework, Pvc, SharedSpec};

use super::{Kind, Rule, Verdict, component::Place, resources, texts};
use crate::{
    component::{ComponentType, Role},
    names,
};

/// `spec.pvcs` of a graph (`operator-process.md` section 7).
pub(super) fn check_pvcs(pvcs: &[Pvc], verdict: &mut Verdict) {
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut created: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, pvc) in pvcs.iter().enumerate() {
        let field = format!("spec.pvcs[{at}]");
        let of_name = format!("{field}.name");
        let first = *taken.entry(&pvc.name).or_insert(at);
        let maker = if pvc.create { *created.entry(&pvc.name).or_insert(at) } else { at };
        let words = |other: usize| format!("is already the name of spec.pvcs[{other}]: list each claim once");
        if pvc.name.is_empty() {
            verdict.missing(Rule::PvcNameMissing, of_name, "is required: the name of the claim");
        } else if !names::is_dns_subdomain(&pvc.name) {
            verdict.invalid(Rule::ClaimNameInvalid, of_name, &pvc.name, texts::SUBDOMAIN);
        } else if pvcs.get(maker).is_some_and(|other| other != pvc) {
            verdict.invalid(Rule::PvcNameTaken, of_name, &pvc.name, &words(maker));
        } else if first != at {
            // One that is made and one that is there already contradict nothing.
            let text = format!("{of_name}: {:?}: {}", pvc.name, words(first));
            verdict.warn(Rule::PvcNameTaken, of_name, text);
        }
        if pvc.create {
            check_created(&field, pvc, verdict);
        }
    }
}

fn check_created(field: &str, pvc: &Pvc, verdict: &mut Verdict) {
    let given = [
        ("storageClass", pvc.storage_class.is_some()),
        ("size", pvc.size.is_some()),
        ("volumeAccessMode", pvc.volume_access_mode.is_some()),
    ];
    for (key, _) in given.into_iter().filter(|(_, given)| !given) {
        let field = format!("{field}.{key}");
        verdict.missing(Rule::PvcCreateIncomplete, field, "is required when create is true");
    }
    if let Some(size) = &pvc.size {
        resources::check_size(format!("{field}.size"), &size.0, verdict);
    }
}

/// `volumeMounts` of a service or a component.
pub(super) fn check_mounts(
    place: &Place<'_>,
    spec: &SharedSpec,
    backend: Option<&BackendFramework>,
    verdict: &mut Verdict,
) {
    let has_cache_default =
        Role::of(ComponentType::of(spec)) == Role::Worker && backend == Some(&BackendFramework::Vllm);
    let mut taken = BTreeMap::new();
    for (at, mount) in spec.volume_mounts.iter().enumerate() {
        let field = format!("{}.volumeMounts[{at}]", place.field);
        check_claim(place, &format!("{field}.name"), &mount.name, verdict);
        let of_point = format!("{field}.mountPoint");
        let point = mount.mount_point.as_deref().unwrap_or_default();
        if let Some(other) =
            taken.insert(point, &mount.name).filter(|other| !point.is_empty() && *other != &mount.name)
        {
            let words = format!("is already taken by {other}: each claim needs a place of its own");
            verdict.invalid(Rule::MountPointTaken, &of_point, point, &words);
        }
        if point.is_empty() {
            if !mount.use_as_compilation_cache {
                let words = "is required when useAsCompilationCache is false";
                verdict.missing(Rule::MountPointMissing, of_point, words);
            } else if !has_cache_default {
                let words =
                    "is required: only the vllm backend has a default place for its compilation cache";
                verdict.missing(Rule::CachePointMissing, of_point, words);
            }
        }
    }
}

fn check_claim(place: &Place<'_>, field: &str, name: &str, verdict: &mut Verdict) {
    if name.is_empty() {
        verdict.missing(Rule::MountNameMissing, field, "is required: the name of the claim");
    } else if !names::is_dns_label(name) {
        // The claim's name is the volume's too, which is narrower.
        verdict.invalid(Rule::ClaimNameInvalid, field, name, texts::DNS_LABEL);
    } else if place.kind == Kind::Graph && place.pvcs.iter().all(|pvc| pvc.name != name) {
        let words = "is not in spec.pvcs: pods wait until a claim of this name exists";
        verdict.invalid(Rule::MountClaimUnknown, field, name, words);
    }
}
