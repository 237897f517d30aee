//! All graphs of a namespace or of the cluster, one line each, in one request.
//! Only what the graphs themselves say: causes below them are for the tree.

use std::{io, process::ExitCode};

use dynamo_api::{
    conditions::types,
    v1alpha1::{DynamoGraphDeployment, State},
};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::{Api, api::ListParams};
use serde::Serialize;

use crate::{
    causes::is_ready,
    cluster::{self, Cluster},
    console::{Console, note},
    error::Error,
    layout,
    output::{Format, write_document},
};

/// One graph.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub namespace: String,
    pub name: String,
    pub ready: bool,
    pub state: String,
    pub ready_services: usize,
    pub services: usize,
    pub created: Option<Timestamp>,
    /// What the condition Ready says.
    pub message: String,
}

impl Line {
    fn of(graph: &DynamoGraphDeployment) -> Self {
        let status = graph.status.clone().unwrap_or_default();
        let ready = status.conditions.iter().find(|one| one.type_ == types::READY);
        let is_full = |(name, spec): &(&String, &dynamo_api::v1alpha1::SharedSpec)| {
            let counts = status.services.get(*name);
            let ready = counts.and_then(|counts| counts.ready_replicas.or(counts.available_replicas));
            ready.unwrap_or(0) >= spec.replicas.unwrap_or(1)
        };
        Self {
            namespace: graph.metadata.namespace.clone().unwrap_or_default(),
            name: graph.metadata.name.clone().unwrap_or_default(),
            ready: is_ready(graph),
            state: graph.state().to_owned(),
            ready_services: graph.spec.services.iter().filter(is_full).count(),
            services: graph.spec.services.len(),
            created: graph.metadata.creation_timestamp.as_ref().map(|Time(time)| *time),
            message: ready.map(|ready| ready.message.clone()).unwrap_or_default(),
        }
    }
}

/// Writes all graphs; the exit code is 1 when one of them is not ready.
///
/// # Errors
/// The cluster gives no answer, or the output cannot be written.
pub async fn run(
    cluster: &Cluster,
    everywhere: bool,
    format: Format,
    console: &mut Console<'_>,
) -> Result<ExitCode, Error> {
    let graphs: Api<DynamoGraphDeployment> =
        if everywhere { Api::all(cluster.client.clone()) } else { cluster.api() };
    let graphs = graphs.list(&ListParams::default()).await;
    let graphs = graphs.map_err(|error| cluster::Error::of("list graphs", &error))?;
    let lines: Vec<Line> = graphs.iter().map(Line::of).collect();
    if format != Format::Text {
        write_document(&lines, format, console)?;
    } else if lines.is_empty() {
        let place =
            if everywhere { "the cluster".to_owned() } else { format!("namespace {:?}", cluster.namespace) };
        note(&format!("there are no graphs in {place}"));
    } else {
        write(&lines, everywhere, Timestamp::now(), console)?;
    }
    Ok(ExitCode::from(u8::from(lines.iter().any(|line| !line.ready))))
}

fn write(lines: &[Line], everywhere: bool, now: Timestamp, console: &mut Console<'_>) -> io::Result<()> {
    let rows: Vec<Vec<String>> = lines.iter().map(|line| row(line, everywhere, now)).collect();
    let mut headers = vec!["NAME", "STATE", "READY", "AGE", "MESSAGE"];
    if everywhere {
        headers.insert(0, "NAMESPACE");
    }
    let width = console.width();
    layout::table(console, width, &headers, &rows)
}

fn row(line: &Line, everywhere: bool, now: Timestamp) -> Vec<String> {
    let mut row = vec![
        line.name.clone(),
        line.state.clone(),
        format!("{}/{}", line.ready_services, line.services),
        line.created.map(|created| layout::age(created, now)).unwrap_or_default(),
        layout::cut(&line.message, None),
    ];
    if everywhere {
        row.insert(0, line.namespace.clone());
    }
    row
}
