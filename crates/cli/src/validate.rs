//! `dynamoctl validate`: the verdict of the admission webhook on manifests, all errors at once.
//! Kinds of other groups are counted and passed over; it never asks a cluster.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::ValueEnum;
use dynamo_api::{
    DecodeError,
    v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest, DynamoModel},
};
use dynamo_render::{
    OperatorConfig,
    validate::{FieldErrors, Judged, Policy, Verdict},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    cluster::Target,
    error::Error,
    manifest::{self, Document},
};

/// Arguments of `dynamoctl validate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, folders, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    sources: Vec<PathBuf>,
    /// Judge as an operator that is restricted to one namespace
    #[arg(long)]
    restricted: bool,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// For people, or one JSON object per line for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

const GROUP: &str = "nvidia.com/";
const VERSION: &str = "nvidia.com/v1alpha1";
/// Kinds of the platform that admission does not review.
const NOT_REVIEWED: [&str; 3] =
    ["DynamoGraphDeploymentScalingAdapter", "DynamoCheckpoint", "DynamoWorkerMetadata"];
const REVIEWED: [&str; 4] =
    ["DynamoGraphDeployment", "DynamoComponentDeployment", "DynamoModel", "DynamoGraphDeploymentRequest"];
/// What an API server adds to `generateName`, and how much of the name it keeps before that.
const GENERATED: &str = "xxxxx";
const GENERATED_LIMIT: usize = 58;

/// The verdict on one document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    source: String,
    document: usize,
    #[serde(skip_serializing_if = "String::is_empty")]
    kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    accepted: bool,
    errors: Vec<String>,
    warnings: Vec<String>,
}

/// Judges every document; the exit code is 1 when one of them is refused.
///
/// # Errors
/// A source that cannot be read, or an output that cannot be written.
pub fn run(arguments: &Arguments, target: &Target, out: &mut impl Write) -> Result<ExitCode, Error> {
    let config = OperatorConfig::default();
    // Without a cluster nobody knows which optional APIs it has.
    let policy = Policy { restricted: arguments.restricted, ..Policy::stateless(&config) };
    let mut judged = 0_usize;
    let mut refused = 0_usize;
    let mut skipped = 0_usize;
    for document in manifest::read(&arguments.sources)? {
        let Some(answer) = judge(document, target.offline_namespace(), &policy) else {
            skipped += 1;
            continue;
        };
        judged += 1;
        refused += usize::from(!answer.accepted);
        write_answer(&answer, arguments.output, out)?;
    }
    if arguments.output == Output::Text {
        writeln!(out, "{judged} judged, {refused} refused, {skipped} skipped")?;
    }
    Ok(ExitCode::from(u8::from(refused > 0)))
}

/// `None` for a kind that the platform does not judge.
fn judge(document: Document, namespace: &str, policy: &Policy<'_>) -> Option<Answer> {
    let Document { source, number, object } = document;
    let mut object = match object {
        Ok(object) => object,
        Err(error) => {
            return Some(Answer {
                source,
                document: number,
                kind: String::new(),
                name: String::new(),
                accepted: false,
                errors: vec![format!("is no YAML: {error}")],
                warnings: Vec::new(),
            });
        }
    };
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let version = text("/apiVersion");
    let (kind, mut name) = (text("/kind"), text("/metadata/name"));
    if !version.starts_with(GROUP) || (version == VERSION && NOT_REVIEWED.contains(&kind.as_str())) {
        return None;
    }
    // Others use this group, too, such as the GPU Operator.
    if version != VERSION && !kind.starts_with("Dynamo") {
        return None;
    }
    if version != VERSION || !REVIEWED.contains(&kind.as_str()) {
        let known: Vec<&str> = REVIEWED.into_iter().chain(NOT_REVIEWED).collect();
        let error = format!(
            "is {kind:?} of {version:?}, which the platform does not have: its kinds are {} of {VERSION}",
            known.join(", ")
        );
        let (errors, warnings) = (vec![error], Vec::new());
        return Some(Answer { source, document: number, kind, name, accepted: false, errors, warnings });
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
        if let Some(base) = metadata.get("generateName").and_then(Value::as_str)
            && name.is_empty()
            && !base.is_empty()
        {
            name = base.chars().take(GENERATED_LIMIT).chain(GENERATED.chars()).collect();
            metadata.insert("name".to_owned(), name.clone().into());
        }
    }
    let verdict = match kind.as_str() {
        "DynamoGraphDeployment" => verdict::<DynamoGraphDeployment>(&object, policy),
        "DynamoComponentDeployment" => verdict::<DynamoComponentDeployment>(&object, policy),
        "DynamoModel" => verdict::<DynamoModel>(&object, policy),
        "DynamoGraphDeploymentRequest" => verdict::<DynamoGraphDeploymentRequest>(&object, policy),
        _ => return None,
    };
    let (errors, warnings) = match verdict {
        Ok(verdict) => texts(verdict),
        Err(error) => (vec![error.to_string()], Vec::new()),
    };
    Some(Answer { source, document: number, kind, name, accepted: errors.is_empty(), errors, warnings })
}

fn verdict<K: Judged + DeserializeOwned>(
    object: &Value,
    policy: &Policy<'_>,
) -> Result<Verdict, DecodeError> {
    dynamo_api::decode::<K>(object).map(|object| object.on_create(policy))
}

/// Errors and warnings, each with a last line for those that the verdict only counts.
fn texts(verdict: Verdict) -> (Vec<String>, Vec<String>) {
    let FieldErrors(errors, more) = verdict.errors;
    let mut errors: Vec<String> = errors.into_iter().map(|error| error.text).collect();
    errors.extend((more > 0).then(|| FieldErrors::say_more(more)));
    let mut warnings: Vec<String> = verdict.warnings.into_iter().map(|warning| warning.text).collect();
    let more = verdict.more_warnings;
    warnings.extend((more > 0).then(|| format!("and {more} more warnings")));
    (errors, warnings)
}

fn write_answer(answer: &Answer, output: Output, out: &mut impl Write) -> std::io::Result<()> {
    if output == Output::Json {
        serde_json::to_writer(&mut *out, answer)?;
        return out.write_all(b"\n");
    }
    let Answer { source, document, kind, name, accepted, errors, warnings } = answer;
    let verdict = if *accepted { "ok" } else { "refused" };
    let what = if kind.is_empty() { format!("document {document}") } else { format!("{kind} {name}") };
    writeln!(out, "{source}: {what}: {verdict}")?;
    for error in errors {
        writeln!(out, "  error: {error}")?;
    }
    for warning in warnings {
        writeln!(out, "  warning: {warning}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(version: &str, kind: &str, metadata: Value) -> Option<Answer> {
        let worker = json!({"componentType": "worker", "extraPodSpec": {"mainContainer": {"image": "example.com/a:1"}}});
        let object = json!({"apiVersion": version, "kind": kind, "metadata": metadata,
            "spec": {"services": {"Worker": worker}}});
        let document = Document { source: "-".to_owned(), number: 1, object: Ok(object) };
        judge(document, "default", &Policy::stateless(&OperatorConfig::default()))
    }

    #[test]
    fn unknown_kinds_and_versions_of_the_group_are_refused_with_the_known_ones() {
        for (version, kind) in [
            ("nvidia.com/v1alpha1", "DynamoGraphDeploymnt"),
            ("nvidia.com/v1beta9", "DynamoGraphDeployment"),
            ("nvidia.com/v1", "DynamoCheckpoint"),
            ("nvidia.com/v1alpha1", ""),
        ] {
            let answer = judged(version, kind, json!({"name": "a"})).unwrap();
            assert!(!answer.accepted);
            assert!(answer.errors[0].contains("DynamoGraphDeploymentRequest"), "{:?}", answer.errors);
            assert!(answer.errors[0].contains("of nvidia.com/v1alpha1"), "{:?}", answer.errors);
        }
    }

    #[test]
    fn what_admission_does_not_review_is_skipped() {
        assert!(judged("apps/v1", "Deployment", json!({"name": "a"})).is_none());
        assert!(judged("nvidia.com/v1alpha1", "DynamoCheckpoint", json!({"name": "a"})).is_none());
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
