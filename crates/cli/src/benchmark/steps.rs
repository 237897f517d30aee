//! The steps of the set-up, in the order of the contract, over the API.
//! What was done is said as it is done; the first step that fails ends it.

use std::io::{self, BufRead, Write};

use k8s_openapi::api::{
    core::v1::{Namespace, PersistentVolumeClaim, Pod, Secret},
    storage::v1::StorageClass,
};
use kube::{
    Api, ResourceExt,
    api::{DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams, TypeMeta},
    discovery::{self, Scope},
};
use serde_json::{Value, json};

use super::{Log, access};
use crate::{
    check::token::{KEY, SECRET},
    cluster::{self, Cluster, Target},
    pages,
};

const CLAIM: &str = "dynamo-pvc";
const MANAGER: &str = "dynamoctl";
/// Part of the names of the platform's pods.
const PLATFORM: &str = "dynamo-platform";

/// What is to be done.
pub struct Plan {
    pub namespace: String,
    pub objects: Vec<Value>,
    pub token: Option<String>,
    pub yes: bool,
    pub access_mode: Option<&'static str>,
}

/// Why it ended early.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error(transparent)]
    Cluster(#[from] cluster::Error),
    #[error(transparent)]
    Output(#[from] io::Error),
    /// The reason has been printed.
    #[error("stopped")]
    Said,
}

/// Takes every step.
///
/// # Errors
/// See [`Stop`].
pub async fn take(plan: &Plan, target: &Target, log: &mut Log<'_, '_>) -> Result<(), Stop> {
    let namespace = &plan.namespace;
    let cluster = Cluster { namespace: namespace.clone(), ..target.connect().await? };
    let found = Api::<Namespace>::all(cluster.client.clone()).get_opt(namespace).await;
    if found.map_err(|error| cluster::Error::of(format!("read namespace {namespace}"), &error))?.is_none() {
        log.error(&format!("namespace {namespace} does not exist; kubectl create namespace {namespace}"))?;
        return Err(Stop::Said);
    }
    log.ok(&format!("namespace {namespace} exists"))?;
    look_for_platform(plan, &cluster, log).await?;
    for object in &plan.objects {
        apply(plan, &cluster, object.clone(), log).await?;
    }
    match &plan.token {
        Some(token) => write_token(&cluster, token, log).await?,
        None => log.info(&format!("{KEY} is not set: Secret {SECRET} is left as it is"))?,
    }
    verify(plan, &cluster, log).await
}

async fn look_for_platform(plan: &Plan, cluster: &Cluster, log: &mut Log<'_, '_>) -> Result<(), Stop> {
    let namespace = &plan.namespace;
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let pods = pages::all(&pods, ListParams::default()).await;
    let pods =
        pods.map_err(|error| cluster::Error::of(format!("list pods of namespace {namespace}"), &error))?;
    if pods.iter().any(|pod| pod.name_any().contains(PLATFORM)) {
        log.ok(&format!("the platform runs in namespace {namespace}"))?;
        return Ok(());
    }
    log.warn(&format!("no pod of namespace {namespace} belongs to a release {PLATFORM}"))?;
    log.warn("benchmarks need the platform; what is made now waits for it")?;
    if plan.yes {
        log.warn("going on all the same (--yes)")?;
        return Ok(());
    }
    write!(log.0, "Continue anyway? [y/N]: ")?;
    log.0.flush()?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer)?;
    if read == 0 {
        writeln!(log.0)?;
    }
    if matches!(answer.trim_end_matches(['\n', '\r']), "y" | "Y") {
        return Ok(());
    }
    log.error("stopped; nothing was changed. --yes goes on without the question")?;
    Err(Stop::Said)
}

async fn apply(plan: &Plan, cluster: &Cluster, mut object: Value, log: &mut Log<'_, '_>) -> Result<(), Stop> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let types = TypeMeta { api_version: text("/apiVersion"), kind: text("/kind") };
    let name = text("/metadata/name");
    let title = format!("{} {name}", types.kind);
    let refused = |reason: String| cluster::Error::Request { what: format!("cannot apply {title}"), reason };
    let kind = GroupVersionKind::try_from(&types).map_err(|error| refused(error.to_string()))?;
    if types.kind == "PersistentVolumeClaim" {
        let present: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), &plan.namespace);
        let present = present.get_opt(&name).await;
        let present = present.map_err(|error| cluster::Error::of(format!("read {title}"), &error))?;
        if present.is_some() {
            // Hardly anything of a claim can be changed, and its data must stay.
            log.ok(&format!("{title} exists and is left as it is"))?;
            return Ok(());
        }
        let is_chosen = object.pointer("/spec/accessModes").is_some_and(|modes| !modes.is_null());
        if !is_chosen || name == CLAIM || plan.access_mode.is_some() {
            choose_access(plan, cluster, &mut object, log).await?;
        }
    }
    let failed = |error: &kube::Error| cluster::Error::of(format!("apply {title}"), error);
    let (resource, capabilities) =
        discovery::pinned_kind(&cluster.client, &kind).await.map_err(|error| failed(&error))?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Namespaced => Api::namespaced_with(cluster.client.clone(), &plan.namespace, &resource),
        Scope::Cluster => Api::all_with(cluster.client.clone(), &resource),
    };
    let parameters = PatchParams::apply(MANAGER).force();
    api.patch(&name, &parameters, &Patch::Apply(&object)).await.map_err(|error| failed(&error))?;
    log.ok(&format!("{title} applied"))?;
    Ok(())
}

/// Sets the access mode of a new claim: the one that was asked for, else what its class can. The manifest of the claim of
/// benchmarks has the mode that every class can; other claims of a folder keep theirs.
async fn choose_access(
    plan: &Plan,
    cluster: &Cluster,
    claim: &mut Value,
    log: &mut Log<'_, '_>,
) -> Result<(), Stop> {
    let mode = match plan.access_mode {
        Some(mode) => mode,
        None => {
            let classes: Api<StorageClass> = Api::all(cluster.client.clone());
            let classes = match pages::all(&classes, ListParams::default()).await {
                Ok(classes) => classes,
                Err(error) => {
                    let reason = cluster::Error::of("list StorageClasses", &error);
                    return Ok(log.warn(&format!("the access mode stays as the manifest has it: {reason}"))?);
                }
            };
            let class = claim.pointer("/spec/storageClassName").and_then(Value::as_str);
            let access::Choice { mode, warning } = access::choose(&classes, class);
            if let Some(warning) = warning {
                log.warn(&warning)?;
            }
            mode
        }
    };
    let Some(spec) = claim.get_mut("spec").and_then(Value::as_object_mut) else {
        let reason = "spec must be a mapping with resources.requests.storage".to_owned();
        return Err(
            cluster::Error::Request { what: "cannot choose an access mode".to_owned(), reason }.into()
        );
    };
    spec.insert("accessModes".to_owned(), json!([mode]));
    log.info(&format!("access mode of the claim: {mode}"))?;
    Ok(())
}

async fn write_token(cluster: &Cluster, token: &str, log: &mut Log<'_, '_>) -> Result<(), Stop> {
    let api: Api<Secret> = cluster.api();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}, "type": "Opaque",
        "stringData": {KEY: token}});
    let written = api.patch(SECRET, &PatchParams::apply(MANAGER).force(), &Patch::Apply(&secret)).await;
    written.map_err(|error| cluster::Error::of(format!("write Secret {SECRET}"), &error))?;
    log.ok(&format!("Secret {SECRET} has the token of {KEY}"))?;
    Ok(())
}

async fn verify(plan: &Plan, cluster: &Cluster, log: &mut Log<'_, '_>) -> Result<(), Stop> {
    let namespace = &plan.namespace;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(cluster.client.clone(), namespace);
    let claim = claims.get_opt(CLAIM).await;
    let claim = claim.map_err(|error| cluster::Error::of(format!("read claim {CLAIM}"), &error))?;
    let mut complete = true;
    match claim {
        Some(claim) => {
            let phase = claim.status.and_then(|status| status.phase).unwrap_or_else(|| "Pending".to_owned());
            log.ok(&format!("claim {CLAIM} is there ({phase})"))?;
        }
        None => {
            log.error(&format!("claim {CLAIM} is not in namespace {namespace}: no manifest makes it"))?;
            complete = false;
        }
    }
    if plan.token.is_some() {
        let secrets: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
        let secret = secrets.get_opt(SECRET).await;
        let secret = secret.map_err(|error| cluster::Error::of(format!("read Secret {SECRET}"), &error))?;
        if secret.is_some_and(|secret| secret.data.is_some_and(|data| data.contains_key(KEY))) {
            log.ok(&format!("Secret {SECRET} is there"))?;
        } else {
            log.error(&format!("Secret {SECRET} of namespace {namespace} has no {KEY}"))?;
            complete = false;
        }
    }
    if !complete {
        return Err(Stop::Said);
    }
    log.ok(&format!("namespace {namespace} is ready for benchmarks"))?;
    Ok(())
}
