//! `dynamoctl render`: what the operator makes of graphs. Nothing but objects on standard output, those first that others
//! need; what is missing in them, and why the operator would stop, goes to standard error.

pub mod tree;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::ValueEnum;
use dynamo_api::v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment};
use dynamo_render::origin;
use kube::{Api, ResourceExt};
use serde::Serialize;
use serde_json::{Value, json};

use self::tree::Tree;
use crate::{
    cluster::{self, Cluster, Target},
    console::{Console, note},
    error::Error,
    manifest::{self, Document},
    world::{self, World},
};

/// Arguments of `dynamoctl render`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, folders, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    pub sources: Vec<PathBuf>,
    #[command(flatten)]
    pub cluster: OfCluster,
    /// Form of the objects: documents of YAML, or a List
    #[arg(short, long, value_enum, default_value_t = Form::Yaml)]
    output: Form,
}

/// The cluster that is rendered for.
#[derive(Debug, Default, clap::Args)]
pub struct OfCluster {
    /// Render for the cluster of the kubeconfig: its operator, its APIs, what is there already
    #[arg(long, conflicts_with = "facts")]
    from_cluster: bool,
    /// File that describes a cluster: operatorFlags, apiGroups, pullSecrets, podAccount, credentials
    #[arg(long, value_name = "FILE")]
    facts: Option<PathBuf>,
    /// Flag of the operator, such as --operator-flag=--discovery-backend=etcd; again for more. Without any those of the
    /// chart's defaults count, or with --from-cluster those that the operator there has
    #[arg(long = "operator-flag", value_name = "FLAG", allow_hyphen_values = true)]
    flags: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Yaml,
    Json,
}

/// A manifest: as it is written, and as it is understood.
#[derive(Debug)]
pub struct Manifest {
    pub written: Value,
    pub subject: Subject,
}

/// What is rendered.
#[derive(Debug)]
pub enum Subject {
    Graph(Box<DynamoGraphDeployment>),
    Component(Box<DynamoComponentDeployment>),
}

/// Renders every graph and component; the exit code is 1 when the operator would stop before the end of one.
///
/// # Errors
/// A source that cannot be read or an object that would be refused, a cluster that does not answer, or an output that
/// cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let subjects = manifests(&arguments.sources)?.into_iter().map(|manifest| manifest.subject);
    let trees = if arguments.cluster.from_cluster {
        cluster::block_on(async {
            let cluster = target.connect().await?;
            let mut trees = Vec::new();
            for mut subject in subjects {
                let namespace = subject.settle(&cluster.namespace);
                let world = world::cluster::world(&cluster, &namespace, &arguments.cluster.flags).await?;
                subject.take_identity(&cluster, &world).await?;
                trees.push(subject.grow(&world)?);
            }
            Ok::<_, Error>(trees)
        })?
    } else {
        let world = world::described::world(arguments.cluster.facts.as_deref(), &arguments.cluster.flags)?;
        let mut trees = Vec::new();
        for mut subject in subjects {
            subject.settle(target.offline_namespace());
            subject.stamp(&world);
            trees.push(subject.grow(&world)?);
        }
        trees
    };
    write(&trees, arguments.output, console)?;
    Ok(ExitCode::from(u8::from(tell(&trees))))
}

/// The graphs and components of `sources`.
///
/// # Errors
/// A source that cannot be read, or an object that is none.
pub fn manifests(sources: &[PathBuf]) -> Result<Vec<Manifest>, Error> {
    let mut manifests = Vec::new();
    for Document { source, number, object, .. } in manifest::read(sources)? {
        let at = |reason: String| {
            Error::Usage(format!("{source}, document {number}: {reason}; dynamoctl validate tells more"))
        };
        let object = object.map_err(|error| at(format!("is no YAML: {}", error.reason)))?;
        if object["apiVersion"] != "nvidia.com/v1alpha1" {
            continue;
        }
        let cannot = |error: dynamo_api::DecodeError| at(error.to_string());
        let subject = match object["kind"].as_str() {
            Some("DynamoGraphDeployment") => {
                Subject::Graph(Box::new(dynamo_api::decode(&object).map_err(cannot)?))
            }
            Some("DynamoComponentDeployment") => {
                Subject::Component(Box::new(dynamo_api::decode(&object).map_err(cannot)?))
            }
            _ => continue,
        };
        manifests.push(Manifest { written: object, subject });
    }
    if manifests.is_empty() {
        let text = "there is no DynamoGraphDeployment and no DynamoComponentDeployment of nvidia.com/v1alpha1 in what was \
                    given: name files or folders that hold some";
        return Err(Error::Usage(text.to_owned()));
    }
    Ok(manifests)
}

impl Subject {
    /// The kind.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Graph(_) => "DynamoGraphDeployment",
            Self::Component(_) => "DynamoComponentDeployment",
        }
    }

    /// The name of the object.
    pub fn name(&self) -> String {
        match self {
            Self::Graph(graph) => graph.name_any(),
            Self::Component(component) => component.name_any(),
        }
    }

    /// Takes the object as an API server has it.
    ///
    /// # Errors
    /// It does not fit its type.
    pub fn replace(&mut self, object: &Value) -> Result<(), Error> {
        let cannot =
            |error: dynamo_api::DecodeError| Error::Usage(format!("the answer of the API server {error}"));
        match self {
            Self::Graph(graph) => {
                **graph = dynamo_api::decode(object).map_err(cannot)?;
                graph.metadata.uid = None;
            }
            Self::Component(component) => {
                **component = dynamo_api::decode(object).map_err(cannot)?;
                component.metadata.uid = None;
            }
        }
        Ok(())
    }

    /// Puts the object into `namespace` unless it names one; returns where it is.
    pub fn settle(&mut self, namespace: &str) -> String {
        let metadata = match self {
            Self::Graph(graph) => &mut graph.metadata,
            Self::Component(component) => &mut component.metadata,
        };
        // What only a cluster can give is not taken from a file.
        metadata.uid = None;
        metadata.namespace.get_or_insert_with(|| namespace.to_owned()).clone()
    }

    /// What admission adds to a new graph.
    pub fn stamp(&mut self, world: &World) {
        let (Self::Graph(graph), Some(version)) = (self, &world.installation.stamp) else { return };
        let annotations = graph.metadata.annotations.get_or_insert_default();
        annotations
            .entry(dynamo_api::labels::annotations::ORIGIN_VERSION.to_owned())
            .or_insert_with(|| origin::stamp(version));
    }

    /// What the object is in the cluster already: its UID and its origin.
    ///
    /// # Errors
    /// The cluster does not answer.
    pub async fn take_identity(&mut self, cluster: &Cluster, world: &World) -> Result<(), Error> {
        let origin = dynamo_api::labels::annotations::ORIGIN_VERSION;
        match self {
            Self::Graph(graph) => {
                let (namespace, name) = (graph.namespace().unwrap_or_default(), graph.name_any());
                let api = Api::<DynamoGraphDeployment>::namespaced(cluster.client.clone(), &namespace);
                let live = api.get_opt(&name).await;
                let what = || format!("read the graph {namespace}/{name}");
                match live.map_err(|error| cluster::Error::of(what(), &error))? {
                    Some(live) => {
                        if let Some(known) = live.annotations().get(origin) {
                            let annotations = graph.metadata.annotations.get_or_insert_default();
                            annotations.entry(origin.to_owned()).or_insert_with(|| known.clone());
                        }
                        graph.metadata.uid = live.metadata.uid;
                        graph.status = live.status;
                    }
                    None => self.stamp(world),
                }
            }
            Self::Component(component) => {
                let live = dynamo_render::observed::Observed::component(&world.live, &component.name_any());
                component.metadata.uid = live.and_then(|live| live.metadata.uid.clone());
            }
        }
        Ok(())
    }

    /// The tree of the object.
    ///
    /// # Errors
    /// Admission would refuse it.
    pub fn grow(&self, world: &World) -> Result<Tree, Error> {
        match self {
            Self::Graph(graph) => tree::of_graph(graph, world),
            Self::Component(component) => tree::of_component(component, world),
        }
    }
}

fn write(trees: &[Tree], form: Form, out: &mut impl Write) -> Result<(), Error> {
    let objects = trees.iter().flat_map(|tree| &tree.objects);
    match form {
        Form::Yaml => {
            for (at, object) in objects.enumerate() {
                if at > 0 {
                    writeln!(out, "---")?;
                }
                serde_yaml_ng::to_writer(&mut *out, object).map_err(io::Error::other)?;
            }
        }
        Form::Json => {
            #[derive(Serialize)]
            #[serde(rename_all = "camelCase")]
            struct List<'a> {
                api_version: &'static str,
                kind: &'static str,
                items: Vec<&'a Value>,
            }
            let list = List { api_version: "v1", kind: "List", items: objects.collect() };
            crate::output::write_document(&list, crate::output::Format::Json, out)?;
        }
    }
    Ok(())
}

/// Says what the objects lack; returns whether the operator would stop somewhere.
fn tell(trees: &[Tree]) -> bool {
    let mut stops = false;
    for Tree { name, notes, stop, .. } in trees {
        for text in notes {
            note(&format!("dynamoctl: {name}: {text}"));
        }
        if let Some(stop) = stop {
            stops = true;
            note(&format!("dynamoctl: {name}: the operator stops here: {stop}"));
        }
    }
    stops
}

/// An object without what a reader does not need.
pub(crate) fn value_of(object: &impl Serialize) -> Result<Value, Error> {
    let mut value = serde_json::to_value(object).map_err(io::Error::other)?;
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, value| *value != json!(null));
    }
    Ok(value)
}
