//! The cache against scripted watch events: what is told, and what a reader sees.

use std::sync::Mutex;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::error_boundary::InvalidObject;

use super::*;

type Told = Arc<Mutex<Vec<String>>>;

/// A pump whose listener notes each change, and whether the roster knew the object at that moment.
fn pump() -> (Pump<ConfigMap>, Told) {
    let writer = Writer::new(());
    let cache = Cache { roster: writer.as_reader(), index: Arc::default() };
    let told = Told::default();
    let (notes, roster) = (Arc::clone(&told), cache.roster());
    let listener: Listener<ConfigMap> = Box::new(move |change| {
        let verb = if matches!(change, Change::Applied { .. }) { "applied" } else { "gone" };
        let object = change.object();
        let known = roster.get(&reference(&**object)).is_some();
        notes.lock().unwrap().push(format!("{verb} {} {known}", crate::key_of(&**object).1));
    });
    (Pump { writer, cache, listeners: vec![listener], watched: BTreeMap::new(), relisted: None }, told)
}

fn object(name: &str, uid: &str, version: u64) -> ConfigMap {
    let mut object = ConfigMap::default();
    object.metadata.namespace = Some("ns".into());
    object.metadata.name = Some(name.into());
    object.metadata.uid = Some(uid.into());
    object.metadata.resource_version = Some(version.to_string());
    object
}

fn ok(object: ConfigMap) -> DeserializeGuard<ConfigMap> {
    DeserializeGuard(Ok(object))
}

fn list(pump: &mut Pump<ConfigMap>, objects: &[ConfigMap]) {
    pump.handle(watcher::Event::Init);
    for object in objects {
        pump.handle(watcher::Event::InitApply(ok(object.clone())));
    }
    pump.handle(watcher::Event::InitDone);
}

#[test]
fn an_object_that_first_appears_in_a_second_list_is_known_when_its_controller_is_woken() {
    let (mut pump, told) = pump();
    list(&mut pump, &[]);
    list(&mut pump, &[object("a", "1", 5)]);
    assert_eq!(*told.lock().unwrap(), ["applied a true"]);
}

#[test]
fn what_vanished_between_two_lists_is_told_and_forgotten() {
    let (mut pump, told) = pump();
    list(&mut pump, &[object("a", "1", 5)]);
    list(&mut pump, &[]);
    assert_eq!(told.lock().unwrap().last().unwrap(), "gone a false");
    assert!(pump.cache.get("ns", "a").is_none());
}

#[test]
fn an_own_write_that_no_list_confirms_is_forgotten() {
    let (mut pump, _) = pump();
    list(&mut pump, &[]);
    pump.cache.note_written(object("ghost", "1", 7));
    assert!(pump.cache.get("ns", "ghost").is_some());
    list(&mut pump, &[]);
    assert!(pump.cache.get("ns", "ghost").is_none());
}

#[test]
fn a_reader_never_sees_less_than_its_own_last_write_nor_a_deleted_object_again() {
    let (mut pump, _) = pump();
    list(&mut pump, &[object("a", "1", 5)]);
    pump.cache.note_written(object("a", "1", 9));
    pump.handle(watcher::Event::Apply(ok(object("a", "1", 8))));
    let version = pump.cache.get("ns", "a").unwrap().metadata.resource_version.clone();
    assert_eq!(version.as_deref(), Some("9"));
    pump.handle(watcher::Event::Delete(ok(object("a", "1", 9))));
    pump.cache.note_written(object("a", "1", 10));
    assert!(pump.cache.get("ns", "a").is_none());
}

#[test]
fn a_write_to_an_object_that_left_the_watch_and_came_back_is_seen() {
    let (mut pump, _) = pump();
    list(&mut pump, &[object("a", "1", 5)]);
    // As while nobody serves its kind.
    pump.forget_all();
    list(&mut pump, &[object("a", "1", 5)]);
    pump.cache.note_written(object("a", "1", 9));
    assert_eq!(version_of(&*pump.cache.get("ns", "a").unwrap()), 9);
}

#[test]
fn the_end_of_an_object_counts_also_when_its_last_form_cannot_be_read() {
    let (mut pump, told) = pump();
    list(&mut pump, &[object("a", "1", 5)]);
    let metadata = object("a", "1", 6).metadata;
    let invalid = InvalidObject { error: "bad".into(), metadata };
    pump.handle(watcher::Event::Delete(DeserializeGuard(Err(invalid))));
    assert_eq!(told.lock().unwrap().last().unwrap(), "gone a false");
}

#[test]
fn the_objects_of_a_namespace_are_those_of_no_other_one_and_come_by_name() {
    let (mut pump, _) = pump();
    let within = |namespace: &str, name: &str| {
        let mut object = object(name, name, 1);
        object.metadata.namespace = Some(namespace.into());
        object
    };
    list(&mut pump, &[within("a-b", "x"), within("a", "z"), within("a", "y"), within("b", "x")]);
    let names = |namespace: &str| -> Vec<String> {
        pump.cache.in_namespace(namespace).iter().map(|object| crate::key_of(&**object).1).collect()
    };
    assert_eq!(
        (names("a"), names("b"), names("c")),
        (vec!["y".into(), "z".into()], vec!["x".into()], vec![])
    );
}
