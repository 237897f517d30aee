//! The SSH key of MPI launchers: copied into each namespace with a graph that runs TensorRT-LLM over several nodes.

use dynamo_api::v1alpha1::{BackendFramework, DynamoGraphDeployment};
use dynamo_kubekit::cache::{Cache, Feed, reference};
use dynamo_render::backend;
use kube::Client;

use super::{Copied, CopiedSecret, News, Settings};
use crate::{flags::NamespacedName, wiring::Trigger};

/// Whether some service runs TensorRT-LLM over several nodes: only its pods start each other over SSH.
#[must_use]
pub fn is_needed(dgd: &DynamoGraphDeployment) -> bool {
    dgd.spec.services.values().any(|spec| {
        spec.multinode.as_ref().is_some_and(|multinode| multinode.node_count > 1)
            && matches!(
                backend::of(spec, dgd.spec.backend_framework.as_ref()),
                Ok(Some(BackendFramework::Trtllm))
            )
    })
}

/// Watches the key and its copies. A change wakes the graphs whose key is no longer that of the source.
pub(crate) fn watch(
    client: &Client,
    namespace: Option<&str>,
    source: &NamespacedName,
    graphs: Cache<DynamoGraphDeployment>,
    trigger: Trigger<DynamoGraphDeployment>,
) -> (Copied, Vec<Feed<CopiedSecret>>) {
    let settings = Settings {
        source: source.clone(),
        hint: "(--mpi-run-ssh-secret-namespace, --mpi-run-ssh-secret-name)".to_owned(),
        has_reference: true,
    };
    Copied::watch(client, namespace, settings, move |news| {
        let concerned = match news {
            News::Source => graphs.all(),
            News::Outdated(namespace) => graphs.in_namespace(namespace),
            // Nobody reads the key but pods.
            News::Changed(_) => return,
        };
        concerned.iter().filter(|graph| is_needed(graph)).for_each(|graph| trigger.send(reference(&**graph)));
    })
}
