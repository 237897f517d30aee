//! What admission adds to a new graph: the version of the operator that saw it first.
//! One annotation and nothing else, so that the stored object is the user's own.

use std::collections::BTreeMap;

use dynamo_api::labels::annotations::ORIGIN_VERSION;
use dynamo_render::origin;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{json, value::RawValue};

use super::{judge, review::Answer};

#[derive(Deserialize)]
struct Head {
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
struct Metadata {
    annotations: Option<BTreeMap<String, IgnoredAny>>,
}

/// A patch that stamps `version`, with the mark of this operator, on a new graph; or no patch when the annotation is there with any value.
pub(super) fn stamp(object: Option<&RawValue>, version: &str) -> Answer {
    let head = match judge::decode::<Head>("object", object) {
        Ok(head) => head,
        Err(message) => return Answer::bad_request(message),
    };
    let version = origin::stamp(version);
    let (path, value) = match head.metadata.map(|metadata| metadata.annotations) {
        None => ("/metadata".to_owned(), json!({"annotations": {ORIGIN_VERSION: version}})),
        Some(None) => ("/metadata/annotations".to_owned(), json!({ORIGIN_VERSION: version})),
        Some(Some(annotations)) if annotations.contains_key(ORIGIN_VERSION) => return Answer::default(),
        // A slash separates the steps of a path and is written ~1 within one.
        Some(Some(_)) => {
            (format!("/metadata/annotations/{}", ORIGIN_VERSION.replace('/', "~1")), json!(version))
        }
    };
    let patch = json!([{"op": "add", "path": path, "value": value}]);
    Answer { patch: Some(patch.to_string()), ..Answer::default() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn stamped(mut object: Value) -> Value {
        let raw = RawValue::from_string(object.to_string()).unwrap();
        if let Some(patch) = stamp(Some(&raw), "0.9.0").patch {
            json_patch::patch(&mut object, &serde_json::from_str::<json_patch::Patch>(&patch).unwrap())
                .unwrap();
        }
        object
    }

    #[test]
    fn a_new_graph_gets_the_one_annotation_and_keeps_all_else() {
        let whole =
            json!({"metadata": {"annotations": {ORIGIN_VERSION: "0.9.0+dynamo-rs"}}, "spec": {"x": 1}});
        for bare in [
            json!({"spec": {"x": 1}}),
            json!({"metadata": null, "spec": {"x": 1}}),
            json!({"metadata": {}, "spec": {"x": 1}}),
            json!({"metadata": {"annotations": null}, "spec": {"x": 1}}),
            json!({"metadata": {"annotations": {}}, "spec": {"x": 1}}),
        ] {
            assert_eq!(stamped(bare), whole);
        }
        let other = json!({"metadata": {"name": "g", "annotations": {"a/b~c": "d"}}});
        let expected = json!({"metadata": {"name": "g", "annotations": {"a/b~c": "d", ORIGIN_VERSION: "0.9.0+dynamo-rs"}}});
        assert_eq!(stamped(other), expected);
    }

    #[test]
    fn stamping_twice_is_stamping_once_and_a_value_of_the_user_stays() {
        let once = stamped(json!({"metadata": {"name": "g"}}));
        assert_eq!(stamped(once.clone()), once);
        for value in [json!("0.1.0"), json!(""), json!(null)] {
            let own = json!({"metadata": {"annotations": {ORIGIN_VERSION: value}}});
            assert_eq!(stamped(own.clone()), own);
        }
    }

    #[test]
    fn what_is_no_object_is_named_and_not_patched() {
        for text in ["[]", "7", r#"{"metadata": []}"#, r#"{"metadata": {"annotations": "x"}}"#] {
            let raw = RawValue::from_string(text.to_owned()).unwrap();
            let answer = stamp(Some(&raw), "0.9.0");
            assert!(answer.patch.is_none());
            assert!(answer.denial.unwrap().message.starts_with("object"), "{text}");
        }
        assert!(stamp(None, "0.9.0").denial.unwrap().message.contains("object is required"));
    }
}
