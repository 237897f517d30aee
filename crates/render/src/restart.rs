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
    // own as long as nobody asked for a restart of the graph.
    let was_asked = known.is_some() || graph.spec.restart.is_some();
    let services = graph.spec.services.iter();
    let services =
        services.filter(|(_, spec)| was_asked || !spec.annotations.contains_key(annotations::RESTART_AT));
    let mut restarted_at: BTreeMap<String, String> = services
        .filter_map(|(service, _)| {
            Some((service.clone(), facts.components.get(service)?.restarted_at.clone()?))
        })
        .collect();
    let over = known.filter(|known| is_over(known));
    let Some(restart) = graph.spec.restart.as_ref().filter(|restart| !restart.id.is_empty()) else {
        if let Some(id) =
            known.filter(|known| is_completed(known)).and_then(|known| known.observed_id.as_ref())
        {
            // A service that came back since then is like its siblings; those that run are left as they are.
            let absent =
                graph.spec.services.keys().filter(|service| !facts.components.contains_key(*service));
            restarted_at.extend(absent.map(|service| (service.clone(), id.clone())));
        }
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
    let current = known.filter(|known| known.observed_id.as_ref() == Some(id));
    let current = current.and_then(|known| known.in_progress.first()).map(String::as_str);
    let in_progress =
        if is_parallel(restart) { walk.all_at_once(&order) } else { walk.one_by_one(&order, current) };
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

fn is_completed(status: &RestartStatus) -> bool {
    status.phase == Some(RestartPhase::Completed)
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

    /// The next service is taken down only when all that have the id are ready, whatever made them unready. Services
    /// that do not exist yet start with the id, and are waited for like the others. `current` is the one waited for
    /// until now: it stays so while it is not ready.
    fn one_by_one<'a>(&self, order: &[&'a str], current: Option<&str>) -> Step<'a> {
        let (mut started, to_do): (Vec<&str>, Vec<&str>) =
            order.iter().copied().partition(|service| self.has_id(service));
        let mut waiting = started.iter().copied().filter(|service| !self.is_done(service));
        let first = waiting.clone().next();
        let current = waiting.find(|service| current == Some(*service)).or(first).or_else(|| {
            let next = to_do.first().copied();
            started.extend(next);
            next
        });
        Step { started, waited_for: current.into_iter().collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use serde_json::{Value, json};

    use super::*;

    fn names(text: &str) -> Vec<&str> {
        text.split_whitespace().collect()
    }

    fn graph<'a>(
        services: impl IntoIterator<Item = &'a str>,
        restart: Value,
        status: Value,
    ) -> DynamoGraphDeployment {
        let services: BTreeMap<_, _> = services.into_iter().map(|service| (service, json!({}))).collect();
        let graph = json!({
            "metadata": {"name": "g"},
            "spec": {"services": services, "restart": restart},
            "status": {"restart": status},
        });
        serde_json::from_value(graph).unwrap()
    }

    /// Components as `A=r1 B=r1! C`: with the annotation `r1`, not ready, without an annotation.
    fn facts(text: &str) -> GraphFacts {
        let components = text.split_whitespace().map(|word| {
            let ready = !word.ends_with('!');
            let (name, id) = match word.trim_end_matches('!').split_once('=') {
                Some((name, id)) => (name, Some(id.to_owned())),
                None => (word.trim_end_matches('!'), None),
            };
            (name.to_owned(), LiveComponent { restarted_at: id, ready })
        });
        GraphFacts { components: components.collect(), ..GraphFacts::default() }
    }

    fn annotations(plan: &Plan) -> String {
        let all: Vec<_> = plan.restarted_at.iter().map(|(service, id)| format!("{service}={id}")).collect();
        all.join(" ")
    }

    /// A status as `r1 Restarting A B`; `-` for none.
    fn told(status: &Option<RestartStatus>) -> String {
        let Some(status) = status else { return "-".to_owned() };
        let id = status.observed_id.as_deref().unwrap_or_default();
        let phase = status.phase.as_ref().map_or("", RestartPhase::as_str);
        [id, phase]
            .into_iter()
            .chain(status.in_progress.iter().map(String::as_str))
            .collect::<Vec<_>>()
            .join(" ")
    }

    fn sequential(id: &str, order: &str) -> Value {
        json!({"id": id, "strategy": {"type": "Sequential", "order": names(order)}})
    }

    fn parallel(id: &str) -> Value {
        json!({"id": id, "strategy": {"type": "Parallel"}})
    }

    /// Every row of both tables of the contract, and what neither says: what it is, the restart with its order, the
    /// status, the components; then the annotations and the status. A service without a component stands in the
    /// wanted annotations alone.
    const SITUATIONS: &str = "
nothing was ever asked                     | -           | -                    | A B             | -              | -
no id, completed: kept                     | -           | r1 Completed         | A=r1 B=r1       | A=r1 B=r1      | r1 Completed
no id, failed: kept                        | -           | r1 Failed            | A=r1 B          | A=r1           | r1 Failed
no id in mid-restart: removed              | -           | r1 Restarting A      | A=r1! B         | A=r1           | -
no id, completed, a service came back      | -           | r1 Completed         | A=r1            | A=r1 B=r1      | r1 Completed
no id, the status of a restart was lost    | -           | r1 Completed         | A=r2 B=r1       | A=r2 B=r1      | r1 Completed
id done: unchanged                         | r1          | r1 Completed         | A=r1! B=r1      | A=r1 B=r1      | r1 Completed
id failed: unchanged                       | r1          | r1 Failed            | A=r1 B=r1       | A=r1 B=r1      | r1 Failed
new id, parallel: all at once              | r2 parallel | r1 Completed         | A=r1 B=r1       | A=r2 B=r2      | r2 Restarting A B
same id, parallel: those not ready         | r2 parallel | r2 Restarting A B    | A=r2 B=r2!      | A=r2 B=r2      | r2 Restarting B
same id, parallel: one is unready again    | r2 parallel | r2 Restarting B      | A=r2! B=r2      | A=r2 B=r2      | r2 Restarting A
same id, parallel: none left               | r2 parallel | r2 Restarting B      | A=r2 B=r2       | A=r2 B=r2      | r2 Completed
new id: the first, later ones keep theirs  | r2          | r1 Completed         | A=r1 B=r1       | A=r2 B=r1      | r2 Restarting A
new id: the first of the own order         | r2 B A      | -                    | A B             | B=r2           | r2 Restarting B
new id after a failure                     | r2          | r1 Failed            | A=r1 B          | A=r2           | r2 Restarting A
new id, one is unready for other reasons   | r2          | -                    | A B!            | A=r2           | r2 Restarting A
new id, one is missing: it comes first     | r2          | r1 Completed         | A=r1            | A=r1 B=r2      | r2 Restarting B
the cache has not seen the annotation yet  | r2          | r2 Restarting A      | A=r1 B=r1       | A=r2 B=r1      | r2 Restarting A
current is not ready: the same             | r2          | r2 Restarting A      | A=r2! B=r1      | A=r2 B=r1      | r2 Restarting A
current and an earlier one are not ready   | r2          | r2 Restarting B      | A=r2! B=r2!     | A=r2 B=r2      | r2 Restarting B
current is ready: the next                 | r2          | r2 Restarting A      | A=r2 B=r1       | A=r2 B=r2      | r2 Restarting B
an earlier one is unready again: no next   | r2          | r2 Restarting B      | A=r2! B=r2 C=r1 | A=r2 B=r2 C=r1 | r2 Restarting A
the last is ready                          | r2          | r2 Restarting B      | A=r2 B=r2       | A=r2 B=r2      | r2 Completed
one service alone                          | r2          | r2 Restarting A      | A=r2            | A=r2           | r2 Completed
a new id in mid-restart starts over        | r2          | r1 Restarting B      | A=r1 B=r1! C    | A=r2 B=r1      | r2 Restarting A
a new id in mid-restart, parallel          | r2 parallel | r1 Restarting B      | A=r1 B=r1!      | A=r2 B=r2      | r2 Restarting A B
the status was lost in mid-restart         | r2          | -                    | A=r2 B=r2! C=r1 | A=r2 B=r2 C=r1 | r2 Restarting B
the status was lost after the end          | r2          | -                    | A=r2 B=r2       | A=r2 B=r2      | r2 Completed";

    fn restart_of(text: &str) -> Value {
        match text.split_once(' ') {
            _ if text == "-" => Value::Null,
            None => json!({"id": text}),
            Some((id, "parallel")) => parallel(id),
            Some((id, order)) => sequential(id, order),
        }
    }

    fn status_of(text: &str) -> Value {
        match names(text)[..] {
            [id, phase, ref in_progress @ ..] => {
                json!({"observedID": id, "phase": phase, "inProgress": in_progress})
            }
            _ => Value::Null,
        }
    }

    #[test]
    fn every_situation_of_the_contract_has_its_annotations_and_its_status() {
        for row in SITUATIONS.trim().lines() {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [what, restart, before, live, want, then] = cells[..] else { panic!("{row}") };
            let want = want.trim_matches('-');
            let services = [live, want].into_iter().flat_map(str::split_whitespace).map(|word| &word[..1]);
            let plan = plan(&graph(services, restart_of(restart), status_of(before)), &facts(live));
            assert_eq!((annotations(&plan).as_str(), told(&plan.status)), (want, then.to_owned()), "{what}");
        }
    }

    #[test]
    fn an_empty_id_asks_for_nothing() {
        let plan = plan(&graph(["A"], json!({"id": ""}), Value::Null), &facts("A=r1"));
        assert_eq!((annotations(&plan).as_str(), told(&plan.status).as_str()), ("A=r1", "-"));
    }

    #[test]
    fn a_fresh_graph_starts_with_the_id_and_no_service_starts_twice() {
        for restart in [json!({"id": "r1"}), sequential("r1", "B A"), parallel("r1")] {
            let mut world = World::new("");
            world.services = vec!["A".to_owned(), "B".to_owned()];
            world.pass(&restart);
            assert_eq!(
                world.live.values().filter(|live| live.restarted_at.is_some()).count(),
                2,
                "{restart}"
            );
            assert_eq!(world.restarts, BTreeMap::new(), "{restart}: nothing ran that could be restarted");
            assert!(told(&world.status).starts_with("r1 Restarting"), "{restart}");
            world.finish(&restart);
            assert_eq!(told(&world.status), "r1 Completed", "{restart}");
            assert_eq!(world.restarts, BTreeMap::new(), "{restart}");
        }
    }

    #[test]
    fn a_sequential_restart_walks_from_the_first_to_the_last() {
        for (order, restart) in [("A B C", json!({"id": "r1"})), ("B C A", sequential("r1", "B C A"))] {
            let mut world = World::new("A B C");
            for service in names(order) {
                world.pass(&restart);
                assert_eq!(told(&world.status), format!("r1 Restarting {service}"));
                assert!(!world.live[service].ready, "{service} restarts");
                world.pass(&restart);
                assert_eq!(
                    told(&world.status),
                    format!("r1 Restarting {service}"),
                    "as long as it is not ready"
                );
                world.set(service, true);
            }
            world.pass(&restart);
            assert_eq!(told(&world.status), "r1 Completed");
            world.set("A", false);
            world.pass(&restart);
            assert_eq!(told(&world.status), "r1 Completed", "what is over stays so");
            assert!(world.restarts.values().all(|times| *times == 1), "{:?}", world.restarts);
        }
    }

    #[test]
    fn an_order_that_changes_in_the_middle_restarts_nobody_twice_and_leaves_nobody_out() {
        let mut world = World::new("A B C");
        world.pass(&sequential("r1", "A B C"));
        world.set("A", true);
        world.pass(&sequential("r1", "A B C"));
        world.pass(&sequential("r1", "C A B"));
        assert_eq!(told(&world.status), "r1 Restarting B", "B is still on its way");
        assert_eq!(world.live["C"].restarted_at, None);
        world.set("B", true);
        world.pass(&sequential("r1", "C A B"));
        assert_eq!(told(&world.status), "r1 Restarting C");
        world.finish(&sequential("r1", "C A B"));
        assert!(world.restarts.values().eq(&[1, 1, 1]), "{:?}", world.restarts);
    }

    #[test]
    fn an_id_that_is_taken_out_stops_before_the_next_service_and_one_that_comes_back_goes_on() {
        let mut world = World::new("A B C");
        world.pass(&json!({"id": "r1"}));
        world.pass(&Value::Null);
        world.set("A", true);
        world.pass(&Value::Null);
        assert_eq!((told(&world.status).as_str(), &world.live["B"].restarted_at), ("-", &None));
        assert_eq!(world.live["A"].restarted_at.as_deref(), Some("r1"), "it is not restarted by the removal");
        world.finish(&json!({"id": "r1"}));
        assert!(world.restarts.values().eq(&[1, 1, 1]), "{:?}", world.restarts);
    }

    /// What plans lead to: components take the annotations, and restart when theirs changes.
    struct World {
        services: Vec<String>,
        live: BTreeMap<String, LiveComponent>,
        status: Option<RestartStatus>,
        /// How often each service was restarted while it ran.
        restarts: BTreeMap<String, usize>,
        /// Services that are unready since a restart.
        down: Vec<String>,
    }

    impl World {
        /// Services that run and are ready.
        fn new(services: &str) -> Self {
            let live = facts(services).components;
            let services = live.keys().cloned().collect();
            Self { services, live, status: None, restarts: BTreeMap::new(), down: Vec::new() }
        }

        fn pass(&mut self, restart: &Value) {
            let status = serde_json::to_value(&self.status).unwrap();
            let graph = graph(self.services.iter().map(String::as_str), restart.clone(), status);
            let facts = GraphFacts { components: self.live.clone(), ..GraphFacts::default() };
            let plan = plan(&graph, &facts);
            for service in &self.services {
                let id = plan.restarted_at.get(service).cloned();
                match self.live.get_mut(service) {
                    Some(live) if live.restarted_at != id => {
                        *live = LiveComponent { restarted_at: id, ready: false };
                        *self.restarts.entry(service.clone()).or_default() += 1;
                        self.down.push(service.clone());
                    }
                    Some(_) => {}
                    None => {
                        let fresh = LiveComponent { restarted_at: id, ready: false };
                        self.live.insert(service.clone(), fresh);
                    }
                }
            }
            self.status = plan.status;
        }

        fn set(&mut self, service: &str, ready: bool) {
            self.live.get_mut(service).unwrap().ready = ready;
            if ready {
                self.down.retain(|down| down != service);
            }
        }

        /// Everything becomes ready, again and again.
        fn finish(&mut self, restart: &Value) {
            for _ in 0..=self.services.len() {
                for service in self.services.clone() {
                    self.set(&service, true);
                }
                self.pass(restart);
            }
        }
    }

    proptest! {
        #[test]
        fn however_readiness_flips_one_service_at_a_time_restarts_once_and_the_walk_ends(
            order in Just(vec!["A", "B", "C", "D"]).prop_shuffle(),
            events in vec((0..4usize, any::<bool>(), prop::bool::weighted(0.1)), 0..40),
        ) {
            let restart = sequential("r1", &order.join(" "));
            let mut world = World::new("A B C D");
            for (at, ready, lost) in events {
                let unready: Vec<String> = order.iter().copied()
                    .filter(|service| world.live[*service].restarted_at.is_some() && !world.live[*service].ready)
                    .map(ToOwned::to_owned).collect();
                let before = world.restarts.clone();
                if lost {
                    world.status = None;
                }
                world.pass(&restart);
                prop_assert!(world.down.len() <= 1, "down at once: {:?}", world.down);
                prop_assert!(unready.is_empty() || world.restarts == before, "{unready:?} were not ready");
                let known = world.status.as_ref().unwrap();
                let over = known.phase == Some(RestartPhase::Completed);
                prop_assert_eq!(known.in_progress.len(), usize::from(!over));
                world.set(order[at], ready);
            }
            world.finish(&restart);
            prop_assert_eq!(told(&world.status), "r1 Completed");
            prop_assert_eq!(world.restarts.values().copied().collect::<Vec<_>>(), vec![1; 4]);
        }

        #[test]
        fn a_parallel_restart_takes_each_service_once_and_waits_for_all(
            events in vec((0..3usize, any::<bool>()), 0..20),
        ) {
            let (services, restart) = (["A", "B", "C"], parallel("r1"));
            let mut world = World::new("A B C");
            world.pass(&restart);
            prop_assert_eq!(told(&world.status), "r1 Restarting A B C");
            for (at, ready) in events {
                world.set(services[at], ready);
                let over = world.status.as_ref().and_then(|status| status.phase.clone()) == Some(RestartPhase::Completed);
                world.pass(&restart);
                let unready: Vec<String> = world.live.iter().filter(|(_, live)| !live.ready)
                    .map(|(service, _)| service.clone()).collect();
                if !over {
                    prop_assert_eq!(&world.status.as_ref().unwrap().in_progress, &unready);
                }
            }
            world.finish(&restart);
            prop_assert_eq!(told(&world.status), "r1 Completed");
            prop_assert_eq!(world.restarts.values().copied().collect::<Vec<_>>(), vec![1; 3]);
        }
    }
}
