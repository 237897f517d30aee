//! The Secret with the Hugging Face token that workers read (`tools.md` section 1.4).
//! Its value is never printed, and never asked whether it works.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use super::report::Verdict;
use crate::cluster::{Cluster, Error};

pub const SECRET: &str = "hf-token-secret";
pub const KEY: &str = "HF_TOKEN";

/// What there is of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token {
    NoSecret,
    NoKey,
    Empty,
    Set,
}

/// # Errors
/// The Secret cannot be read.
pub async fn gather(cluster: &Cluster) -> Result<Token, Error> {
    let api: Api<Secret> = cluster.api();
    let secret = api.get_opt(SECRET).await;
    let what = || format!("read Secret {SECRET} of namespace {}", cluster.namespace);
    let Some(secret) = secret.map_err(|error| Error::of(what(), &error))? else { return Ok(Token::NoSecret) };
    Ok(match secret.data.unwrap_or_default().get(KEY) {
        None => Token::NoKey,
        Some(value) if value.0.trim_ascii().is_empty() => Token::Empty,
        Some(_) => Token::Set,
    })
}

/// Never fails: only gated models need the token.
pub fn judge(token: Token, namespace: &str) -> Verdict {
    let fault = match token {
        Token::Set => {
            return Verdict::passed(format!("Secret {SECRET} of namespace {namespace} has a token"));
        }
        Token::NoSecret => format!("namespace {namespace} has no Secret {SECRET}"),
        Token::NoKey => format!("Secret {SECRET} of namespace {namespace} has no key {KEY}"),
        Token::Empty => format!("Secret {SECRET} of namespace {namespace} has an empty {KEY}"),
    };
    Verdict::passed("Models that need no Hugging Face token can be loaded").warn(format!(
        "{fault}; gated models cannot be loaded until there is one: kubectl create secret generic {SECRET} \
         --from-literal={KEY}=... -n {namespace}"
    ))
}
