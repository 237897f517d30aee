//! How the process finds its cluster and its own place in it (`operator-process.md` section 1, `--kubeconfig`).
//! It asks files and variables, never the API server.

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::Error;

const POD_NAMESPACE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
const CLUSTER_DOMAIN: &str = "KUBERNETES_CLUSTER_DOMAIN";

/// The order of the contract: flag, `KUBECONFIG`, the pod's account, `~/.kube/config`.
pub(super) async fn load(path: Option<&str>) -> Result<Config, Error> {
    let boxed = |error: KubeconfigError| Error::Config(Box::new(error));
    let options = KubeConfigOptions::default();
    if let Some(path) = path {
        let file = Kubeconfig::read_from(path).map_err(boxed)?;
        return Config::from_custom_kubeconfig(file, &options).await.map_err(boxed);
    }
    if std::env::var_os("KUBECONFIG").is_none()
        && let Ok(config) = Config::incluster()
    {
        return Ok(config);
    }
    Config::from_kubeconfig(&options).await.map_err(boxed)
}

/// The namespace of the pod of this process, when it runs in one.
pub(super) fn own_namespace() -> Option<String> {
    let text = std::fs::read_to_string(POD_NAMESPACE).ok()?;
    Some(text.trim().to_owned()).filter(|namespace| !namespace.is_empty())
}

/// The DNS domain of the cluster; the chart sets it.
pub(super) fn domain() -> String {
    std::env::var(CLUSTER_DOMAIN)
        .ok()
        .filter(|domain| !domain.is_empty())
        .unwrap_or_else(|| "cluster.local".to_owned())
}
