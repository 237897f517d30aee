//! Answer bodies and chunks of chat and completions (runtime.md 4.4).
//! Must keep the field set of the interface: clients parse it strictly.

use serde::Serialize;
use serde_json::{Value, json};

use crate::pipeline::generate::{Delta, TokenLogprob};

/// Token counts of an answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub prompt: u64,
    pub completion: u64,
    pub cached: Option<u64>,
}

impl Usage {
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = json!({
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        });
        if let Some(cached) = self.cached {
            value["prompt_tokens_details"] = json!({"audio_tokens": null, "cached_tokens": cached});
        }
        value
    }
}

/// The two interfaces that generate text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Chat,
    Completions,
}

/// What every chunk of one answer repeats.
#[derive(Debug, Clone)]
pub struct Envelope {
    pub kind: Kind,
    pub id: String,
    pub created: u64,
    pub model: String,
}

/// A body or chunk; `usage` and `nvext` are written when present.
#[derive(Debug, Clone, Serialize)]
pub struct Body {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    system_fingerprint: Option<String>,
    pub choices: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nvext: Option<Value>,
}

impl Envelope {
    #[must_use]
    pub fn new(kind: Kind, request_id: &str, model: &str, created: u64) -> Self {
        let prefix = match kind {
            Kind::Chat => "chatcmpl",
            Kind::Completions => "cmpl",
        };
        Self { kind, id: format!("{prefix}-{request_id}"), created, model: model.to_owned() }
    }

    #[must_use]
    pub fn body(&self, streamed: bool, choices: Vec<Value>) -> Body {
        let object = match (self.kind, streamed) {
            (Kind::Chat, true) => "chat.completion.chunk",
            (Kind::Chat, false) => "chat.completion",
            (Kind::Completions, _) => "text_completion",
        };
        Body {
            id: self.id.clone(),
            object,
            created: self.created,
            model: self.model.clone(),
            system_fingerprint: None,
            choices,
            usage: None,
            nvext: None,
        }
    }

    /// One choice of a streamed chunk; `role` is sent with the first chunk of a choice only.
    #[must_use]
    pub fn chunk_choice(&self, index: u32, delta: &Delta, first: bool, text_offset: usize) -> Value {
        let finish = delta.finish.map(crate::pipeline::generate::Finish::word);
        match self.kind {
            Kind::Chat => {
                let mut message = json!({});
                if first {
                    message["role"] = json!("assistant");
                }
                if !delta.text.is_empty() || delta.finish.is_none() {
                    message["content"] = json!(delta.text);
                }
                let mut choice = json!({
                    "index": index,
                    "delta": message,
                    "finish_reason": finish,
                    "logprobs": chat_logprobs(&delta.logprobs),
                });
                if let Some(reason) = &delta.stop_reason {
                    choice["stop_reason"] = reason.clone();
                }
                choice
            }
            Kind::Completions => json!({
                "index": index,
                "text": delta.text,
                "finish_reason": finish,
                "logprobs": text_logprobs(&delta.logprobs, text_offset),
            }),
        }
    }

    /// One choice of a whole answer.
    #[must_use]
    pub fn whole_choice(&self, index: u32, folded: &Delta) -> Value {
        let finish = folded.finish.map(crate::pipeline::generate::Finish::word);
        match self.kind {
            Kind::Chat => {
                let content = (!folded.text.is_empty()).then_some(&folded.text);
                let mut choice = json!({
                    "index": index,
                    "message": {"role": "assistant", "content": content},
                    "finish_reason": finish,
                    "logprobs": chat_logprobs(&folded.logprobs),
                });
                if let Some(reason) = &folded.stop_reason {
                    choice["stop_reason"] = reason.clone();
                }
                choice
            }
            Kind::Completions => json!({
                "index": index,
                "text": folded.text,
                "finish_reason": finish,
                "logprobs": text_logprobs(&folded.logprobs, 0),
            }),
        }
    }
}

/// Adds a delta to what is folded so far.
pub fn fold(folded: &mut Delta, delta: Delta) {
    folded.text.push_str(&delta.text);
    folded.token_ids.extend(delta.token_ids);
    folded.logprobs.extend(delta.logprobs);
    folded.finish = delta.finish.or(folded.finish);
    folded.stop_reason = delta.stop_reason.or(folded.stop_reason.take());
    folded.workers = delta.workers;
    folded.cached_tokens = delta.cached_tokens.or(folded.cached_tokens);
}

fn chat_logprobs(tokens: &[TokenLogprob]) -> Value {
    if tokens.is_empty() {
        return Value::Null;
    }
    let entry =
        |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
    let content: Vec<Value> = tokens
        .iter()
        .map(|token| {
            let mut value = entry(&token.token, token.logprob);
            value["top_logprobs"] = token.top.iter().map(|(text, logprob)| entry(text, *logprob)).collect();
            value
        })
        .collect();
    json!({"content": content, "refusal": null})
}

fn text_logprobs(tokens: &[TokenLogprob], mut offset: usize) -> Value {
    if tokens.is_empty() {
        return Value::Null;
    }
    let offsets: Vec<usize> = tokens
        .iter()
        .map(|token| {
            let start = offset;
            offset += token.token.chars().count();
            start
        })
        .collect();
    let top: Vec<Value> = tokens
        .iter()
        .map(|token| token.top.iter().map(|(text, logprob)| (text.clone(), json!(logprob))).collect())
        .collect();
    json!({
        "tokens": tokens.iter().map(|token| &token.token).collect::<Vec<_>>(),
        "token_logprobs": tokens.iter().map(|token| token.logprob).collect::<Vec<_>>(),
        "top_logprobs": top,
        "text_offset": offsets,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::generate::Finish;

    fn delta(text: &str, finish: Option<Finish>) -> Delta {
        Delta { text: text.to_owned(), finish, ..Delta::default() }
    }

    #[test]
    fn chat_chunks_carry_the_role_once_and_the_finish_last() {
        let envelope = Envelope::new(Kind::Chat, "r", "M", 7);
        let first = envelope.body(true, vec![envelope.chunk_choice(0, &delta("hi", None), true, 0)]);
        assert_eq!(
            serde_json::to_string(&first).unwrap(),
            r#"{"id":"chatcmpl-r","object":"chat.completion.chunk","created":7,"model":"M","system_fingerprint":null,"choices":[{"delta":{"content":"hi","role":"assistant"},"finish_reason":null,"index":0,"logprobs":null}]}"#
        );
        let last = envelope.chunk_choice(0, &delta("", Some(Finish::Length)), false, 0);
        assert_eq!(last, json!({"index": 0, "delta": {}, "finish_reason": "length", "logprobs": null}));
    }

    #[test]
    fn whole_answers_have_null_content_when_empty_and_folded_text_otherwise() {
        let envelope = Envelope::new(Kind::Chat, "r", "M", 7);
        assert_eq!(
            envelope.whole_choice(0, &delta("", Some(Finish::Stop)))["message"]["content"],
            Value::Null
        );
        let mut folded = Delta::default();
        fold(&mut folded, delta("a", None));
        fold(&mut folded, delta("b", Some(Finish::Stop)));
        assert_eq!(envelope.whole_choice(0, &folded)["message"]["content"], "ab");
        let text = Envelope::new(Kind::Completions, "r", "M", 7);
        assert_eq!(text.id, "cmpl-r");
        assert_eq!(text.whole_choice(1, &folded)["text"], "ab");
    }

    #[test]
    fn log_probabilities_have_both_shapes() {
        let tokens = vec![
            TokenLogprob { token: "é".into(), logprob: -0.5, top: vec![("e".into(), -1.0)] },
            TokenLogprob { token: "x".into(), logprob: -0.25, top: vec![] },
        ];
        let chat = chat_logprobs(&tokens);
        assert_eq!(chat["content"][0]["bytes"], json!([195, 169]));
        assert_eq!(chat["content"][0]["top_logprobs"][0]["token"], "e");
        assert_eq!(text_logprobs(&tokens, 3)["text_offset"], json!([3, 4]));
        assert_eq!(text_logprobs(&tokens, 3)["top_logprobs"][0], json!({"e": -1.0}));
    }

    #[test]
    fn usage_adds_up_and_shows_cached_tokens_only_when_known() {
        let usage = Usage { prompt: 3, completion: 4, cached: None };
        assert_eq!(usage.json(), json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}));
        let cached = Usage { cached: Some(2), ..usage };
        assert_eq!(cached.json()["prompt_tokens_details"]["cached_tokens"], 2);
    }
}
