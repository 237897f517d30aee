//! Whether a document is one of the platform's, one of somebody else's, or one that was meant to be ours. Only kind and
//! version are looked at.

use crate::{
    schema::{DEFINITIONS, Definition},
    suggest,
};

const GROUP: &str = "nvidia.com/";
const VERSION: &str = "nvidia.com/v1alpha1";

/// What a document is to the platform.
pub(super) enum Standing {
    Ours,
    Foreign,
    /// Almost ours: the field that says so, and the message.
    Unknown(&'static str, String),
}

impl Standing {
    pub(super) fn of(version: &str, kind: &str) -> Self {
        let is_kind = Definition::of(kind).is_some();
        if version == VERSION && is_kind {
            return Self::Ours;
        }
        let kinds = || DEFINITIONS.iter().map(|definition| definition.kind);
        let is_likely = suggest::nearest(kind, kinds()).is_some_and(|_| kind.starts_with("Dynamo"));
        let group_is_likely = suggest::nearest(version, [VERSION]).is_some();
        // Others use this group, too, such as the GPU Operator; and other groups may have kinds of any name.
        let concerned = match version.strip_prefix(GROUP) {
            Some("v1alpha1") => true,
            Some(_) => kind.starts_with("Dynamo"),
            None => (is_kind || is_likely) && (version.is_empty() || group_is_likely || is_kind),
        };
        if !concerned {
            return Self::Foreign;
        }
        let known: Vec<&str> = kinds().collect();
        let question =
            if is_kind { format!(": did you mean {VERSION}?") } else { suggest::question(kind, kinds()) };
        let field = if is_kind { "apiVersion" } else { "kind" };
        let error = format!(
            "is {kind:?} of {version:?}, which the platform does not have{question}{} its kinds are {} of {VERSION}",
            if question.is_empty() { ":" } else { "" },
            known.join(", ")
        );
        Self::Unknown(field, error)
    }
}
