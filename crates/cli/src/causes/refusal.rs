//! What an API server meant when it refused a write, read from the message that others pass on.
//! Messages are no contract: what is not understood is still quoted.

use super::{Kind, quoted};

/// What stands behind a message about a write that failed.
pub(super) fn kind(message: &str) -> Kind {
    const MEANINGS: [(&str, Kind); 12] = [
        ("no multinode orchestrator available", Kind::NoOrchestrator),
        ("failed calling webhook", Kind::WebhookDown),
        ("denied the request", Kind::AdmissionDenied),
        ("exceeded quota", Kind::QuotaExceeded),
        ("serviceaccount \"", Kind::AccountMissing),
        ("error looking up service account", Kind::AccountMissing),
        ("persistentvolumeclaims \"", Kind::ClaimMissing),
        ("no matches for kind", Kind::ApiMissing),
        ("it is left untouched", Kind::NameTaken),
        ("controlled by nobody", Kind::NameTaken),
        ("violates PodSecurity", Kind::PodSecurity),
        ("error getting source secret", Kind::ObjectMissing),
    ];
    let meaning = MEANINGS.iter().find(|(text, _)| message.contains(text));
    meaning.map_or(Kind::WriteFailed, |(_, kind)| *kind)
}

/// What the message names: the webhook, the quota, the account, the claim.
pub(super) fn subject(kind: Kind, message: &str) -> Option<String> {
    let after = |text: &str| message.split_once(text).map(|(_, rest)| rest);
    let word = |rest: &str| rest.split([',', ' ', ':']).find(|word| !word.is_empty()).map(str::to_owned);
    match kind {
        Kind::WebhookDown => after("failed calling webhook").and_then(quoted),
        Kind::AdmissionDenied => after("admission webhook").and_then(quoted),
        Kind::QuotaExceeded => after("exceeded quota:").and_then(word),
        Kind::AccountMissing => after("serviceaccount ")
            .and_then(quoted)
            .or_else(|| after("error looking up service account").and_then(word)),
        Kind::ClaimMissing => after("persistentvolumeclaims ").and_then(quoted),
        Kind::ApiMissing => after("no matches for kind").and_then(quoted),
        Kind::ObjectMissing => after("error getting source secret").and_then(word),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_is_told_by_its_words_and_names_its_subject() {
        for (message, wanted, named) in [
            (
                "failed to reconcile Dynamo components deployments: no multinode orchestrator available",
                Kind::NoOrchestrator,
                None,
            ),
            (
                "cannot create D a/b: Internal error occurred: failed calling webhook \"v.kb.io\": Post: refused",
                Kind::WebhookDown,
                Some("v.kb.io"),
            ),
            ("admission webhook \"p.corp\" denied the request: no", Kind::AdmissionDenied, Some("p.corp")),
            (
                "pods \"g-1\" is forbidden: exceeded quota: compute, requested: pods=1",
                Kind::QuotaExceeded,
                Some("compute"),
            ),
            (
                "pods \"g-\" is forbidden: error looking up service account ns/absent: serviceaccount \"absent\" not found",
                Kind::AccountMissing,
                Some("absent"),
            ),
            ("persistentvolumeclaims \"m\" not found in namespace a", Kind::ClaimMissing, Some("m")),
            ("no matches for kind \"InferencePool\" in version", Kind::ApiMissing, Some("InferencePool")),
            ("Service a/b already exists and belongs to X; it is left untouched", Kind::NameTaken, None),
            ("something new", Kind::WriteFailed, None),
        ] {
            assert_eq!((kind(message), subject(wanted, message).as_deref()), (wanted, named), "{message}");
        }
    }
}
