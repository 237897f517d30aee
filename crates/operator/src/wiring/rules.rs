//! Feeds, and the rules of waking that several of them share.
//! Who is woken by what is chosen in the module above.

use dynamo_kubekit::{
    Object,
    cache::{Change, Feed, parent_reference},
};
use futures::{Stream, StreamExt};
use kube::{Client, runtime::watcher};
use tokio::sync::watch;

use super::trigger::Trigger;
use crate::optional_apis::OptionalApis;

pub(super) fn feed<K: Object>(client: &Client, namespace: Option<&str>, config: &watcher::Config) -> Feed<K> {
    Feed::new(client.clone(), namespace, config.clone())
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
