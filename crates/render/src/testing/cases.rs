//! The cases of the rules, `tests/rules/cases/<id>.yaml`: manifests that meet a rule and manifests that break it.
//! Every manifest is complete and stands in the namespace `demo`; but for its one fault an API server takes it.

use dynamo_api::v1alpha1::{
    DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest, DynamoModel,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    config::OperatorConfig,
    validate::{Judged, Kind, Policy, Requester, Rule, Verdict},
};

/// The cases of one rule.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleCases {
    /// The kind of most of the objects.
    pub kind: String,
    pub accept: Vec<Case>,
    /// What breaks the rule and no other one. Under a rule whose level is a warning these are accepted with the
    /// warning.
    pub reject: Vec<Case>,
}

/// One object, or one change of an object.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub object: Value,
    /// The object before the change; absent for a new object.
    pub old: Option<Value>,
    /// Name of the user who asks.
    pub user: Option<String>,
    #[serde(default)]
    pub policy: CasePolicy,
    /// Parts of the message: of the denial, or of the warning under a rule whose level is a warning.
    #[serde(default)]
    pub message: Vec<String>,
    /// Parts of a warning beside a denial.
    #[serde(default)]
    pub warning: Vec<String>,
    /// Parts of the API server's own message when its schema refuses the object before any webhook is asked.
    #[serde(default)]
    pub server: Vec<String>,
}

/// The installation in which a case is judged.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct CasePolicy {
    pub restricted: bool,
    pub inference_pools: Option<bool>,
    pub trusted: Vec<String>,
}

/// The cases of a rule.
///
/// # Panics
/// When the file is no list of cases.
#[must_use]
pub fn cases(rule: Rule) -> RuleCases {
    serde_yaml_ng::from_str(rule.cases()).unwrap_or_else(|error| panic!("{rule}.yaml: {error}"))
}

impl Case {
    /// The verdict of this crate; `None` for a kind that admission does not judge.
    ///
    /// # Panics
    /// When the object is not of its kind.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        let kind = self.object["kind"].as_str().unwrap_or_default();
        if kind == Kind::Graph.as_str() {
            Some(self.judge::<DynamoGraphDeployment>())
        } else if kind == Kind::Component.as_str() {
            Some(self.judge::<DynamoComponentDeployment>())
        } else if kind == Kind::Model.as_str() {
            Some(self.judge::<DynamoModel>())
        } else if kind == Kind::Request.as_str() {
            Some(self.judge::<DynamoGraphDeploymentRequest>())
        } else {
            None
        }
    }

    fn judge<K: Judged + DeserializeOwned>(&self) -> Verdict {
        let read = |value: &Value| -> K {
            serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{}: {error}", self.name))
        };
        let config = OperatorConfig::default();
        let policy = Policy {
            config: &config,
            restricted: self.policy.restricted,
            inference_pools: self.policy.inference_pools,
        };
        let object = read(&self.object);
        match &self.old {
            None => object.on_create(&policy),
            Some(old) => {
                let requester = Requester { username: self.user.as_deref(), trusted: &self.policy.trusted };
                object.on_update(&read(old), &requester, &policy)
            }
        }
    }
}
