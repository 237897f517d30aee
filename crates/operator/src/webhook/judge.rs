//! From a question to a verdict: which objects are decoded, which rules are asked, how the verdict reads.
//! Holds no rule of its own about fields; those are in `dynamo_render::validate`.

use dynamo_api::{
    DecodeError,
    v1alpha1::{DynamoComponentDeployment, DynamoGraphDeployment, DynamoGraphDeploymentRequest, DynamoModel},
};
use dynamo_render::validate::{Judged, Policy, Requester, Verdict};
use serde::{Deserialize, de::DeserializeOwned, de::IgnoredAny};
use serde_json::value::RawValue;
use tracing::warn;

use super::{
    Kind, Knowledge,
    review::{Answer, Denial, Operation, Request},
};

const GROUP: &str = "nvidia.com";
const VERSION: &str = "v1alpha1";

/// The API server cuts warnings to this length once they are many, and drops what exceeds the count times the length.
const WARNING_LENGTH: usize = 256;
const WARNINGS: usize = 16;
/// Bytes of a denial's message: enough for every rule of a real graph, little enough for a header and a log.
const MESSAGE_LENGTH: usize = 16 << 10;

/// A refusal when the question is about something else than the path serves.
pub(super) fn mismatch(kind: Kind, request: &Request<'_>) -> Option<Answer> {
    let resource = &request.resource;
    let is_resource =
        resource.group == GROUP && resource.version == VERSION && resource.resource == kind.resource();
    let asked = &request.kind;
    // A subresource may have a kind of its own, such as Scale.
    let is_kind = request.is_subresource()
        || (asked.group == GROUP && asked.version == VERSION && asked.kind == kind.name());
    if is_resource && is_kind {
        return None;
    }
    Some(Answer::bad_request(format!(
        "{}/{} {} ({}): this path judges {GROUP}/{VERSION} {} ({}): the webhook configuration names a wrong path",
        resource.group,
        resource.version,
        asked.kind,
        resource.resource,
        kind.name(),
        kind.resource(),
    )))
}

/// Judges a question about an object of `kind` that [`mismatch`] has let pass.
pub(super) fn validate(kind: Kind, request: &Request<'_>, knowledge: &Knowledge) -> Answer {
    match kind {
        Kind::Graph => judge::<DynamoGraphDeployment>(request, knowledge),
        Kind::Component => judge::<DynamoComponentDeployment>(request, knowledge),
        Kind::Model => judge::<DynamoModel>(request, knowledge),
        Kind::Request => judge::<DynamoGraphDeploymentRequest>(request, knowledge),
    }
}

fn judge<K: Judged + DeserializeOwned>(request: &Request<'_>, knowledge: &Knowledge) -> Answer {
    let policy = (knowledge.optional_apis)().policy(&knowledge.config, knowledge.restricted);
    let verdict = match request.operation {
        Operation::Create => decode::<K>("object", request.object).map(|object| object.on_create(&policy)),
        Operation::Update => {
            let requester = Requester { username: request.username(), trusted: &knowledge.trusted };
            update::<K>(request, &requester, &policy)
        }
        Operation::Delete | Operation::Connect => return Answer::default(),
    };
    match verdict {
        Ok(verdict) => answer(&verdict),
        Err(message) => Answer::bad_request(message),
    }
}

fn update<K: Judged + DeserializeOwned>(
    request: &Request<'_>,
    requester: &Requester<'_>,
    policy: &Policy<'_>,
) -> Result<Verdict, String> {
    // An object on its way out must be able to lose its finalizers, even one that cannot be read.
    let head: Head = decode("oldObject", request.old_object)?;
    if head.metadata.is_some_and(|metadata| metadata.deletion_timestamp.is_some()) {
        return Ok(Verdict::default());
    }
    let object: K = decode("object", request.object)?;
    Ok(match decode::<K>("oldObject", request.old_object) {
        Ok(old) => object.on_update(&old, requester, policy),
        // Stored before these rules were there: the way to put it right must be open.
        Err(message) => {
            warn!(?message, "a changed object is judged as a new one");
            object.on_create(policy)
        }
    })
}

#[derive(Deserialize)]
struct Head {
    metadata: Option<Metadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    deletion_timestamp: Option<IgnoredAny>,
}

/// Reads an object of a review.
///
/// # Errors
/// The path of the first field that cannot be read, and why.
pub(super) fn decode<T: DeserializeOwned>(what: &str, object: Option<&RawValue>) -> Result<T, String> {
    let object = object.ok_or_else(|| format!("{what} is required in a review of this operation"))?;
    dynamo_api::decode_text(object.get()).map_err(|DecodeError { path, source }| {
        let dot = if path.is_empty() { "" } else { "." };
        format!("{what}{dot}{path} cannot be read: {source}")
    })
}

fn answer(verdict: &Verdict) -> Answer {
    let denial = verdict.denial().map(|message| Denial {
        code: 403,
        reason: "Forbidden",
        message: cut(&message, MESSAGE_LENGTH),
        class: verdict.errors.0.first().map_or("invalid", |error| error.rule.spec().reason.as_str()),
    });
    let texts = verdict.warnings.iter().map(|warning| warning.text.as_str());
    Answer { denial, warnings: shorten(texts), patch: None }
}

/// Warnings that the API server passes on whole: one line each, not too long, not too many.
fn shorten<'a>(texts: impl ExactSizeIterator<Item = &'a str>) -> Vec<String> {
    let count = texts.len();
    let shown = if count > WARNINGS { WARNINGS - 1 } else { count };
    let line = |text: &str| cut(&text.replace(char::is_control, " "), WARNING_LENGTH);
    let mut lines: Vec<String> = texts.take(shown).map(line).collect();
    if count > shown {
        lines.push(format!("and {} more warnings", count - shown));
    }
    lines
}

/// The beginning of `text` in at most `limit` bytes, with a mark where it was cut.
pub(super) fn cut(text: &str, limit: usize) -> String {
    const MARK: &str = "...";
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit.saturating_sub(MARK.len()));
    format!("{}{MARK}", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_lines_of_bounded_length_and_number() {
        let long = "ä".repeat(300);
        let texts = vec![long.as_str(); 40];
        let lines = shorten(texts.iter().copied());
        assert_eq!(lines.len(), WARNINGS);
        assert!(lines.iter().all(|line| line.len() <= WARNING_LENGTH));
        assert_eq!(lines[15], "and 25 more warnings");
        assert_eq!(shorten(["a\nb\u{7}"].into_iter()), ["a b "]);
        assert_eq!(shorten(vec!["x"; 16].into_iter()).len(), 16);
    }
}
