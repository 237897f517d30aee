//! What keeps a pod from being ready, read from its status. The text of a trouble that lasts stays the same, because
//! each other text is a write to the API server. Pure.

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStatus, Pod, PodCondition,
};

use super::missing;
use crate::conditions::cut;

/// The longest quotation of somebody else's message.
const LONGEST: usize = 400;

/// Kinds of trouble, what should be read first coming first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An image that no further attempt can get.
    Image,
    /// A Secret, a ConfigMap, a key in one, or a claim does not exist.
    Missing,
    /// An image that could not be pulled yet.
    Pull,
    /// The container runtime or the kubelet refuses the container.
    Refused,
    /// A container ends again and again.
    Crash,
    /// No node takes the pod.
    Unschedulable,
    /// A volume cannot be mounted.
    Mount,
    /// Running and not ready: each pod is, for a while.
    Unready,
    /// The pod is over, such as an evicted one, and its successor has no trouble of its own.
    Over,
}

/// What keeps a pod from being ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub kind: Kind,
    /// `container main`, `init container fetch`; `None`: the pod as a whole.
    pub container: Option<String>,
    /// What is wrong.
    pub reason: String,
    /// What the cluster says about it.
    pub detail: String,
}

impl Trouble {
    fn of_pod(kind: Kind, reason: &str, detail: &str) -> Self {
        let reason = if reason.is_empty() { "not ready" } else { reason };
        Self { kind, container: None, reason: reason.to_owned(), detail: quoted(detail) }
    }

    /// Whether waiting is useless until somebody changes something.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        matches!(self.kind, Kind::Image | Kind::Missing)
    }

    /// The trouble without the name of its pod.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = self.container.clone().unwrap_or_default();
        if !text.is_empty() {
            // An unready container is a sentence, everything else a reason.
            text.push_str(if self.kind == Kind::Unready { " " } else { ": " });
        }
        text.push_str(&self.reason);
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    /// This trouble as it is told after `before` was told: the same words while it is the same trouble.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        if self.container != before.container {
            return self;
        }
        let same_but_for_numbers = self.kind == before.kind
            && self.reason == before.reason
            && matches!(self.kind, Kind::Image | Kind::Pull | Kind::Crash | Kind::Unschedulable)
            && without_digits(&self.detail).eq(without_digits(&before.detail));
        // Between two ends of its container a crash loop looks like a start.
        let loops = before.kind == Kind::Crash
            && before.reason.starts_with(CRASH_LOOP)
            && !self.reason.starts_with(CRASH_LOOP)
            && matches!(self.kind, Kind::Crash | Kind::Unready);
        // Kubelets before 1.32 give the cause of a failed pull only at the moment of the attempt.
        let pull_goes_on = self.kind == Kind::Pull
            && self.detail.is_empty()
            && matches!(before.kind, Kind::Image | Kind::Pull)
            && self.reason == before.reason;
        if same_but_for_numbers || loops || pull_goes_on { before.clone() } else { self }
    }
}

fn without_digits(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|letter| !letter.is_ascii_digit())
}

/// Somebody else's message on one line.
fn quoted(message: &str) -> String {
    cut(message.split_whitespace().collect::<Vec<_>>().join(" "), LONGEST)
}

const CRASH_LOOP: &str = "CrashLoopBackOff";

/// What keeps a pod that is neither ready nor being deleted from being ready; `None` while it starts.
#[must_use]
pub fn of(pod: &Pod) -> Option<Trouble> {
    let status = pod.status.as_ref()?;
    let (reason, message) = (text(&status.reason), text(&status.message));
    if status.phase.as_deref() == Some("Failed") {
        return Some(Trouble::of_pod(Kind::Over, if reason.is_empty() { "Failed" } else { reason }, message));
    }
    let condition = |type_: &str| status.conditions.iter().flatten().find(|c| c.type_ == type_);
    if let Some(scheduled) = condition("PodScheduled").filter(|condition| condition.status == "False") {
        return Some(unscheduled(scheduled));
    }
    let init = status.init_container_statuses.iter().flatten().map(|status| (true, status));
    let main = status.container_statuses.iter().flatten().map(|status| (false, status));
    let mut worst: Option<Trouble> = None;
    for (is_init, container) in init.chain(main) {
        let found = of_container(pod, is_init, container);
        // Of equals the first one counts: it is what the others wait for.
        if let Some(found) = found
            && worst.as_ref().is_none_or(|worst| found.kind < worst.kind)
        {
            worst = Some(found);
        }
    }
    // Containers that run say everything; without trouble of theirs a readiness gate or the node is left.
    let all_ready = status.container_statuses.as_ref().is_some_and(|all| all.iter().all(|one| one.ready));
    worst.or_else(|| {
        let ready = condition("Ready").filter(|condition| all_ready && condition.status == "False")?;
        let (reason, message) =
            if reason.is_empty() { (text(&ready.reason), text(&ready.message)) } else { (reason, message) };
        Some(Trouble::of_pod(Kind::Unready, reason, message))
    })
}

/// The reason of events about volumes that cannot be mounted.
pub const FAILED_MOUNT: &str = "FailedMount";

/// What an event [`FAILED_MOUNT`] with this message tells; `None` for a delay that each pod may see.
#[must_use]
pub fn of_mount(message: &str) -> Option<Trouble> {
    match missing::configuration(message) {
        Some(missing) => Some(Trouble::of_pod(Kind::Missing, FAILED_MOUNT, missing)),
        // Every pod may have to wait for the kubelet's own caches; the summary names no cause.
        None if message.contains("failed to sync") || message.starts_with("Unable to attach") => None,
        None => Some(Trouble::of_pod(Kind::Mount, FAILED_MOUNT, message)),
    }
}

fn text(field: &Option<String>) -> &str {
    field.as_deref().unwrap_or_default()
}

fn unscheduled(condition: &PodCondition) -> Trouble {
    let message = text(&condition.message);
    if let Some(missing) = missing::claim(message) {
        return Trouble { kind: Kind::Missing, container: None, reason: missing, detail: String::new() };
    }
    // What the scheduler says about preemption is no reason but a second one for the same nodes.
    let message = message.split(" preemption: ").next().unwrap_or_default();
    Trouble::of_pod(Kind::Unschedulable, text(&condition.reason), message)
}

fn of_container(pod: &Pod, is_init: bool, status: &ContainerStatus) -> Option<Trouble> {
    let spec = pod.spec.as_ref().and_then(|spec| {
        let init = spec.init_containers.iter().flatten().filter(|_| is_init);
        init.chain(spec.containers.iter().filter(|_| !is_init)).find(|one| one.name == status.name)
    });
    // An init container that is restarted always is a sidecar: it runs on.
    let ends = is_init && spec.and_then(|spec| spec.restart_policy.as_deref()) != Some("Always");
    let kind_of = if is_init { "init container" } else { "container" };
    let trouble = |kind, reason: String, detail: String| {
        let container = Some(format!("{kind_of} {}", status.name));
        Some(Trouble { kind, container, reason, detail })
    };
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let state = status.state.clone().unwrap_or_default();
    match state {
        ContainerState { waiting: Some(waiting), .. } => {
            let (reason, message) = (text(&waiting.reason), text(&waiting.message));
            match reason {
                "" | "ContainerCreating" | "PodInitializing" => None,
                "InvalidImageName" | "ErrImageNeverPull" => {
                    trouble(Kind::Image, reason.to_owned(), quoted(message))
                }
                "ErrImagePull" | "ImagePullBackOff" | "RegistryUnavailable" | "SignatureValidationFailed" => {
                    let image = spec.and_then(|spec| spec.image.as_deref()).unwrap_or(&status.image);
                    let error = pull_error(message);
                    let kind = if is_final(&error) { Kind::Image } else { Kind::Pull };
                    // One text for the attempt and the pause after it, which take turns.
                    trouble(kind, format!("ImagePullBackOff: Back-off pulling image {image:?}"), error)
                }
                CRASH_LOOP => {
                    let (end, message) = last.map(how_it_ended).unwrap_or_default();
                    let reason =
                        if end.is_empty() { CRASH_LOOP.to_owned() } else { format!("{CRASH_LOOP}: {end}") };
                    trouble(Kind::Crash, reason, message)
                }
                "CreateContainerConfigError" if missing::configuration(message).is_some() => {
                    trouble(Kind::Missing, reason.to_owned(), quoted(message))
                }
                // An attempt that ends at once is part of a crash loop.
                "RunContainerError" | "PostStartHookError" => {
                    trouble(Kind::Crash, reason.to_owned(), quoted(message))
                }
                _ => trouble(Kind::Refused, reason.to_owned(), quoted(message)),
            }
        }
        ContainerState { terminated: Some(end), .. } if !(ends && end.exit_code == 0) => {
            let (reason, message) = how_it_ended(&end);
            trouble(Kind::Crash, reason, message)
        }
        ContainerState { running: Some(_), .. } if ends || !status.ready => {
            let mut sentence = if ends { "has not ended yet" } else { "is running but not ready" }.to_owned();
            if let Some(last) = last {
                sentence.push_str(&format!(", after {}", how_it_ended(last).0));
            }
            trouble(Kind::Unready, sentence, String::new())
        }
        _ => None,
    }
}

/// Exit code and reason, and the last line of what the container left.
fn how_it_ended(end: &ContainerStateTerminated) -> (String, String) {
    let reason = end.reason.as_deref().unwrap_or("Error");
    let line = text(&end.message).lines().map(str::trim).rfind(|line| !line.is_empty());
    (format!("exit code {} ({reason})", end.exit_code), quoted(line.unwrap_or_default()))
}

/// Why a pull failed, without what kubelets put before it, which differs between an attempt and the pause after it.
fn pull_error(message: &str) -> String {
    let mut error = message;
    if let Some(rest) = error.strip_prefix("Back-off pulling image \"") {
        error = rest.split_once('"').map_or("", |(_, rest)| rest.trim_start_matches([':', ' ']));
    }
    for prefix in ["ErrImagePull: ", "RegistryUnavailable: ", "SignatureValidationFailed: "] {
        error = error.strip_prefix(prefix).unwrap_or(error);
    }
    quoted(error)
}

/// Whether a registry gave its last word about an image, against no word or an overloaded one.
fn is_final(error: &str) -> bool {
    // A file system says this about its own files.
    let error = error.to_lowercase().replace("permission denied", "");
    // The last is what a name server says of a registry that does not exist; one that fails says something else.
    ["not found", "manifest unknown", "name unknown", "denied", "unauthorized", "no such host"]
        .iter()
        .any(|word| error.contains(word))
}

#[cfg(test)]
mod tests;
