//! Certificates made and published by the operator itself: does what `rotation` says, step by step.
//! Every replica runs it; writes carry the version they were decided on, so two never undo each other.

use std::time::Duration;

use dynamo_kubekit::backoff::jittered;
use futures::{StreamExt, stream::select};
use jiff::Timestamp;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{Api, Client, api::Patch};
use tokio::time::Instant;
use tracing::{debug, info};

use super::{
    Configurations, Error, Names, Serving,
    bundle::Bundle,
    hooks::{get_configuration, get_secret},
    published::{Configuration, Which},
    rotation::{self, Policy, Step},
    serving::accepted_by,
    stored::{self, Change, Stored},
    watches::{self, Ahead, Complaint, Failures, Registered, Seen},
};
use crate::writes;

/// How often the wall clock is looked at, for certificates that come of age.
const CHECK: Duration = Duration::from_secs(60);

const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// Conflicts in a row that are ordinary between replicas.
const ORDINARY_CONFLICTS: u32 = 4;

/// Answers to the making of an object that another has made.
pub(super) const EXISTS: &[u16] = &[409];

/// Answers to a merge patch of an object that has another version or went.
pub(super) const MOVED: &[u16] = &[404, 409];

/// Answers to a JSON patch whose `test` of the version failed, or whose object went.
pub(super) const TEST_FAILED: &[u16] = &[404, 409, 422];

/// What the keeper keeps, and where.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Name of the Secret.
    pub secret: String,
    pub configurations: Configurations,
    pub names: Names,
    /// Life of a leaf in days, 1 to 36,500; the contract's default is 365.
    pub leaf_days: u32,
    /// How long a published bundle must have been seen unchanged before a new authority signs; 30 s, as API servers
    /// follow changes of the configurations by watch.
    pub settle: Duration,
}

/// Keeps the certificates until dropped.
pub struct Keeper {
    client: Client,
    settings: Settings,
    policy: Policy,
    serving: Serving,
    /// The Secret, once its watch has answered.
    secret: Option<Option<Secret>>,
    ahead: Ahead,
    registered: Registered,
    /// The bundles last seen, and since when they are so.
    bundles: Option<(Vec<Bundle>, Instant)>,
    /// The last step that made keys, and when: two hosts whose clocks disagree must not outbid each other.
    made: Option<(&'static str, Instant)>,
    failures: u32,
    conflicts: u32,
    watches: Failures,
    complaint: Complaint,
    unreadable: Complaint,
    asked: Complaint,
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keeper").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Keeper {
    #[must_use]
    pub fn new(client: Client, settings: Settings, serving: Serving) -> Self {
        let leaf_days = i64::from(settings.leaf_days.clamp(1, 36_500));
        Self {
            policy: Policy { names: settings.names.clone(), leaf_days },
            client,
            settings,
            serving,
            secret: None,
            ahead: Ahead::default(),
            registered: Registered::default(),
            bundles: None,
            made: None,
            failures: 0,
            conflicts: 0,
            watches: Failures::default(),
            complaint: Complaint::default(),
            unreadable: Complaint::default(),
            asked: Complaint::default(),
        }
    }

    /// Watches and acts until dropped. No failure ends it: each is told once and tried again.
    pub async fn run(mut self) {
        let settings = &self.settings;
        let mut seen = select(
            watches::secret(&self.client, &settings.namespace, &settings.secret),
            watches::configurations(&self.client, &settings.configurations),
        );
        loop {
            let wake = self.round().await;
            tokio::select! {
                event = seen.next() => match event {
                    Some(event) => self.note(event),
                    None => return,
                },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn note(&mut self, event: Seen) {
        match event {
            Seen::Secret(secret) => {
                self.watches.end(watches::SECRET);
                self.note_secret(secret.map(|secret| *secret));
            }
            Seen::Configuration(which, configuration) => {
                self.watches.end(which.kind());
                self.registered.note(which, configuration);
            }
            Seen::Failed(kind, reason) => {
                let reason = self.watches.tell(kind, &reason);
                self.serving.wait_for(reason);
            }
        }
    }

    fn note_secret(&mut self, told: Option<Secret>) {
        let version = told.as_ref().map(uid_and_version);
        if !self.ahead.is_ahead_of(version) {
            self.secret = Some(told);
        }
    }

    /// Takes in what an own write or read told.
    fn set_secret(&mut self, told: Option<Secret>) {
        let owned = |secret: &Secret| {
            let (uid, version) = uid_and_version(secret);
            (uid.to_owned(), version.to_owned())
        };
        let known = self.secret.as_ref().and_then(Option::as_ref).map(owned);
        self.ahead.set(known, told.as_ref().map(owned));
        self.secret = Some(told);
    }

    /// Reads what `step` could not write: after a restore of etcd no watch may tell of it.
    async fn read_again(&mut self, step: &Step) -> Result<(), Error> {
        if let Step::Publish(which) = *step {
            let name = self.settings.configurations.name(which);
            let current = get_configuration(&self.client, which, name).await?;
            self.registered.set(which, current);
        } else {
            let Settings { namespace, secret, .. } = &self.settings;
            let current = get_secret(&self.client, namespace, secret).await?;
            self.set_secret(current);
        }
        Ok(())
    }

    /// Does steps until one must wait. Returns when to look again although no watch tells anything.
    async fn round(&mut self) -> Instant {
        loop {
            let Some(step) = self.look() else { return Instant::now() + CHECK };
            let now = Instant::now();
            if let Some((last, at)) = self.made
                && makes_keys(&step)
                && step.label() == Some(last)
                && now < at + self.settings.settle
            {
                return at + self.settings.settle;
            }
            match step {
                Step::Rest => {
                    self.complaint.end();
                    return self.serving.deadline().unwrap_or(now + CHECK).min(now + CHECK);
                }
                Step::Settle => {
                    let since = self.bundles.as_ref().map_or(now, |(_, since)| *since);
                    return (since + self.settings.settle).max(now + Duration::from_millis(10));
                }
                step => match self.perform(&step).await {
                    Ok(()) => self.succeeded(&step),
                    Err(error) => {
                        let delay = self.failed(&error);
                        // The first conflict is answered by the watch.
                        if self.conflicts > 1
                            && matches!(error, Error::Conflict { .. })
                            && let Err(error) = self.read_again(&step).await
                        {
                            debug!(%error, "cannot look again");
                        }
                        return Instant::now() + delay;
                    }
                },
            }
        }
    }

    /// Brings the served pair up to date and chooses the next step. `None` before every watch has answered.
    fn look(&mut self) -> Option<Step> {
        let secret = self.secret.as_ref()?;
        let published = self.registered.published()?;
        let now = Timestamp::now();
        let bundles: Vec<Bundle> = published.bundles().cloned().collect();
        let since = match &self.bundles {
            Some((known, since))
                if known.len() == bundles.len()
                    && known.iter().zip(&bundles).all(|(known, bundle)| known.is_same_as(bundle)) =>
            {
                *since
            }
            _ => self.bundles.insert((bundles, Instant::now())).1,
        };
        let stored = secret.as_ref().map(Stored::read);
        let offered = match &stored {
            None => Err("the Secret does not exist yet"),
            Some(stored) => stored.leaf.as_ref().map_err(String::as_str),
        };
        match &offered {
            Ok(_) => self.unreadable.end(),
            Err(reason) => {
                if secret.is_some() && self.unreadable.tell("no pair can be read from the Secret", reason) {
                    self.serving.metrics().read_errors.inc();
                }
            }
        }
        if let Some(signer) = stored.as_ref().and_then(|stored| stored.signer.as_ref().ok()) {
            self.serving.metrics().expires("ca", signer.certificate.not_after);
        }
        let name = self.settings.names.server();
        let settled = since.elapsed() >= self.settings.settle;
        let step = rotation::plan(stored.as_ref(), published, now, &self.policy, settled);
        let trouble = self.registered.trouble(&self.settings.configurations);
        self.serving.update(offered, accepted_by(published, &name, now), trouble);
        warn_of_unknown_request(&mut self.asked, secret.as_ref());
        Some(step)
    }

    async fn perform(&mut self, step: &Step) -> Result<(), Error> {
        let (Some(secret), Some(published)) = (&self.secret, self.registered.published()) else {
            return Ok(());
        };
        let stored = secret.as_ref().map(Stored::read);
        if let Step::Publish(which) = *step {
            return self.publish(which).await;
        }
        let change = rotation::change(step, stored.as_ref(), published, Timestamp::now(), &self.policy)?;
        let Some(change) = change else { return Ok(()) };
        let Settings { namespace, secret: name, .. } = &self.settings;
        let written = write_secret(&self.client, namespace, name, secret.as_ref(), &change).await?;
        self.set_secret(Some(written));
        Ok(())
    }

    /// Publishes into the form of the configuration that was seen, if the Secret is still the one that was seen. The
    /// watch of the Secret may lag behind that of the configuration: without this look a replica could put an older
    /// bundle over a newer one.
    async fn publish(&mut self, which: Which) -> Result<(), Error> {
        let Settings { namespace, secret: name, configurations, .. } = &self.settings;
        let current = get_secret(&self.client, namespace, name).await?;
        if current.as_ref().map(version_of) != self.secret.as_ref().and_then(Option::as_ref).map(version_of) {
            self.set_secret(current);
            return Ok(());
        }
        let (Some(secret), Some(published)) = (current, self.registered.published()) else { return Ok(()) };
        let Some(configuration) = published.get(which) else { return Ok(()) };
        let (wanted, name) = (Stored::read(&secret).wanted(), configurations.name(which));
        let written = publish(&self.client, which, name, configuration, &wanted).await?;
        self.registered.set(which, Some(written));
        self.serving.metrics().step("publish");
        info!(kind = which.kind(), %name, "published the bundle: it was not that of the Secret");
        Ok(())
    }

    fn succeeded(&mut self, step: &Step) {
        self.failures = 0;
        self.conflicts = 0;
        self.complaint.end();
        if let Some(label) = step.label() {
            self.serving.metrics().step(label);
        }
        if makes_keys(step) {
            self.made = step.label().map(|label| (label, Instant::now()));
        }
        let (namespace, secret) = (&self.settings.namespace, &self.settings.secret);
        match step {
            Step::Bootstrap => {
                info!(%namespace, %secret, "made an authority and a certificate: there was none");
            }
            Step::StoreNext { why } => {
                info!(%namespace, %secret, %why, "stored a new authority beside the present");
            }
            Step::IssueLeaf { by, why } => info!(%namespace, %secret, ?by, %why, "made a new certificate"),
            Step::DropOld => {
                info!(%namespace, %secret, "dropped authorities that no living certificate needs");
            }
            Step::Publish(_) | Step::Settle | Step::Rest => {}
        }
    }

    /// Counts and tells a failure; returns the time until the next try.
    fn failed(&mut self, error: &Error) -> Duration {
        let delay = |count: u32| jittered((Duration::from_secs(1) * (1 << count.min(5))).min(LONGEST_RETRY));
        if let Error::Conflict { what, .. } = error {
            self.conflicts += 1;
            debug!(%what, "changed by somebody else, looking again");
            if self.conflicts > ORDINARY_CONFLICTS {
                self.complaint.tell("certificates cannot be written", &error.to_string());
            }
            return delay(self.conflicts - 1);
        }
        self.failures += 1;
        self.complaint.tell("certificates cannot be kept, will retry", &dynamo_kubekit::client::chain(error));
        delay(self.failures - 1)
    }
}

fn makes_keys(step: &Step) -> bool {
    matches!(step, Step::Bootstrap | Step::StoreNext { .. } | Step::IssueLeaf { .. })
}

fn warn_of_unknown_request(complaint: &mut Complaint, secret: Option<&Secret>) {
    let asked = secret
        .and_then(|secret| secret.metadata.annotations.as_ref())
        .and_then(|annotations| annotations.get(stored::ROTATE))
        .filter(|asked| !matches!(asked.as_str(), "leaf" | "ca"));
    match asked {
        Some(asked) => {
            let reason = format!("annotation {} is {asked:?}; it takes leaf or ca", stored::ROTATE);
            complaint.tell("request to rotate not understood", &reason);
        }
        None => complaint.end(),
    }
}

/// Makes `change` to the form of the Secret that was seen, or makes the Secret when there was none.
pub(super) async fn write_secret(
    client: &Client,
    namespace: &str,
    name: &str,
    seen: Option<&Secret>,
    change: &Change,
) -> Result<Secret, Error> {
    let api = Api::<Secret>::namespaced(client.clone(), namespace);
    let answer = match seen {
        None => api.create(&writes::creation(), &change.create(namespace, name)).await,
        Some(secret) => {
            let patch = Patch::Merge(change.patch(version_of(secret)));
            api.patch(name, &writes::change(), &patch).await
        }
    };
    let moved = if seen.is_some() { MOVED } else { EXISTS };
    answer.map_err(|source| failure("write", format!("Secret {namespace}/{name}"), moved, source))
}

/// Puts `bundle` into the entries of a configuration that have another one.
pub(super) async fn publish(
    client: &Client,
    which: Which,
    name: &str,
    seen: &Configuration,
    bundle: &Bundle,
) -> Result<Configuration, Error> {
    let fail = |source| failure("patch", format!("{} {name}", which.kind()), TEST_FAILED, source);
    let patch =
        serde_json::from_value(seen.patch(bundle)).map_err(|error| fail(kube::Error::SerdeError(error)))?;
    let patch = Patch::<()>::Json(patch);
    Ok(match which {
        Which::Validating => {
            let api = Api::<ValidatingWebhookConfiguration>::all(client.clone());
            (&api.patch(name, &writes::change(), &patch).await.map_err(fail)?).into()
        }
        Which::Mutating => {
            let api = Api::<MutatingWebhookConfiguration>::all(client.clone());
            (&api.patch(name, &writes::change(), &patch).await.map_err(fail)?).into()
        }
    })
}

/// A failed write. `moved` are the codes by which API servers tell that the object is not the one that was seen;
/// what else is refused is told as it is.
pub(super) fn failure(verb: &str, what: String, moved: &[u16], source: kube::Error) -> Error {
    match &source {
        kube::Error::Api(status) if moved.contains(&status.code) => {
            Error::Conflict { what, reason: status.message.clone() }
        }
        _ => Error::Api { what: format!("{verb} {what}"), source },
    }
}

fn version_of(secret: &Secret) -> &str {
    secret.metadata.resource_version.as_deref().unwrap_or_default()
}

fn uid_and_version(secret: &Secret) -> (&str, &str) {
    (secret.metadata.uid.as_deref().unwrap_or_default(), version_of(secret))
}
