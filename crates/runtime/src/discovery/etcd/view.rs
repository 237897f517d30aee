//! What is visible, computed from the lists and events of etcd (runtime.md 5.2).
//! It is pure: no client, and the time comes from outside.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::Snapshot;
use super::super::record::{Published, read_data};
use super::TREES;
use super::proto::{Event, KeyValue};

/// An etcd that comes back without its data is filled again within a lease's life; until then what it no longer lists
/// stays. What is really gone refuses its requests meanwhile, and they go elsewhere.
pub(super) const HOLD: Duration = Duration::from_secs(10);

const DELETE: i32 = 1;

#[derive(Debug, Default)]
pub(super) struct View {
    listed: BTreeMap<String, Published>,
    /// Missing from the list after an outage, each with the time it goes.
    held: BTreeMap<String, (Published, Instant)>,
}

impl View {
    /// Takes a whole list.
    pub(super) fn list(&mut self, found: &[KeyValue], now: Instant) {
        let before = std::mem::take(&mut self.listed);
        for kv in found {
            self.put(kv);
        }
        for (key, published) in before {
            if !self.listed.contains_key(&key) {
                self.held.entry(key).or_insert((published, now + HOLD));
            }
        }
    }

    pub(super) fn apply(&mut self, event: &Event) {
        let Some(kv) = &event.kv else { return };
        if event.kind == DELETE {
            let key = String::from_utf8_lossy(&kv.key);
            self.listed.remove(key.as_ref());
            self.held.remove(key.as_ref());
        } else {
            self.put(kv);
        }
    }

    fn put(&mut self, kv: &KeyValue) {
        let key = String::from_utf8_lossy(&kv.key).into_owned();
        let Some((map, _)) = TREES.iter().find(|(_, tree)| key.starts_with(tree)) else { return };
        let value = serde_json::from_slice(&kv.value).unwrap_or(Value::Null);
        let published = read_data(&json!({ *map: { key.as_str(): value } }));
        if self.listed.get(&key) != Some(&published) {
            for problem in &published.problems {
                tracing::warn!("etcd: {problem}; this entry is ignored");
            }
        }
        self.held.remove(&key);
        self.listed.insert(key, published);
    }

    /// When the next held entry goes.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.held.values().map(|(_, end)| *end).min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.held.retain(|_, (_, end)| *end > now);
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { synced: true, ..Snapshot::default() };
        let held = self.held.values().map(|(published, _)| published);
        for published in held.chain(self.listed.values()) {
            snapshot.instances.extend(published.instances.clone());
            snapshot.cards.extend(published.cards.clone());
        }
        snapshot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(id: u64) -> KeyValue {
        let value = json!({"type": "Endpoint", "namespace": "ns", "component": "b", "endpoint": "g",
            "instance_id": id, "transport": {"tcp": format!("198.18.0.9:1/{id:x}/g")}});
        KeyValue {
            key: format!("v1/instances/ns/b/g/{id:x}").into_bytes(),
            value: value.to_string().into_bytes(),
            lease: 0,
        }
    }

    fn event(kind: i32, id: u64) -> Event {
        Event { kind, kv: Some(endpoint(id)) }
    }

    fn ids(view: &View) -> Vec<u64> {
        view.snapshot().instances.values().map(|instance| instance.instance_id).collect()
    }

    #[test]
    fn events_add_and_remove_at_once() {
        let mut view = View::default();
        view.list(&[endpoint(1)], Instant::now());
        view.apply(&event(0, 2));
        assert_eq!(ids(&view), [1, 2]);
        view.apply(&event(DELETE, 1));
        assert_eq!(ids(&view), [2]);
    }

    #[test]
    fn what_a_later_list_lacks_stays_for_a_lease_and_then_goes() {
        let (mut view, start) = (View::default(), Instant::now());
        view.list(&[endpoint(1), endpoint(2), endpoint(3)], start);
        view.list(&[endpoint(3)], start);
        assert_eq!(ids(&view), [1, 2, 3]);
        view.apply(&event(0, 1));
        // A second outage does not lengthen the wait.
        view.list(&[endpoint(1), endpoint(3)], start + HOLD / 2);
        assert_eq!(view.next_end(), Some(start + HOLD));
        view.expire(start + HOLD);
        assert_eq!(ids(&view), [1, 3]);
        assert_eq!(view.next_end(), None);
    }

    #[test]
    fn a_deleted_entry_is_not_held() {
        let (mut view, start) = (View::default(), Instant::now());
        view.list(&[endpoint(1)], start);
        view.list(&[], start);
        view.apply(&event(DELETE, 1));
        assert!(ids(&view).is_empty());
    }

    #[test]
    fn strange_keys_and_values_are_left_out() {
        let mut view = View::default();
        let strange = |key: &str, value: &str| KeyValue {
            key: key.as_bytes().to_vec(),
            value: value.as_bytes().to_vec(),
            lease: 0,
        };
        view.list(
            &[strange("v1/instances/x", "{"), strange("v2/instances/x", "{}"), endpoint(1)],
            Instant::now(),
        );
        assert_eq!(ids(&view), [1]);
    }
}
