//! A Secret as far as its copies and the pods that use it need it: hashes and names, never what it holds.

use std::collections::{BTreeMap, BTreeSet};

use dynamo_api::labels::annotations::COPIED_FROM;
use dynamo_kubekit::{apply::LAST_APPLIED_HASH, diff::content_hash};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use crate::viewed::Viewed;

/// Field manager of the reference's operator, whose copies carry no mark.
const REFERENCE: &str = "manager";

/// A Secret of the name of a source, the source itself included.
pub type CopiedSecret = Viewed<Secret, Content>;

/// What is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Hash over type and content.
    pub(super) hash: String,
    /// By key: a hash that pods may show. Whoever sees it and may not read the Secret cannot try passwords against it,
    /// since the UID of the source goes into it; copies of one source have the same.
    pub(super) digests: BTreeMap<String, String>,
    pub(super) maker: Maker,
}

/// Who made a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Maker {
    /// This operator, as a copy.
    Operator,
    /// By all appearances the reference's operator. Other programs have that name, too, but they leave more on what they
    /// make.
    Reference,
    Somebody,
}

impl Content {
    /// By key: a hash that pods may show.
    #[must_use]
    pub fn digests(&self) -> &BTreeMap<String, String> {
        &self.digests
    }

    pub(super) fn keys(&self) -> BTreeSet<&str> {
        self.digests.keys().map(String::as_str).collect()
    }
}

impl From<Secret> for Content {
    fn from(secret: Secret) -> Self {
        let meta = &secret.metadata;
        let annotation = |key: &str| meta.annotations.as_ref().and_then(|all| all.get(key));
        let is_bare = meta.annotations.is_none() && meta.labels.is_none() && meta.owner_references.is_none();
        let by_reference =
            || meta.managed_fields.iter().flatten().any(|entry| entry.manager.as_deref() == Some(REFERENCE));
        let maker = if annotation(LAST_APPLIED_HASH).is_some() {
            Maker::Operator
        } else if is_bare && by_reference() {
            Maker::Reference
        } else {
            Maker::Somebody
        };
        let origin = annotation(COPIED_FROM).cloned().unwrap_or_else(|| origin_of(&secret));
        let hash = hash_of(&secret);
        let digest = |(key, value)| {
            let digest = content_hash(&json!([origin, key, value]));
            (key, digest)
        };
        Self { hash, digests: secret.data.unwrap_or_default().into_iter().map(digest).collect(), maker }
    }
}

/// What a copy says of where it comes from.
pub(super) fn origin_of(secret: &Secret) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let meta = &secret.metadata;
    format!("{}/{}/{}", text(&meta.namespace), text(&meta.name), text(&meta.uid))
}

pub(super) fn hash_of(secret: &Secret) -> String {
    content_hash(&json!({"type": secret.type_, "data": secret.data}))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn view(metadata: Value, password: &str) -> Content {
        let value = json!({"metadata": metadata, "type": "Opaque", "stringData": {}});
        let mut secret: Secret = serde_json::from_value(value).unwrap();
        let password = k8s_openapi::ByteString(password.as_bytes().to_vec());
        secret.data = Some([("password".to_owned(), password)].into());
        Content::from(secret)
    }

    #[test]
    fn nothing_of_the_content_is_kept() {
        let kept = format!("{:?}", view(json!({"name": "s", "uid": "u"}), "hunter2"));
        assert!(!kept.contains("hunter2") && !kept.contains("aHVudGVyMg"), "{kept}");
    }

    #[test]
    fn a_copy_shows_the_digests_of_its_source_and_they_follow_the_content() {
        let source = view(json!({"namespace": "home", "name": "s", "uid": "u"}), "one");
        let copied = |password: &str| {
            let annotations = json!({COPIED_FROM: "home/s/u", LAST_APPLIED_HASH: "x"});
            view(json!({"namespace": "a", "name": "s", "uid": "v", "annotations": annotations}), password)
        };
        assert_eq!(copied("one").digests, source.digests);
        assert_ne!(copied("two").digests, source.digests);
        assert_eq!((source.maker, copied("one").maker), (Maker::Somebody, Maker::Operator));
        // The same password elsewhere is another digest.
        let other = view(json!({"namespace": "home", "name": "s", "uid": "w"}), "one");
        assert_ne!(other.digests, source.digests);
        assert_eq!(other.hash, source.hash);
    }

    #[test]
    fn a_bare_secret_of_the_manager_of_the_reference_is_its_copy() {
        let fields = json!([{"manager": "manager", "operation": "Update"}]);
        assert_eq!(view(json!({"managedFields": fields}), "p").maker, Maker::Reference);
        let labelled = json!({"managedFields": fields, "labels": {"a": "b"}});
        assert_eq!(view(labelled, "p").maker, Maker::Somebody);
    }
}
