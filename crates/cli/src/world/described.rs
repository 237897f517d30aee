//! A cluster that is described by a file (`--facts`), for commands that ask none. The default is one in which nothing
//! was found.

use std::{collections::BTreeMap, path::Path};

use dynamo_operator::optional_apis::OptionalApis;
use dynamo_render::credentials::{Credentials, Purpose, SecretKeys};
use serde::Deserialize;

use super::{Installation, Live, World};
use crate::error::Error;

/// The file. Every field may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct Facts {
    /// Flags of the operator, as in the arguments of its Deployment.
    operator_flags: Vec<String>,
    /// API groups that the cluster serves beside its own, such as `inference.networking.k8s.io`.
    api_groups: Vec<String>,
    /// Names of registry Secrets by host.
    pull_secrets: BTreeMap<String, Vec<String>>,
    /// The account for pods that name none.
    pod_account: Option<String>,
    /// Keys of the Secrets with credentials and CAs, by flag, such as `nats-auth-secret`.
    credentials: BTreeMap<String, Vec<String>>,
}

/// The world that `file` and the operator's flags `more` describe.
///
/// # Errors
/// The file cannot be read or is no such file, or a flag is none of the operator.
pub fn world(file: Option<&Path>, more: &[String]) -> Result<World, Error> {
    let facts = file.map(read).transpose()?.unwrap_or_default();
    let flags: Vec<String> = facts.operator_flags.iter().chain(more).cloned().collect();
    let installation = Installation::of_chart(&flags, env!("CARGO_PKG_VERSION"))?;
    let groups: Vec<serde_json::Value> =
        facts.api_groups.iter().map(|name| serde_json::json!({"name": name, "versions": []})).collect();
    let groups = serde_json::from_value(serde_json::json!({"groups": groups}));
    let apis = groups.map(|list| OptionalApis::of(&list)).unwrap_or_default();
    let credentials = credentials(&installation, &facts.credentials)?;
    let live = Live {
        pod_accounts: facts.pod_account.into_iter().collect(),
        pull_secrets: facts.pull_secrets,
        ..Live::default()
    };
    Ok(World { installation, apis, credentials, live })
}

fn read(file: &Path) -> Result<Facts, Error> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::Usage(format!("cannot read {} of --facts: {error}", file.display())))?;
    serde_yaml_ng::from_str(&text)
        .map_err(|error| Error::Usage(format!("{} of --facts cannot be used: {error}", file.display())))
}

/// The Secrets that the flags name, with the keys that the file says they have.
fn credentials(
    installation: &Installation,
    keys: &BTreeMap<String, Vec<String>>,
) -> Result<Credentials, Error> {
    let mut found = Credentials::new();
    for (purpose, name) in &installation.credentials.names {
        let flag = flag_of(*purpose);
        let Some(keys) = keys.get(flag) else {
            let text = format!(
                "the flag --{flag} names the Secret {name}, and what pods get of it depends on its keys: list them in \
                 the file of --facts, as credentials: {{{flag}: [username, password]}}"
            );
            return Err(Error::Usage(text));
        };
        // The content is not known, and what pods show of it is a text that changes with it.
        let digests = keys.iter().map(|key| (key.clone(), "unknown".to_owned())).collect();
        found.insert(*purpose, SecretKeys { name: name.clone(), digests });
    }
    Ok(found)
}

fn flag_of(purpose: Purpose) -> &'static str {
    dynamo_operator::flags::credential_flag(purpose)
}
