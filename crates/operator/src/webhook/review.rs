//! The words of AdmissionReview v1 that this server reads and writes.
//! The objects stay text until somebody needs them: a review that is allowed unseen costs nothing.

use axum::body::Bytes;
use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

const KIND: &str = "AdmissionReview";
const API_VERSION: &str = "admission.k8s.io/v1";

/// Why a body is no review; the HTTP answer is 400.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReviewError {
    #[error("the body is no AdmissionReview: {0}")]
    Syntax(#[from] serde_json::Error),
    #[error("apiVersion {0:?}, kind {1:?}: only {API_VERSION} {KIND} is answered here")]
    Type(String, String),
    #[error("request is required: this is the answer of a webhook, or empty")]
    NoRequest,
    #[error("request.uid is required: the answer must repeat it")]
    NoUid,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

/// One question of the API server.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request<'a> {
    pub uid: String,
    pub kind: GroupVersionKind,
    pub resource: GroupVersionResource,
    pub sub_resource: Option<String>,
    pub name: Option<String>,
    pub namespace: Option<String>,
    pub operation: Operation,
    pub user_info: Option<UserInfo>,
    #[serde(borrow)]
    pub object: Option<&'a RawValue>,
    #[serde(borrow)]
    pub old_object: Option<&'a RawValue>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct GroupVersionKind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(super) struct GroupVersionResource {
    pub group: String,
    pub version: String,
    pub resource: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct UserInfo {
    pub username: Option<String>,
}

impl<'a> Request<'a> {
    /// Reads the body of a review.
    pub fn parse(body: &'a [u8]) -> Result<Self, ReviewError> {
        let review: Review<'_> = serde_json::from_slice(body)?;
        if review.api_version != API_VERSION || review.kind != KIND {
            return Err(ReviewError::Type(review.api_version, review.kind));
        }
        let request = review.request.ok_or(ReviewError::NoRequest)?;
        if request.uid.is_empty() {
            return Err(ReviewError::NoUid);
        }
        Ok(request)
    }

    pub fn namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or_default()
    }

    /// Writes to a subresource are never registered, and never judged.
    pub fn is_subresource(&self) -> bool {
        self.sub_resource.as_deref().is_some_and(|name| !name.is_empty())
    }

    pub fn username(&self) -> Option<&str> {
        self.user_info.as_ref()?.username.as_deref()
    }
}

/// What is answered to one question.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub denial: Option<Denial>,
    pub warnings: Vec<String>,
    /// A JSON patch.
    pub patch: Option<String>,
}

/// A refusal as the client sees it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Denial {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
    /// Class of the first broken rule, for counting.
    pub class: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Response<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: Body<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    uid: &'a str,
    allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    patch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_type: Option<&'static str>,
}

#[derive(Serialize)]
struct Status<'a> {
    status: &'static str,
    code: u16,
    reason: &'static str,
    message: &'a str,
}

impl Answer {
    /// A refusal of something that cannot be judged, such as an object of another kind.
    pub fn bad_request(message: String) -> Self {
        let denial = Denial { code: 400, reason: "BadRequest", message, class: "bad_request" };
        Self { denial: Some(denial), ..Self::default() }
    }

    pub fn is_allowed(&self) -> bool {
        self.denial.is_none()
    }

    /// The review that answers the question `uid`.
    pub fn encode(&self, uid: &str) -> Result<Bytes, serde_json::Error> {
        let status = self.denial.as_ref().map(|denial| Status {
            status: "Failure",
            code: denial.code,
            reason: denial.reason,
            message: &denial.message,
        });
        let patch = self.patch.as_ref().map(|patch| BASE64_STANDARD.encode(patch));
        let patch_type = patch.is_some().then_some("JSONPatch");
        let body =
            Body { uid, allowed: status.is_none(), status, warnings: &self.warnings, patch, patch_type };
        serde_json::to_vec(&Response { api_version: API_VERSION, kind: KIND, response: body }).map(Into::into)
    }
}
