//! One cache per kind: a watch fills a store, an owner index and the triggers of the controllers.
//! It never writes to the API server and never filters what it stores; callers filter triggers.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use futures::{Stream, StreamExt};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{
    Api, Client,
    core::{DeserializeGuard, ObjectMeta, PartialObjectMeta, PartialObjectMetaExt},
    runtime::{
        WatchStreamExt,
        reflector::{ObjectRef, Store, store::Writer},
        watcher,
    },
};
use tracing::{debug, warn};

use crate::Object;

type Key = (String, String);
/// Names only: what the work queue of a controller checks before it starts a reconcile.
pub type Roster<K> = PartialObjectMeta<K>;

/// How many deleted UIDs are remembered, so that the late answer of a write does not bring its object back.
const REMEMBERED_GONE: usize = 1024;

/// What happened to an object, as seen by the trigger functions of a [`Feed`].
#[derive(Debug, Clone)]
pub enum Change<K> {
    /// The object exists in this form. The form that was known before, if any, comes with it.
    Applied { now: Arc<K>, before: Option<Arc<K>> },
    /// The object is gone, also when it vanished while the watch was interrupted.
    Gone(Arc<K>),
}

impl<K> Change<K> {
    /// The newest known form of the object.
    #[must_use]
    pub fn object(&self) -> &Arc<K> {
        match self {
            Self::Applied { now, .. } => now,
            Self::Gone(last) => last,
        }
    }
}

/// Read side of a kind: the watched objects overlaid with our own newest writes.
///
/// Guarantee: after [`Cache::note_written`] a reader sees at least that version, so that a reconcile never decides on
/// a state older than its own last write.
#[derive(Debug)]
pub struct Cache<K: Object> {
    roster: Store<Roster<K>>,
    index: Arc<RwLock<Index<K>>>,
}

impl<K: Object> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Self { roster: self.roster.clone(), index: Arc::clone(&self.index) }
    }
}

#[derive(Debug)]
struct Index<K> {
    objects: BTreeMap<Key, Arc<K>>,
    by_owner: HashMap<String, BTreeSet<Key>>,
    /// UIDs of what the watch told to be gone, but for those that it told to be there again.
    gone: VecDeque<String>,
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        Self { objects: BTreeMap::new(), by_owner: HashMap::new(), gone: VecDeque::new() }
    }
}

impl<K: Object> Index<K> {
    fn insert(&mut self, object: Arc<K>) {
        let key = crate::key_of(&*object);
        let owner = controller_of(&*object).map(|owner| owner.uid.clone());
        let before = self.objects.insert(key.clone(), object);
        let owner_before = before.as_ref().and_then(|b| controller_of(&**b)).map(|owner| owner.uid.clone());
        if owner_before != owner {
            if let Some(uid) = owner_before {
                self.unlink(&uid, &key);
            }
            if let Some(uid) = owner {
                self.by_owner.entry(uid).or_default().insert(key);
            }
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(gone) = self.objects.remove(key) else { return };
        if let Some(owner) = controller_of(&*gone) {
            self.unlink(&owner.uid.clone(), key);
        }
        if let Some(uid) = &gone.meta().uid {
            if self.gone.len() == REMEMBERED_GONE {
                self.gone.pop_front();
            }
            self.gone.push_back(uid.clone());
        }
    }

    /// What left the watch may come back as it was: its API or its label was away, or it did not fit its type.
    fn is_back(&mut self, object: &K) {
        if let Some(uid) = &object.meta().uid {
            self.gone.retain(|gone| gone != uid);
        }
    }

    /// Drops what is not in `keys`. One that was made after the list is dropped, too, which costs one read: the next
    /// apply finds the name taken and looks.
    fn keep_only(&mut self, keys: &BTreeSet<Key>) {
        let ghosts: Vec<Key> = self.objects.keys().filter(|key| !keys.contains(*key)).cloned().collect();
        for key in ghosts {
            if let Some(owner) = self.objects.remove(&key).as_deref().and_then(controller_of) {
                self.unlink(&owner.uid.clone(), &key);
            }
        }
    }

    fn unlink(&mut self, uid: &str, key: &Key) {
        if let Some(keys) = self.by_owner.get_mut(uid) {
            keys.remove(key);
            if keys.is_empty() {
                self.by_owner.remove(uid);
            }
        }
    }
}

/// The owner reference that has `controller: true`.
pub fn controller_of<K: kube::Resource>(object: &K) -> Option<&OwnerReference> {
    object.meta().owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// Resource versions are compared only between two forms of the same object of the same kind.
fn version_of<K: kube::Resource>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0)
}

impl<K: Object> Cache<K> {
    fn read(&self) -> RwLockReadGuard<'_, Index<K>> {
        self.index.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Index<K>> {
        self.index.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object of that namespace and name.
    #[must_use]
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read().objects.get(&(namespace.to_owned(), name.to_owned())).cloned()
    }

    /// Every object whose controller has this UID, sorted by namespace and name.
    #[must_use]
    pub fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        let index = self.read();
        let Some(keys) = index.by_owner.get(uid) else { return Vec::new() };
        keys.iter().filter_map(|key| index.objects.get(key).cloned()).collect()
    }

    /// Every known object of a namespace, sorted by name.
    #[must_use]
    pub fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        let index = self.read();
        // No name is empty, so this bound comes before every name of the namespace.
        let from = index.objects.range((namespace.to_owned(), String::new())..);
        from.take_while(|((of, _), _)| of == namespace).map(|(_, object)| Arc::clone(object)).collect()
    }

    /// Every known object, sorted by namespace and name.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<K>> {
        self.read().objects.values().cloned().collect()
    }

    /// Records the answer of a write, so that the next read is not older than it.
    pub fn note_written(&self, object: K) -> Arc<K> {
        let object = Arc::new(object);
        let mut index = self.write();
        let outdated = index
            .objects
            .get(&crate::key_of(&*object))
            .is_some_and(|known| version_of(&**known) >= version_of(&*object))
            || object.meta().uid.as_ref().is_some_and(|uid| index.gone.contains(uid));
        if !outdated {
            index.insert(Arc::clone(&object));
        }
        object
    }

    /// The names of the watched objects, as a kube-rs applier needs them.
    #[must_use]
    pub fn roster(&self) -> Store<Roster<K>> {
        self.roster.clone()
    }

    /// Resolves when the first list is complete.
    ///
    /// # Errors
    /// When the feed ended before its first list.
    pub async fn wait_until_ready(&self) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        self.roster.wait_until_ready().await
    }
}

type Listener<K> = Box<dyn Fn(&Change<K>) + Send>;

/// Write side of a kind: run it to keep its [`Cache`] alive.
pub struct Feed<K: Object> {
    api: Api<K>,
    config: watcher::Config,
    writer: Writer<Roster<K>>,
    cache: Cache<K>,
    listeners: Vec<Listener<K>>,
}

impl<K: Object> std::fmt::Debug for Feed<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed").field("kind", &K::kind(&())).finish_non_exhaustive()
    }
}

impl<K: Object> Feed<K> {
    /// A feed over all objects that match `config`, in `namespace` or everywhere.
    #[must_use]
    pub fn new(client: Client, namespace: Option<&str>, config: watcher::Config) -> Self {
        let api = match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let writer = Writer::new(());
        let cache = Cache { roster: writer.as_reader(), index: Arc::default() };
        Self { api, config, writer, cache, listeners: Vec::new() }
    }

    /// The read side.
    #[must_use]
    pub fn cache(&self) -> Cache<K> {
        self.cache.clone()
    }

    /// Calls `listener` for each change after the cache has it. Listeners must not block.
    pub fn on_change(&mut self, listener: impl Fn(&Change<K>) + Send + 'static) {
        self.listeners.push(Box::new(listener));
    }

    /// Watches until dropped. An error of the watch is logged and retried with growing delay; one object that does
    /// not fit its type is logged and left out, the others go on.
    pub async fn run(self) {
        let (mut pump, source) = self.split();
        pump.run(source.watch()).await;
    }

    /// Watches while the API server serves the kind, as `served` tells it: not at all before, and all objects are gone
    /// after. While it is not served the cache is empty and ready. Ends when `served` does.
    pub async fn run_while(self, served: impl Stream<Item = bool>) {
        let (mut pump, source) = self.split();
        let mut served = std::pin::pin!(served);
        let Some(mut is_served) = served.next().await else { return };
        if !is_served {
            pump.forget_all();
        }
        loop {
            if is_served {
                let watch = pump.run(source.watch());
                tokio::select! {
                    () = watch => {}
                    next = served.next() => match next {
                        Some(next) => is_served = next,
                        None => return,
                    }
                }
                if !is_served {
                    pump.forget_all();
                }
            } else {
                match served.next().await {
                    Some(next) => is_served = next,
                    None => return,
                }
            }
        }
    }

    fn split(self) -> (Pump<K>, Source<K>) {
        let Self { api, config, writer, cache, listeners } = self;
        let pump = Pump { writer, cache, listeners, watched: BTreeMap::new(), relisted: None };
        (pump, Source { api: guard(&api), config })
    }
}

/// Where a feed gets its events from.
struct Source<K: Object> {
    api: Api<DeserializeGuard<K>>,
    config: watcher::Config,
}

impl<K: Object> Source<K> {
    fn watch(&self) -> impl Stream<Item = watcher::Result<watcher::Event<DeserializeGuard<K>>>> + use<K> {
        watcher(self.api.clone(), self.config.clone()).default_backoff()
    }
}

fn guard<K: Object>(api: &Api<K>) -> Api<DeserializeGuard<K>> {
    match api.namespace() {
        Some(namespace) => Api::namespaced(api.clone().into_client(), namespace),
        None => Api::all(api.clone().into_client()),
    }
}

fn entry<K: Object>(object: &K) -> Roster<K> {
    named(&crate::key_of(object))
}

fn named<K: Object>((namespace, name): &Key) -> Roster<K> {
    let (namespace, name) = (Some(namespace.clone()), Some(name.clone()));
    ObjectMeta { namespace, name, ..ObjectMeta::default() }.into_response_partial()
}

struct Pump<K: Object> {
    writer: Writer<Roster<K>>,
    cache: Cache<K>,
    listeners: Vec<Listener<K>>,
    /// The last form of each object that the watch itself told. The cache may be ahead of it by our own write; a
    /// change of somebody else that such a write carried along must still be told.
    watched: BTreeMap<Key, Arc<K>>,
    /// Keys seen since the list began; what is missing at its end vanished while the watch was interrupted.
    relisted: Option<BTreeSet<Key>>,
}

impl<K: Object> Pump<K> {
    async fn run(
        &mut self,
        stream: impl Stream<Item = watcher::Result<watcher::Event<DeserializeGuard<K>>>>,
    ) {
        let mut stream = std::pin::pin!(stream);
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => self.handle(event),
                Err(error) => {
                    warn!(kind = %K::kind(&()), error = %crate::client::chain(&error), "watch failed, will retry");
                }
            }
        }
    }

    /// An empty list: whatever was known is told to be gone.
    fn forget_all(&mut self) {
        self.handle(watcher::Event::Init);
        self.handle(watcher::Event::InitDone);
    }

    fn handle(&mut self, event: watcher::Event<DeserializeGuard<K>>) {
        use watcher::Event;
        match event {
            Event::Init => {
                self.relisted = Some(BTreeSet::new());
                self.writer.apply_watcher_event(&Event::Init);
            }
            Event::InitApply(object) => {
                if let Some(object) = self.open(object) {
                    if let Some(seen) = &mut self.relisted {
                        seen.insert(crate::key_of(&object));
                    }
                    // The roster swaps in what it buffered only at the end of the list, while listeners wake the
                    // controllers now: the name must be in both, or the wake-up finds nothing and is lost.
                    self.writer.apply_watcher_event(&Event::InitApply(entry(&object)));
                    self.writer.apply_watcher_event(&Event::Apply(entry(&object)));
                    self.applied(object);
                }
            }
            Event::InitDone => {
                self.writer.apply_watcher_event(&Event::InitDone);
                let seen = self.relisted.take().unwrap_or_default();
                let vanished: Vec<Key> =
                    self.watched.keys().filter(|key| !seen.contains(*key)).cloned().collect();
                for key in vanished {
                    self.gone(&key);
                }
                // What only our own writes told of and the list lacks was deleted while the watch was interrupted.
                self.cache.write().keep_only(&seen);
                debug!(kind = %K::kind(&()), objects = seen.len(), "list complete");
            }
            Event::Apply(object) => {
                if let Some(object) = self.open(object) {
                    self.writer.apply_watcher_event(&Event::Apply(entry(&object)));
                    self.applied(object);
                }
            }
            Event::Delete(guarded) => {
                // The end of an object counts, also when its last form did not fit its type.
                let key = crate::key_of(&guarded);
                self.writer.apply_watcher_event(&Event::Delete(named(&key)));
                self.gone(&key);
            }
        }
    }

    fn open(&self, guarded: DeserializeGuard<K>) -> Option<K> {
        match guarded.0 {
            Ok(mut object) => {
                object.meta_mut().managed_fields = None;
                Some(object)
            }
            Err(invalid) => {
                warn!(
                    kind = %K::kind(&()),
                    namespace = invalid.metadata.namespace.as_deref().unwrap_or_default(),
                    name = invalid.metadata.name.as_deref().unwrap_or_default(),
                    error = %invalid.error,
                    "object does not fit its type and is left alone until it is corrected"
                );
                None
            }
        }
    }

    fn applied(&mut self, object: K) {
        let now = Arc::new(object);
        let key = crate::key_of(&*now);
        let before = self.watched.insert(key.clone(), Arc::clone(&now));
        {
            let mut index = self.cache.write();
            if before.is_none() {
                index.is_back(&now);
            }
            let outdated = index.objects.get(&key).is_some_and(|known| {
                known.meta().uid == now.meta().uid && version_of(&**known) > version_of(&*now)
            });
            if !outdated {
                index.insert(Arc::clone(&now));
            }
        }
        self.tell(&Change::Applied { now, before });
    }

    fn gone(&mut self, key: &Key) {
        let Some(last) = self.watched.remove(key) else { return };
        {
            let mut index = self.cache.write();
            // A successor of the same name may already be known from our own write.
            if index.objects.get(key).is_some_and(|known| known.meta().uid == last.meta().uid) {
                index.remove(key);
            }
        }
        self.tell(&Change::Gone(last));
    }

    fn tell(&self, change: &Change<K>) {
        for listener in &self.listeners {
            listener(change);
        }
    }
}

/// The reference of an object, as controllers queue it.
#[must_use]
pub fn reference<K: Object>(object: &K) -> ObjectRef<Roster<K>> {
    let (namespace, name) = crate::key_of(object);
    ObjectRef::new(&name).within(&namespace)
}

/// The reference of the controlling owner, when that is a `Parent`.
#[must_use]
pub fn parent_reference<Parent: Object, Child: Object>(child: &Child) -> Option<ObjectRef<Roster<Parent>>> {
    let owner = controller_of(child)?;
    let namespace = child.meta().namespace.as_deref()?;
    let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
    (owner.kind == Parent::kind(&()) && group == Parent::group(&()))
        .then(|| ObjectRef::new(&owner.name).within(namespace))
}

#[cfg(test)]
mod tests;
