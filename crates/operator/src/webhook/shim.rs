//! Temporary.
use dynamo_api::v1alpha1::*;
use dynamo_render::{config::OperatorConfig, validate};
#[derive(Debug)]
pub struct Policy<'a> {
    pub config: &'a OperatorConfig,
    pub restricted: bool,
    pub inference_pools: Option<bool>,
    pub grove: Option<bool>,
}
pub struct Requester<'a> {
    pub username: Option<&'a str>,
    pub trusted: &'a [String],
}
pub struct Warning {
    pub text: String,
}
#[derive(Default)]
pub struct Verdict {
    pub errors: validate::FieldErrors,
    pub warnings: Vec<Warning>,
}
impl Verdict {
    pub fn denial(&self) -> Option<String> {
        if self.errors.0.is_empty() {
            return None;
        }
        let l: Vec<String> = self.errors.0.iter().map(ToString::to_string).collect();
        Some(format!("validation failed: {}", l.join("\n")))
    }
}
pub trait Judged {
    fn on_create(&self, p: &Policy<'_>) -> Verdict;
    fn on_update(&self, old: &Self, r: &Requester<'_>, p: &Policy<'_>) -> Verdict;
}
impl Judged for DynamoGraphDeployment {
    fn on_create(&self, p: &Policy<'_>) -> Verdict {
        Verdict { errors: validate::graph(self, p.config).err().unwrap_or_default(), warnings: vec![] }
    }
    fn on_update(&self, _: &Self, _: &Requester<'_>, p: &Policy<'_>) -> Verdict {
        self.on_create(p)
    }
}
impl Judged for DynamoComponentDeployment {
    fn on_create(&self, _: &Policy<'_>) -> Verdict {
        Verdict { errors: validate::component(self).err().unwrap_or_default(), warnings: vec![] }
    }
    fn on_update(&self, _: &Self, _: &Requester<'_>, p: &Policy<'_>) -> Verdict {
        self.on_create(p)
    }
}
impl Judged for DynamoModel {
    fn on_create(&self, _: &Policy<'_>) -> Verdict {
        Verdict::default()
    }
    fn on_update(&self, _: &Self, _: &Requester<'_>, p: &Policy<'_>) -> Verdict {
        self.on_create(p)
    }
}
impl Judged for DynamoGraphDeploymentRequest {
    fn on_create(&self, _: &Policy<'_>) -> Verdict {
        Verdict::default()
    }
    fn on_update(&self, _: &Self, _: &Requester<'_>, p: &Policy<'_>) -> Verdict {
        self.on_create(p)
    }
}
