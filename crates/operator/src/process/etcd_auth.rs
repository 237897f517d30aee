//! The command `etcd-auth`: flags and environment in, an exit code out.

use std::time::Duration;

use tracing::info;

use super::Error;
use crate::{
    etcd_auth::{Outcome, Settings, turn_on},
    flags::EtcdAuthFlags,
};

const PASSWORD: &str = "ETCD_AUTH_PASSWORD";
const OLD_PASSWORD: &str = "ETCD_AUTH_OLD_PASSWORD";
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(3);

/// Turns on the authentication of an etcd cluster.
///
/// # Errors
/// No password in the environment, or what `etcd_auth` ends with.
pub async fn run(flags: EtcdAuthFlags) -> Result<(), Error> {
    let EtcdAuthFlags { endpoints, authority, identity, insecure, user, log: _ } = flags;
    let password = filled(PASSWORD).ok_or(Error::NoPassword)?;
    let old_password = filled(OLD_PASSWORD);
    let settings = Settings {
        endpoints,
        authority,
        identity,
        insecure,
        user,
        password,
        old_password,
        patience: PATIENCE,
        pause: PAUSE,
    };
    info!(endpoints = settings.endpoints.join(","), user = settings.user, "authentication of etcd");
    let outcome = match turn_on(&settings).await? {
        Outcome::AlreadyOn => "it was on, with this password",
        Outcome::OnUnchecked => {
            "it was on; the password was not tried, which etcd's gateway refuses to a certificate with a common name"
        }
        Outcome::TurnedOn => "it is on now",
        Outcome::PasswordChanged => "it was on; the password is the new one now",
    };
    info!(outcome, "done");
    Ok(())
}

/// The value as it is: without a line break at its end it would be another password than the one etcd gets.
fn filled(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}
