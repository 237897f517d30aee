//! The claims that a graph makes (`workload.md` section 11.1). One that exists is left as it is, whoever made it.
//! Whether one exists is not known here.

use std::collections::BTreeSet;

use dynamo_api::v1alpha1::Pvc;
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::validate::ValidatedGraph;

/// A claim that the pods of a graph mount.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// It must be there already.
    Expected(String),
    /// It is made unless it is there.
    Made(Box<PersistentVolumeClaim>),
}

/// The claims of `spec.pvcs`, in its order, each once: one that is made is not expected to be there already.
#[must_use]
pub fn build_claims(graph: &ValidatedGraph<'_>) -> Vec<Claim> {
    let pvcs = &graph.graph.spec.pvcs;
    let mut known = BTreeSet::new();
    let first_of_each = pvcs.iter().filter(|pvc| known.insert(&pvc.name));
    first_of_each
        .map(|first| match pvcs.iter().find(|pvc| pvc.create && pvc.name == first.name) {
            Some(made) => Claim::Made(Box::new(build_claim(graph.namespace, made))),
            None => Claim::Expected(first.name.clone()),
        })
        .collect()
}

fn build_claim(namespace: &str, pvc: &Pvc) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(pvc.name.clone()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: pvc.volume_access_mode.clone().map(|mode| vec![mode]),
            resources: pvc.size.clone().map(|size| VolumeResourceRequirements {
                requests: Some([("storage".to_owned(), size)].into()),
                ..VolumeResourceRequirements::default()
            }),
            storage_class_name: pvc.storage_class.clone(),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
