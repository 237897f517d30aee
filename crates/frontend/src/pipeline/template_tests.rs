//! Templates of the shapes that models ship: chat markup, header style, tools, strict roles.
//! Must render to exact text, since one space changes the tokens.

use serde_json::json;

use super::*;

fn message(value: serde_json::Value) -> Value {
    Value::from(Serde(value))
}

fn talk(messages: Vec<serde_json::Value>) -> Conversation {
    Conversation { messages: messages.into_iter().map(message).collect(), ..Conversation::default() }
}

fn tokens() -> BTreeMap<String, String> {
    BTreeMap::from([("bos_token".to_owned(), "<s>".to_owned()), ("eos_token".to_owned(), "</s>".to_owned())])
}

fn render(template: &str, conversation: &Conversation) -> Result<String, ApiError> {
    ChatTemplate::new(Some(template), None, tokens()).unwrap().render(conversation)
}

#[test]
fn chat_markup_with_a_default_system_message_and_thinking_switch() {
    let template = "{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'].strip() + '<|im_end|>\\n' }}
    {%- set rest = messages[1:] %}
{%- else %}
    {{- '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
    {%- set rest = messages %}
{%- endif %}
{%- for m in rest %}
    {{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}";
    let mut conversation = talk(vec![json!({"role": "user", "content": "hi"})]);
    assert_eq!(
        render(template, &conversation).unwrap(),
        "<|im_start|>system\nYou help.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    );
    conversation.messages.insert(0, message(json!({"role": "system", "content": "  Be brief. "})));
    conversation.arguments.insert("enable_thinking".to_owned(), json!(false));
    assert_eq!(
        render(template, &conversation).unwrap(),
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    );
}

#[test]
fn header_style_with_bos_token_date_and_block_trimming() {
    let template = "{% set loop_messages = messages %}
{% if not date_string is defined %}
    {% set date_string = strftime_now('%Y') %}
{% endif %}
{% for message in loop_messages %}
    {% set content = '<|start|>' + message['role'] + '<|end|>\\n\\n' + message['content'] | trim + '<|eot|>' %}
    {% if loop.index0 == 0 %}
        {% set content = bos_token + content %}
    {% endif %}
{{ content }}
{% endfor %}
{% if add_generation_prompt %}{{ '<|start|>assistant<|end|>' }}{% endif %}
{{ date_string | length }}";
    let conversation = talk(vec![json!({"role": "user", "content": " hi "})]);
    assert_eq!(
        render(template, &conversation).unwrap(),
        "<s><|start|>user<|end|>\n\nhi<|eot|>\n<|start|>assistant<|end|>4"
    );
}

#[test]
fn tools_are_printed_like_python_does_and_in_the_order_sent() {
    let template = "{% for tool in tools %}{{ tool | tojson }}{% endfor %}|{{ tools | tojson(indent=2) }}";
    let tools: Value =
        serde_json::from_str(r#"[{"type":"function","function":{"name":"f","a":["<x>", 1.5, null]}}]"#)
            .unwrap();
    let conversation = Conversation { tools: Some(tools), ..talk(vec![]) };
    let text = render(template, &conversation).unwrap();
    let (compact, pretty) = text.split_once('|').unwrap();
    assert_eq!(compact, r#"{"type": "function", "function": {"name": "f", "a": ["<x>", 1.5, null]}}"#);
    assert!(pretty.starts_with("[\n  {\n    \"type\": \"function\","), "{pretty}");
}

#[test]
fn strict_roles_are_reported_with_the_template_s_own_words() {
    let template = "{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must alternate user/assistant') }}{% endif %}
{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %}{{ m.content }}{{ eos_token }}{% endif %}{% endfor %}";
    let good =
        talk(vec![json!({"role": "user", "content": "a"}), json!({"role": "assistant", "content": "b"})]);
    assert_eq!(render(template, &good).unwrap(), "<s>[INST] a [/INST]b</s>");
    let bad = talk(vec![json!({"role": "assistant", "content": "a"})]);
    let error = render(template, &bad).unwrap_err();
    assert_eq!(error.status.as_u16(), 400);
    assert!(error.message.contains("Roles must alternate"), "{}", error.message);
}

#[test]
fn python_string_methods_namespaces_loop_controls_and_generation_marks_work() {
    let template = "{%- set ns = namespace(last='') -%}
{%- for m in messages -%}
{%- if m.content.startswith('skip') -%}{%- continue -%}{%- endif -%}
{%- set ns.last = m.content.split('</think>')[-1].lstrip('\\n') -%}
{%- generation -%}{{ ns.last.upper() }}{%- endgeneration -%};
{%- endfor -%}
{%- for key, value in messages[0].items() -%}{{ key }},{%- endfor -%}";
    let conversation = talk(vec![
        json!({"content": "<think>x</think>\n\nyes", "role": "assistant"}),
        json!({"role": "user", "content": "skip me"}),
    ]);
    assert_eq!(render(template, &conversation).unwrap(), "YES;content,role,");
}

#[test]
fn a_model_without_template_gets_a_plain_one_and_a_broken_one_is_named() {
    let plain = ChatTemplate::new(None, None, tokens()).unwrap();
    let text = plain.render(&talk(vec![json!({"role": "user", "content": "hi"})])).unwrap();
    assert_eq!(text, "user: hi\nassistant: ");
    let error = ChatTemplate::new(Some("{% if %}"), None, tokens()).unwrap_err();
    assert!(error.to_string().contains("`default`"));
}

#[test]
fn the_tool_variant_is_used_only_with_tools() {
    let template = ChatTemplate::new(Some("plain"), Some("tools"), tokens()).unwrap();
    let mut conversation = talk(vec![]);
    assert_eq!(template.render(&conversation).unwrap(), "plain");
    conversation.tools = Some(Value::from(vec![Value::from(1)]));
    assert_eq!(template.render(&conversation).unwrap(), "tools");
}
