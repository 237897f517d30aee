//! Why a graph is not ready: every cause that can be read from its objects, the first one first.
//! Pure: it judges what was gathered, and asks no cluster.

mod advice;
mod engine;
mod graph;
pub mod pods;
mod refusal;
mod table;

use std::cmp::Reverse;

use dynamo_api::{
    conditions::{TRUE, types},
    v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment},
};
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Event, Pod},
    },
    jiff::Timestamp,
};

pub use table::Kind;

/// All that is known of one graph.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub graph: DynamoGraphDeployment,
    pub components: Vec<DynamoComponentDeployment>,
    pub deployments: Vec<Deployment>,
    pub pods: Vec<Pod>,
    /// Those of the namespace.
    pub events: Vec<Event>,
    /// What could not be read, in words.
    pub unread: Vec<String>,
}

impl Snapshot {
    pub fn namespace(&self) -> &str {
        self.graph.metadata.namespace.as_deref().unwrap_or_default()
    }

    pub fn name(&self) -> &str {
        self.graph.metadata.name.as_deref().unwrap_or_default()
    }

    /// The component deployment of a service.
    pub fn component(&self, service: &str) -> Option<&DynamoComponentDeployment> {
        self.components.iter().find(|dcd| dcd.spec.shared.service_name.as_deref() == Some(service))
    }

    /// The Deployment of a component, which has its name.
    pub fn deployment(&self, component: &str) -> Option<&Deployment> {
        self.deployments.iter().find(|deployment| deployment.metadata.name.as_deref() == Some(component))
    }
}

/// Whether the operator says so of the newest generation.
pub fn is_ready(graph: &DynamoGraphDeployment) -> bool {
    let mut conditions = graph.status.iter().flat_map(|status| &status.conditions);
    conditions.any(|one| {
        one.type_ == types::READY
            && one.status == TRUE
            && one.observed_generation >= graph.metadata.generation
    })
}

/// How near to the graph a cause was found. What stands in the way of the whole graph comes before what stands in the
/// way of one pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Graph,
    Component,
    Pod,
}

/// One reason for not being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    level: Level,
    pub kind: Kind,
    /// The service that waits for it; `None`: the graph as a whole.
    pub service: Option<String>,
    /// Kind and name of the object that shows it, such as `Pod agg-worker-1`.
    pub object: (&'static str, String),
    /// The container of that pod.
    pub container: Option<String>,
    /// What the cluster says.
    pub message: String,
    /// What is missing or wrong, where the message names it.
    pub subject: Option<String>,
    /// How many other pods of the service show the same.
    pub others: usize,
}

impl Cause {
    fn of(level: Level, kind: Kind, object: (&'static str, String), message: &str) -> Self {
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        let (service, container) = (None, None);
        Self { level, kind, service, object, container, message, subject: None, others: 0 }
    }

    /// The log that may say more, of a container that ran: that of its last end, or of now.
    pub fn wanted_log(&self) -> Option<WantedLog<'_>> {
        let previous = match self.kind {
            Kind::CrashLoop => true,
            Kind::ProbeFails | Kind::NotReadyYet => false,
            _ => return None,
        };
        let container = self.container.as_deref()?.rsplit(' ').next()?;
        Some(WantedLog { pod: &self.object.1, container, previous })
    }

    /// The same cause as its log tells it.
    #[must_use]
    pub fn with_log(mut self, log: &str) -> Self {
        if let Some(line) = engine::load_error(log) {
            self.kind = Kind::ModelLoad;
            self.message = line;
        } else if self.kind == Kind::CrashLoop
            && let Some(last) = engine::last_line(log)
            && !self.message.contains(&last)
        {
            self.message = format!("{}: {last}", self.message);
        }
        self
    }
}

/// A log of a pod that the judge would like to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedLog<'a> {
    pub pod: &'a str,
    pub container: &'a str,
    pub previous: bool,
}

/// All causes, what should be read first coming first; none for a graph that is ready.
pub fn judge(snapshot: &Snapshot, now: Timestamp) -> Vec<Cause> {
    let mut causes = graph::of_graph(snapshot, now);
    if causes.is_empty() && is_ready(&snapshot.graph) {
        return causes;
    }
    for service in snapshot.graph.spec.services.keys() {
        let mut found = graph::of_component(snapshot, service);
        found.extend(pods::of_service(snapshot, service));
        for cause in &mut found {
            cause.service = Some(service.clone());
        }
        causes.extend(found);
    }
    // A stable sort: of equals the service whose name comes first.
    causes.sort_by_key(|cause| (cause.level, cause.kind, Reverse(cause.others)));
    causes
}

/// The first text in quotation marks.
fn quoted(text: &str) -> Option<String> {
    text.split('"').nth(1).filter(|name| !name.is_empty()).map(str::to_owned)
}
