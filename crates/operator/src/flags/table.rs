//! Every flag in one table: name, kind, default, help text, effect. Parsing, `--help` and the reference page read it.
//! What a value means and which values are refused is in the parent module.

use super::syntax::Kind;

/// One flag that exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// As it would be written on the command line.
    pub(super) default: &'static str,
    pub(super) help: &'static str,
    /// False: parsed and checked for the installs that pass it, and not acted on in this version.
    pub(super) effective: bool,
}

impl Flag {
    const fn new(name: &'static str, kind: Kind, default: &'static str, help: &'static str) -> Self {
        Self { name, kind, default, help, effective: true }
    }

    const fn text(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Text, default, help)
    }

    const fn boolean(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Boolean, default, help)
    }

    const fn duration(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Duration, default, help)
    }

    const fn number(name: &'static str, default: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::Number, default, help)
    }

    const fn list(name: &'static str, help: &'static str) -> Self {
        Self::new(name, Kind::List, "", help)
    }

    const fn without_effect(mut self) -> Self {
        self.effective = false;
        self
    }
}

/// Flags about one thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) title: &'static str,
    pub(super) flags: &'static [Flag],
}

pub(super) const GROUPS: &[Group] = &[
    Group { title: "Process", flags: PROCESS },
    Group { title: "Namespace scope", flags: SCOPE },
    Group { title: "Admission webhooks", flags: WEBHOOKS },
    Group { title: "What pods are given", flags: PODS },
    Group { title: "Ingress", flags: INGRESS },
    Group { title: "Roles, accounts and secrets", flags: SECURITY },
    Group { title: "Orchestrators", flags: ORCHESTRATORS },
    Group { title: "Checkpoints", flags: CHECKPOINTS },
    Group { title: "Log", flags: LOG },
];

/// The flags of `etcd-auth`, which has no use for the operator's.
pub(super) const ETCD_AUTH: &[Group] = &[
    Group {
        title: "etcd",
        flags: &[
            Flag::list("endpoints", "addresses of one cluster, separated by commas; required"),
            Flag::text("ca-file", "", "PEM file with the authority of its certificates; empty: the system's"),
            Flag::text("cert-file", "", "PEM file with the certificate to show; empty: none"),
            Flag::text("key-file", "", "PEM file with the key of that certificate"),
            Flag::boolean(
                "insecure-skip-tls-verify",
                "false",
                "take any certificate, for members that sign their own; the password goes to whoever answers",
            ),
            Flag::text("user", "root", "the user who is made, or who logs in"),
        ],
    },
    Group { title: "Log", flags: LOG },
];

const PROCESS: &[Flag] = &[
    Flag::text("kubeconfig", "", "cluster to use; without it KUBECONFIG, the pod's account, ~/.kube/config"),
    Flag::text(
        "operator-version",
        "unknown",
        "version of this install; what is no semver becomes 0.0.0-unknown",
    ),
    Flag::text("metrics-bind-address", ":8080", "address of /metrics; 0 or empty: none"),
    Flag::boolean("metrics-secure", "false", "serve /metrics over HTTPS with a self-signed certificate"),
    Flag::text(
        "metrics-secure-bind-address",
        "",
        "one more address of /metrics, over HTTPS with a self-signed certificate, for callers whose token may get /metrics; 0 or empty: none",
    ),
    Flag::boolean("metrics-anonymous", "false", "let everybody read that one, without a token"),
    Flag::text("health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 or empty: none"),
    Flag::boolean("enable-http2", "false", "offer HTTP/2 on the webhook and secure metrics listeners"),
    Flag::boolean("leader-elect", "false", "of several replicas let only the holder of a Lease reconcile"),
    Flag::text("leader-election-id", "", "name of that Lease; required with --leader-elect"),
    Flag::text(
        "leader-election-namespace",
        "",
        "namespace of that Lease; empty: the restricted namespace, else that of the own pod",
    ),
    Flag::number("reconcile-concurrency", "8", "objects of one kind that are reconciled at once, 1 to 1000"),
];

const SCOPE: &[Flag] = &[
    Flag::text("restrictedNamespace", "", "the only namespace to work in; empty: all"),
    Flag::duration(
        "namespace-scope-lease-duration",
        "30s",
        "how long the marker Lease of a restricted operator holds, 1s to 2147483647s, counted in whole seconds",
    ),
    Flag::duration(
        "namespace-scope-lease-renew-interval",
        "10s",
        "how often it is renewed, at least 1s and below its duration; above 5/12 of the duration, that is used instead",
    ),
    Flag::duration(
        "namespace-scope-hand-over",
        "10s",
        "how long an operator waits before it takes over a namespace, the same for all operators of a cluster, 1s to 1h",
    ),
];

const WEBHOOKS: &[Flag] = &[
    Flag::boolean("enable-webhooks", "false", "serve admission webhooks"),
    Flag::text("webhook-bind-address", ":9443", "address of the admission listener"),
    Flag::duration(
        "webhook-timeout",
        "10s",
        "timeoutSeconds of the registrations, 2s to 30s; a review is answered one second earlier",
    ),
    Flag::new(
        "webhook-certificate-mode",
        Kind::Word(&["operator", "files"]),
        "files",
        "operator: made, published and renewed by this process; files: read from the folder",
    ),
    Flag::text(
        "webhook-certificate-dir",
        "/tmp/k8s-webhook-server/serving-certs",
        "folder of tls.crt and tls.key in the mode files",
    ),
    Flag::text(
        "webhook-certificate-secret",
        "webhook-server-cert",
        "Secret of the certificate in the mode operator",
    ),
    Flag::text(
        "webhook-service",
        "",
        "Service of the webhooks; required in the mode operator and with configurations",
    ),
    Flag::text("webhook-namespace", "", "namespace of that Service and Secret; empty: that of the own pod"),
    Flag::text(
        "webhook-validating-configuration",
        "",
        "ValidatingWebhookConfiguration whose bundle must accept the certificate; the mode operator writes it",
    ),
    Flag::text(
        "webhook-mutating-configuration",
        "",
        "MutatingWebhookConfiguration, given together with the validating one",
    ),
    Flag::number("webhook-certificate-validity", "365", "days a certificate made here is valid, 1 to 36500"),
    Flag::duration(
        "webhook-bundle-settle",
        "30s",
        "how long a new CA is published before a certificate of it is served",
    ),
    Flag::list(
        "trusted-service-account",
        "<namespace>/<name> that may change replicas a scaling adapter holds",
    ),
];

const PODS: &[Flag] = &[
    Flag::text("natsAddr", "", "NATS_SERVER of the pods"),
    Flag::text("etcdAddr", "", "ETCD_ENDPOINTS of the pods"),
    Flag::text("model-express-url", "", "MODEL_EXPRESS_URL of the pods"),
    Flag::text("prometheus-endpoint", "", "PROMETHEUS_ENDPOINT of the pods"),
    Flag::text("discovery-backend", "kubernetes", "kubernetes or etcd, where a graph does not say"),
    Flag::text("nats-auth-secret", "", "Secret with the credentials for NATS, which become NATS_AUTH_*"),
    Flag::text("etcd-auth-secret", "", "Secret with the credentials for etcd, which become ETCD_AUTH_*"),
    Flag::text(
        "nats-tls-ca-secret",
        "",
        "Secret whose ca.crt has the CA of NATS and the public roots; it becomes SSL_CERT_FILE",
    ),
    Flag::text("etcd-tls-ca-secret", "", "Secret whose ca.crt has the CA of etcd; it becomes ETCD_AUTH_CA"),
    Flag::text(
        "credentials-namespace",
        "",
        "namespace of these four Secrets, which are copied to where pods are; empty: that of the own pod",
    ),
];

const INGRESS: &[Flag] = &[
    Flag::text(
        "ingress-controller-class-name",
        "",
        "class of the default Ingress of frontends; empty: none is made",
    ),
    Flag::text("ingress-controller-tls-secret-name", "", "TLS Secret of the default Ingress"),
    Flag::text("ingress-host-suffix", "", "suffix of its host names; empty: local"),
    Flag::list("ingress-annotations", "<key>=<value>, an annotation of every Ingress; the graph's win"),
    Flag::text(
        "istio-virtual-service-gateway",
        "",
        "gateway of the default VirtualService of frontends, which takes the place of the Ingress",
    ),
    Flag::boolean(
        "virtual-service-supports-https",
        "false",
        "the gateways serve HTTPS: what comes in by port 80 is redirected to it",
    ),
    Flag::duration("virtual-service-timeout", "0", "time-out of the route of a VirtualService; 0: none"),
    Flag::number("virtual-service-retry-attempts", "0", "retries of that route; 0: those of the mesh"),
    Flag::duration(
        "virtual-service-retry-per-try-timeout",
        "0",
        "time-out of one try, with retry attempts; 0: none",
    ),
    Flag::text(
        "virtual-service-retry-on",
        "",
        "when that route retries, as Istio writes it, with retry attempts",
    ),
];

const SECURITY: &[Flag] = &[
    Flag::text("planner-cluster-role-name", "", "ClusterRole of planners; required unless restricted"),
    Flag::text("dgdr-profiling-cluster-role-name", "", "ClusterRole of profiling jobs").without_effect(),
    Flag::text("epp-cluster-role-name", "", "ClusterRole of endpoint pickers"),
    Flag::text("mpi-run-ssh-secret-name", "", "Secret with the SSH key of MPI launchers; required"),
    Flag::text("mpi-run-ssh-secret-namespace", "", "namespace of that Secret; required"),
    Flag::boolean("mpi-run-ssh-keygen", "false", "make that Secret with a new key where it is missing"),
];

const ORCHESTRATORS: &[Flag] = &[Flag::duration(
    "grove-termination-delay",
    "15m",
    "termination delay of Grove's PodCliqueSets; 0 or less: Grove's own",
)
.without_effect()];

const CHECKPOINTS: &[Flag] = &[
    Flag::boolean("checkpoint-enabled", "false", "make checkpoints, and pods that start from them"),
    Flag::text("checkpoint-storage-type", "pvc", "pvc, s3 or oci; anything else counts as pvc"),
    Flag::text(
        "checkpoint-signal-host-path",
        "/var/lib/chrek/signals",
        "folder of the node where the end of a checkpoint is told",
    ),
    Flag::text("checkpoint-pvc-name", "chrek-pvc", "claim of the storage type pvc"),
    Flag::text("checkpoint-pvc-base-path", "/checkpoints", "folder in that claim"),
    Flag::text("checkpoint-s3-uri", "", "s3://[endpoint/]bucket/prefix"),
    Flag::text("checkpoint-s3-credentials-secret", "", "Secret of the S3 credentials").without_effect(),
    Flag::text("checkpoint-oci-uri", "", "oci://registry/repository"),
    Flag::text("checkpoint-oci-credentials-secret", "", "Secret of the registry credentials")
        .without_effect(),
    Flag::text("checkpoint-init-container-image", "busybox:latest", "image that prepares the folders"),
    Flag::text(
        "checkpoint-ready-for-checkpoint-file-path",
        "/tmp/ready-for-checkpoint",
        "file by which a worker asks for a checkpoint",
    ),
    Flag::text(
        "checkpoint-restore-marker-file-path",
        "/tmp/dynamo-restored",
        "file that tells a worker that it was restored",
    ),
];

const LOG: &[Flag] = &[
    Flag::boolean("zap-devel", "true", "defaults for people: console, debug; false: json, info"),
    Flag::new("zap-encoder", Kind::Word(&["json", "console"]), "", "form of a line"),
    Flag::text("zap-log-level", "", "debug, info, error, panic or a number above 0, more is noisier"),
    Flag::new(
        "zap-time-encoding",
        Kind::Word(&["epoch", "millis", "nano", "nanos", "iso8601", "rfc3339", "rfc3339nano"]),
        "rfc3339",
        "form of the time",
    ),
    Flag::new(
        "zap-stacktrace-level",
        Kind::Word(&["info", "error", "panic"]),
        "",
        "accepted; this program logs causes, and no stack traces",
    )
    .without_effect(),
];
