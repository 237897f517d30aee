//! Reads the pods of a namespace: which are not ready and why, which run an old image.
//! Must not change anything.

use serde_json::Value;

use crate::images::oci::Archive;
use crate::kubectl::Kubectl;

fn items(value: &Value) -> &[Value] {
    value["items"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn name(pod: &Value) -> &str {
    pod["metadata"]["name"].as_str().unwrap_or("?")
}

/// The pods of a namespace as one value; empty when the API server does not answer.
pub fn all(kubectl: &Kubectl, namespace: &str) -> Value {
    kubectl.json(&["get", "pods", "-n", namespace]).unwrap_or_default()
}

/// One line on the pods that are not ready, with reasons; `None` when all are.
pub fn unready(kubectl: &Kubectl, namespace: &str) -> Option<String> {
    let pods = all(kubectl, namespace);
    let reasons: Vec<String> = items(&pods).iter().filter_map(reason).collect();
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Names of the pods that are not ready.
pub fn unready_names(pods: &Value) -> Vec<String> {
    items(pods).iter().filter(|pod| reason(pod).is_some()).map(|pod| name(pod).to_owned()).collect()
}

/// Why a pod is not ready, with its name; `None` when it is ready or has done its work.
pub fn reason(pod: &Value) -> Option<String> {
    let status = &pod["status"];
    if status["phase"] == "Succeeded" {
        return None;
    }
    let name = name(pod);
    if !pod["metadata"]["deletionTimestamp"].is_null() {
        return Some(format!("{name} is ending"));
    }
    let condition =
        |kind: &str| list(&status["conditions"]).iter().find(|condition| condition["type"] == kind);
    if condition("Ready").is_some_and(|ready| ready["status"] == "True") {
        return None;
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    for container in list(&status["initContainerStatuses"]).iter().chain(list(&status["containerStatuses"])) {
        let state = &container["state"];
        for kind in ["waiting", "terminated"] {
            let reason = text(&state[kind]["reason"]);
            if !reason.is_empty() && reason != "Completed" {
                return Some(
                    format!("{name}: {reason} {}", text(&state[kind]["message"])).trim_end().to_owned(),
                );
            }
        }
    }
    if let Some(unscheduled) = condition("PodScheduled").filter(|scheduled| scheduled["status"] == "False") {
        return Some(format!("{name}: {}", text(&unscheduled["message"])));
    }
    let phase = text(&status["phase"]);
    Some(format!("{name}: {} and not ready", if phase.is_empty() { "new" } else { phase.as_str() }))
}

/// Names of pods that ask for the image called `image` and run another content of it. The pod's specification tells,
/// since its status shows whichever of an image's names the runtime likes.
pub fn outdated(pods: &Value, image: &str, archive: &Archive) -> Vec<String> {
    let old = |pod: &&Value| {
        list(&pod["spec"]["containers"]).iter().filter(|container| container["image"] == image).any(
            |container| {
                let statuses = list(&pod["status"]["containerStatuses"]);
                let status = statuses.iter().find(|status| status["name"] == container["name"]);
                let id = status.and_then(|status| status["imageID"].as_str()).unwrap_or_default();
                !id.is_empty() && !id.contains(&archive.digest) && !id.contains(&archive.config)
            },
        )
    };
    items(pods)
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .filter(old)
        .map(|pod| name(pod).to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_reason_of_a_pod_that_is_not_ready_is_the_most_telling_one() {
        let pod = |status: Value| json!({"metadata": {"name": "p"}, "status": status});
        let waiting = json!([{"state": {"waiting": {"reason": "ErrImagePull", "message": "no such image"}}}]);
        let cases = [
            (json!({"conditions": [{"type": "Ready", "status": "True"}]}), None),
            (json!({"phase": "Succeeded"}), None),
            (
                json!({"phase": "Pending", "containerStatuses": waiting}),
                Some("p: ErrImagePull no such image"),
            ),
            (
                json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "no cpu left"}]}),
                Some("p: no cpu left"),
            ),
            (json!({"phase": "Running"}), Some("p: Running and not ready")),
            (json!({}), Some("p: new and not ready")),
        ];
        for (status, expected) in cases {
            assert_eq!(reason(&pod(status.clone())).as_deref(), expected, "{status}");
        }
    }

    #[test]
    fn only_pods_of_another_content_of_the_named_image_are_outdated() {
        let archive = Archive {
            path: "x".into(),
            names: Vec::new(),
            digest: "sha256:aaaa".into(),
            config: "sha256:bbbb".into(),
        };
        let pod = |name: &str, image: &str, id: &str| {
            let status = json!({"name": "main", "image": "another-name", "imageID": id});
            json!({
                "metadata": {"name": name},
                "spec": {"containers": [{"name": "main", "image": image}]},
                "status": {"containerStatuses": [status]},
            })
        };
        let pods = json!({"items": [
            pod("by-digest", "i:dev", "i@sha256:aaaa"),
            pod("by-config", "i:dev", "sha256:bbbb"),
            pod("old", "i:dev", "sha256:cccc"),
            pod("other", "j:dev", "sha256:cccc"),
            pod("starting", "i:dev", ""),
        ]});
        assert_eq!(outdated(&pods, "i:dev", &archive), ["old"]);
    }
}
