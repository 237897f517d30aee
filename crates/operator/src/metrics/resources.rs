//! How many objects there are of each kind, namespace and state: counted anew in full from the caches, so that a
//! state that nothing is in any more disappears.
//! It reads caches only and never asks the API server.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use dynamo_kubekit::{Object, cache::Cache};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};

/// What stands for a state that nobody has written yet.
const UNKNOWN: &str = "unknown";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct Labels {
    resource_type: &'static str,
    namespace: String,
    status: String,
}

/// Hears namespace and state of one object.
type Hear<'a> = dyn FnMut(&str, &str) + 'a;

/// One kind to count: calls back with namespace and state of every object in its cache.
pub struct Source {
    kind: &'static str,
    visit: Box<dyn Fn(&mut Hear<'_>) + Send + Sync>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Source {
    /// The objects of `cache`, counted as `kind`; an empty `state` counts as `unknown`.
    #[must_use]
    pub fn new<K: Object>(
        kind: &'static str,
        cache: Cache<K>,
        state: impl Fn(&K) -> &str + Send + Sync + 'static,
    ) -> Self {
        let visit = move |tell: &mut Hear<'_>| {
            for object in cache.all() {
                tell(object.meta().namespace.as_deref().unwrap_or_default(), state(&object));
            }
        };
        Self { kind, visit: Box::new(visit) }
    }
}

/// The gauge `dynamo_operator_resources_total`.
#[derive(Debug, Clone, Default)]
pub struct Resources {
    counts: Arc<Mutex<Arc<BTreeMap<Labels, i64>>>>,
}

impl Resources {
    /// How often the contract counts.
    pub const EVERY: Duration = Duration::from_secs(30);

    pub fn register(&self, registry: &mut Registry) {
        registry.register_collector(Box::new(self.clone()));
    }

    /// Counts at once and then `every` so often, for ever. Start it when the caches are filled.
    pub async fn run(
        self,
        sources: Vec<Source>,
        excluded: impl Fn(&str) -> bool + Send + Sync,
        every: Duration,
    ) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.count(&sources, &excluded);
        }
    }

    /// Replaces all counts. Objects in a namespace that `excluded` names belong to another operator.
    pub fn count(&self, sources: &[Source], excluded: &impl Fn(&str) -> bool) {
        let mut counts = BTreeMap::new();
        for source in sources {
            (source.visit)(&mut |namespace, state| {
                if !excluded(namespace) {
                    let status = if state.is_empty() { UNKNOWN } else { state };
                    let labels = Labels {
                        resource_type: source.kind,
                        namespace: namespace.to_owned(),
                        status: status.to_owned(),
                    };
                    *counts.entry(labels).or_insert(0) += 1;
                }
            });
        }
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(counts);
    }
}

impl Collector for Resources {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let counts = Arc::clone(&self.counts.lock().unwrap_or_else(PoisonError::into_inner));
        let mut family = encoder.encode_descriptor(
            "dynamo_operator_resources_total",
            "Objects by kind, namespace and state.",
            None,
            MetricType::Gauge,
        )?;
        for (labels, count) in counts.iter() {
            ConstGauge::new(*count).encode(family.encode_family(labels)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: &'static str, objects: &'static [(&'static str, &'static str)]) -> Source {
        let visit = move |tell: &mut Hear<'_>| {
            for (namespace, state) in objects {
                tell(namespace, state);
            }
        };
        Source { kind, visit: Box::new(visit) }
    }

    fn lines(resources: &Resources) -> Vec<String> {
        let mut registry = Registry::default();
        resources.register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        text.lines().filter(|line| !line.starts_with('#')).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn objects_are_counted_by_state_and_states_that_are_left_disappear() {
        let resources = Resources::default();
        let everything = |_: &str| false;
        resources.count(&[source("A", &[("x", "pending"), ("x", "pending"), ("y", "")])], &everything);
        assert_eq!(
            lines(&resources),
            [
                r#"dynamo_operator_resources_total{resource_type="A",namespace="x",status="pending"} 2"#,
                r#"dynamo_operator_resources_total{resource_type="A",namespace="y",status="unknown"} 1"#,
            ]
        );
        resources.count(&[source("A", &[("x", "successful")]), source("B", &[])], &everything);
        assert_eq!(
            lines(&resources),
            [r#"dynamo_operator_resources_total{resource_type="A",namespace="x",status="successful"} 1"#]
        );
    }

    #[test]
    fn namespaces_of_other_operators_are_not_counted() {
        let resources = Resources::default();
        resources
            .count(&[source("A", &[("ours", "ready"), ("theirs", "ready")])], &|ns: &str| ns == "theirs");
        assert_eq!(lines(&resources).len(), 1);
        assert!(lines(&resources)[0].contains("namespace=\"ours\""));
    }
}
