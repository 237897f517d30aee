//! The part of the OpenAI API that a conversation needs: the list of models, and chat completions as a stream.
//! It knows nothing of graphs and clusters.

use std::io::Write;

use futures::{AsyncBufReadExt, StreamExt};
use kube::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{cluster, console::Console, error::Error, suggest::did_you_mean};

/// One thing that was said.
#[derive(Debug, Clone, Serialize)]
pub struct Message {
    role: &'static str,
    content: String,
}

impl Message {
    pub fn of(role: &'static str, content: &str) -> Self {
        Self { role, content: content.to_owned() }
    }
}

/// A frontend that answers.
pub struct Endpoint {
    client: Client,
    address: String,
}

#[derive(Debug, Deserialize)]
struct Models {
    data: Vec<Model>,
}

#[derive(Debug, Deserialize)]
struct Model {
    id: String,
}

impl Endpoint {
    /// The one at `address`.
    ///
    /// # Errors
    /// It is no URL.
    pub fn at(address: &str) -> Result<Self, Error> {
        // What other clients take as the base of the same API.
        let address = address.trim_end_matches('/').trim_end_matches("/v1");
        let uri: http::Uri = address.parse().map_err(|error: http::uri::InvalidUri| {
            Error::Usage(format!("--url {address:?} cannot be used: {error}; write http://HOST:PORT"))
        })?;
        // Tokens may be minutes apart.
        let client = cluster::client_of(uri, None)?;
        Ok(Self { client, address: address.to_owned() })
    }

    /// `wanted` when it is served, else the first model.
    ///
    /// # Errors
    /// There is no answer, no model, or not this one.
    pub async fn model(&self, wanted: Option<&str>) -> Result<String, Error> {
        let what = || format!("list the models of {}", self.address);
        let request = http::Request::get("/v1/models").body(Vec::new());
        let request = request.map_err(|error| Error::Usage(format!("cannot {}: {error}", what())))?;
        let models: Models =
            self.client.request(request).await.map_err(|error| cluster::Error::of_server(what(), &error))?;
        let mut names = models.data.into_iter().map(|model| model.id);
        match wanted {
            None => names.next().ok_or_else(|| {
                Error::Usage(format!("{} serves no model yet: are its workers ready?", self.address))
            }),
            Some(wanted) => {
                let names: Vec<String> = names.collect();
                let is_served = names.iter().any(|name| name == wanted);
                let hint = did_you_mean(wanted, names.iter().map(String::as_str));
                let unknown =
                    || Error::Usage(format!("{} does not serve model {wanted:?}{hint}", self.address));
                is_served.then(|| wanted.to_owned()).ok_or_else(unknown)
            }
        }
    }

    /// Writes the answer while it comes, and returns it.
    ///
    /// # Errors
    /// There is no answer, or the frontend refuses.
    pub async fn ask(
        &self,
        model: &str,
        told: &[Message],
        max_tokens: Option<u32>,
        console: &mut Console<'_>,
    ) -> Result<String, Error> {
        let what = || format!("ask model {model} at {}", self.address);
        let mut body = json!({"model": model, "messages": told, "stream": true});
        if let Some(limit) = max_tokens {
            body["max_tokens"] = limit.into();
        }
        let request = http::Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .map_err(|error| Error::Usage(format!("cannot {}: {error}", what())))?;
        let stream = self.client.request_stream(request).await;
        let mut lines = stream.map_err(|error| cluster::Error::of_server(what(), &error))?.lines();
        let broken = |reason: &str| Error::Usage(format!("cannot {}: {reason}", what()));
        let mut answer = String::new();
        let mut is_whole = false;
        let mut is_error = false;
        while let Some(line) = lines.next().await {
            let line = line.map_err(|error| broken(&format!("the answer broke off: {error}")))?;
            if line.trim_end() == "event: error" {
                is_error = true;
                continue;
            }
            match part(&line) {
                Part::Text(text) => {
                    console.write_all(text.as_bytes())?;
                    console.flush()?;
                    answer.push_str(&text);
                }
                Part::Refused(reason) => return Err(broken(&reason)),
                Part::Last => is_whole = true,
                Part::End => {
                    is_whole = true;
                    break;
                }
                // Frontends of the reference tell errors as an event with a comment or a text.
                Part::Nothing if is_error => {
                    let reason = line.trim_start_matches("data:").trim_start_matches(':').trim();
                    if !reason.is_empty() {
                        return Err(broken(reason));
                    }
                }
                Part::Nothing => {}
            }
        }
        writeln!(console)?;
        match (is_error, is_whole) {
            (true, _) => Err(broken("the frontend tells of an error without a word")),
            (false, false) => Err(broken("the answer broke off before its end")),
            (false, true) => Ok(answer),
        }
    }
}

/// What one line of the stream brings.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Refused(String),
    /// Why the model stopped: the last of its text.
    Last,
    End,
    Nothing,
}

/// Reads a line of server-sent events.
fn part(line: &str) -> Part {
    let Some(data) = line.strip_prefix("data:").map(str::trim) else {
        return Part::Nothing;
    };
    if data == "[DONE]" {
        return Part::End;
    }
    let Ok(chunk) = serde_json::from_str::<Value>(data) else {
        return Part::Nothing;
    };
    if let Some(reason) = chunk.pointer("/error/message").or(chunk.get("error")).and_then(Value::as_str) {
        return Part::Refused(reason.to_owned());
    }
    let choice = &chunk["choices"][0];
    let delta = &choice["delta"];
    let text = delta["content"].as_str().or(delta["reasoning_content"].as_str()).unwrap_or_default();
    match (text, choice["finish_reason"].as_str()) {
        ("", None) => Part::Nothing,
        ("", Some(_)) => Part::Last,
        (text, _) => Part::Text(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_the_end_and_errors_of_a_stream_are_told_apart() {
        let text = |text: &str| Part::Text(text.to_owned());
        assert_eq!(part(r#"data: {"choices":[{"delta":{"content":"Hi"}}]}"#), text("Hi"));
        assert_eq!(part(r#"data: {"choices":[{"delta":{"role":"assistant"}}]}"#), Part::Nothing);
        assert_eq!(part(r#"data: {"choices":[],"usage":{"total_tokens":3}}"#), Part::Nothing);
        assert_eq!(part(r#"data: {"choices":[{"delta":{},"finish_reason":"stop"}]}"#), Part::Last);
        assert_eq!(part("data: [DONE]"), Part::End);
        assert_eq!(part(r#"data: {"error":{"message":"too long"}}"#), Part::Refused("too long".to_owned()));
        for line in ["", ": comment", "event: error", "data: {"] {
            assert_eq!(part(line), Part::Nothing, "{line}");
        }
    }
}
