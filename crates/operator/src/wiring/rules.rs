//! Feeds, and the rules of waking that several of them share.
//! Who is woken by what is chosen in the module above.

use dynamo_kubekit::{
    Object,
    cache::{Cache, Change, Feed, parent_reference},
};
use futures::{FutureExt, Stream, StreamExt, future::BoxFuture};
use kube::{Client, runtime::watcher};
use tokio::sync::watch;

use super::trigger::Trigger;
use crate::optional_apis::OptionalApis;

/// Feeds as they are set up: where they watch, and the tasks that come of them.
pub(super) struct Feeds<'a> {
    pub(super) client: &'a Client,
    /// The only namespace that is watched.
    pub(super) namespace: Option<&'a str>,
    pub(super) tasks: Vec<BoxFuture<'static, ()>>,
}

impl Feeds<'_> {
    pub(super) fn feed<K: Object>(&self, config: &watcher::Config) -> Feed<K> {
        Feed::new(self.client.clone(), self.namespace, config.clone())
    }

    /// Runs a feed whose listeners are complete.
    pub(super) fn run<K: Object>(&mut self, feed: Feed<K>) -> Cache<K> {
        let cache = feed.cache();
        self.tasks.push(feed.run().boxed());
        cache
    }

    /// Watches a kind that wakes nobody.
    pub(super) fn counted<K: Object>(&mut self) -> Cache<K> {
        let feed = self.feed(&watcher::Config::default());
        self.run(feed)
    }

    /// Watches a kind that wakes its parent and nobody else.
    pub(super) fn children<P: Object, K: Object>(
        &mut self,
        config: &watcher::Config,
        parents: &Trigger<P>,
    ) -> Cache<K> {
        let mut feed = self.feed(config);
        wake_parent(&mut feed, parents);
        self.run(feed)
    }

    /// The same for a kind that is watched only while `served` says so.
    pub(super) fn children_while<P: Object, K: Object>(
        &mut self,
        config: &watcher::Config,
        parents: &Trigger<P>,
        served: impl Stream<Item = bool> + Send + 'static,
    ) -> Cache<K> {
        let mut feed = self.feed(config);
        wake_parent(&mut feed, parents);
        let cache = feed.cache();
        self.tasks.push(feed.run_while(served).boxed());
        cache
    }
}

/// Whether an optional API is there, now and whenever that changes.
pub(super) fn served(
    apis: &watch::Receiver<OptionalApis>,
    of: impl Fn(&OptionalApis) -> bool + Send + 'static,
) -> impl Stream<Item = bool> + Send + 'static {
    let mut apis = apis.clone();
    // The first answer is what is known already.
    apis.mark_changed();
    futures::stream::unfold((apis, of), |(mut apis, of)| async {
        apis.changed().await.ok()?;
        let is_served = of(&apis.borrow_and_update());
        Some((is_served, (apis, of)))
    })
}

/// One answer that never changes.
pub(super) fn always(answer: bool) -> impl Stream<Item = bool> + Send + 'static {
    futures::stream::iter([answer]).chain(futures::stream::pending())
}

/// Wakes the parent of a child on any change, its end included.
pub(super) fn wake_parent<Parent: Object, Child: Object>(feed: &mut Feed<Child>, trigger: &Trigger<Parent>) {
    let trigger = trigger.clone();
    feed.on_change(move |change| {
        if let Some(parent) = parent_reference::<Parent, Child>(&**change.object()) {
            trigger.send(parent);
        }
        // A child that was taken from its parent leaves a gap there.
        if let Change::Applied { before: Some(before), now } = change
            && before.meta().owner_references != now.meta().owner_references
            && let Some(parent) = parent_reference::<Parent, Child>(&**before)
        {
            trigger.send(parent);
        }
    });
}
