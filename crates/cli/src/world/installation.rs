//! What an installation of the operator says about rendering: the flags of its program, read by the operator's own code.
//! Where the flags come from is decided elsewhere.

use dynamo_operator::flags::{CredentialFlags, Exit, Flags, RoleNames, go_bool};
use dynamo_render::OperatorConfig;

use crate::error::Error;

/// Flags that the chart always passes: where no operator is asked, they are those of a release `dynamo-platform` in the
/// namespace `dynamo-system`.
const OF_CHART: [&str; 8] = [
    "--natsAddr=nats://dynamo-platform-nats.dynamo-system.svc.cluster.local:4222",
    "--mpi-run-ssh-secret-name=mpi-run-ssh-secret",
    "--mpi-run-ssh-secret-namespace=dynamo-system",
    "--planner-cluster-role-name=dynamo-platform-dynamo-operator-planner",
    "--epp-cluster-role-name=dynamo-platform-dynamo-operator-epp",
    "--dgdr-profiling-cluster-role-name=dynamo-platform-dynamo-operator-dgdr-profiling",
    "--credentials-namespace=dynamo-system",
    "--discovery-backend=kubernetes",
];

/// One installation.
#[derive(Debug, Clone)]
pub struct Installation {
    pub config: OperatorConfig,
    pub roles: RoleNames,
    /// The only namespace that the operator works in; `None` is all.
    pub restricted_to: Option<String>,
    /// The version that its admission puts on new graphs; `None` while its admission is off.
    pub stamp: Option<String>,
    pub credentials: CredentialFlags,
}

impl Default for Installation {
    fn default() -> Self {
        Self {
            config: OperatorConfig::default(),
            roles: RoleNames { planner: None, profiling: None, endpoint_picker: None },
            restricted_to: None,
            stamp: None,
            credentials: CredentialFlags::default(),
        }
    }
}

impl Installation {
    /// One with the chart's defaults and `more` flags after them, of which the last of each counts. `version` is that of
    /// the operator.
    ///
    /// # Errors
    /// A flag that the operator does not have, or a value that it refuses.
    pub fn of_chart(more: &[String], version: &str) -> Result<Self, Error> {
        let version = format!("--operator-version={version}");
        // As the chart leaves it: admission is on.
        let mut installation =
            Self::parse(OF_CHART.map(ToOwned::to_owned).into_iter().chain([version]).chain(more.to_vec()))?;
        if switch(more, "enable-webhooks") != Some(false) {
            installation.1.get_or_insert(installation.2);
        }
        installation.0.stamp = installation.1;
        Ok(installation.0)
    }

    /// One with exactly these flags.
    ///
    /// # Errors
    /// As of [`Installation::of_chart`].
    pub fn of_flags(flags: impl IntoIterator<Item = String>) -> Result<Self, Error> {
        let (mut installation, stamp, _) = Self::parse(flags)?;
        installation.stamp = stamp;
        Ok(installation)
    }

    /// The installation, the version that it stamps, and its version.
    fn parse(flags: impl IntoIterator<Item = String>) -> Result<(Self, Option<String>, String), Error> {
        // The certificate of the admission listener is no business of rendering, and may be missing here.
        let flags: Vec<String> = flags.into_iter().collect();
        let stamps = switch(&flags, "enable-webhooks") == Some(true);
        let without: Vec<String> =
            flags.into_iter().filter(|flag| name_of(flag) != "enable-webhooks").collect();
        let flags = Flags::parse(without).map_err(|exit| {
            let text = match exit {
                Exit::Help(text) | Exit::Usage(text) | Exit::Refused(text) => text,
            };
            let first = text.lines().next().unwrap_or_default();
            Error::Usage(format!("flags of the operator: {first}; docs/reference/flags.md has them all"))
        })?;
        let version = flags.version.to_string();
        let installation = Self {
            config: flags.render,
            roles: flags.roles,
            restricted_to: flags.restricted_namespace,
            stamp: None,
            credentials: flags.credentials,
        };
        Ok((installation, stamps.then(|| version.clone()), version))
    }
}

fn name_of(flag: &str) -> &str {
    let bare = flag.trim_start_matches('-');
    bare.split('=').next().unwrap_or(bare)
}

/// What the last word about a switch says; `None` when there is none, or one that the operator refuses.
fn switch(flags: &[String], name: &str) -> Option<bool> {
    let last = flags.iter().rev().find(|flag| name_of(flag) == name)?;
    last.split_once('=').map_or(Some(true), |(_, value)| go_bool(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_charts_defaults_stand_until_a_flag_says_otherwise() {
        let chart = Installation::of_chart(&[], "0.9.0").unwrap();
        assert!(chart.config.nats_address.as_deref().unwrap_or_default().contains("dynamo-platform-nats"));
        assert_eq!(chart.stamp.as_deref(), Some("0.9.0"));
        let own = ["--natsAddr=nats://mine:4222", "--enable-webhooks=F"].map(ToOwned::to_owned);
        let own = Installation::of_chart(&own, "0.9.0").unwrap();
        assert_eq!((own.config.nats_address.as_deref(), own.stamp), (Some("nats://mine:4222"), None));
    }

    #[test]
    fn a_flag_that_the_operator_lacks_is_named() {
        let error = Installation::of_chart(&["--natsAdr=x".to_owned()], "0.9.0").unwrap_err().to_string();
        assert!(error.contains("not defined: -natsAdr"), "{error}");
    }
}
