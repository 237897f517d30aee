//! `dynamoctl scale`: sets the replicas of services, through the scaling adapter where a service has one.
//! Whether a number is allowed is judged by admission, not here.

use std::{collections::BTreeMap, io::Write, process::ExitCode, str::FromStr};

use dynamo_api::v1alpha1::{DynamoGraphDeployment, DynamoGraphDeploymentScalingAdapter};
use dynamo_render::{adapter::is_enabled, names};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{
    cluster::{self, Cluster, Target, block_on},
    completion,
    console::Console,
    error::Error,
    graphs,
};

/// Arguments of `dynamoctl scale`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the graph
    #[arg(add = completion::graphs(), value_name = "GRAPH")]
    graph: String,
    /// Services and their replicas
    #[arg(required = true, value_name = "SERVICE=N")]
    wanted: Vec<Wanted>,
}

/// `Worker=3`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    service: String,
    replicas: i32,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (service, number) = text.split_once('=').ok_or("write SERVICE=N, such as Worker=3".to_owned())?;
        let replicas = number.parse().ok().filter(|number| *number >= 0);
        let replicas = replicas.ok_or(format!("{number:?} is no number of replicas: write 0 or more"))?;
        Ok(Self { service: service.to_owned(), replicas })
    }
}

/// Sets the replicas, and says what wrote them.
///
/// # Errors
/// There is no such graph or service, a service is named twice, or the cluster refuses.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    block_on(async {
        let cluster = target.connect().await?;
        let graph = graphs::find(&cluster, &arguments.graph).await?;
        let wanted = checked(&graph, &arguments.wanted)?;
        let mut of_graph = serde_json::Map::new();
        let mut adapters = Vec::new();
        let mut lines = Vec::new();
        for (service, replicas) in wanted {
            let spec = &graph.spec.services[service];
            let now = spec.replicas.unwrap_or(1);
            if is_enabled(spec) {
                let adapter = names::component(&arguments.graph, service);
                let line =
                    format!("{service}: {now} -> {replicas} replicas, by its scaling adapter {adapter}");
                adapters.push((adapter, replicas, line));
            } else if now == replicas {
                lines.push(format!("{service}: has {now} replicas already"));
            } else {
                of_graph.insert(service.to_owned(), json!({"replicas": replicas}));
                lines.push(format!("{service}: {now} -> {replicas} replicas, in the graph"));
            }
        }
        if !of_graph.is_empty() {
            set_graph(&cluster, &arguments.graph, of_graph.into()).await?;
        }
        for line in lines {
            writeln!(console, "{line}")?;
        }
        // Each is told as it is done: a refusal of the next one must not hide it.
        for (adapter, replicas, line) in adapters {
            set_adapter(&cluster, &adapter, replicas).await?;
            writeln!(console, "{line}")?;
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// All services exist and are named once.
fn checked<'a>(graph: &'a DynamoGraphDeployment, wanted: &[Wanted]) -> Result<BTreeMap<&'a str, i32>, Error> {
    let mut checked = BTreeMap::new();
    for Wanted { service, replicas } in wanted {
        if checked.insert(graphs::service_of(graph, service)?, *replicas).is_some() {
            return Err(Error::Usage(format!("service {service:?} is named twice: name it once")));
        }
    }
    Ok(checked)
}

async fn set_adapter(cluster: &Cluster, name: &str, replicas: i32) -> Result<(), Error> {
    let change = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let adapters = cluster.api::<DynamoGraphDeploymentScalingAdapter>();
    let done = adapters.patch_scale(name, &PatchParams::default(), &change).await;
    done.map_err(|error| cluster::Error::of(format!("scale scaling adapter {name:?}"), &error))?;
    Ok(())
}

async fn set_graph(cluster: &Cluster, name: &str, services: Value) -> Result<(), Error> {
    let change = Patch::Merge(json!({"spec": {"services": services}}));
    let done = cluster.api::<DynamoGraphDeployment>().patch(name, &PatchParams::default(), &change).await;
    done.map_err(|error| cluster::Error::of(format!("scale graph {name:?}"), &error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_and_its_replicas_are_one_word() {
        assert_eq!("Worker=3".parse(), Ok(Wanted { service: "Worker".into(), replicas: 3 }));
        for word in ["Worker", "Worker=", "Worker=-1", "Worker=many"] {
            assert!(word.parse::<Wanted>().is_err(), "{word}");
        }
    }
}
