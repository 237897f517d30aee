//! `dynamoctl restart`: replaces the pods of a graph in its own order, or those of single services at once.
//! The order, and what waits for what, is the operator's business (`workload.md` section 13).

use std::{io::Write, process::ExitCode};

use dynamo_api::v1alpha1::{DynamoGraphDeployment, RestartStrategyType};
use dynamo_render::names;
use k8s_openapi::{api::apps::v1::Deployment, jiff::Timestamp};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::{
    cluster::{self, Cluster, Target, block_on},
    completion,
    console::Console,
    error::Error,
    graphs,
};

/// Arguments of `dynamoctl restart`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the graph
    #[arg(add = completion::graphs(), value_name = "GRAPH")]
    graph: String,
    /// Services to restart alone; without any the whole graph is restarted
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Restart all services at once instead of one after the other
    #[arg(long, conflicts_with_all = ["services", "order"])]
    parallel: bool,
    /// Every service once, in the order of the restart; else it is by name
    #[arg(long, value_name = "SERVICE", value_delimiter = ',', conflicts_with = "services")]
    order: Vec<String>,
}

/// What `kubectl rollout restart` sets, too: the operator leaves it alone.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Asks for the restart; it does not wait for its end.
///
/// # Errors
/// There is no such graph or service, or the cluster refuses.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    block_on(async {
        let cluster = target.connect().await?;
        let graph = graphs::find(&cluster, &arguments.graph).await?;
        let now = Timestamp::now().to_string();
        for service in arguments.services.iter().chain(&arguments.order) {
            graphs::service_of(&graph, service)?;
        }
        for service in &arguments.services {
            let name = names::component(&arguments.graph, service);
            restart_deployment(&cluster, &name, &now).await?;
            writeln!(console, "{service}: Deployment {name} is rolled out anew")?;
        }
        if arguments.services.is_empty() {
            restart_graph(&cluster, arguments, &now).await?;
            let how = if arguments.parallel { "all services at once" } else { "one service after the other" };
            let name = &arguments.graph;
            writeln!(
                console,
                "{name}: restart {now} begins, {how}; dynamoctl status {name} shows its progress"
            )?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

async fn restart_deployment(cluster: &Cluster, name: &str, now: &str) -> Result<(), Error> {
    let change = json!({"spec": {"template": {"metadata": {"annotations": {RESTARTED_AT: now}}}}});
    let done =
        cluster.api::<Deployment>().patch(name, &PatchParams::default(), &Patch::Strategic(change)).await;
    done.map_err(|error| cluster::Error::of(format!("restart Deployment {name:?}"), &error))?;
    Ok(())
}

async fn restart_graph(cluster: &Cluster, arguments: &Arguments, id: &str) -> Result<(), Error> {
    let type_ =
        if arguments.parallel { RestartStrategyType::Parallel } else { RestartStrategyType::Sequential };
    let order = (!arguments.order.is_empty()).then_some(&arguments.order);
    // An order or a type of an earlier restart is not meant.
    let change =
        json!({"spec": {"restart": {"id": id, "strategy": {"type": type_.as_str(), "order": order}}}});
    let graphs = cluster.api::<DynamoGraphDeployment>();
    let done = graphs.patch(&arguments.graph, &PatchParams::default(), &Patch::Merge(change)).await;
    done.map_err(|error| cluster::Error::of(format!("restart graph {:?}", arguments.graph), &error))?;
    Ok(())
}
