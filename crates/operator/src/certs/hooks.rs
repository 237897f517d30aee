//! The two hook jobs of the reference's automatic mode, as functions (`operator-process.md` section 10).
//! They run once and end; nothing rotates between two runs.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{Api, Client};
use tokio::time::{Instant, sleep};
use tracing::info;

use super::{
    Configurations, Error, Names,
    authority::{Authority, Leaf, later},
    bundle::Bundle,
    certificate::verify,
    keeper::{publish, write_secret},
    published::{Configuration, Which},
    stored::{self, Change},
};

/// A certificate that lives at least so long is kept.
const KEEP_DAYS: i64 = 30;

/// Tries against somebody else's writes.
const TRIES: u32 = 5;

/// Where the generate job puts its certificates.
#[derive(Debug, Clone)]
pub struct GenerateSettings {
    pub namespace: String,
    pub secret: String,
    pub names: Names,
    /// Life of authority and leaf in days, 1 to 36,500.
    pub days: u32,
}

/// Where the inject job takes the bundle from and puts it.
#[derive(Debug, Clone)]
pub struct InjectSettings {
    pub namespace: String,
    pub secret: String,
    pub configurations: Configurations,
    /// How long to wait for the Secret: 5 min in the reference.
    pub wait: Duration,
    /// Pause between two looks: 5 s in the reference.
    pub pause: Duration,
}

/// Makes authority and leaf unless the Secret holds a pair that is valid for [`KEEP_DAYS`] days more and names the
/// Service. The key of the authority is not kept. Returns whether a pair was made.
///
/// # Errors
/// [`Error::Api`], [`Error::Conflict`] when others keep writing the Secret, [`Error::Make`].
pub async fn generate(client: &Client, settings: &GenerateSettings) -> Result<bool, Error> {
    let GenerateSettings { namespace, secret: name, names, days } = settings;
    let days = i64::from((*days).clamp(1, 36_500));
    let mut tried = 0;
    loop {
        let seen = get_secret(client, namespace, name).await?;
        let now = Timestamp::now();
        let why = match seen.as_ref().map(|secret| trouble(secret, names, now)) {
            None => "there is none".to_owned(),
            Some(Some(why)) => why,
            Some(None) => {
                info!(%namespace, secret = %name, "the certificate is kept");
                return Ok(false);
            }
        };
        let signer = Authority::new(days, now)?;
        let leaf = signer.issue(names, days, now)?;
        let change = Change::default()
            .set(stored::BUNDLE, signer.certificate.to_pem())
            .set(stored::LEAF, leaf.certificate_pem())
            .set(stored::LEAF_KEY, leaf.key_pem());
        let others = [stored::SIGNER_KEY, stored::NEXT, stored::NEXT_KEY, stored::PREVIOUS];
        let change = others.into_iter().fold(change, Change::remove).annotate(stored::RETAIN, None);
        match write_secret(client, namespace, name, seen.as_ref(), &change).await {
            Ok(_) => {
                info!(%namespace, secret = %name, %why, "made an authority and a certificate");
                return Ok(true);
            }
            Err(Error::Conflict { .. }) if tried < TRIES => tried += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Why the pair of the Secret cannot stay.
fn trouble(secret: &Secret, names: &Names, now: Timestamp) -> Option<String> {
    let empty = std::collections::BTreeMap::new();
    let data = secret.data.as_ref().unwrap_or(&empty);
    let bytes = |key: &str| data.get(key).map_or(&[][..], |value| value.0.as_slice());
    let leaf = match Leaf::read(bytes(stored::LEAF), bytes(stored::LEAF_KEY)) {
        Ok(leaf) => leaf,
        Err(error) => return Some(error.to_string()),
    };
    let bundle = Bundle::read(bytes(stored::BUNDLE));
    [now, later(now, KEEP_DAYS)]
        .into_iter()
        .find_map(|at| verify(leaf.chain(), &bundle, &names.server(), at).err())
}

/// Waits for the Secret and puts its `ca.crt` into every entry of both configurations that has another bundle.
///
/// # Errors
/// [`Error::Missing`] when the Secret or a configuration does not come, [`Error::Secret`] when `ca.crt` holds no
/// certificate, [`Error::Api`], [`Error::Conflict`] when others keep writing.
pub async fn inject(client: &Client, settings: &InjectSettings) -> Result<(), Error> {
    let deadline = Instant::now() + settings.wait;
    let InjectSettings { namespace, secret: name, .. } = settings;
    let secret = loop {
        match get_secret(client, namespace, name).await? {
            Some(secret) => break secret,
            None => wait(settings, deadline, || format!("Secret {namespace}/{name}")).await?,
        }
    };
    let bundle = secret.data.as_ref().and_then(|data| data.get(stored::BUNDLE));
    let bundle = Bundle::read(bundle.map_or(&[], |bundle| &bundle.0));
    if bundle.is_empty() {
        return Err(Error::Secret {
            namespace: namespace.clone(),
            name: name.clone(),
            reason: format!("holds no certificate in {}", stored::BUNDLE),
        });
    }
    for which in Which::ALL {
        inject_into(client, settings, which, &bundle, deadline).await?;
    }
    Ok(())
}

async fn inject_into(
    client: &Client,
    settings: &InjectSettings,
    which: Which,
    bundle: &Bundle,
    deadline: Instant,
) -> Result<(), Error> {
    let (kind, name) = (which.kind(), settings.configurations.name(which));
    let mut tried = 0;
    loop {
        let Some(seen) = get_configuration(client, which, name).await? else {
            wait(settings, deadline, || format!("{kind} {name}")).await?;
            continue;
        };
        if seen.has(bundle) {
            info!(kind, %name, "the bundle is published already");
            return Ok(());
        }
        match publish(client, which, name, &seen, bundle).await {
            Ok(_) => {
                info!(kind, %name, "published the bundle");
                return Ok(());
            }
            Err(Error::Conflict { .. }) if tried < TRIES => tried += 1,
            Err(error) => return Err(error),
        }
    }
}

async fn wait(
    settings: &InjectSettings,
    deadline: Instant,
    what: impl FnOnce() -> String,
) -> Result<(), Error> {
    if deadline <= Instant::now() {
        return Err(Error::Missing { what: what(), limit: settings.wait });
    }
    sleep(settings.pause).await;
    Ok(())
}

pub(super) async fn get_secret(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<Secret>, Error> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let fail = |source| Error::Api { what: format!("read Secret {namespace}/{name}"), source };
    api.get_opt(name).await.map_err(fail)
}

pub(super) async fn get_configuration(
    client: &Client,
    which: Which,
    name: &str,
) -> Result<Option<Configuration>, Error> {
    let fail = |source| Error::Api { what: format!("read {} {name}", which.kind()), source };
    Ok(match which {
        Which::Validating => {
            let api = Api::<ValidatingWebhookConfiguration>::all(client.clone());
            api.get_opt(name).await.map_err(fail)?.as_ref().map(Into::into)
        }
        Which::Mutating => {
            let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
            api.get_opt(name).await.map_err(fail)?.as_ref().map(Into::into)
        }
    })
}
