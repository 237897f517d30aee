//! A registry in a folder, for several processes on one machine (`--store-kv file`, runtime.md 5.2).
//! It must not trust what it finds: files that are stale or unreadable do not count.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use super::record::{Registry, read_data};
use super::{DiscoveryError, Snapshot, TREES};
use crate::settings;

/// An entry that was not touched for this long belongs to a dead process.
const LIFE: Duration = Duration::from_secs(10);
const TOUCH_INTERVAL: Duration = Duration::from_secs(3);
const POLL_INTERVAL: Duration = Duration::from_millis(200);

#[derive(Debug)]
pub(super) struct FileStore {
    root: PathBuf,
    own: Arc<Mutex<Registry>>,
    touching: OnceLock<AbortOnDropHandle<()>>,
    watching: OnceLock<(watch::Receiver<Arc<Snapshot>>, AbortOnDropHandle<()>)>,
}

impl FileStore {
    /// Root from `DYN_FILE_KV`, else `dynamo_store_kv` in the folder for temporary files.
    pub(super) fn from_environment() -> Self {
        let root = settings::text("DYN_FILE_KV").map(PathBuf::from);
        Self::new(root.unwrap_or_else(|| std::env::temp_dir().join("dynamo_store_kv")))
    }

    pub(super) fn new(root: PathBuf) -> Self {
        Self { root, own: Arc::default(), touching: OnceLock::new(), watching: OnceLock::new() }
    }

    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<(), DiscoveryError>,
    ) -> Result<(), DiscoveryError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = own.clone();
        change(&mut changed)?;
        let (before, after) = (entries(&self.root, &own), entries(&self.root, &changed));
        let failed = |path: &Path, source| DiscoveryError::Store { path: path.to_path_buf(), source };
        for (path, _) in before.iter().filter(|(path, _)| !after.iter().any(|(kept, _)| kept == path)) {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(path, error)),
                _ => {}
            }
        }
        for (path, value) in &after {
            write(path, value).map_err(|error| failed(path, error))?;
        }
        *own = changed;
        drop(own);
        self.touching.get_or_init(|| {
            let (root, own) = (self.root.clone(), self.own.clone());
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    tokio::time::sleep(TOUCH_INTERVAL).await;
                    let own = own.lock().unwrap_or_else(PoisonError::into_inner);
                    for (path, value) in entries(&root, &own) {
                        if let Err(error) = touch(&path).or_else(|_| write(&path, &value)) {
                            tracing::warn!("registry entry {} cannot be renewed: {error}", path.display());
                        }
                    }
                }
            }))
        });
        Ok(())
    }

    pub(super) fn watch(&self) -> watch::Receiver<Arc<Snapshot>> {
        let (visible, _) = self.watching.get_or_init(|| {
            let (sender, visible) = watch::channel(Arc::new(read(&self.root)));
            let root = self.root.clone();
            let task = tokio::spawn(async move {
                loop {
                    tokio::time::sleep(POLL_INTERVAL).await;
                    let found = read(&root);
                    sender.send_if_modified(|shown| {
                        let changed = **shown != found;
                        if changed {
                            *shown = Arc::new(found);
                        }
                        changed
                    });
                }
            });
            (visible, AbortOnDropHandle::new(task))
        });
        visible.clone()
    }
}

/// Files of a registry. A card's suffix stays in the file name, since the name before it is a file.
fn entries(root: &Path, registry: &Registry) -> Vec<(PathBuf, Value)> {
    let data = registry.to_data();
    let mut files = Vec::new();
    for (map, tree) in TREES {
        for (key, value) in data[map].as_object().into_iter().flatten() {
            let mut parts = key.splitn(4, '/');
            let folder: PathBuf = parts.by_ref().take(3).collect();
            let name = parts.next().unwrap_or_default().replace('/', "__");
            files.push((root.join(tree).join(folder).join(name), value.clone()));
        }
    }
    files
}

/// Readers see the old or the new content, never a part.
fn write(path: &Path, value: &Value) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let draft = path.with_extension(format!("tmp{}", std::process::id()));
    fs::write(&draft, value.to_string())?;
    fs::rename(draft, path)
}

fn touch(path: &Path) -> io::Result<()> {
    File::options().write(true).open(path)?.set_modified(SystemTime::now())
}

fn read(root: &Path) -> Snapshot {
    let mut data = json!({});
    for (map, tree) in TREES {
        let mut records = Map::new();
        collect(&root.join(tree), &mut records);
        data[map] = records.into();
    }
    let published = read_data(&data);
    Snapshot { instances: published.instances, cards: published.cards, synced: true }
}

fn collect(folder: &Path, records: &mut Map<String, Value>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(about) = entry.metadata() else { continue };
        if about.is_dir() {
            collect(&path, records);
            continue;
        }
        let age = about.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
        let draft = path.extension().is_some_and(|end| end.to_string_lossy().starts_with("tmp"));
        if age > LIFE || draft {
            continue;
        }
        let content = fs::read(&path).ok().and_then(|text| serde_json::from_slice(&text).ok());
        if let Some(value) = content {
            records.insert(path.to_string_lossy().into_owned(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EndpointId, EndpointInstance, ModelCard, Registration, Transport};

    #[tokio::test]
    async fn what_one_process_registers_another_sees_until_it_is_taken_back() {
        let root = tempfile::tempdir().unwrap();
        let (writer, reader) = (FileStore::new(root.path().into()), FileStore::new(root.path().into()));
        let mut visible = reader.watch();
        let id = EndpointId::new("ns", "b", "g");
        let instance =
            EndpointInstance { id, instance_id: 10, transport: Transport::Tcp("h:1/a/g".to_owned()) };
        let registration = Registration::model(instance.clone(), ModelCard::with_name("m"));
        writer.change(|own| own.add(&registration)).unwrap();
        let seen =
            visible.wait_for(|s| !s.instances.is_empty() && !s.cards.is_empty()).await.unwrap().clone();
        assert_eq!(seen.instances["ns/b/g/a"], instance);
        writer
            .change(|own| {
                own.clear();
                Ok(())
            })
            .unwrap();
        visible.wait_for(|s| s.instances.is_empty() && s.cards.is_empty()).await.unwrap();
    }

    #[tokio::test]
    async fn entries_of_dead_processes_do_not_count() {
        let root = tempfile::tempdir().unwrap();
        let store = FileStore::new(root.path().into());
        let id = EndpointId::new("ns", "b", "g");
        let instance =
            EndpointInstance { id, instance_id: 10, transport: Transport::Tcp("h:1/a/g".to_owned()) };
        store.change(|own| own.add(&Registration::endpoint(instance))).unwrap();
        assert_eq!(read(root.path()).instances.len(), 1);
        let path = root.path().join("v1/instances/ns/b/g/a");
        let old = SystemTime::now() - LIFE * 2;
        File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
        assert!(read(root.path()).instances.is_empty());
    }
}
