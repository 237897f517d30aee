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
            self.client.request(request).await.map_err(|error| cluster::Error::of(what(), &error))?;
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
        let mut lines = stream.map_err(|error| cluster::Error::of(what(), &error))?.lines();
        let mut answer = String::new();
        while let Some(line) = lines.next().await {
            match part(&line?) {
                Part::Text(text) => {
                    console.write_all(text.as_bytes())?;
                    console.flush()?;
                    answer.push_str(&text);
                }
                Part::Refused(reason) => return Err(Error::Usage(format!("cannot {}: {reason}", what()))),
                Part::End => break,
                Part::Nothing => {}
            }
        }
        writeln!(console)?;
        Ok(answer)
    }
}

/// What one line of the stream brings.
#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Refused(String),
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
    let delta = &chunk["choices"][0]["delta"];
    let text = delta["content"].as_str().or(delta["reasoning_content"].as_str()).unwrap_or_default();
    if text.is_empty() { Part::Nothing } else { Part::Text(text.to_owned()) }
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
        assert_eq!(part("data: [DONE]"), Part::End);
        assert_eq!(part(r#"data: {"error":{"message":"too long"}}"#), Part::Refused("too long".to_owned()));
        for line in ["", ": comment", "event: error", "data: {"] {
            assert_eq!(part(line), Part::Nothing, "{line}");
        }
    }
}
