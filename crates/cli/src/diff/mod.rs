//! `dynamoctl diff`: what an apply would change, in the graph and in everything that its operator makes of it, and which
//! pods that restarts. Every write is a dry run.

mod apply;
mod changes;
mod children;
mod text;

use std::{path::PathBuf, process::ExitCode};

use serde::Serialize;

use self::changes::{Change, Pods};
use crate::{
    cluster::{self, Cluster, Target},
    console::Console,
    error::Error,
    output::{self, Format},
    render::{self, Manifest},
    world,
};

/// Arguments of `dynamoctl diff`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 no difference, 1 differences, 2 no answer.")]
pub struct Arguments {
    /// Files, folders, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    sources: Vec<PathBuf>,
    /// Flag of the operator that counts after those that it has, to see what another flag would change
    #[arg(long = "operator-flag", value_name = "FLAG", allow_hyphen_values = true)]
    flags: Vec<String>,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// What an apply of one manifest would change.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    kind: &'static str,
    namespace: String,
    name: String,
    /// The object itself first, then its children in the order in which they are made.
    changes: Vec<Change>,
    pods: Vec<Pods>,
    /// Why the operator would not get to the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<String>,
    /// How sure the answer is.
    notes: Vec<String>,
}

/// Everything.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    different: bool,
    objects: Vec<Difference>,
}

/// Compares; the exit code is 1 when something would change.
///
/// # Errors
/// A source that cannot be read, an object that would be refused, a cluster that does not answer, or an output that
/// cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let manifests = render::manifests(&arguments.sources)?;
    let objects = cluster::block_on(async {
        let cluster = target.connect().await?;
        let mut objects = Vec::new();
        for manifest in manifests {
            objects.push(Box::pin(compare(&cluster, manifest, &arguments.flags)).await?);
        }
        Ok::<_, Error>(objects)
    })?;
    let answer = Answer { different: objects.iter().any(|object| !object.changes.is_empty()), objects };
    match arguments.output {
        Format::Text => text::write(&answer, console)?,
        format => output::write_document(&answer, format, console)?,
    }
    Ok(ExitCode::from(u8::from(answer.different)))
}

async fn compare(cluster: &Cluster, manifest: Manifest, flags: &[String]) -> Result<Difference, Error> {
    let Manifest { mut written, mut subject } = manifest;
    let namespace = subject.settle(&cluster.namespace);
    written["metadata"]["namespace"] = namespace.clone().into();
    let world = world::cluster::world(cluster, &namespace, flags).await?;
    let apply::Outcome { before, after, mut notes } = apply::dry_run(cluster, &written).await?;
    let uid = before.as_ref().and_then(|before| before["metadata"]["uid"].as_str()).map(ToOwned::to_owned);
    subject.replace(&after)?;
    subject.take_identity(cluster, &world).await?;
    let tree = subject.grow(&world)?;
    let found = children::compare(cluster, &namespace, uid.as_deref(), &tree.objects, &world.live).await?;
    notes.extend(found.notes);
    let root = changes::compare(subject.kind(), before.as_ref(), Some(&after));
    let changes: Vec<Change> = root.into_iter().chain(found.changes).collect();
    let pods = changes::pods(&changes);
    let name = subject.name();
    Ok(Difference { kind: subject.kind(), namespace, name, changes, pods, stop: tree.stop, notes })
}
