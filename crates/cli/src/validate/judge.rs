//! One document: the verdict of the admission webhook, what an API server has against it before that, and what bites
//! later. Pure; every rule is that of the libraries and of the schema.

use dynamo_api::{
    DecodeError,
    v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest, DynamoModel},
};
use dynamo_render::{
    names,
    validate::{FieldErrors, Judged, Policy, Trap, Verdict, component_traps, traps},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    findings::{Answer, By, Findings, Level},
    standing::Standing,
    yaml,
};
use crate::{
    manifest::{Document, Marked},
    schema::{
        Schemas,
        judge::{Fault, FaultKind},
    },
};

const NAME: &str = "metadata.name";
/// What an API server adds to `generateName`, and how much of the name it keeps before that.
const GENERATED: &str = "xxxxx";
const GENERATED_LIMIT: usize = 58;

/// How to judge.
pub(super) struct Judge<'a> {
    pub(super) policy: Policy<'a>,
    /// Of objects that name none.
    pub(super) namespace: &'a str,
    /// Whether a field that the API does not have refuses the object.
    pub(super) strict: bool,
    pub(super) schemas: Schemas,
}

impl Judge<'_> {
    /// `None` for a kind that is not of the platform.
    pub(super) fn judge(&mut self, document: Document) -> Option<Answer> {
        let Document { source, number, object, marks } = document;
        let mut answer = Answer {
            source,
            document: number,
            kind: String::new(),
            name: String::new(),
            accepted: false,
            errors: Vec::new(),
            warnings: Vec::new(),
            findings: Vec::new(),
        };
        let object = match object {
            Ok(object) => object,
            Err(error) => {
                answer.errors.push(format!("is no YAML: {}", error.reason));
                answer.findings = yaml::unreadable(&error);
                return Some(answer);
            }
        };
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        answer.kind = text("/kind");
        answer.name = text("/metadata/name");
        let mut findings = Findings::new(marks.as_ref());
        match Standing::of(&text("/apiVersion"), &answer.kind) {
            Standing::Foreign => return None,
            Standing::Unknown(field, error) => {
                findings.add(Level::Error, By::Schema, field, error.clone());
                answer.errors.push(error);
            }
            Standing::Ours => self.judge_ours(object, marks.as_ref(), &mut answer, &mut findings),
        }
        answer.findings = findings.sorted();
        answer.accepted = answer.findings.iter().all(|finding| finding.level != Level::Error);
        Some(answer)
    }

    fn judge_ours(
        &mut self,
        mut object: Value,
        marks: Option<&Marked>,
        answer: &mut Answer,
        findings: &mut Findings<'_>,
    ) {
        let Some(schema) = self.schemas.of(&answer.kind) else { return };
        let faults = crate::schema::judge::judge(&schema, &object);
        if let Some(marks) = marks {
            yaml::truths(&object, marks, &schema, "", findings);
        }
        self.complete(&mut object, answer);
        if !faults.iter().any(|fault| fault.path == NAME) && answer.name.is_empty() {
            // Admission is never asked about an object without a name.
            let text = format!("{NAME} is required: the name of the object");
            answer.errors.push(text.clone());
            findings.add(Level::Error, By::Schema, NAME, text);
        } else {
            self.ask_admission(&object, &faults, answer, findings);
        }
        self.check_name(&object, findings);
        self.take_faults(faults, findings);
    }

    fn ask_admission(
        &self,
        object: &Value,
        faults: &[Fault],
        answer: &mut Answer,
        findings: &mut Findings<'_>,
    ) {
        let verdict = match answer.kind.as_str() {
            "DynamoGraphDeployment" => dynamo_api::decode::<DynamoGraphDeployment>(object).map(|graph| {
                take_traps(traps(&graph), findings);
                graph.on_create(&self.policy)
            }),
            "DynamoComponentDeployment" => {
                dynamo_api::decode::<DynamoComponentDeployment>(object).map(|component| {
                    take_traps(component_traps(&component), findings);
                    component.on_create(&self.policy)
                })
            }
            "DynamoModel" => verdict::<DynamoModel>(object, &self.policy),
            "DynamoGraphDeploymentRequest" => verdict::<DynamoGraphDeploymentRequest>(object, &self.policy),
            // Admission does not look at the others: their schema is all that is asked of them.
            _ => Ok(Verdict::default()),
        };
        match verdict {
            Ok(verdict) => take_verdict(verdict, answer, findings),
            Err(error) => {
                answer.errors.push(error.to_string());
                // The schema tells the same of each field, not only of the first.
                if !faults.iter().any(|fault| fault.kind == FaultKind::Refused) {
                    findings.add(Level::Error, By::Schema, &error.path, error.to_string());
                }
            }
        }
    }

    /// What an API server fills in before admission.
    fn complete(&self, object: &mut Value, answer: &mut Answer) {
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
        metadata.entry("namespace").or_insert_with(|| self.namespace.into());
        if let Some(base) = metadata.get("generateName").and_then(Value::as_str)
            && answer.name.is_empty()
            && !base.is_empty()
        {
            answer.name = base.chars().take(GENERATED_LIMIT).chain(GENERATED.chars()).collect();
            metadata.insert("name".to_owned(), answer.name.clone().into());
        }
    }

    /// The name of an object, which the API server judges for every kind.
    fn check_name(&self, object: &Value, findings: &mut Findings<'_>) {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        if !name.is_empty() && !findings.is_refused(NAME) && !names::is_dns_subdomain(name) {
            let text = format!(
                "{NAME}: {name:?}: must be a DNS subdomain: at most 253 characters of a-z, 0-9, '-' and '.', with a \
                 letter or digit at both ends of each part"
            );
            findings.add(Level::Error, By::Schema, NAME, text);
        }
    }

    /// What admission refuses in its own words is not told again in those of the schema.
    fn take_faults(&self, faults: Vec<Fault>, findings: &mut Findings<'_>) {
        for Fault { kind, path, text } in faults {
            match kind {
                FaultKind::Refused if findings.is_refused(&path) => {}
                FaultKind::Refused => findings.add(Level::Error, By::Schema, &path, text),
                FaultKind::Empty => findings.add(Level::Warning, By::Schema, &path, text),
                FaultKind::Unknown if self.strict => findings.add(Level::Error, By::Schema, &path, text),
                FaultKind::Unknown => {
                    let text = format!("{text} (kubectl apply refuses it, other clients have it dropped)");
                    findings.add(Level::Warning, By::Schema, &path, text);
                }
            }
        }
    }
}

fn verdict<K: Judged + DeserializeOwned>(
    object: &Value,
    policy: &Policy<'_>,
) -> Result<Verdict, DecodeError> {
    dynamo_api::decode::<K>(object).map(|object| object.on_create(policy))
}

fn take_traps(found: Vec<Trap>, findings: &mut Findings<'_>) {
    for trap in found {
        let (level, by) =
            if trap.is_refused { (Level::Error, By::Schema) } else { (Level::Warning, By::Hint) };
        findings.add(level, by, &trap.field, trap.text);
    }
}

/// Errors and warnings, each with a last line for those that the verdict only counts.
fn take_verdict(verdict: Verdict, answer: &mut Answer, findings: &mut Findings<'_>) {
    let FieldErrors(errors, more) = verdict.errors;
    for error in errors {
        findings.add_rule(Level::Error, error.rule.spec().id, &error.field, error.text.clone());
        answer.errors.push(error.text);
    }
    if more > 0 {
        let text = FieldErrors::say_more(more);
        findings.add(Level::Error, By::Admission, "", text.clone());
        answer.errors.push(text);
    }
    for warning in verdict.warnings {
        findings.add_rule(Level::Warning, warning.rule.spec().id, &warning.field, warning.text.clone());
        answer.warnings.push(warning.text);
    }
    if verdict.more_warnings > 0 {
        let text = format!("and {} more warnings", verdict.more_warnings);
        findings.add(Level::Warning, By::Admission, "", text.clone());
        answer.warnings.push(text);
    }
}

#[cfg(test)]
mod tests {
    use dynamo_render::OperatorConfig;
    use serde_json::json;

    use super::*;

    fn judged(version: &str, kind: &str, metadata: Value) -> Option<Answer> {
        let worker = json!({"componentType": "worker", "extraPodSpec": {"mainContainer": {"image": "example.com/a:1"}}});
        let object = json!({"apiVersion": version, "kind": kind, "metadata": metadata,
            "spec": {"services": {"Worker": worker}}});
        let document = Document { source: "-".to_owned(), number: 1, object: Ok(object), marks: None };
        let config = OperatorConfig::default();
        let policy = Policy::stateless(&config);
        Judge { policy, namespace: "default", strict: false, schemas: Schemas::default() }.judge(document)
    }

    #[test]
    fn unknown_kinds_and_versions_of_the_group_are_refused_with_the_known_ones() {
        for (version, kind, question) in [
            ("nvidia.com/v1alpha1", "DynamoGraphDeploymnt", "did you mean \"DynamoGraphDeployment\"?"),
            ("nvidia.com/v1beta9", "DynamoGraphDeployment", "did you mean nvidia.com/v1alpha1?"),
            ("nvidia.com/v1", "DynamoCheckpoint", "did you mean nvidia.com/v1alpha1?"),
            ("nvidia.com/v1alpha1", "", "which the platform does not have: its kinds"),
            ("nvida.com/v1alpha1", "DynamoModel", "did you mean nvidia.com/v1alpha1?"),
            ("", "DynamoModel", "did you mean nvidia.com/v1alpha1?"),
        ] {
            let answer = judged(version, kind, json!({"name": "a"})).unwrap();
            assert!(!answer.accepted);
            assert!(answer.errors[0].contains("DynamoGraphDeploymentRequest"), "{:?}", answer.errors);
            assert!(answer.errors[0].contains("of nvidia.com/v1alpha1"), "{:?}", answer.errors);
            assert!(answer.errors[0].contains(question), "{:?}", answer.errors);
        }
    }

    #[test]
    fn kinds_of_others_are_skipped() {
        for (version, kind) in
            [("apps/v1", "Deployment"), ("nvidia.com/v1", "ClusterPolicy"), ("", ""), ("v1", "Service")]
        {
            assert!(judged(version, kind, json!({"name": "a"})).is_none(), "{version} {kind}");
        }
    }

    #[test]
    fn a_kind_that_admission_does_not_review_is_judged_by_its_schema() {
        let answer = judged("nvidia.com/v1alpha1", "DynamoCheckpoint", json!({"name": "a"})).unwrap();
        assert!(!answer.accepted && answer.errors.is_empty(), "{answer:?}");
        let fields: Vec<&str> = answer.findings.iter().map(|finding| finding.field.as_str()).collect();
        assert_eq!(fields, ["spec.identity", "spec.job", "spec.services"]);
    }

    #[test]
    fn an_object_whose_name_is_generated_is_judged_with_one_of_that_length() {
        let of = |metadata| judged("nvidia.com/v1alpha1", "DynamoGraphDeployment", metadata).unwrap();
        let answer = of(json!({"generateName": "chat-"}));
        assert_eq!((answer.name.as_str(), answer.errors.as_slice()), ("chat-xxxxx", [].as_slice()));
        let long = of(json!({"generateName": format!("{}-", "c".repeat(60))}));
        assert!(long.errors.iter().any(|error| error.contains("at most 63 characters")), "{:?}", long.errors);
        assert_eq!(of(json!({"generateName": "chat-", "name": "mine"})).name, "mine");
    }
}
