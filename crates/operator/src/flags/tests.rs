//! The checks of the command line and their exit codes.

use super::*;
use dynamo_render::{config::CheckpointStorage, credentials::Purpose};

use crate::{certs::Configurations, scope::Settings};

fn parse(line: &str) -> Result<Flags, Exit> {
    Flags::parse(line.split_whitespace().map(ToOwned::to_owned))
}

const MINIMAL: &str =
    "--planner-cluster-role-name=p --mpi-run-ssh-secret-name=s --mpi-run-ssh-secret-namespace=n";

fn with(more: &str) -> Flags {
    parse(&format!("{MINIMAL} {more}")).unwrap()
}

fn refusal(line: &str) -> String {
    match parse(line) {
        Err(exit @ Exit::Refused(_)) => {
            assert_eq!(exit.code(), 1);
            exit.to_string()
        }
        other => panic!("{line}: {other:?}"),
    }
}

fn usage_error(line: &str) -> String {
    match parse(line) {
        Err(exit @ Exit::Usage(_)) => {
            assert_eq!(exit.code(), 2);
            exit.to_string()
        }
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn the_arguments_of_the_chart_are_accepted() {
    let flags = with(
        "--health-probe-bind-address=:8081 --metrics-bind-address=127.0.0.1:8080 --leader-elect --leader-elect \
         --leader-election-id=dynamo.nvidia.com --leader-election-id=dynamo.nvidia.com \
         --leader-election-namespace=kube-system --grove-termination-delay=4h --operator-version=0.9.0 \
         --discovery-backend=kubernetes --enable-webhooks=true",
    );
    assert_eq!(flags.metrics_address.as_deref(), Some("127.0.0.1:8080"));
    assert_eq!(flags.probe_address.as_deref(), Some("0.0.0.0:8081"));
    assert_eq!(flags.version, semver::Version::new(0, 9, 0));
    assert_eq!(flags.grove_termination_delay, Some(Duration::from_secs(4 * 3600)));
    assert_eq!(
        flags.leader_election,
        Some(LeaderElection { id: "dynamo.nvidia.com".into(), namespace: Some("kube-system".into()) })
    );
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let flags = with("");
    assert_eq!(flags.metrics_address.as_deref(), Some("0.0.0.0:8080"));
    assert_eq!(flags.probe_address.as_deref(), Some("0.0.0.0:8081"));
    assert_eq!((flags.metrics_secure, flags.http2), (false, false));
    assert_eq!((flags.metrics_secure_address, flags.metrics_anonymous), (None, false));
    assert!(!flags.mpi_ssh_keygen);
    assert_eq!(flags.leader_election, None);
    assert_eq!(flags.scope, Settings::default());
    assert_eq!(flags.webhooks, None);
    assert_eq!(flags.render.checkpoint, None);
    assert_eq!(flags.reconcile_concurrency, 8);
    assert_eq!(flags.grove_termination_delay, Some(Duration::from_secs(15 * 60)));
    assert_eq!(flags.version.to_string(), "0.0.0-unknown");
    assert_eq!(flags.render.discovery_backend, DiscoveryBackend::Kubernetes);
    assert_eq!(
        flags.log,
        LogFlags { json: false, level: tracing::Level::DEBUG, time: TimeEncoding::Rfc3339 }
    );
    assert_eq!(flags.render.ingress, IngressDefaults::default());
    assert_eq!(flags.credentials, CredentialFlags::default());
}

#[test]
fn checks_run_in_the_order_of_the_contract_and_name_the_flag() {
    // Each line repairs what the line before was refused for; everything else is still wrong.
    let mut line = "--discovery-backend=zookeeper --model-express-url=:1 --leader-elect".to_owned();
    for (repair, named) in [
        ("", "--planner-cluster-role-name is required"),
        ("--planner-cluster-role-name=p", "--discovery-backend: \"zookeeper\": invalid"),
        ("--discovery-backend=etcd", "--model-express-url: \":1\": invalid"),
        ("--model-express-url=a", "--mpi-run-ssh-secret-name is required"),
        ("--mpi-run-ssh-secret-name=s", "--mpi-run-ssh-secret-namespace is required"),
        ("--mpi-run-ssh-secret-namespace=n", "--leader-election-id is required"),
    ] {
        line = format!("{line} {repair}");
        assert!(refusal(&line).contains(named), "{line}: {}", refusal(&line));
    }
    assert!(parse(&format!("{line} --leader-election-id=a")).is_ok());
}

#[test]
fn a_restricted_operator_needs_no_planner_role_and_has_a_lease() {
    let restricted = "--restrictedNamespace=a --mpi-run-ssh-secret-name=s --mpi-run-ssh-secret-namespace=n";
    let flags = parse(&format!("{restricted} --leader-elect --leader-election-id=x")).unwrap();
    let seconds = Duration::from_secs;
    assert_eq!(flags.scope, Settings::default());
    let given = "--namespace-scope-lease-duration=9s --namespace-scope-lease-renew-interval=2s \
                 --namespace-scope-hand-over=4s";
    let flags_given = parse(&format!("{restricted} {given}")).unwrap();
    let settings = Settings::new(Some(seconds(9)), Some(seconds(2)), Some(seconds(4)));
    assert_eq!(Ok(flags_given.scope), settings);
    assert_eq!(flags.leader_election.unwrap().namespace.as_deref(), Some("a"));
    assert!(
        refusal(&format!("{MINIMAL} --namespace-scope-hand-over=0"))
            .contains("--namespace-scope-hand-over: 0ns: must be")
    );
    for (wrong, named) in [
        ("--namespace-scope-lease-duration=0", "--namespace-scope-lease-duration: 0ns: must be 1s or longer"),
        ("--namespace-scope-lease-duration=-30s", "30s ago: must not be negative"),
        ("--namespace-scope-lease-duration=900ms", "900ms: must be 1s or longer"),
        ("--namespace-scope-lease-renew-interval=0s", "--namespace-scope-lease-renew-interval"),
        (
            "--namespace-scope-lease-renew-interval=30s",
            "30s: must be shorter than --namespace-scope-lease-duration (30s)",
        ),
        (
            "--namespace-scope-lease-duration=10s",
            "10s: must be shorter than --namespace-scope-lease-duration (10s)",
        ),
    ] {
        let message = refusal(&format!("{restricted} {wrong}"));
        assert!(message.contains(named), "{wrong}: {message}");
        assert!(parse(&format!("{MINIMAL} {wrong}")).is_ok(), "cluster-wide does not check {wrong}");
    }
}

#[test]
fn syntax_errors_and_help_have_their_own_exits() {
    assert!(usage_error("--no-such-flag").contains("flag provided but not defined: -no-such-flag"));
    assert!(usage_error("--no-such-flag").contains("Usage of manager:"));
    for wrong in [
        "--zap-encoder=xml",
        "--zap-log-level=loud",
        "--zap-log-level=0",
        "--zap-time-encoding=sundial",
        "--zap-stacktrace-level=debug",
        "--grove-termination-delay=4 hours",
        "--trusted-service-account=planner",
        "--trusted-service-account=a/b/c",
        "--ingress-annotations==v",
        "--webhook-certificate-mode=magic",
    ] {
        let message = usage_error(&format!("{wrong} {MINIMAL}"));
        assert!(message.starts_with("invalid value"), "{wrong}: {message}");
    }
    assert!(matches!(parse("--help"), Err(exit @ Exit::Help(_)) if exit.code() == 0));
    assert!(matches!(parse("--zap-devel --natsAddr=x -h --bad"), Err(Exit::Help(_))));
}

#[test]
fn lenient_versions_are_normalised_and_others_are_unknown() {
    for (text, want) in [
        ("v1.2.3", "1.2.3"),
        ("1.2", "1.2.0"),
        ("v1.2", "1.2.0"),
        ("1", "1.0.0"),
        ("1.0.0-dev", "1.0.0-dev"),
        ("1.0-dev+b.1", "1.0.0-dev+b.1"),
    ] {
        let flags = with(&format!("--operator-version={text}"));
        assert_eq!((flags.version.to_string().as_str(), flags.version_refused), (want, None));
    }
    for text in ["x", "1.2.3.4", "1..2"] {
        let flags = with(&format!("--operator-version={text}"));
        assert_eq!(flags.version.to_string(), "0.0.0-unknown");
        assert_eq!(flags.version_refused.as_deref(), Some(text));
    }
}

#[test]
fn zero_and_empty_disable_a_listener() {
    let flags = with("--metrics-bind-address=0 --health-probe-bind-address=");
    assert_eq!((flags.metrics_address, flags.probe_address), (None, None));
}

#[test]
fn webhooks_read_files_unless_the_operator_makes_the_certificate() {
    let webhooks = with("--enable-webhooks").webhooks.unwrap();
    assert_eq!(webhooks.address, "0.0.0.0:9443");
    assert_eq!((webhooks.timeout, webhooks.deadline()), (Duration::from_secs(10), Duration::from_secs(9)));
    let folder = "/tmp/k8s-webhook-server/serving-certs".to_owned();
    assert_eq!(webhooks.certificate, CertificateSource::Files { folder });

    let webhooks = with(
        "--enable-webhooks --webhook-certificate-mode=operator --webhook-service=svc --webhook-namespace=ns \
         --webhook-validating-configuration=v --webhook-mutating-configuration=m \
         --webhook-certificate-validity=10 --webhook-bundle-settle=0s",
    )
    .webhooks
    .unwrap();
    assert_eq!((webhooks.service.as_deref(), webhooks.namespace.as_deref()), (Some("svc"), Some("ns")));
    let registrations = Configurations { validating: "v".into(), mutating: "m".into() };
    assert_eq!(webhooks.registrations, Some(registrations));
    assert_eq!(
        webhooks.certificate,
        CertificateSource::Operator(CertificateFlags {
            secret: "webhook-server-cert".into(),
            days: 10,
            bundle_settle: Duration::ZERO,
        })
    );
}

#[test]
fn webhook_settings_that_cannot_work_are_refused_when_webhooks_are_on() {
    let both = "--webhook-validating-configuration=v --webhook-mutating-configuration=m";
    let operator = format!("--webhook-certificate-mode=operator --webhook-service=s {both}");
    for (wrong, named) in [
        ("--webhook-bind-address=0", "--webhook-bind-address"),
        ("--webhook-timeout=1s", "from 2 s to 30 s"),
        ("--webhook-timeout=31s", "from 2 s to 30 s"),
        ("--webhook-certificate-dir=", "--webhook-certificate-dir"),
        ("--webhook-certificate-mode=operator", "--webhook-service is required"),
        (both, "--webhook-service is required with --webhook-validating-configuration"),
        ("--webhook-validating-configuration=v", "--webhook-mutating-configuration is required"),
        ("--webhook-mutating-configuration=m", "--webhook-validating-configuration is required"),
        (
            "--webhook-certificate-mode=operator --webhook-service=s",
            "--webhook-validating-configuration is required with --webhook-certificate-mode=operator",
        ),
        (&format!("{operator} --webhook-certificate-secret="), "--webhook-certificate-secret is required"),
        (&format!("{operator} --webhook-certificate-validity=0"), "--webhook-certificate-validity"),
        (&format!("{operator} --webhook-bundle-settle=-1s"), "--webhook-bundle-settle"),
    ] {
        let message = refusal(&format!("{MINIMAL} --enable-webhooks {wrong}"));
        assert!(message.contains(named), "{wrong}: {message}");
        assert!(parse(&format!("{MINIMAL} {wrong}")).is_ok(), "{wrong}");
    }
}

#[test]
fn the_defaults_of_the_log_depend_on_zap_devel_and_single_flags_override_them() {
    use tracing::Level;
    for (line, json, level) in [
        ("--zap-devel", false, Level::DEBUG),
        ("--zap-devel=false", true, Level::INFO),
        ("--zap-devel=false --zap-encoder=console", false, Level::INFO),
        ("--zap-encoder=json", true, Level::DEBUG),
        ("--zap-log-level=info", false, Level::INFO),
        ("--zap-log-level=ERROR", false, Level::ERROR),
        ("--zap-log-level=panic", false, Level::ERROR),
        ("--zap-log-level=1", false, Level::DEBUG),
        ("--zap-log-level=5", false, Level::TRACE),
    ] {
        let log = with(line).log;
        assert_eq!((log.json, log.level), (json, level), "{line}");
    }
    assert_eq!(with("--zap-time-encoding=nano").log.time, TimeEncoding::Nano);
    assert_eq!(with("--zap-stacktrace-level=panic").log, with("").log);
}

#[test]
fn settings_for_later_are_kept_as_given() {
    let flags = with(
        "--checkpoint-enabled --checkpoint-storage-type=tape --checkpoint-pvc-name= --grove-termination-delay=0 \
         --ingress-annotations a/b=c=d --ingress-annotations=e= --virtual-service-timeout=1m \
         --virtual-service-retry-attempts=2 --virtual-service-retry-per-try-timeout=500ms \
         --virtual-service-retry-on=5xx  \
         --virtual-service-supports-https=true --trusted-service-account ns/planner \
         --dgdr-profiling-cluster-role-name=d --epp-cluster-role-name=e --reconcile-concurrency=3",
    );
    let checkpoint = flags.render.checkpoint.clone().unwrap();
    assert_eq!((checkpoint.storage, checkpoint.pvc_name.as_str()), (CheckpointStorage::Pvc, ""));
    assert_eq!(checkpoint.signal_host_path, "/var/lib/chrek/signals");
    assert_eq!(flags.grove_termination_delay, None);
    let annotations: Vec<_> = flags.render.ingress.annotations.clone().into_iter().collect();
    assert_eq!(annotations, [("a/b".to_owned(), "c=d".to_owned()), ("e".to_owned(), String::new())]);
    assert_eq!(flags.render.ingress.route.timeout, Some(Duration::from_secs(60)));
    assert_eq!(flags.render.ingress.route.retry_attempts, Some(2));
    assert_eq!(flags.render.ingress.route.retry_per_try_timeout, Some(Duration::from_millis(500)));
    assert_eq!(flags.render.ingress.route.retry_on.as_deref(), Some("5xx"));
    assert!(flags.render.ingress.virtual_service_supports_https);
    assert_eq!(
        flags.trusted_service_accounts,
        [NamespacedName { namespace: "ns".into(), name: "planner".into() }]
    );
    assert_eq!(flags.roles.endpoint_picker.as_deref(), Some("e"));
    assert_eq!(flags.mpi_ssh_secret, NamespacedName { namespace: "n".into(), name: "s".into() });
    assert_eq!(flags.reconcile_concurrency, 3);
    assert!(refusal(&format!("{MINIMAL} --reconcile-concurrency=0")).contains("from 1 to 1000"));
    assert!(
        refusal(&format!("{MINIMAL} --virtual-service-timeout=-1s")).contains("--virtual-service-timeout")
    );
}

#[test]
fn secrets_for_nats_and_etcd_are_kept_by_what_they_are_for() {
    let flags = with(
        "--nats-auth-secret=n --etcd-auth-secret=e --nats-tls-ca-secret= --etcd-tls-ca-secret=c \
         --credentials-namespace=home",
    );
    let names: Vec<_> =
        flags.credentials.names.iter().map(|(purpose, name)| (*purpose, name.as_str())).collect();
    assert_eq!(names, [(Purpose::NatsAuth, "n"), (Purpose::EtcdCa, "c"), (Purpose::EtcdAuth, "e")]);
    assert_eq!(flags.credentials.namespace.as_deref(), Some("home"));
    for purpose in [Purpose::NatsAuth, Purpose::NatsCa, Purpose::EtcdCa, Purpose::EtcdAuth] {
        let flag = super::credential_flag(purpose);
        assert!(table::GROUPS.iter().flat_map(|group| group.flags).any(|it| it.name == flag), "{flag}");
    }
}

#[test]
fn addresses_are_kept_as_given_with_whatever_scheme() {
    let flags = with("--natsAddr=tls://nats.example:4222 --etcdAddr=https://etcd.example:2379");
    assert_eq!(flags.render.nats_address.as_deref(), Some("tls://nats.example:4222"));
    assert_eq!(flags.render.etcd_address.as_deref(), Some("https://etcd.example:2379"));
}

proptest::proptest! {
    #[test]
    fn no_command_line_crashes_the_process(
        words in proptest::collection::vec((0..200_usize, ".{0,12}|[0-9.]{1,22}[a-zµ]{0,2}|[a-z0-9.:/%@\\[\\]]{0,16}"), 0..12)
    ) {
        let names: Vec<&str> = table::GROUPS.iter().flat_map(|group| group.flags).map(|flag| flag.name).collect();
        let line = words.iter().map(|(at, value)| match names.get(*at) {
            Some(name) => format!("--{name}={value}"),
            None => value.clone(),
        });
        let outcome = Flags::parse(MINIMAL.split(' ').map(ToOwned::to_owned).chain(line));
        if let Err(exit) = outcome {
            proptest::prop_assert!(!exit.to_string().is_empty());
        }
    }
}

#[test]
fn a_second_listener_of_metrics_is_off_without_an_address() {
    for off in ["", "=", "=0"] {
        let line = if off.is_empty() { String::new() } else { format!("--metrics-secure-bind-address{off}") };
        assert_eq!(with(&line).metrics_secure_address, None, "{line}");
    }
    let flags = with("--metrics-secure-bind-address=:8443 --metrics-anonymous --mpi-run-ssh-keygen");
    assert_eq!(flags.metrics_secure_address.as_deref(), Some("0.0.0.0:8443"));
    assert_eq!(flags.metrics_address.as_deref(), Some("0.0.0.0:8080"));
    assert!(flags.metrics_anonymous && flags.mpi_ssh_keygen && !flags.metrics_secure);
}
