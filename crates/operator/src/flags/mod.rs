//! The operator's command line (`operator-process.md` section 1): Go's flag syntax, because users' value files and
//! scripts rely on it. The flags are in `table`, their syntax in `syntax`, their checks in `checks`.

mod checks;
mod document;
mod duration;
mod etcd_auth;
mod job;
mod settings;
mod syntax;
mod table;
mod url;

#[cfg(test)]
mod tests;

use std::time::Duration;

use dynamo_render::config::{DiscoveryBackend, IngressDefaults, OperatorConfig};

use checks::refused;
pub use document::reference;
pub use etcd_auth::EtcdAuthFlags;
pub use job::{Job, JobFlags};
pub use settings::credential_flag;
pub use settings::{
    CertificateFlags, CertificateSource, CredentialFlags, LeaderElection, LogFlags, NamespacedName,
    RoleNames, TimeEncoding, WebhookFlags,
};
use syntax::Parsed;
pub use syntax::go_bool;
use table::{GROUPS, Group};

use crate::scope;

/// Everything the command line says.
#[derive(Debug, Clone)]
pub struct Flags {
    /// `None` disables the listener.
    pub metrics_address: Option<String>,
    /// Metrics over HTTPS, at that address.
    pub metrics_secure: bool,
    /// Metrics over HTTPS for callers who may read them; `None` disables the listener.
    pub metrics_secure_address: Option<String>,
    /// Whether that listener asks nobody for a token.
    pub metrics_anonymous: bool,
    /// `None` disables the listener.
    pub probe_address: Option<String>,
    /// Whether TLS listeners offer HTTP/2 beside HTTP/1.1.
    pub http2: bool,
    pub leader_election: Option<LeaderElection>,
    /// The only namespace this operator works in; `None` is cluster-wide.
    pub restricted_namespace: Option<String>,
    /// Times of the claims. Those of the Lease are the defaults unless the namespace is restricted.
    pub scope: scope::Settings,
    /// `None` without `--enable-webhooks`.
    pub webhooks: Option<WebhookFlags>,
    /// Who may change replicas that a scaling adapter holds.
    pub trusted_service_accounts: Vec<NamespacedName>,
    /// Objects of one kind that are reconciled at once, at least 1.
    pub reconcile_concurrency: u16,
    pub kubeconfig: Option<String>,
    pub version: semver::Version,
    /// What was given for the version when that is none: worth a line in the log.
    pub version_refused: Option<String>,
    pub roles: RoleNames,
    pub mpi_ssh_secret: NamespacedName,
    /// Whether the operator makes that Secret.
    pub mpi_ssh_keygen: bool,
    pub credentials: CredentialFlags,
    /// Termination delay of Grove's PodCliqueSets; `None` leaves Grove's own.
    pub grove_termination_delay: Option<Duration>,
    pub log: LogFlags,
    pub render: OperatorConfig,
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

impl Exit {
    /// The exit code of the process.
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::Help(_) => 0,
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
        }
    }
}

impl Flags {
    /// Parses and checks the words after the program's name.
    ///
    /// # Errors
    /// See [`Exit`]; the checks run in the order of `operator-process.md` section 2, those of ours after them.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, Exit> {
        let parsed = parse(GROUPS, words)?;
        // Whatever does not have the form of its flag comes before any check of what it means.
        let log = checks::log(&parsed)?;
        let trusted_service_accounts = checks::trusted_accounts(&parsed)?;
        let ingress = checks::ingress(&parsed)?;

        let restricted_namespace = parsed.filled("restrictedNamespace");
        let roles = RoleNames {
            planner: parsed.filled("planner-cluster-role-name"),
            profiling: parsed.filled("dgdr-profiling-cluster-role-name"),
            endpoint_picker: parsed.filled("epp-cluster-role-name"),
        };
        if restricted_namespace.is_none() && roles.planner.is_none() {
            return Err(Exit::Refused(
                "--planner-cluster-role-name is required by a cluster-wide operator: name the ClusterRole of planners"
                    .to_owned(),
            ));
        }
        let given = parsed.text("operator-version");
        let version = checks::version(given);
        let version_refused = version.is_none().then(|| given.to_owned());
        let render = render(&parsed, ingress)?;
        let required =
            |name: &str| parsed.filled(name).ok_or_else(|| Exit::Refused(format!("--{name} is required")));
        let mpi_ssh_secret = NamespacedName {
            name: required("mpi-run-ssh-secret-name")?,
            namespace: required("mpi-run-ssh-secret-namespace")?,
        };
        Ok(Self {
            leader_election: checks::leader_election(&parsed, restricted_namespace.as_ref())?,
            scope: checks::scope(&parsed, restricted_namespace.is_some())?,
            webhooks: checks::webhooks(&parsed)?,
            reconcile_concurrency: concurrency(&parsed)?,
            metrics_address: checks::address(parsed.text("metrics-bind-address")),
            metrics_secure: parsed.boolean("metrics-secure"),
            metrics_secure_address: checks::address(parsed.text("metrics-secure-bind-address")),
            metrics_anonymous: parsed.boolean("metrics-anonymous"),
            probe_address: checks::address(parsed.text("health-probe-bind-address")),
            http2: parsed.boolean("enable-http2"),
            restricted_namespace,
            trusted_service_accounts,
            kubeconfig: parsed.filled("kubeconfig"),
            version: version.unwrap_or_else(checks::unknown_version),
            version_refused,
            roles,
            mpi_ssh_secret,
            mpi_ssh_keygen: parsed.boolean("mpi-run-ssh-keygen"),
            credentials: checks::credentials(&parsed),
            grove_termination_delay: parsed.duration("grove-termination-delay"),
            log,
            render,
        })
    }
}

fn parse(table: &'static [Group], words: impl IntoIterator<Item = String>) -> Result<Parsed, Exit> {
    syntax::parse(table, words).map_err(|error| match error {
        syntax::Error::Help => Exit::Help(document::usage(table)),
        error => Exit::Usage(format!("{error}\n{}", document::usage(table))),
    })
}

fn render(parsed: &Parsed, ingress: IngressDefaults) -> Result<OperatorConfig, Exit> {
    let discovery_backend = match parsed.text("discovery-backend") {
        "kubernetes" => DiscoveryBackend::Kubernetes,
        "etcd" => DiscoveryBackend::Etcd,
        // The word is how users tell this refusal (`operator-process.md` section 7, keyword contract).
        other => return Err(refused("discovery-backend", other, "invalid: must be kubernetes or etcd")),
    };
    if let Some(problem) = url::problem(parsed.text("model-express-url")) {
        let rule = format!("invalid URL: {problem}");
        return Err(refused("model-express-url", parsed.text("model-express-url"), &rule));
    }
    Ok(OperatorConfig {
        nats_address: parsed.filled("natsAddr"),
        etcd_address: parsed.filled("etcdAddr"),
        model_express_url: parsed.filled("model-express-url"),
        prometheus_endpoint: parsed.filled("prometheus-endpoint"),
        discovery_backend,
        ingress,
        checkpoint: checks::checkpoint(parsed),
        ..OperatorConfig::default()
    })
}

fn concurrency(parsed: &Parsed) -> Result<u16, Exit> {
    let name = "reconcile-concurrency";
    let number = parsed.number(name);
    u16::try_from(number)
        .ok()
        .filter(|number| (1..=1000).contains(number))
        .ok_or_else(|| refused(name, number, "must be from 1 to 1000"))
}
