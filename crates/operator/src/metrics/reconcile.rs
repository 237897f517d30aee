//! Puts a reconcile into numbers and gives its log lines an id.
//! What a failure means is said by the error itself.

use dynamo_kubekit::{
    apply::Class,
    metrics::{ReconcileMetrics, Verdict},
};
use kube::runtime::controller::Action;
use tracing::{Instrument, error_span};

use crate::failure::Failure;

/// Runs one pass over the object `key` (namespace, name) of `kind`: its time and end are counted, and every line that
/// it logs carries kind, object and an id of its own.
pub(crate) async fn observe<E: Failure>(
    metrics: &ReconcileMetrics,
    kind: &'static str,
    key: (String, String),
    pass: impl Future<Output = Result<Action, E>>,
) -> Result<Action, E> {
    // At the highest level, or a filter that hides lower lines would take the id from the others, too.
    let span = error_span!(
        "reconcile",
        controller = kind,
        namespace = key.0,
        name = key.1,
        reconcileID = %uuid::Uuid::new_v4()
    );
    let attempt = metrics.start(kind, key);
    let outcome = pass.instrument(span).await;
    attempt.end(match &outcome {
        Ok(_) => Verdict::Success,
        Err(error) => verdict(error),
    });
    outcome
}

/// What is only waited for is no error: error counters are for what a person should look at.
fn verdict(error: &impl Failure) -> Verdict {
    match error.class() {
        Class::Invalid | Class::Transient => Verdict::Error(error_type(error)),
        _ => Verdict::Requeue,
    }
}

/// The class of the answer that the API server gave, else the category of the error.
fn error_type(error: &impl Failure) -> &'static str {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        let boxed = error.downcast_ref::<Box<kube::Error>>().map(|error| &**error);
        match error.downcast_ref::<kube::Error>().or(boxed) {
            Some(kube::Error::Api(status)) => return class_of(status.code, &status.reason),
            // No answer at all.
            Some(_) => return "internal",
            None => next = error.source(),
        }
    }
    error.category()
}

fn class_of(code: u16, reason: &str) -> &'static str {
    match (code, reason) {
        (_, "NotFound") | (404, _) => "not_found",
        (_, "AlreadyExists") => "already_exists",
        (_, "Conflict") | (409, _) => "conflict",
        (_, "Invalid") | (422, _) => "validation",
        (_, "BadRequest") | (400, _) => "bad_request",
        (_, "Unauthorized") | (401, _) => "unauthorized",
        (_, "Forbidden") | (403, _) => "forbidden",
        (_, "Timeout") | (504, _) => "timeout",
        (_, "ServerTimeout") => "server_timeout",
        (_, "ServiceUnavailable") | (503, _) => "unavailable",
        (_, "TooManyRequests") | (429, _) => "rate_limited",
        _ => "internal",
    }
}

#[cfg(test)]
mod tests {
    use dynamo_kubekit::apply::ApplyError;

    use super::*;

    fn refused(code: u16, reason: &str) -> ApplyError {
        let status = kube::core::Status { code, reason: reason.to_owned(), ..kube::core::Status::default() };
        ApplyError::Api {
            verb: "create",
            kind: "Role".into(),
            namespace: "ns".into(),
            name: "r".into(),
            source: Box::new(kube::Error::Api(Box::new(status))),
        }
    }

    #[test]
    fn an_error_is_classed_by_the_answer_below_it() {
        use crate::graph::Error;
        for (code, reason, want) in [
            (404, "NotFound", "not_found"),
            (422, "Invalid", "validation"),
            (400, "BadRequest", "bad_request"),
            (401, "Unauthorized", "unauthorized"),
            (403, "Forbidden", "forbidden"),
            (504, "Timeout", "timeout"),
            (500, "ServerTimeout", "server_timeout"),
            (503, "ServiceUnavailable", "unavailable"),
            (429, "TooManyRequests", "rate_limited"),
            (500, "InternalError", "internal"),
            (507, "", "internal"),
        ] {
            let error = Error::Components(refused(code, reason));
            assert_eq!(verdict(&error), Verdict::Error(want), "{code} {reason}");
        }
        assert_eq!(class_of(409, "AlreadyExists"), "already_exists");
        assert_eq!(class_of(409, "Conflict"), "conflict");
    }

    #[test]
    fn an_error_of_ours_is_classed_by_its_category_and_no_answer_is_internal() {
        use crate::graph::Error;
        assert_eq!(verdict(&Error::NoOrchestrator), Verdict::Error("no_orchestrator"));
        let silent = kube::Error::Service("no answer".into());
        let error = match refused(0, "") {
            ApplyError::Api { verb, kind, namespace, name, .. } => {
                ApplyError::Api { verb, kind, namespace, name, source: Box::new(silent) }
            }
            other => other,
        };
        assert_eq!(verdict(&Error::Discovery(error)), Verdict::Error("internal"));
    }

    #[test]
    fn what_is_only_waited_for_is_no_error() {
        let error = crate::graph::Error::Components(refused(409, "Conflict"));
        assert_eq!(verdict(&error), Verdict::Requeue);
    }
}
