//! Promises of the rotation, on real certificates and without a cluster.
//! `World` is one Secret and the bundles of two configurations; time is a value.

mod answers;
mod files;
mod model;
mod reading;
mod steps;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;

use super::{
    Names,
    authority::{Authority, Leaf},
    bundle::Bundle,
    certificate::verify,
    published::{Configuration, Published, Which},
    rotation::{Policy, Step, change, plan},
    stored::{self, Change, Stored},
};

const SERVER: &str = "webhook.dynamo.svc";

fn policy() -> Policy {
    Policy { names: names(), leaf_days: 365 }
}

fn names() -> Names {
    Names { service: "webhook".into(), namespace: "dynamo".into(), cluster_domain: "cluster.local".into() }
}

fn start() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn after_days(days: i64) -> Timestamp {
    start() + SignedDuration::from_hours(24 * days)
}

/// Both configurations with `bundle` in each of their 4 and 1 entries.
fn published(bundle: &Bundle) -> Published {
    let entries = |count: usize| {
        Some(Configuration { version: "1".into(), uid: "uid".into(), bundles: vec![bundle.clone(); count] })
    };
    Published { validating: entries(4), mutating: entries(1) }
}

/// What the reference's hook jobs leave behind: everything but the key of the authority.
fn of_hook_jobs(now: Timestamp) -> Secret {
    let signer = Authority::new(365, now).unwrap();
    let leaf = signer.issue(&names(), 365, now).unwrap();
    Change::default()
        .set(stored::BUNDLE, signer.certificate.to_pem())
        .set(stored::LEAF, leaf.certificate_pem())
        .set(stored::LEAF_KEY, leaf.key_pem())
        .create("dynamo", "webhook-server-cert")
}

#[derive(Clone)]
struct World {
    secret: Option<Secret>,
    published: Published,
}

impl World {
    fn empty() -> Self {
        Self { secret: None, published: published(&Bundle::default()) }
    }

    fn of(secret: Secret) -> Self {
        let bundle = Stored::read(&secret).wanted();
        Self { secret: Some(secret), published: published(&bundle) }
    }

    fn healthy() -> Self {
        let mut world = Self::empty();
        world.converge(start());
        world
    }

    fn stored(&self) -> Option<Stored> {
        self.secret.as_ref().map(Stored::read)
    }

    fn leaf(&self) -> Leaf {
        self.stored().unwrap().leaf.unwrap()
    }

    fn signer(&self) -> Authority {
        self.stored().unwrap().signer.unwrap()
    }

    fn plan(&self, now: Timestamp, settled: bool) -> Step {
        plan(self.stored().as_ref(), &self.published, now, &policy(), settled)
    }

    fn edit(&mut self, change: &Change) {
        self.secret = Some(change.apply(self.secret.as_ref()));
    }

    fn ask(&mut self, what: &str) {
        self.edit(&Change::default().annotate(stored::ROTATE, Some(what.to_owned())));
    }

    fn act(&mut self, step: &Step, now: Timestamp) {
        let stored = self.stored();
        if let Step::Publish(which) = *step {
            let wanted = stored.unwrap().wanted();
            let mut configuration = self.published.get(which).unwrap().clone();
            configuration.bundles.fill(wanted);
            self.published.set(which, Some(configuration));
        } else {
            let change = change(step, stored.as_ref(), &self.published, now, &policy()).unwrap().unwrap();
            self.edit(&change);
        }
    }

    /// Steps until the rest, each as a short word.
    fn converge(&mut self, now: Timestamp) -> Vec<String> {
        let mut steps = Vec::new();
        loop {
            let step = self.plan(now, true);
            if step == Step::Rest {
                return steps;
            }
            self.act(&step, now);
            steps.push(match &step {
                Step::Publish(Which::Validating) => "publish validating".to_owned(),
                Step::Publish(Which::Mutating) => "publish mutating".to_owned(),
                Step::IssueLeaf { by, .. } => format!("issue by {by:?}"),
                step => step.label().unwrap().to_owned(),
            });
            assert!(steps.len() < 20, "no end: {steps:?}");
        }
    }

    /// Whether API servers accept `leaf`, and why not.
    fn accepts(&self, leaf: &Leaf, now: Timestamp) -> Result<(), String> {
        self.published.bundles().try_for_each(|bundle| verify(leaf.chain(), bundle, SERVER, now))
    }

    fn published_authorities(&self) -> usize {
        self.published.bundles().next().unwrap().iter().count()
    }
}
