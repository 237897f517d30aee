//! Which graphs this operator admitted: rules that would change the pods of a graph that ran under the reference apply
//! to these alone. The mark is in the version that admission stamps on a new graph; nothing else tells.

use std::collections::BTreeMap;

use dynamo_api::{
    labels::annotations::ORIGIN_VERSION,
    v1alpha1::{DynamoGraphDeployment, SharedSpec},
};

use crate::version;

/// The identifier in the build metadata of the version: it takes no part in comparisons of versions.
const MARK: &str = "dynamo-rs";

/// What admission stamps on a new graph.
#[must_use]
pub fn stamp(version: &str) -> String {
    match version.split_once('+') {
        None => format!("{version}+{MARK}"),
        Some((_, build)) if is_marked(build) => version.to_owned(),
        Some(_) => format!("{version}.{MARK}"),
    }
}

/// Whether annotations say that this operator admitted the graph. A component has them from its graph.
#[must_use]
pub fn is_ours(annotations: &BTreeMap<String, String>) -> bool {
    let version = annotations.get(ORIGIN_VERSION).and_then(|text| version::parse(text));
    version.is_some_and(|version| is_marked(version.build.as_str()))
}

/// The same for a service of a graph, by the annotations that its component will have.
pub(crate) fn is_ours_in(graph: &DynamoGraphDeployment, service: &SharedSpec) -> bool {
    let of_graph = graph.metadata.annotations.as_ref().filter(|all| all.contains_key(ORIGIN_VERSION));
    is_ours(of_graph.unwrap_or(&service.annotations))
}

fn is_marked(build: &str) -> bool {
    build.split('.').any(|identifier| identifier == MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_keeps_what_the_version_says_and_is_known_again() {
        for (version, stamped) in [
            ("0.9.0", "0.9.0+dynamo-rs"),
            ("1.2.0-dev", "1.2.0-dev+dynamo-rs"),
            ("1.2.0-dev+abc", "1.2.0-dev+abc.dynamo-rs"),
            ("0.9.0+dynamo-rs", "0.9.0+dynamo-rs"),
        ] {
            assert_eq!(stamp(version), stamped);
            assert!(is_ours(&[(ORIGIN_VERSION.to_owned(), stamped.to_owned())].into()), "{stamped}");
        }
    }

    #[test]
    fn graphs_of_the_reference_and_of_nobody_are_not_ours() {
        for version in ["0.9.0", "1.0.0+dynamo-rsx", "1.0.0-dynamo-rs", "x+dynamo-rs", ""] {
            assert!(!is_ours(&[(ORIGIN_VERSION.to_owned(), version.to_owned())].into()), "{version}");
        }
        assert!(!is_ours(&BTreeMap::new()));
        assert!(is_ours(&[(ORIGIN_VERSION.to_owned(), "v0.9+dynamo-rs".to_owned())].into()));
    }
}
