//! Requests with everything that a client library hides: who asks, what is warned of, the whole message.

use kube::Client;
use serde_json::Value;

/// What an API server said.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub body: Value,
    /// The texts of the `Warning` headers.
    pub warnings: Vec<String>,
}

impl Answer {
    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap_or_default()
    }

    pub fn is_accepted(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// One request.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub client: &'a Client,
    pub namespace: &'a str,
    /// `None`: an administrator.
    pub user: Option<&'a str>,
    pub dry_run: bool,
}

impl<'a> Asked<'a> {
    pub fn new(client: &'a Client, namespace: &'a str) -> Self {
        Self { client, namespace, user: None, dry_run: false }
    }

    pub fn dry(self) -> Self {
        Self { dry_run: true, ..self }
    }

    pub fn by(self, user: Option<&'a str>) -> Self {
        Self { user, ..self }
    }

    pub async fn create(self, object: &Value) -> Answer {
        self.send("POST", &self.path(object, None), "application/json", Some(object)).await
    }

    /// Replaces the object, or its subresource in the form `status`.
    pub async fn replace(self, object: &Value, subresource: Option<&str>) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap();
        let name = subresource.map_or(name.to_owned(), |subresource| format!("{name}/{subresource}"));
        self.send("PUT", &self.path(object, Some(&name)), "application/json", Some(object)).await
    }

    /// Changes what `patch` names; `object` only says what is meant.
    pub async fn merge(self, object: &Value, subresource: Option<&str>, patch: &Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap();
        let name = subresource.map_or(name.to_owned(), |subresource| format!("{name}/{subresource}"));
        let path = self.path(object, Some(&name));
        self.send("PATCH", &path, "application/merge-patch+json", Some(patch)).await
    }

    pub async fn delete(self, object: &Value) -> Answer {
        let name = object["metadata"]["name"].as_str().unwrap();
        self.send("DELETE", &self.path(object, Some(name)), "application/json", None).await
    }

    fn path(&self, object: &Value, name: Option<&str>) -> String {
        let kind = object["kind"].as_str().unwrap();
        let plural = format!("{}s", kind.to_lowercase());
        let name = name.map_or(String::new(), |name| format!("/{name}"));
        format!("/apis/nvidia.com/v1alpha1/namespaces/{}/{plural}{name}", self.namespace)
    }

    async fn send(&self, method: &str, path: &str, content: &str, body: Option<&Value>) -> Answer {
        let dry_run = if self.dry_run { "?dryRun=All" } else { "" };
        let mut request = http::Request::builder().method(method).uri(format!("{path}{dry_run}"));
        request = request.header("content-type", content);
        if let Some(user) = self.user {
            request = request.header("impersonate-user", user).header("impersonate-group", "system:masters");
        }
        let body = body.map_or_else(Vec::new, |body| serde_json::to_vec(body).unwrap());
        let answer = self.client.send(request.body(body.into()).unwrap()).await.unwrap();
        let warnings = answer.headers().get_all("warning").iter();
        // The form is `299 - "text"`, with quotation marks and backslashes of the text escaped.
        let warnings = warnings
            .filter_map(|warning| Some(warning.to_str().ok()?.split_once('"')?.1.trim_end_matches('"')))
            .map(|text| text.replace("\\\"", "\"").replace("\\\\", "\\"));
        let warnings = warnings.collect();
        let code = answer.status().as_u16();
        let body = http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes();
        Answer { code, body: serde_json::from_slice(&body).unwrap_or_default(), warnings }
    }
}
