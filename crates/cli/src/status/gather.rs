//! Reads all that is known of one graph: five requests, however many services it has, and a sixth for the log that may
//! tell more. Nothing is judged here but what to read.

use dynamo_api::v1alpha1::DynamoComponentDeployment;
use futures::AsyncReadExt;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Event, Pod},
    },
    jiff::Timestamp,
};
use kube::{
    api::{ListParams, LogParams},
    core::ObjectList,
};

use crate::{
    causes::{self, Cause, Snapshot},
    cluster::{self, Cluster},
    error::Error,
    graphs,
};

/// Events of one namespace that are read at most.
const EVENTS: u32 = 2_000;
/// Lines of a log that are read.
const LOG_LINES: i64 = 80;

/// The graph, its objects and events. What this user may not read is left out and named.
///
/// # Errors
/// The graph or its components cannot be read.
pub async fn snapshot(cluster: &Cluster, name: &str) -> Result<Snapshot, Error> {
    let graph = graphs::find(cluster, name).await?;
    let recent = ListParams::default().limit(EVENTS);
    let (components, deployments, pods, events) = futures::join!(
        graphs::children::<DynamoComponentDeployment>(cluster, name),
        graphs::children::<Deployment>(cluster, name),
        graphs::children::<Pod>(cluster, name),
        async { cluster.api::<Event>().list(&recent).await },
    );
    let mut unread = Vec::new();
    let components = components
        .map_err(|error| cluster::Error::of(format!("list components of graph {name:?}"), &error))?;
    let deployments = or_unread(deployments, "Deployments", &mut unread)?;
    let pods = or_unread(pods, "pods", &mut unread)?;
    let events = or_unread(events, "events", &mut unread)?;
    Ok(Snapshot { graph, components: components.items, deployments, pods, events, unread })
}

/// A list that this user has no right to read is empty and said to be unread; every other failure is one.
fn or_unread<K: Clone>(
    list: kube::Result<ObjectList<K>>,
    what: &str,
    unread: &mut Vec<String>,
) -> Result<Vec<K>, Error> {
    match list {
        Ok(list) => {
            if list.metadata.continue_.as_deref().is_some_and(|more| !more.is_empty()) {
                unread.push(format!("the namespace has more {what} than the {EVENTS} that were read"));
            }
            Ok(list.items)
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            unread.push(format!("this user may not list {what}"));
            Ok(Vec::new())
        }
        Err(error) => Err(cluster::Error::of(format!("list {what}"), &error).into()),
    }
}

/// All causes, the first one with what its log tells.
pub async fn causes(cluster: &Cluster, snapshot: &Snapshot, now: Timestamp) -> Vec<Cause> {
    let mut causes = causes::judge(snapshot, now);
    let Some(first) = causes.first_mut() else {
        return causes;
    };
    if let Some(wanted) = first.wanted_log() {
        let params = LogParams {
            container: Some(wanted.container.to_owned()),
            previous: wanted.previous,
            tail_lines: Some(LOG_LINES),
            ..LogParams::default()
        };
        // A log that nobody can give says nothing, and the cause stands without it.
        if let Ok(log) = cluster.api::<Pod>().log_stream(wanted.pod, &params).await {
            let mut bytes = Vec::new();
            // What came before it broke off is worth as much.
            let _ = std::pin::pin!(log).read_to_end(&mut bytes).await;
            *first = first.clone().with_log(&String::from_utf8_lossy(&bytes));
        }
    }
    causes
}
