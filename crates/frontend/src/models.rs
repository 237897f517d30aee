//! The models this frontend serves, derived from discovery (runtime.md 5.3).
//! Must not send to an instance whose card differs from the one the pipeline was built for.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use dynamo_router::RouterMode;
use dynamo_runtime::{Discovery, ModelCard, ModelCardEntry, ModelInput, Snapshot};
use tokio::task::JoinSet;

use crate::metrics::{Metrics, ModelLabel};
use crate::pipeline::dispatch::{WorkerEntry, WorkerSet};
use crate::pipeline::files::{self, LoadError, TextModel};

/// A model that vanished is still found for this long: its next worker may be on the way during a roll.
const LINGER: Duration = Duration::from_secs(30);
const RETRY_LOAD: Duration = Duration::from_secs(5);

/// A model with everything a request needs.
#[derive(Debug)]
pub struct Model {
    pub card: Arc<ModelCard>,
    pub checksum: String,
    pub text: Arc<TextModel>,
    pub workers: Arc<WorkerSet>,
    pub prefill: Arc<WorkerSet>,
}

impl Model {
    #[must_use]
    pub fn name(&self) -> &str {
        &self.card.display_name
    }
}

#[derive(Debug, Clone)]
struct Sets {
    workers: Arc<WorkerSet>,
    prefill: Arc<WorkerSet>,
}

#[derive(Debug, Default)]
struct Served {
    models: BTreeMap<String, Arc<Model>>,
    prefill_only: BTreeSet<String>,
    vanished: HashMap<String, (Arc<Model>, Instant)>,
}

/// What requests see of the models.
#[derive(Debug, Default)]
pub struct Models {
    served: RwLock<Served>,
    synced: AtomicBool,
}

/// Which namespaces' models are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamespaceFilter(Option<String>);

impl NamespaceFilter {
    /// Nothing, the empty text and `dynamo` mean all (runtime.md 2).
    #[must_use]
    pub fn new(namespace: Option<&str>) -> Self {
        let named = namespace.map(str::trim).filter(|name| !name.is_empty() && *name != "dynamo");
        Self(named.map(str::to_owned))
    }

    /// The only namespace that is admitted.
    #[must_use]
    pub fn only(&self) -> Option<&str> {
        self.0.as_deref()
    }

    fn admits(&self, namespace: &str) -> bool {
        self.0.as_ref().is_none_or(|own| own == namespace)
    }
}

impl Models {
    /// True once the first complete view of discovery has been applied.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        self.synced.load(Ordering::Acquire)
    }

    /// The model for a request, also one whose workers left a moment ago.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Arc<Model>> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let recent = || {
            let (model, since) = served.vanished.get(name)?;
            (since.elapsed() < LINGER).then(|| model.clone())
        };
        served.models.get(name).cloned().or_else(recent)
    }

    /// Every model name once, models with prefill workers only included.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let served = self.served.read().unwrap_or_else(PoisonError::into_inner);
        let all: BTreeSet<&String> = served.models.keys().chain(&served.prefill_only).collect();
        all.into_iter().cloned().collect()
    }
}

/// Keeps [`Models`] equal to discovery.
#[derive(Debug)]
pub struct ModelWatcher {
    pub models: Arc<Models>,
    pub metrics: Arc<Metrics>,
    pub namespace: NamespaceFilter,
    pub mode: RouterMode,
    sets: HashMap<String, Sets>,
    loaded: HashMap<String, Arc<TextModel>>,
    failed: HashMap<String, Instant>,
    loading: HashSet<String>,
    refused: HashSet<String>,
}

type Loaded = (String, Result<TextModel, LoadError>);

/// The cards of one model name in one role that agree on a checksum, with their instances.
struct Role {
    card: Arc<ModelCard>,
    checksum: String,
    entries: BTreeMap<u64, WorkerEntry>,
}

impl ModelWatcher {
    #[must_use]
    pub fn new(
        models: Arc<Models>,
        metrics: Arc<Metrics>,
        namespace: NamespaceFilter,
        mode: RouterMode,
    ) -> Self {
        Self {
            models,
            metrics,
            namespace,
            mode,
            sets: HashMap::new(),
            loaded: HashMap::new(),
            failed: HashMap::new(),
            loading: HashSet::new(),
            refused: HashSet::new(),
        }
    }

    /// Follows discovery until its sender goes away.
    pub async fn run(mut self, discovery: Discovery) {
        let mut snapshots = discovery.watch();
        let mut loads: JoinSet<Loaded> = JoinSet::new();
        loop {
            let snapshot = snapshots.borrow_and_update().clone();
            self.apply(&snapshot, &mut loads);
            if snapshot.synced && loads.is_empty() {
                self.models.synced.store(true, Ordering::Release);
            }
            let retry = !self.failed.is_empty();
            tokio::select! {
                changed = snapshots.changed() => {
                    if changed.is_err() {
                        tracing::error!("discovery ended; the list of models is frozen");
                        return;
                    }
                }
                Some(done) = loads.join_next() => self.finish_load(done),
                () = tokio::time::sleep(RETRY_LOAD), if retry => {}
            }
        }
    }

    fn finish_load(&mut self, done: Result<Loaded, tokio::task::JoinError>) {
        match done {
            Ok((checksum, Ok(text))) => {
                self.loading.remove(&checksum);
                self.failed.remove(&checksum);
                self.loaded.insert(checksum, Arc::new(text));
            }
            Ok((checksum, Err(failure))) => {
                self.loading.remove(&checksum);
                if self.failed.insert(checksum, Instant::now()).is_none() {
                    tracing::error!("{failure}; the model is not served, trying again every 5 s");
                }
            }
            Err(failure) => {
                tracing::error!("loading a model broke off: {failure}");
                self.loading.clear();
            }
        }
    }

    fn apply(&mut self, snapshot: &Snapshot, loads: &mut JoinSet<Loaded>) {
        let mut by_name: BTreeMap<&str, Vec<&ModelCardEntry>> = BTreeMap::new();
        for entry in snapshot.cards.values().filter(|entry| self.namespace.admits(&entry.id.namespace)) {
            by_name.entry(&entry.card.display_name).or_default().push(entry);
        }
        let mut models = BTreeMap::new();
        let mut prefill_only = BTreeSet::new();
        let mut alive = HashSet::new();
        for (name, entries) in &by_name {
            let current = self.models.find(name).map(|model| model.checksum.clone());
            let (prefill, workers): (Vec<_>, Vec<_>) =
                entries.iter().copied().partition(|entry| entry.card.model_type.supports_prefill());
            let sets = self
                .sets
                .entry((*name).to_owned())
                .or_insert_with(|| Sets {
                    workers: Arc::new(WorkerSet::new(self.mode)),
                    prefill: Arc::new(WorkerSet::new(self.mode)),
                })
                .clone();
            let workers = self.agree(name, &workers, snapshot, current.as_deref());
            let prefill = self.agree(name, &prefill, snapshot, current.as_deref());
            sets.prefill.set(prefill.map(|role| role.entries).unwrap_or_default());
            let Some(role) = workers else {
                sets.workers.set(BTreeMap::new());
                prefill_only.insert((*name).to_owned());
                continue;
            };
            sets.workers.set(role.entries);
            alive.insert(role.checksum.clone());
            self.load(&role.card, &role.checksum, loads);
            if let Some(text) = self.loaded.get(&role.checksum) {
                self.show_card(&role.card);
                let model = Model {
                    card: role.card,
                    checksum: role.checksum,
                    text: text.clone(),
                    workers: sets.workers,
                    prefill: sets.prefill,
                };
                models.insert((*name).to_owned(), Arc::new(model));
            }
        }
        for (name, sets) in self.sets.iter().filter(|(name, _)| !by_name.contains_key(name.as_str())) {
            if !sets.workers.is_empty() {
                tracing::info!("model `{name}` has no workers any more");
            }
            sets.workers.set(BTreeMap::new());
            sets.prefill.set(BTreeMap::new());
        }
        self.failed.retain(|checksum, _| alive.contains(checksum));
        self.publish(models, prefill_only);
        let kept: HashSet<String> = {
            let served = self.models.served.read().unwrap_or_else(PoisonError::into_inner);
            served.vanished.values().map(|(model, _)| model.checksum.clone()).chain(alive).collect()
        };
        self.loaded.retain(|checksum, _| kept.contains(checksum));
    }

    fn publish(&self, models: BTreeMap<String, Arc<Model>>, prefill_only: BTreeSet<String>) {
        let mut served = self.models.served.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut served.models, models);
        served.prefill_only = prefill_only;
        let now = Instant::now();
        for (name, model) in before {
            if !served.models.contains_key(&name) {
                served.vanished.insert(name, (model, now));
            }
        }
        let Served { models, vanished, .. } = &mut *served;
        vanished.retain(|name, (_, since)| !models.contains_key(name) && since.elapsed() < LINGER);
    }

    fn load(&mut self, card: &Arc<ModelCard>, checksum: &str, loads: &mut JoinSet<Loaded>) {
        let resting = self.failed.get(checksum).is_some_and(|since| since.elapsed() < RETRY_LOAD);
        if resting || self.loaded.contains_key(checksum) || !self.loading.insert(checksum.to_owned()) {
            return;
        }
        let (card, checksum) = (card.clone(), checksum.to_owned());
        loads.spawn_blocking(move || {
            let outcome = files::load(&card);
            (checksum, outcome)
        });
    }

    /// The entries that share one checksum: the one already served while it has instances, else the most common.
    fn agree(
        &mut self,
        name: &str,
        entries: &[&ModelCardEntry],
        snapshot: &Snapshot,
        current: Option<&str>,
    ) -> Option<Role> {
        let mut groups: BTreeMap<String, Vec<&ModelCardEntry>> = BTreeMap::new();
        for entry in entries {
            if entry.card.model_input != ModelInput::Tokens {
                self.report(name, entry, "takes raw text or tensors, which this frontend does not send yet");
                continue;
            }
            groups.entry(entry.card.checksum()).or_default().push(entry);
        }
        let live =
            |entry: &&ModelCardEntry| snapshot.instances.contains_key(&entry.id.key(entry.instance_id));
        let rank = |(checksum, group): &(&String, &Vec<&ModelCardEntry>)| {
            let running = group.iter().copied().filter(|entry| live(entry)).count();
            (running > 0 && current == Some(checksum.as_str()), running)
        };
        let chosen = groups.iter().max_by_key(rank).map(|(checksum, _)| checksum.clone())?;
        for entry in groups.iter().filter(|(checksum, _)| **checksum != chosen).flat_map(|(_, group)| group) {
            self.report(
                name,
                entry,
                "has a model card with another checksum than the model's other workers and gets no requests; \
                 give all workers of a name the same model files and block size",
            );
        }
        let group = groups.remove(&chosen)?;
        let card = group.first().map(|entry| entry.card.clone())?;
        let entries = group
            .iter()
            .filter_map(|entry| {
                let instance = snapshot.instances.get(&entry.id.key(entry.instance_id))?.clone();
                Some((entry.instance_id, WorkerEntry { instance, card: entry.card.clone() }))
            })
            .collect();
        Some(Role { card, checksum: chosen, entries })
    }

    fn report(&mut self, name: &str, entry: &ModelCardEntry, what: &str) {
        if self.refused.insert(format!("{} {what}", entry.key())) {
            tracing::error!("model `{name}`: instance {} {what}", entry.key());
        }
    }

    /// The `model_*` gauges, with the name in its own case (runtime.md 10.1).
    fn show_card(&self, card: &ModelCard) {
        let label = ModelLabel { model: card.display_name.clone() };
        let set = |family: &prometheus_client::metrics::family::Family<
            _,
            prometheus_client::metrics::gauge::Gauge,
        >,
                   value: u64| {
            family.get_or_create(&label).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let config = &card.runtime_config;
        set(&self.metrics.model_total_kv_blocks, config.total_kv_blocks.unwrap_or(0));
        set(&self.metrics.model_max_num_seqs, config.max_num_seqs.unwrap_or(0));
        set(&self.metrics.model_max_num_batched_tokens, config.max_num_batched_tokens.unwrap_or(0));
        set(&self.metrics.model_context_length, u64::from(card.context_length));
        set(&self.metrics.model_kv_cache_block_size, u64::from(card.kv_cache_block_size));
        set(&self.metrics.model_migration_limit, u64::from(card.migration_limit));
    }
}
