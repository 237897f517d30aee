//! The verdict on a new or a changed object of the four kinds that admission reviews (`operator-process.md` 6, 7).
//! What is common to all kinds is here: objects on their way out, and old sins.

use dynamo_api::v1alpha1::{
    DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest, DynamoModel,
};
use kube::Resource;

use super::{FieldErrors, Policy, Requester, Verdict, component, graph, graph_update, model, request};

/// A kind whose objects are judged.
pub trait Judged: Resource + Sized {
    /// The verdict on an object as it stands; also the one of controllers and the command line.
    fn on_create(&self, policy: &Policy<'_>) -> Verdict;

    /// What only a change can break. Called by [`Judged::on_update`], not to be called alone.
    fn judge_change(&self, old: &Self, requester: &Requester<'_>, verdict: &mut Verdict);

    /// The verdict on a change. An object that is being deleted may change in any way: its finalizers must be able to
    /// go. A rule of ours that `old` broke in the same way is a warning, so that what the reference let in can be
    /// edited.
    fn on_update(&self, old: &Self, requester: &Requester<'_>, policy: &Policy<'_>) -> Verdict {
        if self.meta().deletion_timestamp.is_some() || old.meta().deletion_timestamp.is_some() {
            return Verdict::default();
        }
        let mut verdict = self.on_create(policy);
        if verdict.errors.0.iter().any(|error| error.rule.spec().is_ours()) {
            forgive(&mut verdict, &old.on_create(policy).errors);
        }
        self.judge_change(old, requester, &mut verdict);
        verdict
    }
}

fn forgive(verdict: &mut Verdict, old: &FieldErrors) {
    let (errors, forgiven) = std::mem::take(&mut verdict.errors.0).into_iter().partition(|error| {
        let before = |old: &super::FieldError| {
            (old.rule, &old.field, &old.value) == (error.rule, &error.field, &error.value)
        };
        !error.rule.spec().is_ours() || !old.0.iter().any(before)
    });
    verdict.errors = FieldErrors(errors);
    for error in forgiven {
        verdict.warn(error.rule, error.text);
    }
}

impl Judged for DynamoGraphDeployment {
    fn on_create(&self, policy: &Policy<'_>) -> Verdict {
        graph::judge(self, policy)
    }

    fn judge_change(&self, old: &Self, requester: &Requester<'_>, verdict: &mut Verdict) {
        graph_update::judge(self, old, requester, verdict);
    }
}

impl Judged for DynamoComponentDeployment {
    fn on_create(&self, policy: &Policy<'_>) -> Verdict {
        component::judge(self, policy).0
    }

    fn judge_change(&self, old: &Self, _: &Requester<'_>, verdict: &mut Verdict) {
        let (new, old) = (&self.spec.backend_framework, &old.spec.backend_framework);
        graph_update::judge_backend(new.as_ref(), old.as_ref(), verdict);
    }
}

impl Judged for DynamoModel {
    fn on_create(&self, _: &Policy<'_>) -> Verdict {
        model::judge(self)
    }

    fn judge_change(&self, old: &Self, _: &Requester<'_>, verdict: &mut Verdict) {
        model::judge_change(self, old, verdict);
    }
}

impl Judged for DynamoGraphDeploymentRequest {
    fn on_create(&self, policy: &Policy<'_>) -> Verdict {
        request::judge(self, policy)
    }

    fn judge_change(&self, old: &Self, _: &Requester<'_>, verdict: &mut Verdict) {
        request::judge_change(self, old, verdict);
    }
}
