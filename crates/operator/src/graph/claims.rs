//! The claims of a graph (`workload.md` section 11.1): made where they are missing, and never changed: what a volume
//! holds outlives every edit of a graph.

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_kubekit::{
    apply::{ApplyError, Class},
    cache::{Cache, Change, Feed, reference},
    key_of,
};
use dynamo_render::claims::Claim;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, Client, core::PartialObjectMetaExt};
use tracing::info;

use crate::{
    context::{ClaimName, Context, failed, owner_of},
    wiring::Trigger,
    writes,
};

/// Why a graph lacks a claim.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    #[error(
        "persistentvolumeclaims \"{name}\" not found in namespace {namespace}: make it, or set create: true in \
         spec.pvcs"
    )]
    Missing { namespace: String, name: String },
    #[error(transparent)]
    Create(#[from] ApplyError),
}

impl ClaimError {
    pub(super) fn class(&self) -> Class {
        match self {
            Self::Missing { .. } => Class::Invalid,
            Self::Create(cause) => cause.class(),
        }
    }

    pub(super) fn category(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "claim_missing",
            Self::Create(cause) => cause.category(),
        }
    }
}

/// Makes what is missing and may be made.
pub(super) async fn ensure(
    ctx: &Context,
    dgd: &DynamoGraphDeployment,
    claims: Vec<Claim>,
) -> Result<(), ClaimError> {
    let namespace = dgd.metadata.namespace.as_deref().unwrap_or_default();
    let is_there = |name: &str| ctx.caches.claims.get(namespace, name).is_some();
    let mut missing = None;
    for claim in claims {
        match claim {
            Claim::Made(mut claim) => {
                if !is_there(claim.metadata.name.as_deref().unwrap_or_default()) {
                    claim.metadata.owner_references = Some(vec![owner_of(dgd)]);
                    make(&ctx.client, &ctx.caches.claims, &claim).await?;
                }
            }
            Claim::Expected(name) if is_there(&name) => {}
            Claim::Expected(name) => _ = missing.get_or_insert(name),
        }
    }
    match missing {
        // One entry of the list may make what another one expects.
        Some(name) if !is_there(&name) => Err(ClaimError::Missing { namespace: namespace.to_owned(), name }),
        _ => Ok(()),
    }
}

async fn make(
    client: &Client,
    known: &Cache<ClaimName>,
    claim: &PersistentVolumeClaim,
) -> Result<(), ApplyError> {
    let (namespace, name) = key_of(claim);
    let api = Api::namespaced(client.clone(), &namespace);
    // One that somebody else made is used as it is.
    if let Some(made) = writes::create(&api, claim).await.map_err(failed("create", claim))? {
        info!(%namespace, %name, "claim created");
        known.note_written(made.metadata.into_response_partial());
    }
    Ok(())
}

/// Wakes the graphs that list a claim when it comes or goes.
pub(crate) fn wake_graphs(
    claims: &mut Feed<ClaimName>,
    graphs: Cache<DynamoGraphDeployment>,
    trigger: Trigger<DynamoGraphDeployment>,
) {
    claims.on_change(move |change| {
        if let Change::Applied { before: Some(_), .. } = change {
            return;
        }
        let (namespace, name) = key_of(&**change.object());
        for dgd in graphs.in_namespace(&namespace) {
            if dgd.spec.pvcs.iter().any(|pvc| pvc.name == name) {
                trigger.send(reference(&*dgd));
            }
        }
    });
}
