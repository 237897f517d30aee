//! A control plane with our definitions installed, shared by the tests of one binary.
//! Namespaces keep tests apart.

use std::{
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use dynamo_devkit::{
    control_plane::{AuditOptions, ControlPlane, ControlPlaneOptions},
    kubectl::Kubectl,
};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};

use crate::Proxy;

/// The user of operators under test.
pub const OPERATOR_USER: &str = "operator";

/// The user of a second operator, for tests that must tell two writers apart. The audit log records these two alone.
pub const SECOND_USER: &str = "second-operator";

/// A running control plane.
#[derive(Debug)]
pub struct Plane {
    control_plane: ControlPlane,
    namespaces: AtomicU32,
}

impl Plane {
    /// The plane of this test binary, started at the first call; it ends with the process.
    pub fn shared() -> &'static Self {
        static PLANE: OnceLock<Plane> = OnceLock::new();
        PLANE.get_or_init(Self::start)
    }

    /// A plane of its own, for tests that count what one operator writes.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(true)
    }

    /// A plane of its own on which nobody runs pods, makes the accounts of namespaces or collects garbage: every object
    /// stays as it was written.
    #[must_use]
    pub fn without_controllers() -> Self {
        Self::start_with(false)
    }

    fn start_with(controller_manager: bool) -> Self {
        let users =
            [OPERATOR_USER, SECOND_USER].map(|user| (user.to_owned(), vec!["system:masters".to_owned()]));
        let control_plane = ControlPlane::start(ControlPlaneOptions {
            controller_manager,
            audit: Some(AuditOptions {
                log: None,
                users: users.iter().map(|(user, _)| user.clone()).collect(),
            }),
            users: users.to_vec(),
            ..ControlPlaneOptions::default()
        })
        .unwrap_or_else(|error| panic!("no control plane: {error}"));
        let crds = dynamo_api::crds::all().expect("CRDs");
        let manifests: Vec<String> = crds.iter().map(|crd| crd.yaml().expect("CRD as YAML")).collect();
        define(&control_plane.kubectl(), &manifests);
        let roles = ["planner", "epp"].map(|name| {
            format!(
                "{{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {{name: {name}}}}}"
            )
        });
        control_plane
            .kubectl()
            .apply(&roles.join("\n---\n"))
            .unwrap_or_else(|error| panic!("cluster roles that operators hand out: {error}"));
        Self { control_plane, namespaces: AtomicU32::new(0) }
    }

    /// Installs the definitions in `folder`, such as those of an optional API, and waits until they are served.
    pub fn install(&self, folder: &Path) {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder).expect("folder").map(|entry| entry.expect("entry").path()).collect();
        files.sort();
        let manifests: Vec<String> =
            files.iter().map(|file| std::fs::read_to_string(file).expect("definition")).collect();
        define(&self.control_plane.kubectl(), &manifests);
    }

    /// An administrator's client for the current runtime.
    pub async fn client(&self) -> Client {
        client(self.control_plane.kubeconfig().to_path_buf()).await
    }

    /// The kubeconfig of [`OPERATOR_USER`].
    #[must_use]
    pub fn operator_kubeconfig(&self) -> PathBuf {
        self.kubeconfig_of(OPERATOR_USER)
    }

    /// The kubeconfig of one of the operators' users.
    #[must_use]
    pub fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.control_plane.user_kubeconfig(user).expect("kubeconfig of a known user")
    }

    /// A kubeconfig of `user` that reaches the API server through `proxy`.
    #[must_use]
    pub fn kubeconfig_through(&self, user: &str, proxy: &Proxy) -> PathBuf {
        let text = std::fs::read_to_string(self.kubeconfig_of(user)).expect("kubeconfig");
        let through = text.replace(self.control_plane.url(), &format!("https://{}", proxy.address()));
        let path = self.folder().join(format!("{user}-{}.kubeconfig", proxy.address().port()));
        std::fs::write(&path, through).expect("kubeconfig");
        path
    }

    /// Where the API server listens.
    #[must_use]
    pub fn address(&self) -> std::net::SocketAddr {
        self.control_plane.url().trim_start_matches("https://").parse().expect("an address")
    }

    /// The log of every answered request of the operators' users.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.control_plane.audit_log().expect("audit is on").to_path_buf()
    }

    /// A folder for logs, removed with the plane.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.control_plane.folder().to_path_buf()
    }

    /// A fresh namespace.
    pub async fn namespace(&self, client: &Client) -> String {
        let name = format!("test-{}", self.namespaces.fetch_add(1, Ordering::Relaxed));
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        Api::all(client.clone()).create(&PostParams::default(), &namespace).await.expect("namespace");
        name
    }
}

fn define(kubectl: &Kubectl, manifests: &[String]) {
    kubectl.apply(&manifests.join("\n---\n")).unwrap_or_else(|error| panic!("CRDs: {error}"));
    let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=30s"];
    let start = Instant::now();
    // kubectl gives up at once on a definition that has no conditions yet.
    while let Err(error) = kubectl.run(&wait) {
        assert!(start.elapsed() < Duration::from_secs(30), "CRDs: {error}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

async fn client(kubeconfig: PathBuf) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("kubeconfig");
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("client configuration");
    Client::try_from(config).expect("client")
}
