//! Finds Helm, runs it with an empty home of its own, and reads what it renders.
//! Must not judge the result: that is the tests' work.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

pub const RELEASE: &str = "dynamo-platform";
pub const NAMESPACE: &str = "dynamo-system";
pub const FULLNAME: &str = "dynamo-platform-dynamo-operator";

/// Skips the test when `$found` is none, with a line that says why; fails instead when `CI` is `true`.
#[macro_export]
macro_rules! or_skip {
    ($found:expr, $what:expr) => {
        match $found {
            Some(found) => found,
            None => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "{} not found, and CI=true", $what);
                eprintln!("SKIPPED: {} not found", $what);
                return;
            }
        }
    };
}

pub struct Helm {
    program: PathBuf,
    home: tempfile::TempDir,
}

impl std::fmt::Debug for Helm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Helm").field("program", &self.program).finish_non_exhaustive()
    }
}

/// What one Helm command printed.
#[derive(Debug)]
pub struct Output {
    pub ok: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Helm {
    /// `$HELM`, else the one in the project's cache, else the first on `PATH`.
    pub fn find() -> Option<Self> {
        let program = program("HELM", "helm")?;
        Some(Self { program, home: tempfile::tempdir().expect("a folder for Helm") })
    }

    pub fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Output {
        self.run_in(&workspace(), args)
    }

    pub fn run_in<I: AsRef<OsStr>>(&self, dir: &Path, args: impl IntoIterator<Item = I>) -> Output {
        let output = Command::new(&self.program)
            .args(args)
            .current_dir(dir)
            .env("HELM_CACHE_HOME", self.home.path().join("cache"))
            .env("HELM_CONFIG_HOME", self.home.path().join("config"))
            .env("HELM_DATA_HOME", self.home.path().join("data"))
            .env("KUBECONFIG", self.home.path().join("no-cluster"))
            // Nothing listens there: charts must not need a network.
            .env("HTTP_PROXY", "http://127.0.0.1:9")
            .env("HTTPS_PROXY", "http://127.0.0.1:9")
            .output()
            .expect("Helm starts");
        Output {
            ok: output.status.success(),
            stdout: String::from_utf8(output.stdout).expect("Helm prints UTF-8"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Renders a chart with a value file that holds `values`.
    pub fn template(&self, chart: &Path, release: &str, namespace: &str, values: &Value) -> Output {
        self.template_with(chart, release, namespace, values, &[])
    }

    /// The same with further arguments.
    pub fn template_with(
        &self,
        chart: &Path,
        release: &str,
        namespace: &str,
        values: &Value,
        more: &[&str],
    ) -> Output {
        let file = tempfile::NamedTempFile::new_in(self.home.path()).expect("a value file");
        std::fs::write(file.path(), values.to_string()).expect("the value file is written");
        let args = [
            OsStr::new("template"),
            OsStr::new(release),
            chart.as_os_str(),
            OsStr::new("--namespace"),
            OsStr::new(namespace),
            OsStr::new("--values"),
            file.path().as_os_str(),
        ];
        self.run(args.into_iter().chain(more.iter().map(OsStr::new)))
    }

    /// The objects of the platform with `values` below `dynamo-operator`, without bundled NATS and etcd.
    pub fn operator(&self, values: &Value) -> Objects {
        self.operator_with(values, &[])
    }

    /// The same on a cluster that has the API groups `apis`.
    pub fn operator_with(&self, values: &Value, apis: &[&str]) -> Objects {
        let off = json!({"enabled": false});
        let values = json!({"dynamo-operator": values, "nats": off, "etcd": off});
        Objects::parse(&self.template_with(&platform(), RELEASE, NAMESPACE, &values, &api_versions(apis)))
    }

    pub fn objects(&self, release: &str, namespace: &str, values: &Value) -> Objects {
        Objects::parse(&self.template(&platform(), release, namespace, values))
    }

    /// The message with which the platform refuses `values` below `dynamo-operator`.
    pub fn refusal(&self, values: &Value) -> String {
        let output = self.template(&platform(), RELEASE, NAMESPACE, &json!({ "dynamo-operator": values }));
        assert!(!output.ok, "these values must not render: {values}");
        output.stderr
    }
}

/// Rendered objects, in Helm's order.
#[derive(Debug)]
pub struct Objects(pub Vec<Value>);

impl Objects {
    pub fn parse(output: &Output) -> Self {
        assert!(output.ok, "Helm failed: {}", output.stderr);
        let documents = serde_yaml_ng::Deserializer::from_str(&output.stdout);
        let parsed = documents.map(|document| Value::deserialize(document).expect("rendered YAML parses"));
        Self(parsed.filter(|object| !object.is_null()).collect())
    }

    pub fn find(&self, kind: &str, name: &str) -> Option<&Value> {
        self.0.iter().find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
    }

    pub fn get(&self, kind: &str, name: &str) -> &Value {
        self.find(kind, name).unwrap_or_else(|| panic!("no {kind} {name} in {:?}", self.list()))
    }

    /// `Kind name` of all objects, sorted.
    pub fn list(&self) -> Vec<String> {
        let mut list: Vec<String> =
            self.0.iter().map(|o| format!("{} {}", text(&o["kind"]), text(&o["metadata"]["name"]))).collect();
        list.sort();
        list
    }

    /// That of the operator, which nats-box may stand beside; in a chart without an operator the only one.
    pub fn deployment(&self) -> &Value {
        let deployments = || self.0.iter().filter(|object| object["kind"] == "Deployment");
        let is_operator =
            |object: &&Value| object["metadata"]["labels"]["control-plane"] == "controller-manager";
        deployments().find(is_operator).or_else(|| deployments().next()).expect("a Deployment")
    }

    /// Without the objects of bundled NATS and etcd.
    pub fn without_bundled(self) -> Self {
        let bundled = |object: &Value| {
            let chart = text(&object["metadata"]["labels"]["helm.sh/chart"]).to_owned();
            chart.starts_with("nats-") || chart.starts_with("etcd-")
        };
        Self(self.0.into_iter().filter(|object| !bundled(object)).collect())
    }

    pub fn pod(&self) -> &Value {
        &self.deployment()["spec"]["template"]["spec"]
    }

    pub fn manager(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    pub fn args(&self) -> Vec<String> {
        strings(&self.manager()["args"])
    }

    /// The value of a flag, or none when it is not passed.
    pub fn flag(&self, name: &str) -> Option<String> {
        let prefix = format!("--{name}=");
        self.args().iter().find_map(|arg| arg.strip_prefix(&prefix).map(str::to_owned))
    }
}

/// Arguments that tell Helm which API groups the cluster has.
pub fn api_versions<'a>(apis: &[&'a str]) -> Vec<&'a str> {
    apis.iter().flat_map(|api| ["--api-versions", api]).collect()
}

pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

pub fn strings(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|item| text(item).to_owned()).collect()
}

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace root")
}

pub fn charts() -> PathBuf {
    workspace().join("deploy/helm/charts")
}

pub fn platform() -> PathBuf {
    charts().join("platform")
}

pub fn operator() -> PathBuf {
    platform().join("charts/dynamo-operator")
}

/// The platform with stand-ins for KAI and Grove in the place of the placeholders, as after a `helm dependency update`.
pub fn platform_with_fetched_charts(helm: &Helm, folder: &Path) -> PathBuf {
    let chart = folder.join("platform");
    copy(&platform(), &chart);
    for (name, version) in [("kai-scheduler", "v0.9.4"), ("grove-charts", "v0.1.0-alpha.6")] {
        let source = folder.join("fetched").join(name);
        std::fs::create_dir_all(source.join("templates")).expect("a chart");
        std::fs::write(
            source.join("Chart.yaml"),
            format!("apiVersion: v2\nname: {name}\nversion: {version}\n"),
        )
        .expect("a chart");
        std::fs::write(
            source.join("templates/seen.yaml"),
            "kind: Seen\nmetadata: {name: {{ .Chart.Name }}}\nvalues: {{ toJson .Values }}\n",
        )
        .expect("a template");
        let package = helm.run([
            OsStr::new("package"),
            source.as_os_str(),
            OsStr::new("--destination"),
            chart.join("charts").as_os_str(),
        ]);
        assert!(package.ok, "{}", package.stderr);
    }
    chart
}

/// Recorded renders of the reference: `$DYNAMO_SHARED`, else a folder beside the workspace.
pub fn recorded() -> Option<PathBuf> {
    let shared =
        std::env::var_os("DYNAMO_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    Some(shared.join("parity/charts")).filter(|dir| dir.is_dir())
}

pub fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_yaml_ng::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Copies a chart with its links, so that a test can change it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder for the copy");
    for entry in std::fs::read_dir(from).expect("the chart is readable") {
        let entry = entry.expect("the chart is readable");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_symlink() {
            let link = std::fs::read_link(&source).expect("the link is readable");
            std::os::unix::fs::symlink(link, &target).expect("the link is copied");
        } else if source.is_dir() {
            copy(&source, &target);
        } else {
            std::fs::copy(&source, &target).expect("the file is copied");
        }
    }
}

/// `$variable`, else the one in the project's cache, else the first on `PATH`.
pub fn program(variable: &str, name: &str) -> Option<PathBuf> {
    let cached = dynamo_devkit::cache::folder().ok().map(|dir| dir.join("tools/bin").join(name));
    let on_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).map(|dir| dir.join(name)).collect::<Vec<_>>())
        .unwrap_or_default();
    std::env::var_os(variable)
        .map(PathBuf::from)
        .into_iter()
        .chain(cached)
        .chain(on_path)
        .find(|candidate| candidate.is_file())
}

/// The files right in a folder that have the extension, sorted.
pub fn files_with(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    files
}
