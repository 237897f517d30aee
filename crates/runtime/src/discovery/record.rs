//! The JSON form of what a process publishes: three maps by key (runtime.md 5.1).
//! It must not talk to any network; reading skips records it cannot understand.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{DiscoveryError, EndpointInstance, Key, ModelCardEntry, Registration, Snapshot, Transport};
use crate::endpoint::EndpointId;

#[derive(Serialize, Deserialize)]
#[serde(tag = "type")]
enum Record {
    Endpoint {
        namespace: String,
        component: String,
        endpoint: String,
        instance_id: u64,
        transport: Transport,
    },
    Model {
        namespace: String,
        component: String,
        endpoint: String,
        instance_id: u64,
        card_json: Value,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model_suffix: Option<String>,
    },
}

/// What this process has published.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Registry {
    endpoints: BTreeMap<Key, EndpointInstance>,
    cards: BTreeMap<Key, ModelCardEntry>,
}

impl Registry {
    /// Adds a registration; a taken key refuses the whole of it.
    pub(super) fn add(&mut self, registration: &Registration) -> Result<(), DiscoveryError> {
        if let Some(instance) = &registration.instance
            && self.endpoints.contains_key(&instance.key())
        {
            return Err(DiscoveryError::Duplicate { key: instance.key() });
        }
        for card in &registration.cards {
            self.cards.insert(card.key(), card.clone());
        }
        if let Some(instance) = &registration.instance {
            self.endpoints.insert(instance.key(), instance.clone());
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, endpoint: Option<&Key>, cards: &[Key]) {
        if let Some(key) = endpoint {
            self.endpoints.remove(key);
        }
        for key in cards {
            self.cards.remove(key);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// The view of a process that sees only itself.
    pub(super) fn snapshot(&self) -> Snapshot {
        Snapshot { instances: self.endpoints.clone(), cards: self.cards.clone(), synced: true }
    }

    /// `spec.data`; all three maps are always present, since v0.9 readers refuse an object without one.
    pub(super) fn to_data(&self) -> Value {
        let endpoints = self.endpoints.iter().map(|(key, instance)| {
            let EndpointId { namespace, component, endpoint } = instance.id.clone();
            let record = Record::Endpoint {
                namespace,
                component,
                endpoint,
                instance_id: instance.instance_id,
                transport: instance.transport.clone(),
            };
            (key, record)
        });
        let cards = self.cards.iter().map(|(key, entry)| {
            let EndpointId { namespace, component, endpoint } = entry.id.clone();
            let record = Record::Model {
                namespace,
                component,
                endpoint,
                instance_id: entry.instance_id,
                card_json: entry.raw.clone(),
                model_suffix: entry.suffix.clone(),
            };
            (key, record)
        });
        json!({"endpoints": to_map(endpoints), "model_cards": to_map(cards), "event_channels": {}})
    }
}

fn to_map<'a>(records: impl Iterator<Item = (&'a Key, Record)>) -> Map<String, Value> {
    records
        .filter_map(|(key, record)| serde_json::to_value(record).ok().map(|value| (key.clone(), value)))
        .collect()
}

/// What one pod has published.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Published {
    pub(super) instances: BTreeMap<Key, EndpointInstance>,
    pub(super) cards: BTreeMap<Key, ModelCardEntry>,
    /// One line per record that could not be read.
    pub(super) problems: Vec<String>,
}

/// Reads `spec.data`; missing maps are empty and the keys are formed anew from the records.
pub(super) fn read_data(data: &Value) -> Published {
    let mut published = Published::default();
    for map in ["endpoints", "model_cards"] {
        let Some(records) = data.get(map).and_then(Value::as_object) else { continue };
        for (key, value) in records {
            match Record::deserialize(value) {
                Ok(record) => {
                    if let Err(error) = published.take(record) {
                        published.problems.push(format!("{map}[{key}]: {error}"));
                    }
                }
                Err(error) => published.problems.push(format!("{map}[{key}]: {error}")),
            }
        }
    }
    published
}

impl Published {
    fn take(&mut self, record: Record) -> Result<(), serde_json::Error> {
        match record {
            Record::Endpoint { namespace, component, endpoint, instance_id, transport } => {
                let id = EndpointId { namespace, component, endpoint };
                let instance = EndpointInstance { id, instance_id, transport };
                self.instances.insert(instance.key(), instance);
            }
            Record::Model { namespace, component, endpoint, instance_id, card_json, model_suffix } => {
                let id = EndpointId { namespace, component, endpoint };
                let card = Arc::new(serde_json::from_value(card_json.clone())?);
                let entry = ModelCardEntry { id, instance_id, suffix: model_suffix, card, raw: card_json };
                self.cards.insert(entry.key(), entry);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::card::ModelCard;

    fn instance() -> EndpointInstance {
        EndpointInstance {
            id: EndpointId::new("ns", "backend", "generate"),
            instance_id: 7994,
            transport: Transport::Tcp("10.0.0.7:41000/1f3a/generate".to_owned()),
        }
    }

    #[test]
    fn the_published_object_has_the_form_of_the_contract() {
        let mut own = Registry::default();
        own.add(&Registration::model(instance(), ModelCard::with_name("m"))).unwrap();
        let data = own.to_data();
        assert_eq!(
            data["endpoints"]["ns/backend/generate/1f3a"],
            json!({"type": "Endpoint", "namespace": "ns", "component": "backend", "endpoint": "generate",
                   "instance_id": 7994, "transport": {"tcp": "10.0.0.7:41000/1f3a/generate"}})
        );
        assert_eq!(data["model_cards"]["ns/backend/generate/1f3a"]["type"], "Model");
        assert_eq!(data["model_cards"]["ns/backend/generate/1f3a"]["card_json"]["display_name"], "m");
        assert_eq!(data["event_channels"], json!({}));
        let read = read_data(&data);
        assert_eq!(read.instances["ns/backend/generate/1f3a"], instance());
        assert_eq!(read.cards.len(), 1);
        assert!(read.problems.is_empty(), "{:?}", read.problems);
    }

    #[test]
    fn an_empty_registry_still_writes_all_three_maps() {
        let data = Registry::default().to_data();
        assert_eq!(data, json!({"endpoints": {}, "model_cards": {}, "event_channels": {}}));
    }

    #[test]
    fn unreadable_records_are_reported_and_the_others_kept() {
        let mut data = json!({"endpoints": {"bad": {"type": "Endpoint"}, "other": {"type": "Later"}}});
        let record = json!({"type": "Endpoint", "namespace": "ns", "component": "b", "endpoint": "g",
                            "instance_id": 1, "transport": {"nats_tcp": "s"}, "added": 1});
        data["endpoints"]["ns/b/g/1"] = record;
        let read = read_data(&data);
        assert_eq!(read.instances.len(), 1);
        assert_eq!(read.problems.len(), 2);
        assert_eq!(read_data(&json!(null)), Published::default());
    }

    #[test]
    fn an_adapter_card_has_its_suffix_in_the_key() {
        let mut entry = ModelCardEntry::new(instance().id, 7994, ModelCard::with_name("m"));
        entry.suffix = Some("lora_a".to_owned());
        let mut own = Registry::default();
        own.add(&Registration { instance: None, cards: vec![entry] }).unwrap();
        let data = own.to_data();
        let record = &data["model_cards"]["ns/backend/generate/1f3a/lora_a"];
        assert_eq!(record["model_suffix"], "lora_a");
        assert_eq!(read_data(&data).cards.len(), 1);
    }

    #[test]
    fn the_same_endpoint_cannot_be_registered_twice() {
        let mut own = Registry::default();
        own.add(&Registration::endpoint(instance())).unwrap();
        assert!(own.add(&Registration::endpoint(instance())).is_err());
    }
}
