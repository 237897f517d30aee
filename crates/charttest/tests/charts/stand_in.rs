//! Stands in for an API server that is only read, so that what a render looks up is tested without one.
//! Must not be used to judge rights or schemas: `plane.rs` has the real one.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::helm::text;

/// Group version, kind, plural, namespaced: all that the charts look up.
const KINDS: &[(&str, &str, &str, bool)] = &[
    ("v1", "Secret", "secrets", true),
    ("v1", "Namespace", "namespaces", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles", false),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings", false),
    ("coordination.k8s.io/v1", "Lease", "leases", true),
    ("scheduling.run.ai/v2", "Queue", "queues", false),
];

pub struct StandIn {
    address: SocketAddr,
    kubeconfig: tempfile::NamedTempFile,
    ended: Arc<AtomicBool>,
}

struct Cluster {
    objects: Vec<Value>,
    /// Answers no request about objects.
    forbids: bool,
}

impl StandIn {
    /// A cluster with these objects.
    pub fn start(objects: Vec<Value>) -> Self {
        Self::serve(Cluster { objects, forbids: false })
    }

    /// A cluster in which the user may do nothing.
    pub fn forbidding() -> Self {
        Self::serve(Cluster { objects: Vec::new(), forbids: true })
    }

    /// Arguments that make `helm template` look things up here.
    pub fn arguments(&self) -> Vec<&str> {
        let path = self.kubeconfig.path().to_str().expect("a plain path");
        vec!["--dry-run=server", "--kubeconfig", path]
    }

    fn serve(cluster: Cluster) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let ended = Arc::new(AtomicBool::new(false));
        let (stop, cluster) = (Arc::clone(&ended), Arc::new(cluster));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), cluster) = (stream, Arc::clone(&cluster)) else { continue };
                // A client that went away is its own affair.
                std::thread::spawn(move || cluster.answer(stream).ok());
            }
        });
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {}}],
        });
        let file = tempfile::NamedTempFile::new().expect("a kubeconfig");
        std::fs::write(file.path(), kubeconfig.to_string()).expect("the kubeconfig is written");
        Self { address, kubeconfig: file, ended }
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        drop(TcpStream::connect(self.address));
    }
}

impl Cluster {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        for header in lines {
            if header?.is_empty() {
                break;
            }
        }
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = self.reply(path.split('?').next().unwrap_or_default());
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    fn reply(&self, path: &str) -> (u16, Value) {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (group_version, rest) = match &parts[..] {
            ["version"] => return (200, json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0"})),
            ["api", version, rest @ ..] => ((*version).to_owned(), rest),
            ["apis", group, version, rest @ ..] => (format!("{group}/{version}"), rest),
            _ => return failure(404, "NotFound", path),
        };
        if rest.is_empty() {
            let kinds = KINDS.iter().filter(|kind| kind.0 == group_version);
            let resources: Vec<Value> = kinds
                .map(|(_, kind, plural, namespaced)| {
                    json!({"name": plural, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]})
                })
                .collect();
            let list =
                json!({"kind": "APIResourceList", "groupVersion": group_version, "resources": resources});
            return (200, list);
        }
        let (namespace, plural, name) = match rest {
            ["namespaces", namespace, plural] => (Some(*namespace), *plural, None),
            ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name)),
            [plural, name] => (None, *plural, Some(*name)),
            [plural] => (None, *plural, None),
            _ => return failure(404, "NotFound", path),
        };
        if self.forbids {
            return failure(403, "Forbidden", &format!("{plural} is forbidden: you may not look at {path}"));
        }
        let Some((_, kind, ..)) = KINDS.iter().find(|kind| kind.0 == group_version && kind.2 == plural)
        else {
            return failure(404, "NotFound", path);
        };
        let mut found = self.objects.iter().filter(|object| {
            let metadata = &object["metadata"];
            object["kind"] == *kind
                && namespace.is_none_or(|namespace| metadata["namespace"] == namespace)
                && name.is_none_or(|name| metadata["name"] == name)
        });
        if let Some(name) = name {
            return found
                .next()
                .map_or_else(|| failure(404, "NotFound", name), |object| (200, object.clone()));
        }
        let items: Vec<&Value> = found.collect();
        let list = json!({"apiVersion": group_version, "kind": format!("{kind}List"), "metadata": {}, "items": items});
        (200, list)
    }
}

fn failure(code: u16, reason: &str, message: &str) -> (u16, Value) {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message,
    });
    (code, status)
}

/// An object as a recorded set tells it.
pub fn existing(recorded: &Value) -> Value {
    use base64::Engine as _;

    let mut object = recorded.clone();
    let metadata = ["name", "namespace", "labels"].map(|key| (key, recorded[key].clone()));
    object["metadata"] = json!({});
    for (key, value) in metadata.into_iter().filter(|(_, value)| !value.is_null()) {
        object["metadata"][key] = value;
    }
    if let Some(config) = recorded.get("dockerconfig") {
        let encoded = base64::engine::general_purpose::STANDARD.encode(config.to_string());
        object["data"] = json!({".dockerconfigjson": encoded});
    }
    object
}

pub fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

/// The cluster of a recorded set that needs one.
pub fn recorded_cluster(set: &Value) -> StandIn {
    let cluster = &set["cluster"];
    if cluster["asUserWithoutRights"] == true {
        return StandIn::forbidding();
    }
    let mut objects: Vec<Value> =
        cluster["existing"].as_array().into_iter().flatten().map(existing).collect();
    objects.push(namespace(text(&set["namespace"])));
    StandIn::start(objects)
}
