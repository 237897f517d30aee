//! Whether a pod is well, and why not.
//! It reads the pod alone: no events, no logs.

use std::fmt;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// How a pod fares. Ordered by namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Health {
    pub namespace: String,
    pub name: String,
    pub phase: String,
    /// Containers that are not ready, each with the reason when one is known.
    pub not_ready: Vec<String>,
}

impl Health {
    /// Running, and every container is ready: a phase of Running alone hides crash loops.
    pub fn is_well(&self) -> bool {
        self.phase == "Running" && self.not_ready.is_empty()
    }
}

impl fmt::Display for Health {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}: {}", self.namespace, self.name, self.phase)?;
        if !self.not_ready.is_empty() {
            write!(formatter, ", not ready: {}", self.not_ready.join(", "))?;
        }
        Ok(())
    }
}

/// `None` for a pod that has done its work.
pub fn health(pod: &Pod) -> Option<Health> {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.unwrap_or_else(|| "Unknown".to_owned());
    if phase == "Succeeded" {
        return None;
    }
    let reported = status.container_statuses.unwrap_or_default();
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let not_ready = containers
        .filter_map(|container| {
            let status = reported.iter().find(|status| status.name == container.name);
            match status {
                Some(status) if status.ready => None,
                Some(status) => Some(match reason(status) {
                    Some(reason) => format!("{} ({reason})", container.name),
                    None => container.name.clone(),
                }),
                // Nobody has said anything about it yet; the phase tells that.
                None if phase != "Running" => None,
                None => Some(container.name.clone()),
            }
        })
        .collect();
    Some(Health {
        namespace: pod.metadata.namespace.clone().unwrap_or_default(),
        name: pod.metadata.name.clone().unwrap_or_default(),
        phase,
        not_ready,
    })
}

fn reason(status: &ContainerStatus) -> Option<String> {
    let state = status.state.as_ref()?;
    let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
    waiting.or_else(|| state.terminated.as_ref().and_then(|ended| ended.reason.clone()))
}
