//! The two questions to the API server: whose token is this, and may that user get the path.
//! The answer is the API server's; an error is no answer.

use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus, UserInfo},
    authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};

/// What is known about the sender of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// The API server does not know the token.
    Unknown,
    Forbidden {
        user: String,
    },
}

/// The API server was not asked to an end.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReviewError {
    #[error(
        "cannot create a TokenReview (the operator needs this right; ClusterRole system:auth-delegator has it)"
    )]
    Token(#[source] kube::Error),
    #[error(
        "cannot create a SubjectAccessReview (the operator needs this right; ClusterRole system:auth-delegator has \
         it)"
    )]
    Access(#[source] kube::Error),
}

pub(super) async fn review(client: &Client, token: &str, path: &str) -> Result<Verdict, ReviewError> {
    let Some(user) = whose(client, token).await? else { return Ok(Verdict::Unknown) };
    let name = user.username.clone().unwrap_or_default();
    let spec = SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra: user.extra,
        non_resource_attributes: Some(NonResourceAttributes {
            path: Some(path.to_owned()),
            verb: Some("get".to_owned()),
        }),
        ..SubjectAccessReviewSpec::default()
    };
    let question = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
    let api = Api::<SubjectAccessReview>::all(client.clone());
    let answer = api.create(&PostParams::default(), &question).await.map_err(ReviewError::Access)?;
    let allowed = answer.status.is_some_and(|status| status.allowed && status.denied != Some(true));
    Ok(if allowed { Verdict::Allowed } else { Verdict::Forbidden { user: name } })
}

/// The user of a token; `None` when it is nobody's, has run out or is for somebody else.
async fn whose(client: &Client, token: &str) -> Result<Option<UserInfo>, ReviewError> {
    let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: None };
    let question = TokenReview { spec, ..TokenReview::default() };
    let api = Api::<TokenReview>::all(client.clone());
    let answer = api.create(&PostParams::default(), &question).await.map_err(ReviewError::Token)?;
    Ok(match answer.status {
        Some(TokenReviewStatus { authenticated: Some(true), user: Some(user), .. }) => Some(user),
        _ => None,
    })
}
