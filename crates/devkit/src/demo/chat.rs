//! The first request: finds the model's name, sends a chat completion and shows its tokens as they come.
//! Must not call an answer without tokens a success.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use super::http;
use crate::kubectl::Kubectl;
use crate::progress::{self, Progress};
use crate::{Error, Result};

const MODELS: Duration = Duration::from_secs(90);

/// A way to the frontend; a port-forward lives as long as this value.
#[derive(Debug)]
pub struct Route {
    /// `host:port`.
    pub address: String,
    forward: Option<Child>,
}

impl Route {
    /// Straight to the Service's address, which this machine reaches in the development cluster.
    ///
    /// # Errors
    /// [`Error::Failed`] when the Service does not exist.
    pub fn service(kubectl: &Kubectl, namespace: &str, service: &str) -> Result<Self> {
        let path = "jsonpath={.spec.clusterIP}:{.spec.ports[0].port}";
        let address = kubectl.run(&["get", "service", service, "-n", namespace, "-o", path])?;
        Ok(Self { address, forward: None })
    }

    /// Through the API server, for any cluster.
    ///
    /// # Errors
    /// [`Error::Failed`] with what kubectl said.
    pub fn forward(kubectl: &Kubectl, namespace: &str, service: &str) -> Result<Self> {
        let mut child = kubectl
            .command()
            .args(["port-forward", "-n", namespace, &format!("service/{service}"), ":8000"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .map_err(|source| Error::Start { program: "kubectl".into(), source })?;
        let mut line = String::new();
        if let Some(out) = child.stdout.take() {
            let mut reader = BufReader::new(out);
            reader.read_line(&mut line).map_err(|e| Error::parse("kubectl port-forward", e))?;
            // kubectl stops when nobody reads what it says about each connection.
            std::thread::spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        }
        let mut route = Self { address: String::new(), forward: Some(child) };
        let address = line.split_whitespace().find(|word| word.starts_with("127.0.0.1:"));
        let address =
            address.ok_or_else(|| Error::parse("kubectl port-forward", format!("it said {line:?}")))?;
        address.clone_into(&mut route.address);
        Ok(route)
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        if let Some(child) = &mut self.forward {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Route {
    /// Waits until the frontend serves a model and returns its name.
    ///
    /// # Errors
    /// [`Error::Deadline`] with the last answer.
    pub fn model(&self, progress: &Progress) -> Result<String> {
        let mut name = None;
        let pause = Duration::from_millis(500);
        progress::wait(progress, "the frontend to serve a model", MODELS, pause, || {
            let response = http::request(&self.address, "/v1/models", None).map_err(|e| e.to_string())?;
            let status = response.status;
            let text = response.text().map_err(|e| e.to_string())?;
            let value: Value = serde_json::from_str(&text).unwrap_or_default();
            name = value["data"][0]["id"].as_str().map(str::to_owned);
            name.as_ref().map(|_| ()).ok_or_else(|| format!("GET /v1/models answers {status} {text}"))
        })?;
        Ok(name.unwrap_or_default())
    }

    /// Sends one streamed chat completion, writing the text to `out` as it comes; returns the number of pieces.
    ///
    /// # Errors
    /// [`Error::Parse`] for an answer that is an error, is broken or holds no text.
    pub fn chat(&self, model: &str, question: &str, out: &mut dyn Write) -> Result<usize> {
        let body = json!({
            "model": model,
            "messages": [{"role": "user", "content": question}],
            "stream": true,
            "max_tokens": 48,
        });
        let response = http::request(&self.address, "/v1/chat/completions", Some(&body.to_string()))?;
        let what = "POST /v1/chat/completions";
        if response.status != 200 {
            let status = response.status;
            return Err(Error::parse(what, format!("status {status}: {}", response.text()?)));
        }
        let mut pieces = 0;
        for line in response.body.lines() {
            let line = line.map_err(|e| Error::parse(what, e))?;
            let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
            if data == "[DONE]" {
                break;
            }
            let event: Value =
                serde_json::from_str(data).map_err(|e| Error::parse(what, format!("{e} in {data:?}")))?;
            if !event["error"].is_null() {
                return Err(Error::parse(what, &event["error"]));
            }
            if let Some(text) =
                event["choices"][0]["delta"]["content"].as_str().filter(|text| !text.is_empty())
            {
                pieces += 1;
                // A closed standard output does not make the request fail.
                let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
            }
        }
        let _ = writeln!(out);
        if pieces == 0 {
            return Err(Error::parse(what, "the stream ended without any text"));
        }
        Ok(pieces)
    }
}
