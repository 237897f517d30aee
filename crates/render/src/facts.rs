//! What a cluster tells about a namespace, as an input of rendering: gathered by whoever renders, before the first write.
//! Values only; nothing is looked up here.

use std::collections::BTreeMap;

/// Facts about the namespace of a component. The default is a namespace in which nothing was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Names of Secrets of type `kubernetes.io/dockerconfigjson` by the registry host they are for, in the order in
    /// which a pod names them.
    pub pull_secrets: BTreeMap<String, Vec<String>>,
    /// The account for pods that name none and have no account of their own (`workload.md` section 6.6).
    pub component_account: Option<String>,
}
