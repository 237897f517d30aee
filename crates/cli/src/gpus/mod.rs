//! `dynamoctl gpus`: the GPUs of every node (`tools.md` section 3).
//! It reads nodes and pods; only `--enrich-smi` makes pods, and removes them.

pub mod aggregate;
pub mod inventory;
mod print;
pub mod smi;

use std::{io::Write, process::ExitCode};

use clap::ValueEnum;
use inventory::Item;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, api::ListParams};

use crate::{
    cluster::{self, Cluster, Target, block_on},
    console::{Console, note},
    error::Error,
    output, pages,
};

/// Where the answer comes from.
const SOURCE: &str = "kubernetes-client";

/// Arguments of `dynamoctl gpus`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Form of the answer
    #[arg(short = 'o', long, visible_alias = "output", value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Accepted for scripts that name a source; there is one, the API server
    #[arg(long, value_enum, default_value_t = Source::Client)]
    prefer: Source,
    /// Spell out MIG resources in the table
    #[arg(long)]
    show_mig: bool,
    /// Ask nvidia-smi in a pod where labels tell no model or memory
    #[arg(long)]
    enrich_smi: bool,
    /// Also choose one GPU type for the whole cluster
    #[arg(long)]
    aggregate: bool,
    #[command(flatten)]
    smi: smi::Options,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    Client,
    Kubectl,
}

/// Prints the inventory; the exit code is 1 when nodes cannot be listed.
///
/// # Errors
/// The output cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let smi = arguments.enrich_smi.then_some(&arguments.smi);
    let found = block_on(async {
        let cluster = target.connect().await?;
        read(&cluster, smi).await
    });
    let (items, mut warnings) = match found {
        Ok(found) => found,
        Err(error) => {
            note(&format!("Failed to list nodes: {error}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    let choice = arguments.aggregate.then(|| aggregate::choose(&items)).flatten();
    if arguments.aggregate {
        match &choice {
            None => warnings.push("No nodes expose MODEL/VRAM; cannot aggregate".to_owned()),
            Some(choice) if choice.groups > 1 => warnings.push(format!(
                "nodes have {} different GPU types; the one with the most GPUs in a node, then the most memory, is chosen",
                choice.groups
            )),
            Some(_) => {}
        }
    }
    for warning in warnings {
        note(&format!("warning: {warning}"));
    }
    match arguments.format {
        Format::Csv => print::csv(&items, console)?,
        Format::Json => {
            let summary = choice.as_ref().map(|choice| &choice.summary);
            let document = print::Document { source: SOURCE, items: &items, aggregate: summary };
            output::write_document(&document, output::Format::Json, console)?;
        }
        Format::Table => {
            print::table(&items, arguments.show_mig, console)?;
            if let Some(choice) = &choice {
                print::aggregate(choice, console)?;
            }
        }
    }
    console.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Every node in the order of names, with warnings about what could not be found out. `smi` makes pods that ask where
/// labels are silent.
///
/// # Errors
/// Nodes cannot be listed.
pub async fn read(
    cluster: &Cluster,
    smi: Option<&smi::Options>,
) -> Result<(Vec<Item>, Vec<String>), cluster::Error> {
    let nodes = pages::all(&Api::<Node>::all(cluster.client.clone()), ListParams::default()).await;
    let nodes = nodes.map_err(|error| cluster::Error::of("list nodes", &error))?;
    let mut items: Vec<Item> = nodes.iter().map(Item::of).collect();
    items.sort_by(|a, b| a.node_name.cmp(&b.node_name));
    let mut warnings = Vec::new();
    let pods = pages::all(&Api::<Pod>::all(cluster.client.clone()), ListParams::default()).await;
    match pods {
        Ok(pods) => inventory::note_used(&mut items, &pods),
        Err(error) => {
            let reason = cluster::Error::of("list pods of all namespaces", &error);
            warnings.push(format!("used GPUs are not known: {reason}"));
        }
    }
    if let Some(options) = smi {
        warnings.extend(smi::enrich(cluster, options, &mut items).await);
    }
    Ok((items, warnings))
}

/// One GPU type for the whole cluster, for tools that size a deployment (`tools.md` section 3.5). Without any
/// knowledge the largest number of GPUs in a node, no model and no memory.
///
/// # Errors
/// Nodes cannot be listed.
pub async fn summary(
    cluster: &Cluster,
    smi: Option<&smi::Options>,
) -> Result<aggregate::Summary, cluster::Error> {
    let (items, _) = read(cluster, smi).await?;
    Ok(aggregate::summarise(&items))
}
