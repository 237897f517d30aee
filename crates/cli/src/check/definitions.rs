//! CRDs of the platform that the cluster has already (`tools.md` section 1.4).
//! Which ones there should be comes from the API library.

use dynamo_api::v1alpha1::{
    DynamoCheckpoint, DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest,
    DynamoGraphDeploymentScalingAdapter, DynamoModel, DynamoWorkerMetadata,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, CustomResourceExt, api::ListParams};

use super::report::Verdict;
use crate::{
    cluster::{Cluster, Error},
    pages,
};

const VERSION: &str = "v1alpha1";
const INSTALL: &str = "helm upgrade --install dynamo-crds deploy/helm/charts/crds";

/// A definition whose name speaks of Dynamo.
#[derive(Debug, PartialEq, Eq)]
pub struct Definition {
    name: String,
    served: bool,
    established: bool,
    release: Option<String>,
}

/// # Errors
/// CRDs cannot be listed.
pub async fn gather(cluster: &Cluster) -> Result<Vec<Definition>, Error> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let found = pages::all(&api, ListParams::default()).await;
    let found = found.map_err(|error| Error::of("list CustomResourceDefinitions", &error))?;
    let mut definitions: Vec<Definition> = found.into_iter().filter_map(definition).collect();
    definitions.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(definitions)
}

fn definition(crd: CustomResourceDefinition) -> Option<Definition> {
    let name = crd.metadata.name.filter(|name| name.contains("dynamo"))?;
    let conditions = crd.status.and_then(|status| status.conditions).unwrap_or_default();
    Some(Definition {
        name,
        served: crd.spec.versions.iter().any(|version| version.name == VERSION && version.served),
        established: conditions.iter().any(|it| it.type_ == "Established" && it.status == "True"),
        release: crd.metadata.annotations.and_then(|notes| notes.get("meta.helm.sh/release-name").cloned()),
    })
}

/// The definitions of this version by their names.
fn names() -> [&'static str; 7] {
    [
        DynamoCheckpoint::crd_name(),
        DynamoComponentDeployment::crd_name(),
        DynamoGraphDeploymentRequest::crd_name(),
        DynamoGraphDeployment::crd_name(),
        DynamoGraphDeploymentScalingAdapter::crd_name(),
        DynamoModel::crd_name(),
        DynamoWorkerMetadata::crd_name(),
    ]
}

/// The verdict on what is there of the definitions of this version.
pub fn judge(found: &[Definition]) -> Verdict {
    let wanted = names();
    let ours: Vec<&Definition> = found.iter().filter(|it| wanted.contains(&it.name.as_str())).collect();
    if ours.is_empty() {
        return Verdict::passed("No CRDs of the platform are present yet")
            .line(format!("  Install them before the platform: {INSTALL}"));
    }
    let unusable: Vec<&str> =
        ours.iter().filter(|it| !it.served || !it.established).map(|it| it.name.as_str()).collect();
    if !unusable.is_empty() {
        return Verdict::failed(
            format!("CRDs are present that do not serve {VERSION}: {}", unusable.join(", ")),
            format!(
                "bring them up to this version ({INSTALL}); objects of the platform are refused until then"
            ),
        );
    }
    let verdict =
        Verdict::passed(format!("{} of {} CRDs of the platform are present", ours.len(), wanted.len()))
            .lines(ours.iter().map(|it| match &it.release {
                Some(release) => format!("  - {} (release {release})", it.name),
                None => format!("  - {}", it.name),
            }));
    let missing: Vec<&str> =
        wanted.into_iter().filter(|name| ours.iter().all(|it| it.name != *name)).collect();
    let verdict = if missing.is_empty() {
        verdict
    } else {
        verdict.warn(format!("CRDs of this version are missing: {}; {INSTALL}", missing.join(", ")))
    };
    if ours.iter().any(|it| it.release.is_none()) {
        return verdict.hint(
            "Helm did not install all of them: leave the chart dynamo-crds out, or let it take over with \
             --take-ownership",
        );
    }
    verdict
}
