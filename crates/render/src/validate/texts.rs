//! Labels, annotations and the words that say what they may hold.
//! What becomes a label on some object is judged like one, whatever field it comes from.

use std::collections::BTreeMap;

use dynamo_api::{
    labels::{self, annotations},
    v1alpha1::SharedSpec,
};

use super::{Kind, Rule, Verdict, component::Place};
use crate::{component::debug, names};

pub(super) const LABEL_VALUE: &str = "becomes a label value: at most 63 characters of letters, digits, '-', '_' and '.', with a letter or digit at \
     both ends";
pub(super) const SERVICE_NAME: &str = "the derived name of the Service must be at most 63 characters of a-z, 0-9 and '-', begin with a letter and not \
     end with '-'";
pub(super) const SUBDOMAIN: &str = "must be a DNS subdomain: at most 253 characters of a-z, 0-9, '-' and '.', with a letter or digit at both ends of \
     each part";
pub(super) const DNS_LABEL: &str =
    "must be a DNS label: at most 63 characters of a-z, 0-9 and '-', with a letter or digit at both ends";
pub(super) const NEGATIVE: &str = "must not be negative: write an amount of 0 or more";

const LABEL_KEY: &str = "is no key of a label: write a name of at most 63 letters, digits, '-', '_' and '.', with or without a DNS \
     subdomain and '/' before it";
const ANNOTATION_KEY: &str = "is no key of an annotation: write a name of at most 63 letters, digits, '-', '_' and '.', with or without a DNS \
     subdomain and '/' before it";

/// Labels and annotations of a service or a component.
pub(super) fn check_service(place: &Place<'_>, spec: &SharedSpec, verdict: &mut Verdict) {
    let field = place.field;
    check_annotations(&format!("{field}.annotations"), &spec.annotations, verdict);
    let of_labels = format!("{field}.labels");
    if place.kind == Kind::Graph && !place.ours {
        // These labels reach no object: a bad one hurts nobody until the graph moves to Grove.
        let mut unused = Verdict::default();
        check_labels(&of_labels, &spec.labels, &mut unused);
        verdict.warn_of_errors(unused);
    } else {
        check_labels(&of_labels, &spec.labels, verdict);
    }
    let debug = names::debug(place.selector);
    // A name that is bad without its end is judged by itself.
    if debug::steals_traffic(spec)
        && names::is_service_name(place.selector)
        && !names::is_service_name(&debug)
    {
        let field = format!("{field}.annotations[{}]", annotations::STEAL_TRAFFIC);
        verdict.invalid(Rule::ServiceNameInvalid, field, &debug, SERVICE_NAME);
    }
    let typed = [("componentType", &spec.component_type), ("subComponentType", &spec.sub_component_type)];
    for (key, value) in typed {
        if let Some(value) = value.as_deref().filter(|value| !names::is_label_value(value)) {
            verdict.invalid(Rule::LabelValueInvalid, format!("{field}.{key}"), value, LABEL_VALUE);
        }
    }
    let Some(extra) = &spec.extra_pod_metadata else { return };
    check_annotations(&format!("{field}.extraPodMetadata.annotations"), &extra.annotations, verdict);
    let of_pods = format!("{field}.extraPodMetadata.labels");
    check_labels(&of_pods, &extra.labels, verdict);
    if let Some(value) = extra.labels.get(labels::SELECTOR).filter(|value| *value != place.selector) {
        let words = "is how the Deployment finds its pods: take the label out, it is set for you";
        verdict.invalid(Rule::SelectorOverridden, format!("{of_pods}[{}]", labels::SELECTOR), value, words);
    }
}

pub(super) fn check_labels(field: &str, all: &BTreeMap<String, String>, verdict: &mut Verdict) {
    for (key, value) in all {
        if !names::is_qualified_name(key) {
            verdict.invalid(Rule::LabelKeyInvalid, field, key, LABEL_KEY);
        }
        if !names::is_label_value(value) {
            verdict.invalid(Rule::LabelValueInvalid, format!("{field}[{key}]"), value, LABEL_VALUE);
        }
    }
}

pub(super) fn check_annotations(field: &str, all: &BTreeMap<String, String>, verdict: &mut Verdict) {
    // The API server compares in lower case.
    for key in all.keys().filter(|key| !names::is_qualified_name(&key.to_ascii_lowercase())) {
        verdict.invalid(Rule::AnnotationKeyInvalid, field, key, ANNOTATION_KEY);
    }
}
