//! Which containers of which pods a call reads.
//! Pure: from pods to names.

use dynamo_api::labels;
use k8s_openapi::api::core::v1::Pod;

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    pub service: String,
    pub pod: String,
    pub container: String,
    /// How often it was started: each start has a log of its own.
    pub restarts: i32,
    /// Whether it has a log already.
    pub is_readable: bool,
}

impl Source {
    /// What stands before its lines.
    pub fn prefix(&self) -> String {
        match self.container.as_str() {
            MAIN => format!("[{}]", self.pod),
            other => format!("[{} {other}]", self.pod),
        }
    }
}

/// The container that the platform makes.
const MAIN: &str = "main";

/// The containers of the pods of `service`, or of all, sorted by service and pod. Without a name the main container is
/// read, and the first one of a pod without it.
pub fn sources(pods: &[Pod], service: Option<&str>, container: Option<&str>) -> Vec<Source> {
    let mut found: Vec<Source> = pods.iter().filter_map(|pod| source(pod, service, container)).collect();
    found.sort();
    found
}

fn source(pod: &Pod, service: Option<&str>, container: Option<&str>) -> Option<Source> {
    let label = |key: &str| pod.metadata.labels.as_ref().and_then(|labels| labels.get(key));
    let of_service = label(labels::COMPONENT).cloned().unwrap_or_default();
    if service.is_some_and(|service| service != of_service) {
        return None;
    }
    let spec = pod.spec.as_ref()?;
    let all = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let wanted = container.unwrap_or(MAIN);
    let chosen = all().find(|one| one.name == wanted).or_else(|| match container {
        None => spec.containers.first(),
        Some(_) => None,
    })?;
    let status = pod.status.as_ref();
    let states = status.into_iter().flat_map(|status| {
        status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten())
    });
    let state = states.into_iter().find(|state| state.name == chosen.name);
    let now = state.and_then(|state| state.state.as_ref());
    Some(Source {
        service: of_service,
        pod: pod.metadata.name.clone()?,
        container: chosen.name.clone(),
        restarts: state.map_or(0, |state| state.restart_count),
        is_readable: now.is_some_and(|now| now.running.is_some() || now.terminated.is_some()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, service: &str, containers: &[&str]) -> Pod {
        let containers: Vec<_> = containers.iter().map(|name| json!({"name": name})).collect();
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"nvidia.com/dynamo-component": service}},
            "spec": {"containers": containers, "initContainers": [{"name": "fetch"}]},
        }))
        .unwrap()
    }

    #[test]
    fn main_containers_are_read_by_service_and_others_by_name() {
        let pods = [
            pod("g-worker-2", "Worker", &["sidecar", "main"]),
            pod("g-frontend-1", "Frontend", &["main"]),
            pod("g-debug", "Worker", &["shell"]),
        ];
        let read = |service, container| -> Vec<String> {
            sources(&pods, service, container).iter().map(Source::prefix).collect()
        };
        assert_eq!(read(None, None), ["[g-frontend-1]", "[g-debug shell]", "[g-worker-2]"]);
        assert_eq!(read(Some("Frontend"), None), ["[g-frontend-1]"]);
        assert_eq!(read(Some("Worker"), Some("sidecar")), ["[g-worker-2 sidecar]"]);
        assert_eq!(read(Some("Worker"), Some("fetch")).len(), 2);
    }
}
