//! The few calls of etcd that turning on its authentication needs, as JSON over HTTP: etcd serves its gRPC API that way
//! on the same port, and a gRPC client would be a large part of this program.
//! It reports what etcd answers; what that means for the work is decided in the parent.

use std::{sync::Arc, time::Duration};

use axum::http::{Method, Request, Uri, header};
use dynamo_kubekit::client;
use http_body_util::{BodyExt, Limited};
use kube::{Client, Config, client::Body, config::AuthInfo};
use serde_json::{Value, json};

use super::Settings;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// What etcd answers, in plain text and to every call, when authentication is on and the certificate that the caller
/// shows has a common name: for gRPC that would be the user, and through the gateway it cannot be.
const NAMED_CALLER: &str = "CommonName of client";
/// More than any answer to these calls has.
const LONGEST: usize = 64 * 1024;

/// A call had no success.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("no answer from {0}")]
    NoAnswer(String, #[source] kube::Error),
    #[error("no answer from {endpoint} within {} s", ANSWER.as_secs())]
    Late { endpoint: String },
    #[error("{endpoint} does not answer like etcd: {what}")]
    Strange { endpoint: String, what: String },
    /// Authentication is on, and the gateway takes no calls from whoever shows this certificate.
    #[error(
        "the certificate has a common name: with authentication on, etcd's gateway takes no calls with it"
    )]
    NamedCaller,
    /// What etcd said.
    #[error("{0}")]
    Refused(String),
}

impl CallError {
    /// Whether etcd refused with these words. Its codes are too coarse to tell refusals apart.
    pub(super) fn says(&self, words: &str) -> bool {
        matches!(self, Self::Refused(message) if message.contains(words))
    }
}

/// The connection could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    #[error("no member of the cluster was named")]
    NoEndpoint,
    #[error("{endpoint}: not a URL")]
    Url { endpoint: String, source: axum::http::uri::InvalidUri },
    #[error("cannot read {file}")]
    Read { file: String, source: std::io::Error },
    #[error("{file}: must hold certificates in PEM")]
    NoCertificate { file: String },
    #[error(
        "cannot set up TLS for {endpoint}; without public authorities in this image, name that of etcd in --ca-file"
    )]
    Tls { endpoint: String, source: kube::Error },
}

/// One member of the cluster.
pub(super) struct Gateway {
    endpoint: String,
    client: Client,
}

impl Gateway {
    /// A member as the flags name it. Nothing is sent.
    pub(super) fn new(endpoint: &str, settings: &Settings) -> Result<Self, SetUpError> {
        let url: Uri =
            endpoint.parse().map_err(|source| SetUpError::Url { endpoint: endpoint.to_owned(), source })?;
        let mut config = Config::new(url);
        config.root_cert = settings.authority.as_deref().map(read_certificates).transpose()?;
        config.accept_invalid_certs = settings.insecure;
        if let Some((certificate, key)) = &settings.identity {
            config.auth_info = AuthInfo {
                client_certificate: Some(certificate.clone()),
                client_key: Some(key.clone()),
                ..AuthInfo::default()
            };
        }
        let client = client::build(&config, Arc::default())
            .map_err(|source| SetUpError::Tls { endpoint: endpoint.to_owned(), source })?;
        Ok(Self { endpoint: endpoint.to_owned(), client })
    }

    /// Succeeds when the member answers for a cluster that has a leader.
    pub(super) async fn healthy(&self) -> Result<(), CallError> {
        let health = self.send(Method::GET, "/health", None, String::new()).await?;
        match health["health"].as_str() {
            Some("true") => Ok(()),
            Some(_) => {
                let reason = health["reason"].as_str().filter(|reason| !reason.is_empty());
                Err(CallError::Refused(format!("not healthy: {}", reason.unwrap_or("no reason given"))))
            }
            None => Err(self.strange(&health.to_string())),
        }
    }

    /// Whether authentication is on.
    pub(super) async fn is_enabled(&self) -> Result<bool, CallError> {
        match self.call("auth/status", None, json!({})).await {
            // False is left out of its JSON.
            Ok(answer) => Ok(answer["enabled"].as_bool().unwrap_or(false)),
            // With authentication on, only an administrator may ask.
            Err(error) if error.says("user name is empty") => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// A token for that user.
    pub(super) async fn log_in(&self, user: &str, password: &str) -> Result<String, CallError> {
        let answer =
            self.call("auth/authenticate", None, json!({"name": user, "password": password})).await?;
        let token = answer["token"].as_str().filter(|token| !token.is_empty());
        token.map(ToOwned::to_owned).ok_or_else(|| self.strange("a log-in without a token"))
    }

    pub(super) async fn add_user(&self, user: &str, password: &str) -> Result<(), CallError> {
        self.call("auth/user/add", None, json!({"name": user, "password": password})).await.map(drop)
    }

    pub(super) async fn change_password(
        &self,
        token: Option<&str>,
        user: &str,
        password: &str,
    ) -> Result<(), CallError> {
        self.call("auth/user/changepw", token, json!({"name": user, "password": password})).await.map(drop)
    }

    pub(super) async fn add_role(&self, role: &str) -> Result<(), CallError> {
        self.call("auth/role/add", None, json!({"name": role})).await.map(drop)
    }

    pub(super) async fn grant(&self, user: &str, role: &str) -> Result<(), CallError> {
        self.call("auth/user/grant", None, json!({"user": user, "role": role})).await.map(drop)
    }

    pub(super) async fn enable(&self) -> Result<(), CallError> {
        self.call("auth/enable", None, json!({})).await.map(drop)
    }

    async fn call(&self, path: &str, token: Option<&str>, body: Value) -> Result<Value, CallError> {
        self.send(Method::POST, &format!("/v3/{path}"), token, body.to_string()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: String,
    ) -> Result<Value, CallError> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.into_bytes()))
            .map_err(|error| self.strange(&error.to_string()))?;
        let exchange = async {
            let answer = self
                .client
                .send(request)
                .await
                .map_err(|error| CallError::NoAnswer(self.endpoint.clone(), error))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, LONGEST)
                .collect()
                .await
                .map_err(|error| self.strange(&error.to_string()))?;
            Ok((head.status, body.to_bytes()))
        };
        let (status, body) = tokio::time::timeout(ANSWER, exchange)
            .await
            .map_err(|_| CallError::Late { endpoint: self.endpoint.clone() })??;
        let answer: Value = serde_json::from_slice(&body).map_err(|_| {
            if String::from_utf8_lossy(&body).contains(NAMED_CALLER) {
                return CallError::NamedCaller;
            }
            self.strange(&format!("status {status}, no JSON in the answer"))
        })?;
        // A member that is not healthy says so with 503.
        if status.is_success() || answer.get("health").is_some() {
            return Ok(answer);
        }
        match answer["message"].as_str().or_else(|| answer["error"].as_str()) {
            Some(message) => Err(CallError::Refused(message.to_owned())),
            None => Err(self.strange(&format!("status {status}"))),
        }
    }

    fn strange(&self, what: &str) -> CallError {
        CallError::Strange { endpoint: self.endpoint.clone(), what: what.chars().take(200).collect() }
    }
}

fn read_certificates(file: &str) -> Result<Vec<Vec<u8>>, SetUpError> {
    let text = std::fs::read(file).map_err(|source| SetUpError::Read { file: file.to_owned(), source })?;
    let blocks = pem::parse_many(text).unwrap_or_default();
    let certificates: Vec<Vec<u8>> = blocks
        .into_iter()
        .filter(|block| block.tag() == "CERTIFICATE")
        .map(pem::Pem::into_contents)
        .collect();
    if certificates.is_empty() {
        return Err(SetUpError::NoCertificate { file: file.to_owned() });
    }
    Ok(certificates)
}
