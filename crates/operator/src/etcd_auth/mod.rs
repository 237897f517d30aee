//! Turns on the authentication of an etcd cluster, or changes its administrator's password: what a chart's job runs
//! after each install and upgrade. Done twice it changes nothing, and what was interrupted is taken up again.
//! It never turns authentication off and never changes other users.

mod gateway;

use std::time::Duration;

use dynamo_kubekit::{backoff::jittered, client::chain};
use tokio::time::Instant;
use tracing::{info, warn};

use gateway::{CallError, Gateway, SetUpError};

/// The user and the role without which etcd does not turn authentication on.
const ADMINISTRATOR: &str = "root";
const WRONG_PASSWORD: &str = "invalid user ID or password";
const EXISTS: &str = "already exists";

/// What is wanted of which cluster.
#[derive(Clone)]
pub struct Settings {
    /// URLs of the members. One that is healthy is enough: it answers for the cluster.
    pub endpoints: Vec<String>,
    pub authority: Option<String>,
    pub identity: Option<(String, String)>,
    pub insecure: bool,
    pub user: String,
    pub password: String,
    /// The password that is to be replaced.
    pub old_password: Option<String>,
    /// How long the cluster may take to be there.
    pub patience: Duration,
    /// Pause between two tries; jittered.
    pub pause: Duration,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

/// What was found or done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Authentication was on, with this password.
    AlreadyOn,
    /// Authentication was on; the gateway does not let this certificate try the password.
    OnUnchecked,
    TurnedOn,
    PasswordChanged,
}

/// Why authentication is not as wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    SetUp(#[from] SetUpError),
    #[error(
        "authentication is on, and etcd does not take the password in ETCD_AUTH_PASSWORD for the user {user:?}: \
         give the one that it has, or put that one into ETCD_AUTH_OLD_PASSWORD to have it changed"
    )]
    WrongPassword { user: String },
    #[error(
        "authentication is on, and etcd takes neither the password in ETCD_AUTH_PASSWORD nor the one in \
         ETCD_AUTH_OLD_PASSWORD for the user {user:?}: give the one that it has as the old one"
    )]
    WrongPasswords { user: String },
    #[error(
        "authentication is on, and the password cannot be changed with this certificate, since it has a common name: \
         name one without in --cert-file, or change the password by gRPC (etcdctl user passwd {user})"
    )]
    NamedCaller { user: String },
    #[error("--user: {user:?}: etcd turns authentication on only with the user root")]
    NotRoot { user: String },
    #[error("authentication of etcd is not on after {} s", tried.as_secs())]
    Deadline { tried: Duration, source: CallError },
}

/// Why one try did not get there.
enum Stop {
    /// Another try may.
    Retry(CallError),
    Final(Error),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        Self::Retry(error)
    }
}

/// Waits for the cluster and does what is missing.
///
/// # Errors
/// See [`Error`].
pub async fn turn_on(settings: &Settings) -> Result<Outcome, Error> {
    let gateways = settings
        .endpoints
        .iter()
        .map(|endpoint| Gateway::new(endpoint, settings))
        .collect::<Result<Vec<_>, _>>()?;
    let begin = Instant::now();
    for gateway in gateways.iter().cycle() {
        let source = match attempt(gateway, settings).await {
            Ok(outcome) => return Ok(outcome),
            Err(Stop::Final(error)) => return Err(error),
            Err(Stop::Retry(error)) => error,
        };
        let waited = begin.elapsed();
        if waited + settings.pause >= settings.patience {
            return Err(Error::Deadline { tried: waited, source });
        }
        warn!(error = %chain(&source), waited = waited.as_secs(), "etcd is not ready yet");
        tokio::time::sleep(jittered(settings.pause)).await;
    }
    Err(Error::SetUp(SetUpError::NoEndpoint))
}

async fn attempt(gateway: &Gateway, settings: &Settings) -> Result<Outcome, Stop> {
    gateway.healthy().await?;
    match gateway.is_enabled().await {
        Ok(true) => log_in(gateway, settings).await,
        Ok(false) => enable(gateway, settings).await,
        Err(CallError::NamedCaller) if settings.old_password.is_some() => {
            Err(Stop::Final(Error::NamedCaller { user: settings.user.clone() }))
        }
        Err(CallError::NamedCaller) => Ok(Outcome::OnUnchecked),
        Err(error) => Err(error.into()),
    }
}

/// Proves the password, and puts it in the place of the old one if that still holds.
async fn log_in(gateway: &Gateway, settings: &Settings) -> Result<Outcome, Stop> {
    let Settings { user, password, old_password, .. } = settings;
    match gateway.log_in(user, password).await {
        Ok(_) => return Ok(Outcome::AlreadyOn),
        Err(error) if error.says(WRONG_PASSWORD) => {}
        Err(error) => return Err(error.into()),
    }
    let Some(old) = old_password else {
        return Err(Stop::Final(Error::WrongPassword { user: user.clone() }));
    };
    let token = match gateway.log_in(user, old).await {
        Ok(token) => token,
        Err(error) if error.says(WRONG_PASSWORD) => {
            return Err(Stop::Final(Error::WrongPasswords { user: user.clone() }));
        }
        Err(error) => return Err(error.into()),
    };
    gateway.change_password(Some(&token), user, password).await?;
    info!(user, "password changed");
    gateway.log_in(user, password).await?;
    Ok(Outcome::PasswordChanged)
}

/// While authentication is off everybody may write users, so that what an earlier run left is simply made good.
async fn enable(gateway: &Gateway, settings: &Settings) -> Result<Outcome, Stop> {
    let Settings { user, password, .. } = settings;
    if user != ADMINISTRATOR {
        return Err(Stop::Final(Error::NotRoot { user: user.clone() }));
    }
    match gateway.add_user(user, password).await {
        Err(error) if error.says(EXISTS) => gateway.change_password(None, user, password).await?,
        added => added?,
    }
    match gateway.add_role(ADMINISTRATOR).await {
        Err(error) if error.says(EXISTS) => {}
        added => added?,
    }
    gateway.grant(user, ADMINISTRATOR).await?;
    gateway.enable().await?;
    info!(user, "authentication turned on");
    match gateway.log_in(user, password).await {
        Ok(_) | Err(CallError::NamedCaller) => Ok(Outcome::TurnedOn),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
