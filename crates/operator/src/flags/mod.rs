//! The operator's command line (`operator-process.md` section 1): Go's flag syntax, because users' value files and
//! scripts rely on it. Syntax is in `syntax`; here are the flags and their checks.

mod duration;
mod syntax;

use dynamo_render::config::{DiscoveryBackend, IngressDefaults, OperatorConfig};

use syntax::{Flag, Parsed, Spec};

/// Everything the command line says.
#[derive(Debug, Clone)]
pub struct Flags {
    /// `None` disables the listener.
    pub metrics_address: Option<String>,
    /// `None` disables the listener.
    pub probe_address: Option<String>,
    pub leader_election: Option<LeaderElection>,
    /// The only namespace this operator works in; `None` is cluster-wide.
    pub restricted_namespace: Option<String>,
    pub kubeconfig: Option<String>,
    pub version: semver::Version,
    pub log: LogFlags,
    pub render: OperatorConfig,
}

/// Where replicas agree on one leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderElection {
    pub id: String,
    /// `None` is the namespace of the operator's own pod.
    pub namespace: Option<String>,
}

/// Format and level of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFlags {
    pub json: bool,
    pub level: tracing::Level,
}

/// Why the process ends before it starts.
#[derive(Debug, thiserror::Error)]
pub enum Exit {
    /// `-h`: usage, exit code 0.
    #[error("{0}")]
    Help(String),
    /// A flag that does not exist or a value that does not parse: usage, exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A check failed: exit code 1.
    #[error("{0}")]
    Refused(String),
}

/// Flags that are parsed, kept for the installs that pass them, and have no effect in this version.
const WITHOUT_EFFECT: &[Spec] = &[
    Spec::boolean("metrics-secure"),
    Spec::boolean("enable-http2"),
    Spec::boolean("virtual-service-supports-https"),
    Spec::duration("grove-termination-delay"),
    Spec::duration("namespace-scope-lease-duration"),
    Spec::duration("namespace-scope-lease-renew-interval"),
    Spec::text("dgdr-profiling-cluster-role-name"),
    Spec::text("epp-cluster-role-name"),
    Spec::boolean("checkpoint-enabled"),
    Spec::text("checkpoint-storage-type"),
    Spec::text("checkpoint-signal-host-path"),
    Spec::text("checkpoint-pvc-name"),
    Spec::text("checkpoint-pvc-base-path"),
    Spec::text("checkpoint-s3-uri"),
    Spec::text("checkpoint-s3-credentials-secret"),
    Spec::text("checkpoint-oci-uri"),
    Spec::text("checkpoint-oci-credentials-secret"),
    Spec::text("checkpoint-init-container-image"),
    Spec::text("checkpoint-ready-for-checkpoint-file-path"),
    Spec::text("checkpoint-restore-marker-file-path"),
    Spec::text("zap-stacktrace-level"),
    Spec::text("zap-time-encoding"),
];

const KNOWN: &[Spec] = &[
    Spec::text("metrics-bind-address"),
    Spec::text("health-probe-bind-address"),
    Spec::boolean("leader-elect"),
    Spec::text("leader-election-id"),
    Spec::text("leader-election-namespace"),
    Spec::boolean("enable-webhooks"),
    Spec::text("restrictedNamespace"),
    Spec::text("natsAddr"),
    Spec::text("etcdAddr"),
    Spec::text("istio-virtual-service-gateway"),
    Spec::text("ingress-controller-class-name"),
    Spec::text("ingress-controller-tls-secret-name"),
    Spec::text("ingress-host-suffix"),
    Spec::text("model-express-url"),
    Spec::text("prometheus-endpoint"),
    Spec::text("mpi-run-ssh-secret-name"),
    Spec::text("mpi-run-ssh-secret-namespace"),
    Spec::text("planner-cluster-role-name"),
    Spec::text("operator-version"),
    Spec::text("discovery-backend"),
    Spec::text("kubeconfig"),
    Spec::boolean("zap-devel"),
    Spec::text("zap-encoder"),
    Spec::text("zap-log-level"),
];

impl Flags {
    /// Parses and checks the words after the program's name.
    ///
    /// # Errors
    /// See [`Exit`]; the checks run in the order of `operator-process.md` section 2.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, Exit> {
        let parsed = syntax::parse(&[KNOWN, WITHOUT_EFFECT], words).map_err(|error| match error {
            syntax::Error::Help => Exit::Help(usage()),
            error => Exit::Usage(format!("{error}\n{}", usage())),
        })?;
        let text = |name: &str| parsed.text(name).map(ToOwned::to_owned);
        let log = log(&parsed)?;

        let restricted_namespace = text("restrictedNamespace");
        if restricted_namespace.is_none() && text("planner-cluster-role-name").is_none() {
            return Err(Exit::Refused(
                "--planner-cluster-role-name is required by a cluster-wide operator: name the ClusterRole of planners"
                    .to_owned(),
            ));
        }
        let discovery_backend = match parsed.text("discovery-backend") {
            None | Some("kubernetes") => DiscoveryBackend::Kubernetes,
            Some("etcd") => DiscoveryBackend::Etcd,
            Some(other) => {
                return Err(Exit::Refused(format!(
                    "--discovery-backend: {other:?}: must be kubernetes or etcd"
                )));
            }
        };
        for required in ["mpi-run-ssh-secret-name", "mpi-run-ssh-secret-namespace"] {
            if text(required).is_none() {
                return Err(Exit::Refused(format!("--{required} is required")));
            }
        }
        if parsed.boolean("enable-webhooks") == Some(true) {
            return Err(Exit::Refused(
                "--enable-webhooks: admission webhooks are not in this version: leave the flag out"
                    .to_owned(),
            ));
        }
        Ok(Self {
            metrics_address: address(&parsed, "metrics-bind-address", ":8080"),
            probe_address: address(&parsed, "health-probe-bind-address", ":8081"),
            leader_election: leader_election(&parsed, restricted_namespace.as_ref())?,
            kubeconfig: text("kubeconfig"),
            version: version(parsed.text("operator-version").unwrap_or("unknown")),
            log,
            render: OperatorConfig {
                nats_address: text("natsAddr"),
                etcd_address: text("etcdAddr"),
                model_express_url: text("model-express-url"),
                prometheus_endpoint: text("prometheus-endpoint"),
                discovery_backend,
                ingress: IngressDefaults {
                    class_name: text("ingress-controller-class-name"),
                    tls_secret_name: text("ingress-controller-tls-secret-name"),
                    host_suffix: text("ingress-host-suffix"),
                    virtual_service_gateway: text("istio-virtual-service-gateway"),
                },
            },
            restricted_namespace,
        })
    }
}

fn usage() -> String {
    let mut lines = vec!["Usage of manager:".to_owned()];
    let mut all: Vec<&Spec> = KNOWN.iter().collect();
    all.sort_by_key(|spec| spec.name);
    lines.extend(all.iter().map(|spec| format!("  --{} {}", spec.name, spec.kind.as_str())));
    lines.push("Accepted without effect in this version:".to_owned());
    lines.extend(WITHOUT_EFFECT.iter().map(|spec| format!("  --{} {}", spec.name, spec.kind.as_str())));
    lines.join("\n")
}

/// Empty and `0` disable a listener; a missing host means every address.
fn address(parsed: &Parsed, name: &str, default: &str) -> Option<String> {
    let text = match parsed.get(name) {
        None => default,
        Some(Flag::Text(text)) => text,
        Some(_) => return None,
    };
    match text {
        "" | "0" => None,
        port if port.starts_with(':') => Some(format!("0.0.0.0{port}")),
        full => Some(full.to_owned()),
    }
}

fn leader_election(parsed: &Parsed, restricted: Option<&String>) -> Result<Option<LeaderElection>, Exit> {
    if parsed.boolean("leader-elect") != Some(true) {
        return Ok(None);
    }
    let id = parsed.text("leader-election-id").ok_or_else(|| {
        Exit::Refused("--leader-election-id is required with --leader-elect: name the Lease".to_owned())
    })?;
    let namespace = parsed.text("leader-election-namespace").map(ToOwned::to_owned);
    Ok(Some(LeaderElection { id: id.to_owned(), namespace: namespace.or_else(|| restricted.cloned()) }))
}

/// A lenient semantic version: a `v` in front and a missing patch are accepted; anything else is `0.0.0-unknown`.
fn version(text: &str) -> semver::Version {
    dynamo_render::version::parse(text).unwrap_or_else(|| {
        let mut unknown = semver::Version::new(0, 0, 0);
        if let Ok(pre) = semver::Prerelease::new("unknown") {
            unknown.pre = pre;
        }
        unknown
    })
}

fn log(parsed: &Parsed) -> Result<LogFlags, Exit> {
    let devel = parsed.boolean("zap-devel").unwrap_or(true);
    let bad = |flag: &str, value: &str, allowed: &str| {
        Err(Exit::Usage(format!("invalid value {value:?} for flag -{flag}: must be {allowed}\n{}", usage())))
    };
    let json = match parsed.text("zap-encoder") {
        None => !devel,
        Some("json") => true,
        Some("console") => false,
        Some(other) => return bad("zap-encoder", other, "json or console"),
    };
    let level = match parsed.text("zap-log-level") {
        None if devel => tracing::Level::DEBUG,
        None | Some("info") => tracing::Level::INFO,
        Some("debug") => tracing::Level::DEBUG,
        Some("error" | "panic") => tracing::Level::ERROR,
        Some(number) if number.parse::<u32>().is_ok_and(|level| level > 0) => tracing::Level::DEBUG,
        Some(other) => return bad("zap-log-level", other, "debug, info, error, panic or a positive number"),
    };
    Ok(LogFlags { json, level })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Flags, Exit> {
        Flags::parse(line.split_whitespace().map(ToOwned::to_owned))
    }

    const MINIMAL: &str =
        "--planner-cluster-role-name=p --mpi-run-ssh-secret-name=s --mpi-run-ssh-secret-namespace=n";

    #[test]
    fn the_arguments_of_the_chart_are_accepted() {
        let flags = parse(&format!(
            "--health-probe-bind-address=:8081 --metrics-bind-address=127.0.0.1:8080 --leader-elect --leader-elect \
             --leader-election-id=dynamo.nvidia.com --leader-election-namespace=kube-system \
             --grove-termination-delay=4h --operator-version=0.9.0 --discovery-backend=kubernetes {MINIMAL}"
        ))
        .unwrap();
        assert_eq!(flags.metrics_address.as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(flags.probe_address.as_deref(), Some("0.0.0.0:8081"));
        assert_eq!(flags.version, semver::Version::new(0, 9, 0));
        assert_eq!(
            flags.leader_election,
            Some(LeaderElection { id: "dynamo.nvidia.com".into(), namespace: Some("kube-system".into()) })
        );
    }

    #[test]
    fn a_missing_required_flag_is_named() {
        for (line, named) in [
            ("", "--planner-cluster-role-name"),
            ("--planner-cluster-role-name=p", "--mpi-run-ssh-secret-name"),
            ("--restrictedNamespace=a --mpi-run-ssh-secret-name=s", "--mpi-run-ssh-secret-namespace"),
            (&format!("{MINIMAL} --discovery-backend=zookeeper"), "zookeeper"),
            (&format!("{MINIMAL} --leader-elect"), "--leader-election-id"),
        ] {
            let Err(Exit::Refused(message)) = parse(line) else { panic!("{line} was accepted") };
            assert!(message.contains(named), "{message}");
        }
    }

    #[test]
    fn syntax_errors_and_help_have_their_own_exits() {
        assert!(matches!(parse("--no-such-flag"), Err(Exit::Usage(m)) if m.contains("no-such-flag")));
        assert!(matches!(parse("--zap-encoder=xml"), Err(Exit::Usage(m)) if m.contains("xml")));
        assert!(matches!(parse("--help"), Err(Exit::Help(_))));
    }

    #[test]
    fn lenient_versions_are_normalised_and_others_are_unknown() {
        for (text, want) in [
            ("v1.2.3", "1.2.3"),
            ("1.2", "1.2.0"),
            ("1", "1.0.0"),
            ("1.0.0-dev", "1.0.0-dev"),
            ("x", "0.0.0-unknown"),
        ] {
            assert_eq!(version(text).to_string(), want);
        }
    }

    #[test]
    fn zero_and_empty_disable_a_listener() {
        let flags =
            parse(&format!("{MINIMAL} --metrics-bind-address=0 --health-probe-bind-address=")).unwrap();
        assert_eq!((flags.metrics_address, flags.probe_address), (None, None));
    }
}
