//! Versions of the pinned tools and how each is built.
//! Must not download anything but Go modules and crates, with the ordinary clients.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use crate::progress::Progress;
use crate::{Error, Result, files, process};

/// A tool this project builds for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// API server, controller manager, scheduler, kubelet, kube-proxy and kubectl.
    Kubernetes,
    /// The API server's store.
    Etcd,
    /// Message server of the NATS planes, for tests.
    Nats,
    /// Chart installer.
    Helm,
    /// Cluster DNS server.
    Coredns,
    /// The program of a pod's sandbox container.
    Pause,
    /// Prometheus, and promtool, which checks and tests alert rules.
    Prometheus,
    /// What makes a Prometheus of monitors and rules in a cluster, with its manifests.
    PrometheusOperator,
    /// Metrics of a node.
    NodeExporter,
    /// Judges manifests by schemas.
    Kubeconform,
    /// Licences and sources of dependencies.
    CargoDeny,
}

const KUBERNETES: &[&str] =
    &["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"];

impl Tool {
    /// Every tool, in the order in which they are built.
    pub const ALL: [Self; 11] = [
        Self::Kubernetes,
        Self::Etcd,
        Self::Nats,
        Self::Helm,
        Self::Coredns,
        Self::Pause,
        Self::Prometheus,
        Self::PrometheusOperator,
        Self::NodeExporter,
        Self::Kubeconform,
        Self::CargoDeny,
    ];

    /// Name in the cache and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Etcd => "etcd",
            Self::Nats => "nats",
            Self::Helm => "helm",
            Self::Coredns => "coredns",
            Self::Pause => "pause",
            Self::Prometheus => "prometheus",
            Self::PrometheusOperator => "prometheus-operator",
            Self::NodeExporter => "node-exporter",
            Self::Kubeconform => "kubeconform",
            Self::CargoDeny => "cargo-deny",
        }
    }

    /// The pinned version.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Kubernetes => "v1.34.4",
            Self::Etcd => "v3.6.16",
            Self::Nats => "v2.12.3",
            Self::Helm => "v3.19.0",
            Self::Coredns => "v1.12.4",
            Self::Pause => "v1",
            // The module's number of Prometheus 3.9.1.
            Self::Prometheus => "v0.309.1",
            Self::PrometheusOperator => "v0.85.0",
            Self::NodeExporter => "v1.12.1",
            Self::Kubeconform => "v0.7.0",
            Self::CargoDeny => "0.20.2",
        }
    }

    /// The programs that the tool consists of.
    pub const fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Kubernetes => KUBERNETES,
            Self::Etcd => &["etcd"],
            Self::Nats => &["nats-server"],
            Self::Helm => &["helm"],
            Self::Coredns => &["coredns"],
            Self::Pause => &["pause"],
            Self::Prometheus => &["prometheus", "promtool"],
            Self::PrometheusOperator => &["prometheus-operator", "prometheus-config-reloader"],
            Self::NodeExporter => &["node_exporter"],
            Self::Kubeconform => &["kubeconform"],
            Self::CargoDeny => &["cargo-deny"],
        }
    }
}

const ETCD_MAIN: &str = r#"package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
"#;

// Holds a pod's namespaces open and, where a pod shares its process namespace, reaps its orphans.
const PAUSE_MAIN: &str = r#"package main

import (
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range signals {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
				break
			}
		}
	}
}
"#;

/// Manifests with which the Prometheus operator is installed; beside its programs.
const BUNDLE: &str = "bundle.yaml";

pub(super) fn run(tool: Tool, work: &Path, out: &Path, log: &Path, progress: &Progress) -> Result<()> {
    let build = Build { work, out, log, progress };
    let version = tool.version();
    match tool {
        Tool::Kubernetes => build.kubernetes(version),
        Tool::Etcd => {
            build.main_package("etcd", ETCD_MAIN, &[&format!("go.etcd.io/etcd/server/v3@{version}")])
        }
        Tool::Nats => build.install(&format!("github.com/nats-io/nats-server/v2@{version}"), ""),
        Tool::Helm => build.install(
            &format!("helm.sh/helm/v3/cmd/helm@{version}"),
            &format!("-X helm.sh/helm/v3/internal/version.version={version}"),
        ),
        Tool::Coredns => build.install(&format!("github.com/coredns/coredns@{version}"), ""),
        Tool::Pause => build.main_package("pause", PAUSE_MAIN, &[]),
        // Web pages are not in the module, so this server has its API only.
        Tool::Prometheus => build.packages(
            &format!("github.com/prometheus/prometheus@{version}"),
            &[("prometheus", "cmd/prometheus"), ("promtool", "cmd/promtool")],
            &format!("-X github.com/prometheus/common/version.Version={version}"),
        ),
        Tool::PrometheusOperator => {
            let module = format!("github.com/prometheus-operator/prometheus-operator@{version}");
            build.packages(
                &module,
                &[
                    ("prometheus-operator", "cmd/operator"),
                    ("prometheus-config-reloader", "cmd/prometheus-config-reloader"),
                ],
                &format!("-X github.com/prometheus/common/version.Version={version}"),
            )?;
            build.keep(&module, BUNDLE)
        }
        Tool::Kubeconform => {
            build.install(&format!("github.com/yannh/kubeconform/cmd/kubeconform@{version}"), "")
        }
        Tool::NodeExporter => build.install(&format!("github.com/prometheus/node_exporter@{version}"), ""),
        Tool::CargoDeny => build.crate_binary("cargo-deny", version),
    }
}

struct Build<'a> {
    work: &'a Path,
    out: &'a Path,
    log: &'a Path,
    progress: &'a Progress,
}

#[derive(Deserialize)]
struct Download {
    #[serde(rename = "GoMod")]
    go_mod: String,
    #[serde(rename = "Dir")]
    dir: PathBuf,
}

#[derive(Deserialize)]
struct GoMod {
    #[serde(rename = "Replace", default)]
    replace: Vec<Replace>,
}

#[derive(Deserialize)]
struct Replace {
    #[serde(rename = "Old")]
    old: Module,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "Path")]
    path: String,
}

impl Build<'_> {
    fn go(&self) -> Result<Command> {
        let program =
            process::require("go", "install Go 1.24 or newer; the pinned tools are built from Go modules")?;
        let mut command = Command::new(program);
        command
            .current_dir(self.work)
            .env("CGO_ENABLED", "0")
            .env("GOFLAGS", "-mod=mod")
            .env("GOWORK", "off");
        Ok(command)
    }

    fn step(&self, command: &mut Command, what: &str) -> Result<()> {
        process::run_logged(command, what, self.log, self.progress)
    }

    /// `k8s.io/kubernetes` takes its staging modules from its own tree by replace directives, which do not reach
    /// modules that require it: here each is replaced by the published module of the same release.
    fn kubernetes(&self, version: &str) -> Result<()> {
        let module = format!("k8s.io/kubernetes@{version}");
        let text =
            process::output(self.go()?.args(["mod", "download", "-json", &module]), "go mod download")?;
        let download: Download =
            serde_json::from_str(&text).map_err(|e| Error::parse("go mod download", e))?;
        let text =
            process::output(self.go()?.args(["mod", "edit", "-json", &download.go_mod]), "go mod edit")?;
        let upstream: GoMod = serde_json::from_str(&text).map_err(|e| Error::parse(&download.go_mod, e))?;
        let staging = version.replacen("v1.", "v0.", 1);
        self.step(self.go()?.args(["mod", "init", "devkit.local/kubernetes"]), "go mod init")?;
        let mut edit = self.go()?;
        edit.args(["mod", "edit", &format!("-require={module}")]);
        for Replace { old: Module { path } } in upstream.replace {
            edit.arg(format!("-replace={path}={path}@{staging}"));
        }
        self.step(&mut edit, "go mod edit")?;
        let packages: Vec<String> =
            KUBERNETES.iter().map(|program| format!("k8s.io/kubernetes/cmd/{program}")).collect();
        let imports: String = packages.iter().map(|package| format!("import _ \"{package}\"\n")).collect();
        files::write(&self.work.join("tools.go"), format!("//go:build tools\n\npackage tools\n\n{imports}"))?;
        self.step(self.go()?.args(["mod", "tidy"]), "go mod tidy")?;
        let minor = version.split('.').nth(1).unwrap_or_default();
        let at = "k8s.io/component-base/version";
        let flags = format!("-s -w -X {at}.gitVersion={version} -X {at}.gitMajor=1 -X {at}.gitMinor={minor}");
        let target = format!("{}/", self.out.join("bin").display());
        self.step(
            self.go()?.args(["build", "-trimpath", "-ldflags", &flags, "-o", &target]).args(&packages),
            "go build of Kubernetes",
        )
    }

    /// A main package of a few lines around modules that `go install` refuses or that need none.
    fn main_package(&self, name: &str, source: &str, modules: &[&str]) -> Result<()> {
        self.step(self.go()?.args(["mod", "init", &format!("devkit.local/{name}")]), "go mod init")?;
        files::write(&self.work.join("main.go"), source)?;
        if !modules.is_empty() {
            self.step(self.go()?.arg("get").args(modules), "go get")?;
            self.step(self.go()?.args(["mod", "tidy"]), "go mod tidy")?;
        }
        let target = self.out.join("bin").join(name);
        self.step(
            self.go()?.args(["build", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(target).arg("."),
            &format!("go build of {name}"),
        )
    }

    /// Main packages, each a program's name and its folder, of a module that `go install` refuses for its replace or
    /// exclude directives; as a dependency it builds.
    fn packages(&self, module: &str, programs: &[(&str, &str)], flags: &str) -> Result<()> {
        let (path, version) = module.split_once('@').unwrap_or((module, "latest"));
        self.step(self.go()?.args(["mod", "init", "devkit.local/programs"]), "go mod init")?;
        let wanted = programs.iter().map(|(_, folder)| format!("{path}/{folder}@{version}"));
        self.step(self.go()?.arg("get").args(wanted), "go get")?;
        for (program, folder) in programs {
            let target = self.out.join("bin").join(program);
            let mut command = self.go()?;
            command.args(["build", "-trimpath", "-ldflags", &format!("-s -w {flags}"), "-o"]).arg(target);
            self.step(command.arg(format!("{path}/{folder}")), &format!("go build of {program}"))?;
        }
        Ok(())
    }

    /// Keeps a file of a module beside its programs.
    fn keep(&self, module: &str, file: &str) -> Result<()> {
        let text = process::output(self.go()?.args(["mod", "download", "-json", module]), "go mod download")?;
        let download: Download =
            serde_json::from_str(&text).map_err(|e| Error::parse("go mod download", e))?;
        files::write(&self.out.join(file), files::read(&download.dir.join(file))?)
    }

    fn install(&self, package: &str, flags: &str) -> Result<()> {
        self.step(
            self.go()?.env("GOBIN", self.out.join("bin")).args([
                "install",
                "-trimpath",
                "-ldflags",
                &format!("-s -w {flags}"),
                package,
            ]),
            &format!("go install of {package}"),
        )
    }

    fn crate_binary(&self, name: &str, version: &str) -> Result<()> {
        let cargo = process::require("cargo", "install Rust; rust-toolchain.toml names the version")?;
        let mut command = Command::new(cargo);
        // The tool's build must not land in the target folder of the workspace.
        command.env("CARGO_TARGET_DIR", self.work.join("target")).args(["install", "--locked", "--root"]);
        // Speed of this tool matters less than the minutes its optimised build takes.
        command.arg(self.out).args(["--debug", "--version", version, name]);
        self.step(&mut command, &format!("cargo install of {name}"))
    }
}
