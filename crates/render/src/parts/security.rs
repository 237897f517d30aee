//! Pods by the rules of pod security `restricted` (`workload.md` section 17, weak spot 15), where the operator asks for it.
//! Every value that somebody set stays, field by field; what is asked for against it is left out.

use k8s_openapi::api::core::v1::{
    Capabilities, Container, PodSecurityContext, PodSpec, SeccompProfile, SecurityContext,
};

/// Fills in what a pod leaves open. Runs last, so that it sees every container.
pub fn restrict(pod: &mut PodSpec) {
    let context = pod.security_context.get_or_insert_default();
    // Root and "not root" together make a pod that never starts.
    if !is_root(context.run_as_user) {
        context.run_as_non_root.get_or_insert(true);
    }
    context.seccomp_profile.get_or_insert_with(|| SeccompProfile {
        type_: "RuntimeDefault".to_owned(),
        localhost_profile: None,
    });
    let of_pod = context.clone();
    let all = pod.containers.iter_mut().chain(pod.init_containers.iter_mut().flatten());
    all.for_each(|container| restrict_container(container, &of_pod));
}

fn restrict_container(container: &mut Container, pod: &PodSecurityContext) {
    let context = container.security_context.get_or_insert_default();
    if is_root(context.run_as_user) && pod.run_as_non_root == Some(true) {
        context.run_as_non_root.get_or_insert(false);
    }
    if !needs_escalation(context) {
        context.allow_privilege_escalation.get_or_insert(false);
    }
    // Nothing can be dropped from a privileged container.
    if context.privileged != Some(true) {
        let capabilities: &mut Capabilities = context.capabilities.get_or_insert_default();
        capabilities.drop.get_or_insert_with(|| vec!["ALL".to_owned()]);
    }
}

fn is_root(user: Option<i64>) -> bool {
    user == Some(0)
}

/// The API server refuses these together with `allowPrivilegeEscalation: false`.
fn needs_escalation(context: &SecurityContext) -> bool {
    let added = context.capabilities.iter().filter_map(|capabilities| capabilities.add.as_ref()).flatten();
    context.privileged == Some(true) || added.into_iter().any(|capability| capability == "CAP_SYS_ADMIN")
}
