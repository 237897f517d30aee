//! A restart of a graph's services (`workload.md` section 13, `api.md` section 3): which pods get the id of the restart
//! now, and what the status says of it. Progress is read from the components, so that losing the status loses nothing
//! but the memory of restarts that are over.

use std::collections::BTreeMap;

use dynamo_api::{
    labels::annotations,
    v1alpha1::{DynamoGraphDeployment, RestartPhase, RestartSpec, RestartStatus, RestartStrategyType},
};

use crate::facts::{GraphFacts, LiveComponent};

/// What a restart asks for now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Value of `nvidia.com/restartAt` by service; services that have none are left out.
    pub restarted_at: BTreeMap<String, String>,
    pub status: Option<RestartStatus>,
}

/// Plans the restart that the graph asks for, or keeps what earlier ones left.
#[must_use]
pub fn plan(graph: &DynamoGraphDeployment, facts: &GraphFacts) -> Plan {
    let known = graph.status.as_ref().and_then(|status| status.restart.as_ref());
    // What pods have they keep: taking the annotation away would restart them. One that a service sets itself is its
    // own.
    let services = graph.spec.services.iter();
    let services = services.filter(|(_, spec)| !spec.annotations.contains_key(annotations::RESTART_AT));
    let mut restarted_at: BTreeMap<String, String> = services
        .filter_map(|(service, _)| {
            Some((service.clone(), facts.components.get(service)?.restarted_at.clone()?))
        })
        .collect();
    let over = known.filter(|known| is_over(known));
    let Some(restart) = graph.spec.restart.as_ref().filter(|restart| !restart.id.is_empty()) else {
        return Plan { restarted_at, status: over.cloned() };
    };
    let id = &restart.id;
    let walk = Walk { id, components: &facts.components };
    if let Some(over) = over.filter(|over| over.observed_id.as_ref() == Some(id)) {
        // A service that came back since then starts with the id that all have.
        restarted_at.extend(graph.spec.services.keys().map(|service| (service.clone(), id.clone())));
        return Plan { restarted_at, status: Some(over.clone()) };
    }
    let order = order(restart, graph);
    let in_progress = if is_parallel(restart) { walk.all_at_once(&order) } else { walk.one_by_one(&order) };
    restarted_at.extend(in_progress.started.into_iter().map(|service| (service.to_owned(), id.clone())));
    let phase =
        if in_progress.waited_for.is_empty() { RestartPhase::Completed } else { RestartPhase::Restarting };
    let status = RestartStatus {
        observed_id: Some(id.clone()),
        phase: Some(phase),
        in_progress: in_progress.waited_for.into_iter().map(ToOwned::to_owned).collect(),
    };
    Plan { restarted_at, status: Some(status) }
}

fn is_over(status: &RestartStatus) -> bool {
    matches!(status.phase, Some(RestartPhase::Completed | RestartPhase::Failed))
}

fn is_parallel(restart: &RestartSpec) -> bool {
    restart.strategy.as_ref().is_some_and(|strategy| strategy.type_ == RestartStrategyType::Parallel)
}

/// The order that the user gave, else that of the names.
fn order<'a>(restart: &'a RestartSpec, graph: &'a DynamoGraphDeployment) -> Vec<&'a str> {
    let given = restart.strategy.as_ref().map(|strategy| &strategy.order).filter(|order| !order.is_empty());
    match given {
        Some(order) => order.iter().map(String::as_str).collect(),
        None => graph.spec.services.keys().map(String::as_str).collect(),
    }
}

/// Services that get the id now, and those whose readiness is waited for.
struct Step<'a> {
    started: Vec<&'a str>,
    waited_for: Vec<&'a str>,
}

struct Walk<'a> {
    id: &'a str,
    components: &'a BTreeMap<String, LiveComponent>,
}

impl Walk<'_> {
    /// Whether the service runs with the id, or will from its start: a restart is about what runs already.
    fn has_id(&self, service: &str) -> bool {
        self.components.get(service).is_none_or(|live| live.restarted_at.as_deref() == Some(self.id))
    }

    fn is_done(&self, service: &str) -> bool {
        self.has_id(service) && self.components.get(service).is_some_and(|live| live.ready)
    }

    fn all_at_once<'a>(&self, order: &[&'a str]) -> Step<'a> {
        let mut waited_for: Vec<&str> =
            order.iter().copied().filter(|service| !self.is_done(service)).collect();
        waited_for.sort_unstable();
        Step { started: order.to_vec(), waited_for }
    }

    /// The next service is taken down only when all that were restarted before it are ready again, whatever made them
    /// unready. Services that do not exist yet stand in nobody's way: they start with the id.
    fn one_by_one<'a>(&self, order: &[&'a str]) -> Step<'a> {
        let (mut started, to_do): (Vec<&str>, Vec<&str>) =
            order.iter().copied().partition(|service| self.has_id(service));
        let waited_for = started.iter().copied().find(|service| !self.is_done(service));
        let current = waited_for.or_else(|| {
            let next = to_do.first().copied();
            started.extend(next);
            next
        });
        Step { started, waited_for: current.into_iter().collect() }
    }
}
