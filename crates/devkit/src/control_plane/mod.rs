//! A bare Kubernetes control plane on loopback for tests: etcd, API server and, if asked, controller manager.
//! Must leave no process and no temporary folder behind, however the process that started it ends.

pub mod supervised;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::kubectl::Kubectl;
use crate::tools::{self, Tool, Tools};
use crate::{Error, Result, files, pki};
use supervised::{Janitor, Supervised};

const READY: Duration = Duration::from_secs(90);
const ATTEMPTS: u32 = 3;
// The API server refuses a loopback address here; nothing connects to it, since no `kubernetes` endpoint is made.
const ADVERTISED: &str = "198.19.255.1";

/// What to start; the default is etcd and an API server in a temporary folder.
#[derive(Debug, Clone, Default)]
pub struct ControlPlaneOptions {
    /// Where files go. `None`: a temporary folder, removed at the end. A given folder stays, and a second start in
    /// it finds the objects of the first.
    pub folder: Option<PathBuf>,
    /// Also start kube-controller-manager (garbage collection, Deployments, Jobs, namespaces, service accounts).
    pub controller_manager: bool,
    /// Write an audit log.
    pub audit: Option<AuditOptions>,
    /// Further users with their groups; each gets a token ([`ControlPlane::user_token`]) and has only the rights
    /// that RBAC gives it.
    pub users: Vec<(String, Vec<String>)>,
    /// Further arguments of kube-apiserver.
    pub api_server_args: Vec<String>,
}

/// Which requests the audit log records: one JSON line for each request that was answered.
#[derive(Debug, Clone, Default)]
pub struct AuditOptions {
    /// The log file; `None`: `audit.log` in the folder of the control plane.
    pub log: Option<PathBuf>,
    /// Only requests of these users. Empty: everyone but Kubernetes' own parts.
    pub users: Vec<String>,
}

/// A running control plane; it ends when this value is dropped or when this process ends.
#[derive(Debug)]
pub struct ControlPlane {
    // Order matters: fields are dropped from the top, and the folder must outlive the processes.
    processes: Vec<Supervised>,
    janitor: Option<Janitor>,
    temporary: Option<TempDir>,
    folder: PathBuf,
    kubeconfig: PathBuf,
    url: String,
    token: String,
    authority: String,
    users: Vec<(String, String)>,
    audit: Option<PathBuf>,
    tools: Tools,
}

impl ControlPlane {
    /// Starts the parts and waits until the API server is ready (and the controller manager works). Builds the
    /// programs first if the cache lacks them.
    ///
    /// # Errors
    /// [`Error::Failed`] or [`Error::Deadline`] with the end of the log of the part that did not start.
    pub fn start(options: ControlPlaneOptions) -> Result<Self> {
        let tools = tools::ensure(&[Tool::Kubernetes, Tool::Etcd])?;
        let mut attempt = 1;
        loop {
            match Self::start_once(&options, &tools) {
                // A port seen free was taken by another program before ours listened on it.
                Err(Error::AddressInUse { .. }) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    /// Kubeconfig of an administrator (group `system:masters`).
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The administrator's bearer token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Certificate of the authority that signed the server's certificate, PEM.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The audit log, if one was asked for.
    pub fn audit_log(&self) -> Option<&Path> {
        self.audit.as_deref()
    }

    /// Folder with logs, keys and data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Bearer token of one of [`ControlPlaneOptions::users`].
    pub fn user_token(&self, user: &str) -> Option<&str> {
        self.users.iter().find(|(name, _)| name == user).map(|(_, token)| token.as_str())
    }

    /// Writes a kubeconfig for one of [`ControlPlaneOptions::users`].
    ///
    /// # Errors
    /// [`Error::Refused`] for an unknown user, [`Error::Io`].
    pub fn user_kubeconfig(&self, user: &str) -> Result<PathBuf> {
        let token = self.user_token(user).ok_or_else(|| {
            Error::Refused(format!("no user {user:?}: name it in ControlPlaneOptions.users before the start"))
        })?;
        let path = self.folder.join(format!("{}.kubeconfig", user.replace([':', '/'], "-")));
        files::write_secret(&path, pki::kubeconfig("test", &self.url, &self.authority, token))?;
        Ok(path)
    }

    /// kubectl as the administrator.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.tools.program("kubectl"), &self.kubeconfig)
    }

    /// The programs in use.
    pub fn tools(&self) -> &Tools {
        &self.tools
    }

    /// Process ids of the parts, in the order in which they were started.
    pub fn pids(&self) -> Vec<i32> {
        self.processes.iter().map(Supervised::pid).collect()
    }

    /// Ends all parts and removes the temporary folder; dropping does the same without a report.
    ///
    /// # Errors
    /// [`Error::Io`] when the temporary folder cannot be removed.
    pub fn stop(mut self) -> Result<()> {
        self.end();
        let folder = self.folder.clone();
        self.temporary
            .take()
            .map_or(Ok(()), |temporary| temporary.close().map_err(Error::io("remove", &folder)))
    }

    fn end(&mut self) {
        // The last started first: nobody then complains about a server that is gone.
        while self.processes.pop().is_some() {}
        self.janitor.take();
    }

    fn start_once(options: &ControlPlaneOptions, tools: &Tools) -> Result<Self> {
        let temporary = match options.folder {
            Some(_) => None,
            None => Some(
                tempfile::Builder::new()
                    .prefix("dynamo-control-plane-")
                    .tempdir()
                    .map_err(Error::io("create a folder in", &std::env::temp_dir()))?,
            ),
        };
        let folder = match (&options.folder, &temporary) {
            (Some(folder), _) => std::path::absolute(folder).map_err(Error::io("resolve", folder))?,
            (None, Some(temporary)) => temporary.path().to_path_buf(),
            (None, None) => std::env::temp_dir(),
        };
        files::folder(&folder)?;
        let janitor = temporary.as_ref().map(|made| Janitor::start(made.path())).transpose()?;
        let [port, etcd, peers, manager] = free_ports()?;
        let (authority, users) = write_identities(options, &folder)?;
        let url = format!("https://127.0.0.1:{port}");
        let token_of = |name: &str| {
            users.iter().find(|(user, _)| user == name).map(|(_, token)| token.clone()).unwrap_or_default()
        };
        let kubeconfig = folder.join("kubeconfig");
        let token = token_of(ADMIN);
        files::write_secret(&kubeconfig, pki::kubeconfig("test", &url, &authority, &token))?;
        let manager_config = folder.join("manager.kubeconfig");
        files::write_secret(&manager_config, pki::kubeconfig("test", &url, &authority, &token_of(MANAGER)))?;
        let audit = match &options.audit {
            Some(audit) => Some(write_audit_policy(audit, &folder)?),
            None => None,
        };
        let mut plane = Self {
            processes: Vec::new(),
            janitor,
            temporary,
            kubeconfig,
            url,
            token,
            authority,
            users,
            audit,
            tools: tools.clone(),
            folder,
        };
        plane.spawn("etcd", etcd_args(&plane.folder.join("etcd").display().to_string(), etcd, peers))?;
        plane.spawn("kube-apiserver", plane.api_server_args(options, port, etcd))?;
        plane.wait("the API server to be ready", |kubectl| kubectl.ready(5))?;
        if options.controller_manager {
            plane.spawn("kube-controller-manager", plane.manager_args(&manager_config, manager))?;
            plane.wait("the controller manager to make service accounts", |kubectl| {
                kubectl.run(&["get", "serviceaccount", "default", "-n", "default"]).is_ok()
            })?;
        }
        Ok(plane)
    }

    fn spawn(&mut self, program: &str, args: Vec<String>) -> Result<()> {
        let log = self.folder.join("logs").join(format!("{program}.log"));
        self.processes.push(Supervised::start(program, &self.tools.program(program), &args, log)?);
        Ok(())
    }

    fn wait(&mut self, what: &str, reached: impl Fn(&Kubectl) -> bool) -> Result<()> {
        let (kubectl, started) = (self.kubectl(), Instant::now());
        loop {
            for process in &mut self.processes {
                process.check()?;
            }
            if reached(&kubectl) {
                return Ok(());
            }
            if started.elapsed() > READY {
                let logs: Vec<String> = self.processes.iter().map(Supervised::log_tail).collect();
                let (what, detail) = (what.to_owned(), logs.join("\n"));
                return Err(Error::Deadline { what, seconds: READY.as_secs(), detail });
            }
            std::thread::sleep(Duration::from_millis(150));
        }
    }

    fn api_server_args(&self, options: &ControlPlaneOptions, port: u16, etcd: u16) -> Vec<String> {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let mut args = vec![
            format!("--etcd-servers=http://127.0.0.1:{etcd}"),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            format!("--advertise-address={ADVERTISED}"),
            format!("--tls-cert-file={}", at("pki/apiserver.crt")),
            format!("--tls-private-key-file={}", at("pki/apiserver.key")),
            format!("--cert-dir={}", at("pki")),
            "--service-cluster-ip-range=198.19.0.0/17".into(),
            "--service-account-issuer=https://kubernetes.default.svc".into(),
            format!("--service-account-key-file={}", at("pki/sa.pub")),
            format!("--service-account-signing-key-file={}", at("pki/sa.key")),
            format!("--token-auth-file={}", at("pki/tokens.csv")),
            "--authorization-mode=RBAC".into(),
            "--allow-privileged=true".into(),
            "--endpoint-reconciler-type=none".into(),
        ];
        if !options.controller_manager {
            // Nobody makes the service account `default` then, without which no pod would be admitted.
            args.push("--disable-admission-plugins=ServiceAccount".into());
        }
        if let Some(log) = &self.audit {
            args.push(format!("--audit-policy-file={}", at("audit-policy.json")));
            args.push(format!("--audit-log-path={}", log.display()));
            args.push("--audit-log-mode=blocking".into());
        }
        args.extend(options.api_server_args.iter().cloned());
        args
    }

    fn manager_args(&self, kubeconfig: &Path, port: u16) -> Vec<String> {
        let at = |name: &str| self.folder.join(name).display().to_string();
        vec![
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--service-account-private-key-file={}", at("pki/sa.key")),
            format!("--root-ca-file={}", at("pki/ca.crt")),
            format!("--cert-dir={}", at("pki/manager")),
            "--use-service-account-credentials=true".into(),
            "--bind-address=127.0.0.1".into(),
            format!("--secure-port={port}"),
            "--leader-elect=false".into(),
            "--kube-api-qps=200".into(),
            "--kube-api-burst=400".into(),
        ]
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        self.end();
    }
}

const ADMIN: &str = "admin";
const MANAGER: &str = "system:kube-controller-manager";

fn write_identities(options: &ControlPlaneOptions, folder: &Path) -> Result<(String, Vec<(String, String)>)> {
    let pki = folder.join("pki");
    let authority = pki::Authority::new("dynamo-control-plane")?;
    files::write(&pki.join("ca.crt"), authority.certificate())?;
    let names = ["127.0.0.1", "localhost", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"];
    authority.write_server(&pki, "apiserver", &names)?;
    // Tokens that a first start in this folder gave out stay valid.
    if !pki.join("sa.key").exists() {
        pki::write_signing_pair(&pki)?;
    }
    let mut accounts =
        vec![(ADMIN.to_owned(), vec!["system:masters".to_owned()]), (MANAGER.to_owned(), Vec::new())];
    accounts.extend(options.users.iter().cloned());
    let (mut lines, mut users) = (String::new(), Vec::new());
    for (user, groups) in accounts {
        let token = pki::token()?;
        lines.push_str(&pki::token_line(&token, &user, &groups));
        users.push((user, token));
    }
    files::write_secret(&pki.join("tokens.csv"), lines)?;
    Ok((authority.certificate().to_owned(), users))
}

fn write_audit_policy(audit: &AuditOptions, folder: &Path) -> Result<PathBuf> {
    let rules = if audit.users.is_empty() {
        serde_json::json!([
            {"level": "None", "users": ["system:apiserver", MANAGER, "system:kube-scheduler", "system:kube-proxy"]},
            {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
            {"level": "Metadata"},
        ])
    } else {
        serde_json::json!([{"level": "Metadata", "users": audit.users}, {"level": "None"}])
    };
    let policy = serde_json::json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": rules,
    });
    files::write(&folder.join("audit-policy.json"), policy.to_string())?;
    let log = audit.log.clone().unwrap_or_else(|| folder.join("audit.log"));
    let log = std::path::absolute(&log).map_err(Error::io("resolve", &log))?;
    files::parent(&log)?;
    Ok(log)
}

/// Arguments of one etcd on loopback that keeps its data in `data` and gives up durability for speed.
pub(crate) fn etcd_args(data: &str, client: u16, peers: u16) -> Vec<String> {
    let (client, peers) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peers}"));
    vec![
        format!("--data-dir={data}"),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
    ]
}

/// Ports that are free now. They lie below the range from which the kernel takes ports of outgoing connections,
/// so that only another listener could take one before it is used.
///
/// # Errors
/// [`Error::Refused`] when no port can be bound at all.
pub fn free_ports<const N: usize>() -> Result<[u16; N]> {
    const LOWEST: u16 = 20_000;
    const SPAN: u16 = 12_000;
    let mut held: Vec<TcpListener> = Vec::new();
    let mut ports = [0; N];
    let seed = u16::from_str_radix(&pki::token()?[..4], 16).unwrap_or_default();
    let mut candidates = (0..SPAN).map(|step| LOWEST + (seed % SPAN + step) % SPAN);
    for port in &mut ports {
        let found = candidates
            .by_ref()
            .find_map(|port| TcpListener::bind(("127.0.0.1", port)).ok().map(|l| (port, l)));
        let (number, listener) = found
            .ok_or_else(|| Error::Refused("no free port between 20000 and 32000 on 127.0.0.1".into()))?;
        // Held until all are found, so that no port is found twice.
        held.push(listener);
        *port = number;
    }
    Ok(ports)
}
