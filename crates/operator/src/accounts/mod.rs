//! The accounts that a cluster-wide operator hands out in every namespace with graphs, and their rights
//! (`operator-process.md` section 12, "RBAC manager"). They belong to no graph and are never deleted.

pub mod fallback;
mod grant;

use std::sync::Arc;

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_kubekit::{
    cache::{Cache, Change, Feed},
    key_of,
};
use dynamo_render::component::{ComponentType, EPP_ACCOUNT, PLANNER_ACCOUNT};
use k8s_openapi::api::{core::v1::ServiceAccount, rbac::v1::RoleBinding};
use kube::{Client, runtime::watcher};

pub use grant::GrantError;

use crate::{flags::RoleNames, turns::Turns, wiring::Trigger};

/// When an account is needed, and what it gets.
#[derive(Debug)]
pub struct Purpose {
    /// As messages name it.
    pub name: &'static str,
    pub account: &'static str,
    /// The flag that names the ClusterRole.
    flag: &'static str,
    role: fn(&RoleNames) -> Option<&str>,
    is_needed: fn(&DynamoGraphDeployment) -> bool,
}

/// Every account that graphs need, in the order in which they are made.
pub static PURPOSES: [Purpose; 2] = [
    Purpose {
        name: "planner",
        account: PLANNER_ACCOUNT,
        flag: "planner-cluster-role-name",
        role: |roles| roles.planner.as_deref(),
        // Also before a graph has a planner: adding one must not wait for rights.
        is_needed: |_| true,
    },
    Purpose {
        name: "EPP",
        account: EPP_ACCOUNT,
        flag: "epp-cluster-role-name",
        role: |roles| roles.endpoint_picker.as_deref(),
        is_needed: |dgd| dgd.spec.services.values().any(|spec| ComponentType::of(spec) == ComponentType::Epp),
    },
];

impl Purpose {
    /// Whether a graph needs the account.
    #[must_use]
    pub fn is_needed_by(&self, dgd: &DynamoGraphDeployment) -> bool {
        (self.is_needed)(dgd)
    }

    /// Name of the ClusterRole, among those of the installation.
    #[must_use]
    pub fn role<'a>(&self, roles: &'a RoleNames) -> Option<&'a str> {
        (self.role)(roles)
    }

    fn binding(&self) -> String {
        format!("{}-binding", self.account)
    }
}

/// One purpose, with what is known of its accounts.
#[derive(Debug, Clone)]
pub struct Grant {
    pub purpose: &'static Purpose,
    role: Option<String>,
    /// Accounts of that name in all namespaces, whatever their labels: one that a user made serves as well.
    accounts: Cache<ServiceAccount>,
    bindings: Cache<RoleBinding>,
    turns: Arc<Turns>,
}

/// Everything handed out; empty in a restricted operator, where the chart makes the accounts.
#[derive(Debug, Clone, Default)]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// The watches of accounts for `roles`, with what they find.
    pub(crate) fn watch(
        client: &Client,
        roles: &RoleNames,
        bindings: &Cache<RoleBinding>,
        graphs: &Cache<DynamoGraphDeployment>,
        trigger: &Trigger<DynamoGraphDeployment>,
    ) -> (Self, Vec<Feed<ServiceAccount>>) {
        let mut feeds = Vec::new();
        let mut grants = Vec::new();
        for purpose in &PURPOSES {
            let config = watcher::Config::default().fields(&format!("metadata.name={}", purpose.account));
            let mut feed = Feed::<ServiceAccount>::new(client.clone(), None, config);
            let (graphs, trigger) = (graphs.clone(), trigger.clone());
            feed.on_change(move |change| {
                if let Change::Gone(last) = change {
                    trigger.send_namespace(&graphs, &key_of(&**last).0);
                }
            });
            grants.push(Grant {
                purpose,
                role: purpose.role(roles).map(ToOwned::to_owned),
                accounts: feed.cache(),
                bindings: bindings.clone(),
                turns: Arc::default(),
            });
            feeds.push(feed);
        }
        (Self(grants), feeds)
    }

    /// What the graph needs.
    pub fn needed_by(&self, dgd: &DynamoGraphDeployment) -> impl Iterator<Item = &Grant> {
        self.0.iter().filter(|grant| grant.purpose.is_needed_by(dgd))
    }

    /// Resolves when the accounts are known.
    ///
    /// # Errors
    /// When a watch ended before.
    pub async fn wait_until_ready(&self) -> Result<(), kube::runtime::reflector::store::WriterDropped> {
        for grant in &self.0 {
            grant.accounts.wait_until_ready().await?;
        }
        Ok(())
    }
}

/// Wakes the graphs of a namespace when somebody changes or deletes a binding that was handed out there.
pub(crate) fn wake_at_bindings(
    feed: &mut Feed<RoleBinding>,
    graphs: Cache<DynamoGraphDeployment>,
    trigger: Trigger<DynamoGraphDeployment>,
) {
    let names: Vec<String> = PURPOSES.iter().map(Purpose::binding).collect();
    feed.on_change(move |change| {
        let (namespace, name) = key_of(&**change.object());
        let is_new = matches!(change, Change::Applied { before: None, .. });
        if !is_new && names.contains(&name) {
            trigger.send_namespace(&graphs, &namespace);
        }
    });
}
