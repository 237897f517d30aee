//! Making one account and its binding in a namespace. What is right already costs no request.
//! An account is never changed, a binding is kept as it should be.

use std::collections::BTreeMap;

use dynamo_api::labels;
use dynamo_kubekit::apply::{ApplyError, Class};
use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{ClusterRole, RoleBinding, RoleRef, Subject},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ObjectMeta, Preconditions},
};
use serde_json::json;
use tracing::info;

use super::{Grant, Purpose};
use crate::{
    context::failed,
    writes::{self, without_managed_fields},
};

const RBAC: &str = "rbac.authorization.k8s.io";

/// Why an account or its rights could not be made.
#[derive(Debug, thiserror::Error)]
pub enum GrantError {
    #[error(
        "cluster role name is required: set --{flag} to the ClusterRole for the pods of {account}; the Helm chart of \
         the operator makes one and passes its name"
    )]
    NoRoleName { flag: &'static str, account: &'static str },
    #[error(
        "ClusterRole {role} does not exist: the Helm chart of the operator makes it: run helm upgrade, or correct \
         --{flag}"
    )]
    NoRole { role: String, flag: &'static str },
    #[error("cannot read ClusterRole {role}")]
    UnreadableRole { role: String, source: Box<kube::Error> },
    #[error(transparent)]
    Api(#[from] ApplyError),
}

impl GrantError {
    /// What happens next.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::NoRoleName { .. } | Self::NoRole { .. } => Class::Invalid,
            Self::UnreadableRole { source, .. } => match &**source {
                kube::Error::Api(status) if status.code == 403 => Class::Invalid,
                _ => Class::Transient,
            },
            Self::Api(cause) => cause.class(),
        }
    }

    /// A short fixed word for metrics.
    #[must_use]
    pub fn category(&self) -> &'static str {
        match (self, self.class()) {
            (Self::NoRoleName { .. } | Self::NoRole { .. }, _) => "no_cluster_role",
            (Self::UnreadableRole { .. }, Class::Invalid) => "api_refused",
            (Self::UnreadableRole { .. }, _) => "api_unavailable",
            (Self::Api(cause), _) => cause.category(),
        }
    }
}

impl Grant {
    /// Makes sure that the account exists in `namespace` and has its rights there.
    ///
    /// # Errors
    /// See [`GrantError`]; rights that exist are not taken away because of it.
    pub async fn ensure(&self, client: &Client, namespace: &str) -> Result<(), GrantError> {
        let flag = self.purpose.flag;
        let account = self.purpose.account;
        let role = self.role.as_deref().ok_or(GrantError::NoRoleName { flag, account })?;
        let wanted = self.purpose.build_binding(namespace, role);
        if self.account_exists(namespace)
            && self.known_binding(&wanted).is_some_and(|it| is_same(&it, &wanted))
        {
            return Ok(());
        }
        let _turn = self.turns.take(namespace).await;
        if !self.account_exists(namespace) {
            self.make_account(client, namespace).await?;
        }
        match self.known_binding(&wanted) {
            Some(live) => self.correct_binding(client, &live, &wanted).await,
            None => self.make_binding(client, &wanted).await,
        }
    }

    fn account_exists(&self, namespace: &str) -> bool {
        self.accounts.get(namespace, self.purpose.account).is_some()
    }

    fn known_binding(&self, wanted: &RoleBinding) -> Option<std::sync::Arc<RoleBinding>> {
        let (namespace, name) = dynamo_kubekit::key_of(wanted);
        self.bindings.get(&namespace, &name)
    }

    async fn make_account(&self, client: &Client, namespace: &str) -> Result<(), ApplyError> {
        let account = self.purpose.build_account(namespace);
        let api = Api::<ServiceAccount>::namespaced(client.clone(), namespace);
        // Somebody else's does as well; the watch is about to show it.
        if let Some(made) = writes::create(&api, &account).await.map_err(failed("create", &account))? {
            self.accounts.note_written(made);
            info!(namespace, account = self.purpose.account, "account made");
        }
        Ok(())
    }

    async fn make_binding(&self, client: &Client, wanted: &RoleBinding) -> Result<(), GrantError> {
        self.check_role(client, wanted).await?;
        let api = bindings(client, wanted);
        if let Some(made) = writes::create(&api, wanted).await.map_err(failed("create", wanted))? {
            self.note_binding(made);
            return Ok(());
        }
        // One without our label, which the watch does not show.
        let (_, name) = dynamo_kubekit::key_of(wanted);
        let live = api.get(&name).await.map_err(failed("read", wanted))?;
        self.correct_binding(client, &live, wanted).await
    }

    async fn correct_binding(
        &self,
        client: &Client,
        live: &RoleBinding,
        wanted: &RoleBinding,
    ) -> Result<(), GrantError> {
        if is_same(live, wanted) {
            return Ok(());
        }
        let (namespace, name) = dynamo_kubekit::key_of(wanted);
        if live.metadata.deletion_timestamp.is_some() {
            let kind = RoleBinding::kind(&()).into_owned();
            return Err(ApplyError::Terminating { kind, namespace, name }.into());
        }
        let api = bindings(client, wanted);
        if live.role_ref != wanted.role_ref {
            // A role reference cannot be changed. The old rights stay until the new ones are known to exist.
            self.check_role(client, wanted).await?;
            let seen = Preconditions {
                uid: live.metadata.uid.clone(),
                resource_version: live.metadata.resource_version.clone(),
            };
            match api.delete(&name, &DeleteParams::default().preconditions(seen)).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err(failed("delete", wanted)(error).into()),
            }
            let made = api.create(&writes::creation(), wanted).await.map_err(failed("create", wanted))?;
            self.note_binding(without_managed_fields(made));
            return Ok(());
        }
        let change = json!({
            "metadata": {
                "uid": live.metadata.uid,
                "resourceVersion": live.metadata.resource_version,
                "labels": wanted.metadata.labels,
            },
            "subjects": wanted.subjects,
        });
        let made = writes::merge(&api, &name, &change).await.map_err(failed("update", wanted))?;
        self.note_binding(made);
        Ok(())
    }

    fn note_binding(&self, made: RoleBinding) {
        let (namespace, _) = dynamo_kubekit::key_of(&made);
        info!(namespace, account = self.purpose.account, role = made.role_ref.name, "rights given");
        self.bindings.note_written(made);
    }

    /// Asked only when a binding is about to be made: a binding to nothing gives no rights and says nothing.
    async fn check_role(&self, client: &Client, wanted: &RoleBinding) -> Result<(), GrantError> {
        let role = &wanted.role_ref.name;
        match Api::<ClusterRole>::all(client.clone()).get_metadata(role).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => {
                Err(GrantError::NoRole { role: role.clone(), flag: self.purpose.flag })
            }
            Err(error) => Err(GrantError::UnreadableRole { role: role.clone(), source: Box::new(error) }),
        }
    }
}

impl Purpose {
    /// The account in `namespace`.
    #[must_use]
    pub fn build_account(&self, namespace: &str) -> ServiceAccount {
        ServiceAccount {
            metadata: self.build_metadata(namespace, self.account.to_owned()),
            ..ServiceAccount::default()
        }
    }

    /// The rights of the account there: those of the ClusterRole `role`.
    #[must_use]
    pub fn build_binding(&self, namespace: &str, role: &str) -> RoleBinding {
        RoleBinding {
            metadata: self.build_metadata(namespace, self.binding()),
            role_ref: RoleRef {
                api_group: RBAC.to_owned(),
                kind: ClusterRole::kind(&()).into_owned(),
                name: role.to_owned(),
            },
            subjects: Some(vec![Subject {
                kind: ServiceAccount::kind(&()).into_owned(),
                name: self.account.to_owned(),
                namespace: Some(namespace.to_owned()),
                ..Subject::default()
            }]),
        }
    }

    fn build_metadata(&self, namespace: &str, name: String) -> ObjectMeta {
        ObjectMeta {
            name: Some(name),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([
                (labels::APP_COMPONENT.to_owned(), "rbac".to_owned()),
                (labels::APP_NAME.to_owned(), self.account.to_owned()),
                (labels::MANAGED_BY.to_owned(), labels::OPERATOR.to_owned()),
            ])),
            ..ObjectMeta::default()
        }
    }
}

/// Whether nothing need be written. Labels of others may be there, too.
fn is_same(live: &RoleBinding, wanted: &RoleBinding) -> bool {
    let has = |key: &String, value: &String| {
        live.metadata.labels.as_ref().and_then(|labels| labels.get(key)) == Some(value)
    };
    live.role_ref == wanted.role_ref
        && live.subjects == wanted.subjects
        && wanted.metadata.labels.iter().flatten().all(|(key, value)| has(key, value))
}

fn bindings(client: &Client, wanted: &RoleBinding) -> Api<RoleBinding> {
    Api::namespaced(client.clone(), wanted.metadata.namespace.as_deref().unwrap_or_default())
}
