//! From parsed values to settings: what a value means and which values are refused (exit code 1, or 2 for a value
//! that does not have the form of its flag). One function per topic.

use std::time::Duration;

use dynamo_render::{
    config::{CheckpointConfig, CheckpointStorage, IngressDefaults, RouteDefaults},
    credentials::Purpose,
};

use super::{
    Exit,
    document::usage,
    settings::{
        CertificateFlags, CertificateSource, CredentialFlags, LeaderElection, LogFlags, NamespacedName,
        TimeEncoding, WebhookFlags, credential_flag,
    },
    syntax::Parsed,
};
use crate::{certs::Configurations, scope};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A refusal that names the flag, the value and the rule.
pub(super) fn refused(name: &str, value: impl std::fmt::Debug, rule: &str) -> Exit {
    Exit::Refused(format!("--{name}: {value:?}: {rule}"))
}

fn malformed(parsed: &Parsed, name: &str, value: &str, rule: &str) -> Exit {
    Exit::Usage(format!("invalid value {value:?} for flag -{name}: {rule}\n{}", usage(parsed.table)))
}

/// Empty and `0` disable a listener; a missing host means every address.
pub(super) fn address(text: &str) -> Option<String> {
    match text {
        "" | "0" => None,
        port if port.starts_with(':') => Some(format!("0.0.0.0{port}")),
        full => Some(full.to_owned()),
    }
}

/// A duration between two limits.
fn between(parsed: &Parsed, name: &str, low: Duration, high: Duration) -> Result<Duration, Exit> {
    let given = parsed.signed(name);
    Duration::try_from(given).ok().filter(|duration| (low..=high).contains(duration)).ok_or_else(|| {
        refused(name, given, &format!("must be from {} s to {} s", low.as_secs(), high.as_secs()))
    })
}

/// A duration where zero means that it is not set.
fn optional(parsed: &Parsed, name: &str) -> Result<Option<Duration>, Exit> {
    Ok(Some(between(parsed, name, Duration::ZERO, DAY)?).filter(|duration| !duration.is_zero()))
}

pub(super) fn leader_election(
    parsed: &Parsed,
    restricted: Option<&String>,
) -> Result<Option<LeaderElection>, Exit> {
    if !parsed.boolean("leader-elect") {
        return Ok(None);
    }
    let id = parsed.filled("leader-election-id").ok_or_else(|| {
        Exit::Refused("--leader-election-id is required with --leader-elect: name the Lease".to_owned())
    })?;
    let namespace = parsed.filled("leader-election-namespace").or_else(|| restricted.cloned());
    Ok(Some(LeaderElection { id, namespace }))
}

/// Only a restricted operator has a Lease whose times are checked.
pub(super) fn scope(parsed: &Parsed, restricted: bool) -> Result<scope::Settings, Exit> {
    let positive = |name: &str| {
        let given = parsed.signed(name);
        Duration::try_from(given).map_err(|_| refused(name, given, "must not be negative"))
    };
    let of_lease = |name: &str| restricted.then(|| positive(name)).transpose();
    scope::Settings::new(
        of_lease("namespace-scope-lease-duration")?,
        of_lease("namespace-scope-lease-renew-interval")?,
        Some(positive("namespace-scope-hand-over")?),
    )
    .map_err(|error| Exit::Refused(error.to_string()))
}

pub(super) fn webhooks(parsed: &Parsed) -> Result<Option<WebhookFlags>, Exit> {
    if !parsed.boolean("enable-webhooks") {
        return Ok(None);
    }
    let address = address(parsed.text("webhook-bind-address")).ok_or_else(|| {
        refused(
            "webhook-bind-address",
            parsed.text("webhook-bind-address"),
            "must be an address: leave --enable-webhooks out to have no listener",
        )
    })?;
    let seconds = Duration::from_secs;
    let service = parsed.filled("webhook-service");
    let registrations = registrations(parsed)?;
    let certificate = match parsed.text("webhook-certificate-mode") {
        "operator" => {
            let required = |name: &str, given: bool| {
                let message = || format!("--{name} is required with --webhook-certificate-mode=operator");
                if given { Ok(()) } else { Err(Exit::Refused(message())) }
            };
            required("webhook-service", service.is_some())?;
            required("webhook-validating-configuration", registrations.is_some())?;
            CertificateSource::Operator(certificate(parsed)?)
        }
        _ => CertificateSource::Files { folder: folder(parsed)? },
    };
    if registrations.is_some() && service.is_none() {
        let message = "--webhook-service is required with --webhook-validating-configuration: its name is what \
                       API servers verify";
        return Err(Exit::Refused(message.to_owned()));
    }
    Ok(Some(WebhookFlags {
        address,
        timeout: between(parsed, "webhook-timeout", seconds(2), seconds(30))?,
        service,
        namespace: parsed.filled("webhook-namespace"),
        registrations,
        certificate,
    }))
}

/// Both or none: a bundle in one of them alone would leave the other unserved.
fn registrations(parsed: &Parsed) -> Result<Option<Configurations>, Exit> {
    let [validating, mutating] = ["webhook-validating-configuration", "webhook-mutating-configuration"];
    let missing =
        |name: &str, other: &str| Exit::Refused(format!("--{name} is required with --{other}: name both"));
    match (parsed.filled(validating), parsed.filled(mutating)) {
        (Some(validating), Some(mutating)) => Ok(Some(Configurations { validating, mutating })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing(mutating, validating)),
        (None, Some(_)) => Err(missing(validating, mutating)),
    }
}

fn folder(parsed: &Parsed) -> Result<String, Exit> {
    let name = "webhook-certificate-dir";
    parsed.filled(name).ok_or_else(|| refused(name, "", "must name the folder of tls.crt and tls.key"))
}

fn certificate(parsed: &Parsed) -> Result<CertificateFlags, Exit> {
    let secret = parsed.filled("webhook-certificate-secret").ok_or_else(|| {
        let message = "--webhook-certificate-secret is required with --webhook-certificate-mode=operator";
        Exit::Refused(message.to_owned())
    })?;
    Ok(CertificateFlags {
        secret,
        days: certificate_days(parsed)?,
        bundle_settle: between(parsed, "webhook-bundle-settle", Duration::ZERO, DAY)?,
    })
}

pub(super) fn certificate_days(parsed: &Parsed) -> Result<u32, Exit> {
    let days = parsed.number("webhook-certificate-validity");
    if !(1..=36_500).contains(&days) {
        return Err(refused("webhook-certificate-validity", days, "must be from 1 to 36500 days"));
    }
    Ok(days)
}

pub(super) fn trusted_accounts(parsed: &Parsed) -> Result<Vec<NamespacedName>, Exit> {
    let name = "trusted-service-account";
    let parse = |text: &String| {
        let parts = text.split_once('/').filter(|(namespace, account)| {
            !namespace.is_empty() && !account.is_empty() && !account.contains(['/', ':'])
        });
        let (namespace, account) = parts.ok_or_else(|| {
            malformed(parsed, name, text, "must be <namespace>/<name> of a service account")
        })?;
        Ok(NamespacedName { namespace: namespace.to_owned(), name: account.to_owned() })
    };
    parsed.list(name).iter().map(parse).collect()
}

pub(super) fn ingress(parsed: &Parsed) -> Result<IngressDefaults, Exit> {
    let name = "ingress-annotations";
    let annotation = |text: &String| {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| malformed(parsed, name, text, "must be <key>=<value>"))?;
        Ok((key.to_owned(), value.to_owned()))
    };
    Ok(IngressDefaults {
        class_name: parsed.filled("ingress-controller-class-name"),
        tls_secret_name: parsed.filled("ingress-controller-tls-secret-name"),
        host_suffix: parsed.filled("ingress-host-suffix"),
        virtual_service_gateway: parsed.filled("istio-virtual-service-gateway"),
        annotations: parsed.list(name).iter().map(annotation).collect::<Result<_, Exit>>()?,
        virtual_service_supports_https: parsed.boolean("virtual-service-supports-https"),
        route: RouteDefaults {
            timeout: optional(parsed, "virtual-service-timeout")?,
            retry_attempts: Some(parsed.number("virtual-service-retry-attempts"))
                .filter(|attempts| *attempts > 0),
            retry_per_try_timeout: optional(parsed, "virtual-service-retry-per-try-timeout")?,
            retry_on: parsed.filled("virtual-service-retry-on"),
        },
    })
}

pub(super) fn credentials(parsed: &Parsed) -> CredentialFlags {
    let all = [Purpose::NatsAuth, Purpose::NatsCa, Purpose::EtcdCa, Purpose::EtcdAuth];
    let named = |purpose| Some((purpose, parsed.filled(credential_flag(purpose))?));
    CredentialFlags {
        names: all.into_iter().filter_map(named).collect(),
        namespace: parsed.filled("credentials-namespace"),
    }
}

/// `None` unless checkpoints are on: only then do their settings reach pods.
pub(super) fn checkpoint(parsed: &Parsed) -> Option<CheckpointConfig> {
    let text = |name: &str| parsed.text(name).to_owned();
    parsed.boolean("checkpoint-enabled").then(|| CheckpointConfig {
        storage: match parsed.text("checkpoint-storage-type") {
            "s3" => CheckpointStorage::S3,
            "oci" => CheckpointStorage::Oci,
            _ => CheckpointStorage::Pvc,
        },
        signal_host_path: text("checkpoint-signal-host-path"),
        pvc_name: text("checkpoint-pvc-name"),
        pvc_base_path: text("checkpoint-pvc-base-path"),
        s3_uri: text("checkpoint-s3-uri"),
        s3_credentials_secret: text("checkpoint-s3-credentials-secret"),
        oci_uri: text("checkpoint-oci-uri"),
        oci_credentials_secret: text("checkpoint-oci-credentials-secret"),
        init_container_image: text("checkpoint-init-container-image"),
        ready_file: text("checkpoint-ready-for-checkpoint-file-path"),
        restore_marker_file: text("checkpoint-restore-marker-file-path"),
    })
}

/// A lenient semantic version: a `v` in front and a missing patch are accepted. `None` is no version at all.
pub(super) fn version(text: &str) -> Option<semver::Version> {
    let bare = text.strip_prefix('v').unwrap_or(text);
    let (core, rest) = bare.split_at(bare.find(['-', '+']).unwrap_or(bare.len()));
    let padded = match core.matches('.').count() {
        0 => format!("{core}.0.0{rest}"),
        1 => format!("{core}.0{rest}"),
        _ => bare.to_owned(),
    };
    semver::Version::parse(&padded).ok()
}

/// What stands for a version that nobody knows.
pub(super) fn unknown_version() -> semver::Version {
    let mut unknown = semver::Version::new(0, 0, 0);
    if let Ok(pre) = semver::Prerelease::new("unknown") {
        unknown.pre = pre;
    }
    unknown
}

pub(super) fn log(parsed: &Parsed) -> Result<LogFlags, Exit> {
    let devel = parsed.boolean("zap-devel");
    let level = parsed.text("zap-log-level").to_lowercase();
    let number = level.parse::<u32>().ok().filter(|number| *number > 0);
    let level = match (level.as_str(), number) {
        ("debug", _) | (_, Some(1)) => tracing::Level::DEBUG,
        (_, Some(_)) => tracing::Level::TRACE,
        ("info", _) => tracing::Level::INFO,
        ("error" | "panic", _) => tracing::Level::ERROR,
        ("", _) if devel => tracing::Level::DEBUG,
        ("", _) => tracing::Level::INFO,
        (other, _) => {
            return Err(malformed(
                parsed,
                "zap-log-level",
                other,
                "must be debug, info, error, panic or a number above 0",
            ));
        }
    };
    Ok(LogFlags {
        json: match parsed.text("zap-encoder") {
            "" => !devel,
            encoder => encoder == "json",
        },
        level,
        time: match parsed.text("zap-time-encoding") {
            "epoch" => TimeEncoding::Epoch,
            "millis" => TimeEncoding::Millis,
            "nano" | "nanos" => TimeEncoding::Nano,
            "iso8601" => TimeEncoding::Iso8601,
            "rfc3339nano" => TimeEncoding::Rfc3339Nano,
            _ => TimeEncoding::Rfc3339,
        },
    })
}
