//! The verdict on a new or a changed object of the four kinds that admission reviews (`operator-process.md` 6, 7).
//! What is common to all kinds is here: objects on their way out, and old sins.

use dynamo_api::v1alpha1::{
    DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest, DynamoModel,
};
use kube::Resource;

use super::{Policy, Requester, Verdict, component, graph, graph_update, model, request};

/// A kind whose objects are judged.
pub trait Judged: Resource + Sized {
    /// Adds what an object breaks as it stands. Called by the methods below, not to be called alone.
    fn judge(&self, policy: &Policy<'_>, verdict: &mut Verdict);

    /// What only a change can break. Called by [`Judged::on_update`], not to be called alone.
    fn judge_change(&self, old: &Self, requester: &Requester<'_>, verdict: &mut Verdict);

    /// The verdict on an object as it stands; also the one of controllers and the command line.
    fn on_create(&self, policy: &Policy<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        self.judge(policy, &mut verdict);
        verdict
    }

    /// The verdict on a change. An object that is being deleted may change in any way: its finalizers must be able to
    /// go. A rule of ours that `old` broke in the same way is a warning, so that what the reference let in can be
    /// edited.
    fn on_update(&self, old: &Self, requester: &Requester<'_>, policy: &Policy<'_>) -> Verdict {
        if self.meta().deletion_timestamp.is_some() || old.meta().deletion_timestamp.is_some() {
            return Verdict::default();
        }
        let mut verdict = self.on_create(policy);
        if !verdict.errors.0.is_empty() {
            let mut before = Verdict::recording();
            old.judge(policy, &mut before);
            verdict = before.forgiving();
            self.judge(policy, &mut verdict);
            verdict.forget();
        }
        self.judge_change(old, requester, &mut verdict);
        verdict
    }
}

impl Judged for DynamoGraphDeployment {
    fn judge(&self, policy: &Policy<'_>, verdict: &mut Verdict) {
        graph::judge(self, policy, verdict);
    }

    fn judge_change(&self, old: &Self, requester: &Requester<'_>, verdict: &mut Verdict) {
        graph_update::judge(self, old, requester, verdict);
    }
}

impl Judged for DynamoComponentDeployment {
    fn judge(&self, policy: &Policy<'_>, verdict: &mut Verdict) {
        component::judge(self, policy, verdict);
    }

    fn judge_change(&self, old: &Self, _: &Requester<'_>, verdict: &mut Verdict) {
        let (new, old) = (&self.spec.backend_framework, &old.spec.backend_framework);
        graph_update::judge_backend(new.as_ref(), old.as_ref(), verdict);
    }
}

impl Judged for DynamoModel {
    fn judge(&self, _: &Policy<'_>, verdict: &mut Verdict) {
        model::judge(self, verdict);
    }

    fn judge_change(&self, old: &Self, _: &Requester<'_>, verdict: &mut Verdict) {
        model::judge_change(self, old, verdict);
    }
}

impl Judged for DynamoGraphDeploymentRequest {
    fn judge(&self, policy: &Policy<'_>, verdict: &mut Verdict) {
        request::judge(self, policy, verdict);
    }

    fn judge_change(&self, old: &Self, _: &Requester<'_>, verdict: &mut Verdict) {
        request::judge_change(self, old, verdict);
    }
}
