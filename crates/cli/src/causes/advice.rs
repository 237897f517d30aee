//! What to do next about a cause, the most likely first. Commands are complete but for what nobody here can know.
//! Words only.

use super::{Cause, Kind};

/// Words that steps are made of.
struct Words<'a> {
    namespace: &'a str,
    graph: &'a str,
    service: &'a str,
    object: &'a str,
    /// What is missing or wrong, where it is known.
    subject: Option<&'a str>,
    /// `-n NAMESPACE`.
    n: String,
    /// The command that shows the log of the container.
    logs: String,
}

impl<'a> Words<'a> {
    fn named(&self, fallback: &'a str) -> &'a str {
        self.subject.unwrap_or(fallback)
    }
}

impl Cause {
    /// What to do next.
    pub fn next(&self, namespace: &str, graph: &str) -> Vec<String> {
        let n = format!("-n {namespace}");
        let service = self.service.as_deref().unwrap_or("SERVICE");
        let container = self.container.as_deref().and_then(|text| text.rsplit(' ').next()).unwrap_or("main");
        let logs = format!("dynamoctl logs {graph} {service} {n} --container {container} --tail 50");
        let (object, subject) = (self.object.1.as_str(), self.subject.as_deref());
        of_graph(self.kind, &Words { namespace, graph, service, object, subject, n, logs })
    }
}

fn of_graph(kind: Kind, words: &Words<'_>) -> Vec<String> {
    let Words { namespace, graph, service, subject, n, .. } = words;
    let named = |fallback| words.named(fallback);
    match kind {
            Kind::Deleting => vec![
                "wait for its children to go; apply the graph again when it is gone".into(),
                format!("stuck for minutes: kubectl get dgd {graph} {n} -o yaml shows who holds it"),
            ],
            Kind::OperatorSilent => vec![
                "look for a running operator: kubectl get pods -A -l app.kubernetes.io/name=dynamo-operator"
                    .into(),
                format!(
                "a cluster-wide operator leaves namespaces alone that another one claims (kubectl get lease {n}) or \
                 whose name contains ephemeral"
            ),
                "read its log: not reconciled, or a field that does not fit its type".into(),
            ],
            Kind::Invalid => vec![
                format!("put the named fields right and apply again; dynamoctl validate FILE {n} checks before"),
            ],
            Kind::NoOrchestrator => vec![
                "take multinode out of the services that have it: Grove and LeaderWorkerSet are not supported yet"
                    .into(),
            ],
            Kind::WebhookDown => vec![
                match *subject {
                    Some(name) if name.ends_with(".kb.io") => {
                        "it may be the operator's own: is its pod ready, and does its Service have endpoints on port \
                         9443?"
                            .into()
                    }
                    _ => "find who serves it: its pod, its Service and its certificate".into(),
                },
                format!(
                    "kubectl get validatingwebhookconfigurations,mutatingwebhookconfigurations -o yaml, and look for {}",
                    named("its name")
                ),
                "the operator tries again by itself when it answers".into(),
            ],
            Kind::AdmissionDenied => vec![format!(
                "{} is a policy of your cluster: change the graph as it says, or ask its owners",
                named("the webhook")
            )],
            Kind::QuotaExceeded => vec![
                format!("look at what is used: kubectl describe quota {} {n}", named("")),
                format!("raise it, or ask for less: dynamoctl scale {graph} {service}=N {n}"),
            ],
            Kind::AccountMissing => vec![
                format!("make it: kubectl create serviceaccount {} {n}", named("NAME")),
                format!("or correct services.{service}.extraPodSpec.serviceAccountName"),
            ],
            Kind::PodSecurity => vec![
                format!("set services.{service}.extraPodSpec.securityContext as the message says"),
                format!("or change the level: kubectl get namespace {namespace} --show-labels"),
            ],
            Kind::ApiMissing => vec![format!(
                "install the API that serves {}, or take what needs it out of the graph; it goes on by itself within a \
                 minute",
                named("this kind")
            )],
            Kind::NameTaken => vec!["rename the graph or the service, or delete the other object".into()],
            Kind::WriteFailed => vec![
                "read the message: the operator tries again by itself".into(),
                "its log has the whole chain of causes".into(),
            ],
        Kind::Paused
        | Kind::ImageMissing
        | Kind::ObjectMissing
        | Kind::ClaimMissing
        | Kind::ImagePull
        | Kind::ContainerRefused
        | Kind::ModelLoad
        | Kind::OutOfMemory
        | Kind::CrashLoop
        | Kind::NoGpu
        | Kind::ClaimUnbound
        | Kind::Unschedulable
        | Kind::MountFails
        | Kind::ProbeFails
        | Kind::PodOver
        | Kind::NotReadyYet
        | Kind::Late
        | Kind::Starting => of_pods(kind, words),
    }
}

fn of_pods(kind: Kind, words: &Words<'_>) -> Vec<String> {
    let Words { namespace, graph, service, object, subject, n, logs } = words;
    let named = |fallback| words.named(fallback);
    match kind {
        Kind::Paused => vec![format!("kubectl rollout resume deployment/{object} {n}")],
        Kind::ImageMissing | Kind::ImagePull => vec![
            format!(
                "check the name and tag {} in services.{service}.extraPodSpec.mainContainer.image",
                named("of the image")
            ),
            format!(
                "a private registry needs a Secret of type kubernetes.io/dockerconfigjson for its host in namespace \
                     {namespace}"
            ),
        ],
        Kind::ObjectMissing => vec![match *subject {
            Some(name) if name.starts_with("secret ") => format!(
                "make it: kubectl create secret generic {} {n} --from-literal=KEY=VALUE",
                name.trim_start_matches("secret ")
            ),
            Some(name) if name.starts_with("configmap ") => format!(
                "make it: kubectl create configmap {} {n} --from-file=FILE",
                name.trim_start_matches("configmap ")
            ),
            _ => format!("make what the message names, in namespace {namespace}"),
        }],
        Kind::ClaimMissing => vec![
            format!(
                "list {} in spec.pvcs with create: true, size, storageClass and volumeAccessMode",
                named("the claim")
            ),
            format!("or make it yourself; there are: kubectl get pvc {n}"),
        ],
        Kind::ContainerRefused => vec![format!("kubectl describe pod {object} {n} has the whole message")],
        Kind::ModelLoad => vec![
            format!("read the log: {logs} --previous"),
            "gated or unknown model: check its name and the token (envFromSecret: hf-token-secret)".into(),
            "no memory: fewer tokens (max model length), more GPUs, or a smaller model".into(),
        ],
        Kind::OutOfMemory => {
            vec![format!("raise services.{service}.resources.limits.memory, or use a smaller model")]
        }
        Kind::CrashLoop => vec![format!("read why: {logs} --previous")],
        Kind::NoGpu => vec![
            "see what the nodes offer: dynamoctl gpus".into(),
            format!(
                "ask for fewer: dynamoctl scale {graph} {service}=N {n}, or services.{service}.resources.limits.gpu"
            ),
            "or add nodes; do the GPU nodes run the device plugin, and does the pod tolerate their taints?"
                .into(),
        ],
        Kind::ClaimUnbound => vec![format!(
            "kubectl get pvc {n} and kubectl get storageclass: does the class of the claim exist?"
        )],
        Kind::Unschedulable => vec![
            "the message counts the nodes by reason: requests, taints, selectors".into(),
            format!(
                "smaller services.{service}.resources.requests, tolerations in extraPodSpec, or more nodes"
            ),
        ],
        Kind::MountFails => {
            vec![format!("kubectl describe pod {object} {n}; look at the volume's driver and server")]
        }
        Kind::ProbeFails => vec![
            format!("read what the container does: {logs}"),
            format!(
                "a large model may need longer: services.{service}.extraPodSpec.mainContainer.startupProbe"
            ),
        ],
        Kind::PodOver => vec![format!("kubectl describe pod {object} {n}; a new one is made in its place")],
        Kind::NotReadyYet => vec![format!("loading a model takes minutes; follow it: {logs} -f")],
        Kind::Late => vec![format!("kubectl describe deployment {object} {n}")],
        Kind::Starting => vec![format!("wait: dynamoctl wait {graph} {n} --for=ready")],
        // Named one by one, so that a new kind asks for its steps; these have theirs in `of_graph`.
        Kind::Deleting
        | Kind::OperatorSilent
        | Kind::Invalid
        | Kind::NoOrchestrator
        | Kind::WebhookDown
        | Kind::AdmissionDenied
        | Kind::QuotaExceeded
        | Kind::AccountMissing
        | Kind::PodSecurity
        | Kind::ApiMissing
        | Kind::NameTaken
        | Kind::WriteFailed => Vec::new(),
    }
}
