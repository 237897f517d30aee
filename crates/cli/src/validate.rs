//! `dynamoctl validate`: the verdict of the admission webhook on manifests, all errors at once.
//! Kinds of other groups are passed over; it never asks a cluster.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::ValueEnum;
use dynamo_api::{
    DecodeError,
    v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest, DynamoModel},
};
use dynamo_render::{
    OperatorConfig,
    validate::{Judged, Policy, Verdict},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::manifest::{self, Document, ReadError};

/// Arguments of `dynamoctl validate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, folders, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    sources: Vec<PathBuf>,
    /// Namespace of objects that name none
    #[arg(short, long, default_value = "default")]
    namespace: String,
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

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write the answer: {0}")]
    Write(std::io::Error),
}

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
pub fn run(arguments: &Arguments, out: &mut impl Write) -> Result<ExitCode, Error> {
    let config = OperatorConfig::default();
    // Without a cluster nobody knows which optional APIs it has.
    let policy = Policy { restricted: arguments.restricted, ..Policy::stateless(&config) };
    let mut judged = 0_usize;
    let mut refused = 0_usize;
    for document in manifest::read(&arguments.sources)? {
        let Some(answer) = judge(document, &arguments.namespace, &policy) else { continue };
        judged += 1;
        refused += usize::from(!answer.accepted);
        write_answer(&answer, arguments.output, out).map_err(Error::Write)?;
    }
    if arguments.output == Output::Text {
        writeln!(out, "{judged} judged, {refused} refused").map_err(Error::Write)?;
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
    if !text("/apiVersion").starts_with("nvidia.com/") {
        return None;
    }
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.entry("namespace").or_insert_with(|| namespace.into());
    }
    let verdict = match kind.as_str() {
        "DynamoGraphDeployment" => verdict::<DynamoGraphDeployment>(&object, policy),
        "DynamoComponentDeployment" => verdict::<DynamoComponentDeployment>(&object, policy),
        "DynamoModel" => verdict::<DynamoModel>(&object, policy),
        "DynamoGraphDeploymentRequest" => verdict::<DynamoGraphDeploymentRequest>(&object, policy),
        _ => return None,
    };
    let (errors, warnings) = match verdict {
        Ok(Verdict { errors, warnings }) => (
            errors.0.iter().map(ToString::to_string).collect(),
            warnings.into_iter().map(|warning| warning.text).collect(),
        ),
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
