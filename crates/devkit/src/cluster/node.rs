//! Configuration and arguments of the cluster's processes.
//! Must not start anything: it writes files and returns command lines.

use std::path::PathBuf;

use serde_json::json;

use super::host;
use super::layout::{
    ADDRESS, API_PORT, API_SERVICE, CGROUP, DNS_SERVICE, Layout, NODE, PODS, SERVICES, State,
};
use crate::control_plane::etcd_args;
use crate::images::oci::{Entry, Image, Layer};
use crate::tools::Tools;
use crate::{Error, Result, files, pki};

/// The sandbox image of every pod.
pub const PAUSE_IMAGE: &str = "localhost/dynamo-pause";

// User, groups, and the kubeconfig it gets.
const ACCOUNTS: &[(&str, &str, &str)] = &[
    ("admin", "system:masters", "kubeconfig"),
    ("system:kube-controller-manager", "", "controller-manager.kubeconfig"),
    ("system:kube-scheduler", "", "scheduler.kubeconfig"),
    ("system:node:dynamo-dev", "system:nodes", "kubelet.kubeconfig"),
    ("system:kube-proxy", "", "kube-proxy.kubeconfig"),
];

/// URL of the API server.
pub fn url() -> String {
    format!("https://{ADDRESS}:{API_PORT}")
}

/// Makes keys, certificates, tokens and kubeconfig files; done once in a cluster's life.
///
/// # Errors
/// [`Error::Io`], [`Error::Parse`].
pub fn write_identities(layout: &Layout) -> Result<()> {
    let pki = layout.at("pki");
    let authority = pki::Authority::new("dynamo-dev")?;
    let certificate = authority.certificate();
    files::write(&pki.join("ca.crt"), certificate)?;
    let names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let mut addresses = vec![ADDRESS, API_SERVICE, "localhost"];
    addresses.extend(names);
    authority.write_server(&pki, "apiserver", &addresses)?;
    authority.write_server(&pki, "kubelet", &[ADDRESS, NODE])?;
    authority.write_client(&pki, "apiserver-kubelet-client", "apiserver-kubelet-client", "system:masters")?;
    pki::write_signing_pair(&pki)?;
    let mut lines = String::new();
    for (user, group, file) in ACCOUNTS {
        let token = pki::token()?;
        lines.push_str(&pki::token_line(&token, user, &[(*group).to_owned()]));
        files::write_secret(&layout.at(file), pki::kubeconfig(NODE, &url(), certificate, &token))?;
    }
    files::write_secret(&pki.join("tokens.csv"), lines)
}

/// The sandbox image: one static program that holds a pod's namespaces open.
pub fn pause_image(tools: &Tools) -> Image {
    let program = Entry::File { source: tools.program("pause"), mode: 0o755 };
    Image {
        repository: PAUSE_IMAGE.into(),
        layers: vec![Layer::from([("pause".to_owned(), program)])],
        entrypoint: vec!["/pause".into()],
        user: "65535:65535".into(),
        env: Vec::new(),
        working_folder: "/".into(),
    }
}

/// A process of the cluster.
#[derive(Debug, Clone)]
pub struct Part {
    /// Name in the state and of its log.
    pub name: &'static str,
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
}

/// etcd, on loopback.
pub fn etcd(layout: &Layout, tools: &Tools, state: &State) -> Part {
    let args = etcd_args(&layout.text("etcd"), state.etcd.0, state.etcd.1);
    Part { name: "etcd", program: tools.program("etcd"), args }
}

/// The API server, on the node's address so that pods reach it.
pub fn api_server(layout: &Layout, tools: &Tools, state: &State) -> Part {
    let pki = |name: &str| layout.text(&format!("pki/{name}"));
    let args = vec![
        format!("--etcd-servers=http://127.0.0.1:{}", state.etcd.0),
        format!("--bind-address={ADDRESS}"),
        format!("--advertise-address={ADDRESS}"),
        format!("--secure-port={API_PORT}"),
        format!("--tls-cert-file={}", pki("apiserver.crt")),
        format!("--tls-private-key-file={}", pki("apiserver.key")),
        format!("--client-ca-file={}", pki("ca.crt")),
        format!("--token-auth-file={}", pki("tokens.csv")),
        format!("--kubelet-certificate-authority={}", pki("ca.crt")),
        format!("--kubelet-client-certificate={}", pki("apiserver-kubelet-client.crt")),
        format!("--kubelet-client-key={}", pki("apiserver-kubelet-client.key")),
        "--kubelet-preferred-address-types=InternalIP".into(),
        format!("--service-cluster-ip-range={SERVICES}"),
        "--service-account-issuer=https://kubernetes.default.svc".into(),
        format!("--service-account-key-file={}", pki("sa.pub")),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
    ];
    Part { name: "kube-apiserver", program: tools.program("kube-apiserver"), args }
}

/// The controllers of Kubernetes itself.
pub fn controller_manager(layout: &Layout, tools: &Tools) -> Part {
    let config = layout.text("controller-manager.kubeconfig");
    let args = vec![
        format!("--kubeconfig={config}"),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
        format!("--service-account-private-key-file={}", layout.text("pki/sa.key")),
        format!("--root-ca-file={}", layout.text("pki/ca.crt")),
        format!("--cert-dir={}", layout.text("pki/controller-manager")),
        "--use-service-account-credentials=true".into(),
        format!("--bind-address={ADDRESS}"),
        "--leader-elect=false".into(),
    ];
    Part { name: "kube-controller-manager", program: tools.program("kube-controller-manager"), args }
}

/// The scheduler.
pub fn scheduler(layout: &Layout, tools: &Tools) -> Part {
    let config = layout.text("scheduler.kubeconfig");
    let args = vec![
        format!("--kubeconfig={config}"),
        format!("--authentication-kubeconfig={config}"),
        format!("--authorization-kubeconfig={config}"),
        format!("--cert-dir={}", layout.text("pki/scheduler")),
        format!("--bind-address={ADDRESS}"),
        "--leader-elect=false".into(),
    ];
    Part { name: "kube-scheduler", program: tools.program("kube-scheduler"), args }
}

/// containerd with folders, socket and configuration of its own.
///
/// # Errors
/// [`Error::Io`], [`Error::Missing`].
pub fn containerd(layout: &Layout) -> Result<Part> {
    let program = crate::process::require("containerd", "install containerd")?;
    let plugins = host::cni_folder().ok_or_else(|| Error::Missing {
        program: "the CNI plugins".into(),
        fix: "install containernetworking-plugins".into(),
    })?;
    let at = |name: &str| layout.text(&format!("containerd/{name}"));
    let pause = format!("{PAUSE_IMAGE}:{}", crate::tools::Tool::Pause.version());
    let config = format!(
        r#"version = 2
root = "{root}"
state = "{state}"
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]

[grpc]
  address = "{socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{opt}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  netns_mounts_under_state_dir = true
  # Root without CAP_SYS_RESOURCE (a container or small virtual machine) may not lower this value.
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{cni}"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = "{runc}"
"#,
        root = at("root"),
        state = at("state"),
        socket = layout.socket().display(),
        opt = at("opt"),
        plugins = plugins.display(),
        cni = layout.text("cni/conf"),
        runc = at("runc"),
    );
    files::write(&layout.at("containerd/config.toml"), config)?;
    // A point-to-point device for each pod: all traffic passes the machine's own network stack, so that answers to
    // Service addresses are translated back without bridge filtering.
    let network = json!({
        "cniVersion": "0.4.0",
        "name": NODE,
        "plugins": [{
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "dataDir": layout.text("cni/addresses"),
                "ranges": [[{"subnet": PODS}]],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }],
    });
    files::write(&layout.at("cni/conf/10-dynamo-dev.conflist"), network.to_string())?;
    Ok(Part { name: "containerd", program, args: vec![format!("--config={}", at("config.toml"))] })
}

/// The node agent.
///
/// # Errors
/// [`Error::Io`].
pub fn kubelet(layout: &Layout, tools: &Tools) -> Result<Part> {
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": ADDRESS,
        "healthzBindAddress": ADDRESS,
        "readOnlyPort": 0,
        "tlsCertFile": layout.text("pki/kubelet.crt"),
        "tlsPrivateKeyFile": layout.text("pki/kubelet.key"),
        "authentication": {
            "anonymous": {"enabled": false},
            "webhook": {"enabled": true},
            "x509": {"clientCAFile": layout.text("pki/ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "containerRuntimeEndpoint": format!("unix://{}", layout.socket().display()),
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": format!("/{CGROUP}"),
        "enforceNodeAllocatable": [],
        "failSwapOn": false,
        "clusterDNS": [DNS_SERVICE],
        "clusterDomain": "cluster.local",
        "resolvConf": layout.text("resolv.conf"),
        "podLogsDir": layout.text("pod-logs"),
        "volumePluginDir": layout.text("volume-plugins"),
        // The machine is somebody's desk: only a disk that is really full may evict pods or remove images.
        "evictionHard": {
            "memory.available": "50Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%",
        },
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "makeIPTablesUtilChains": false,
    });
    // No name server and no search domain of the machine: pods ask the cluster's DNS alone.
    files::write(&layout.at("resolv.conf"), "")?;
    files::write(&layout.at("kubelet.json"), config.to_string())?;
    let args = vec![
        format!("--config={}", layout.text("kubelet.json")),
        format!("--kubeconfig={}", layout.text("kubelet.kubeconfig")),
        format!("--root-dir={}", layout.text("kubelet")),
        format!("--cert-dir={}", layout.text("pki/kubelet")),
        // Its metrics of containers ask the runtime themselves, and look for it in the usual place otherwise.
        format!("--containerd={}", layout.socket().display()),
        format!("--hostname-override={NODE}"),
        format!("--node-ip={ADDRESS}"),
    ];
    Ok(Part { name: "kubelet", program: tools.program("kubelet"), args })
}

/// Service addresses.
pub fn proxy(layout: &Layout, tools: &Tools) -> Part {
    let args = vec![
        format!("--kubeconfig={}", layout.text("kube-proxy.kubeconfig")),
        "--proxy-mode=nftables".into(),
        format!("--hostname-override={NODE}"),
        format!("--cluster-cidr={PODS}"),
        format!("--healthz-bind-address={ADDRESS}:10256"),
        format!("--metrics-bind-address={ADDRESS}:10249"),
        "--nodeport-addresses=primary".into(),
        "--conntrack-max-per-core=0".into(),
        "--conntrack-tcp-timeout-established=0".into(),
        "--conntrack-tcp-timeout-close-wait=0".into(),
    ];
    Part { name: "kube-proxy", program: tools.program("kube-proxy"), args }
}
