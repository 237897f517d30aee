//! Accepts and rejects for every range of runtime.md 4.3.
//! Must go through the JSON decoder, as a client's request does.

use serde_json::{Value, json};

use super::*;

fn merged(base: Value, extra: &Value) -> Value {
    let mut body = base;
    for (key, value) in extra.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

fn chat_status(extra: &Value) -> Result<(), (u16, String)> {
    let base = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    let request: ChatRequest =
        serde_json::from_value(merged(base, extra)).map_err(|error| (422, error.to_string()))?;
    chat(&request).map_err(|error| (error.status.as_u16(), error.message))
}

fn completion_status(extra: &Value) -> Result<usize, (u16, String)> {
    let base = json!({"model": "m", "prompt": "hi"});
    let request: CompletionRequest =
        serde_json::from_value(merged(base, extra)).map_err(|error| (422, error.to_string()))?;
    completions(&request).map(|prompts| prompts.len()).map_err(|error| (error.status.as_u16(), error.message))
}

#[test]
fn values_at_the_edges_of_their_ranges_are_accepted() {
    let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
    for extra in [
        json!({}),
        json!({"temperature": 0}),
        json!({"temperature": 2.0, "top_p": 0, "min_p": 1}),
        json!({"top_k": -1}),
        json!({"top_k": 1}),
        json!({"frequency_penalty": -2, "presence_penalty": 2, "repetition_penalty": 2}),
        json!({"n": 128, "temperature": 0.1}),
        json!({"n": 2}),
        json!({"logprobs": true, "top_logprobs": 20}),
        json!({"logit_bias": {"5": -100, "6": 100}}),
        json!({"stop": "x"}),
        json!({"stop": ["a", "b", "c", "d"]}),
        json!({"max_tokens": 1, "max_completion_tokens": 1}),
        json!({"user": "u"}),
        json!({"stream": true, "stream_options": {"include_usage": true}}),
        json!({"tools": [tool(&"f".repeat(64))]}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}}),
        json!({"nvext": {"extra_fields": ["timing"], "later": 1}, "ignore_eos": true}),
        json!({"chat_template_kwargs": {"enable_thinking": false}, "parallel_tool_calls": true}),
    ] {
        assert_eq!(chat_status(&extra), Ok(()), "{extra}");
    }
}

#[test]
fn values_outside_their_ranges_are_refused_by_name() {
    let tools: Vec<Value> =
        (0..129).map(|i| json!({"type": "function", "function": {"name": format!("f{i}")}})).collect();
    for (extra, field) in [
        (json!({"temperature": 2.1}), "temperature"),
        (json!({"temperature": -0.1}), "temperature"),
        (json!({"top_p": 1.1}), "top_p"),
        (json!({"top_k": 0}), "top_k"),
        (json!({"top_k": -2}), "top_k"),
        (json!({"min_p": -0.1}), "min_p"),
        (json!({"frequency_penalty": 2.5}), "frequency_penalty"),
        (json!({"presence_penalty": -2.5}), "presence_penalty"),
        (json!({"repetition_penalty": 0}), "repetition_penalty"),
        (json!({"n": 0}), "n must"),
        (json!({"n": 129}), "n must"),
        (json!({"n": 2, "temperature": 0}), "temperature"),
        (json!({"logprobs": true, "top_logprobs": 21}), "top_logprobs"),
        (json!({"logit_bias": {"5": -101}}), "logit_bias"),
        (json!({"stop": ["a", "b", "c", "d", "e"]}), "stop"),
        (json!({"stop": [""]}), "stop"),
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"max_completion_tokens": 0}), "max_completion_tokens"),
        (json!({"user": "  "}), "user"),
        (json!({"model": ""}), "model"),
        (json!({"tools": tools}), "tools"),
        (json!({"tools": [{"type": "function", "function": {"name": "f".repeat(65)}}]}), "function name"),
        (json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n"}}}), "schema"),
    ] {
        let (status, message) = chat_status(&extra).expect_err("must be refused");
        assert_eq!(status, 400, "{extra}: {message}");
        assert!(message.starts_with("Validation: ") && message.contains(field), "{extra}: {message}");
    }
}

#[test]
fn structural_mistakes_have_their_own_status_and_text() {
    assert_eq!(chat_status(&json!({"functions": []})).map_err(|error| error.0), Err(501));
    assert_eq!(chat_status(&json!({"function_call": "auto"})).map_err(|error| error.0), Err(501));
    assert_eq!(chat_status(&json!({"messages": []})).map_err(|error| error.0), Err(400));
    assert_eq!(chat_status(&json!({"stream_options": {}})).map_err(|error| error.0), Err(400));
    assert_eq!(
        chat_status(&json!({"frobnicate": 1})),
        Err((400, "Unsupported parameter(s): `frobnicate`".to_owned()))
    );
}

#[test]
fn completions_prompts_of_every_form_are_counted() {
    for (prompt, count) in
        [(json!("a"), 1), (json!(["a", "b"]), 2), (json!([1, 2, 3]), 1), (json!([[1], [2, 3]]), 2)]
    {
        assert_eq!(completion_status(&json!({"prompt": prompt})), Ok(count));
    }
}

#[test]
fn completions_refuse_what_is_out_of_range() {
    let short = base64::engine::general_purpose::STANDARD.encode([0u8; 99]);
    let many: Vec<&str> = std::iter::repeat_n("p", 65).collect();
    for (extra, field) in [
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": []}), "prompt"),
        (json!({"prompt": ["a", ""]}), "prompt"),
        (json!({"best_of": 21}), "best_of"),
        (json!({"best_of": 1, "n": 2}), "best_of"),
        (json!({"logprobs": 6}), "logprobs"),
        (json!({"suffix": "s".repeat(10_001)}), "suffix"),
        (json!({"prompt_embeds": "%"}), "prompt_embeds"),
        (json!({"prompt_embeds": short}), "prompt_embeds"),
        (json!({"prompt": many, "n": 2}), "choices"),
    ] {
        let (status, message) = completion_status(&extra).expect_err("must be refused");
        assert_eq!(status, 400, "{extra}: {message}");
        assert!(message.starts_with("Validation: ") && message.contains(field), "{extra}: {message}");
    }
}
