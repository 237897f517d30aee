//! Chat templates as model repositories ship them: Jinja with Python's string methods (runtime.md 4.5).
//! Must not let a template reach files or the network; it sees the conversation and a clock only.

use std::collections::BTreeMap;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde, Value};
use minijinja::{AutoEscape, Environment, Error, ErrorKind};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::openai::errors::ApiError;

/// Used when a model ships no template of its own.
const PLAIN: &str = "{% for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor %}\
                     {% if add_generation_prompt %}assistant: {% endif %}";

/// A compiled template with the model's special tokens.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    tokens: BTreeMap<String, String>,
    has_tool_template: bool,
}

/// What a template prints.
#[derive(Debug, Clone, Default)]
pub struct Conversation {
    pub messages: Vec<Value>,
    pub tools: Option<Value>,
    pub arguments: BTreeMap<String, serde_json::Value>,
}

/// A template that does not compile.
#[derive(Debug, thiserror::Error)]
#[error("the chat template `{name}` does not compile")]
pub struct TemplateError {
    name: &'static str,
    source: Error,
}

impl ChatTemplate {
    /// Compiles a template; `tool_use` is the variant for requests with tools, `tokens` holds `bos_token` and the like.
    ///
    /// # Errors
    /// When a template does not compile.
    pub fn new(
        default: Option<&str>,
        tool_use: Option<&str>,
        tokens: BTreeMap<String, String>,
    ) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .map_err(|source| TemplateError { name: "default", source })?;
        environment.set_syntax(syntax);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("tojson", to_json);
        environment.add_function("raise_exception", raise_exception);
        environment.add_function("strftime_now", strftime_now);
        let source = without_generation_marks(default.unwrap_or(PLAIN));
        environment
            .add_template_owned("default", source)
            .map_err(|source| TemplateError { name: "default", source })?;
        if let Some(text) = tool_use {
            environment
                .add_template_owned("tool_use", without_generation_marks(text))
                .map_err(|source| TemplateError { name: "tool_use", source })?;
        }
        Ok(Self { environment, tokens, has_tool_template: tool_use.is_some() })
    }

    /// Renders the prompt, open for the assistant's turn.
    ///
    /// # Errors
    /// 400 with the template's own complaint (`raise_exception`) or the place that failed.
    pub fn render(&self, conversation: &Conversation) -> Result<String, ApiError> {
        let mut context: BTreeMap<String, Value> =
            self.tokens.iter().map(|(name, token)| (name.clone(), Value::from(token.clone()))).collect();
        context.insert("messages".to_owned(), Value::from(conversation.messages.clone()));
        context.insert("add_generation_prompt".to_owned(), Value::from(true));
        let tools = conversation.tools.clone();
        let name = if tools.is_some() && self.has_tool_template { "tool_use" } else { "default" };
        context.insert("tools".to_owned(), tools.unwrap_or_else(|| Value::from(())));
        for (name, value) in &conversation.arguments {
            context.insert(name.clone(), Value::from(Serde(value)));
        }
        self.environment
            .get_template(name)
            .and_then(|template| template.render(Value::from_pairs(context)))
            .map_err(|cause| {
                let text = cause.detail().map_or_else(|| cause.to_string(), str::to_owned);
                ApiError::bad_request(format!("the chat template refused the messages: {text}"))
            })
    }
}

fn raise_exception(text: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, text))
}

fn strftime_now(format: String) -> Result<String, Error> {
    jiff::fmt::strtime::format(&format, &jiff::Zoned::now())
        .map_err(|cause| Error::new(ErrorKind::InvalidOperation, format!("strftime_now: {cause}")))
}

/// JSON as Python writes it: a space after comma and colon, characters not escaped for HTML.
fn to_json(value: Value, indent: Option<usize>, options: Kwargs) -> Result<Value, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<usize>>("indent")?,
    };
    let _: Option<bool> = options.get("ensure_ascii")?;
    let _: Option<bool> = options.get("sort_keys")?;
    options.assert_all_used()?;
    let mut bytes = Vec::new();
    let outcome = match indent {
        Some(width) => {
            let spaces = vec![b' '; width.min(32)];
            let format = serde_json::ser::PrettyFormatter::with_indent(&spaces);
            value.serialize(&mut Serializer::with_formatter(&mut bytes, format))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut bytes, PythonStyle)),
    };
    outcome.map_err(|cause| Error::new(ErrorKind::BadSerialization, cause.to_string()))?;
    Ok(Value::from_safe_string(String::from_utf8_lossy(&bytes).into_owned()))
}

struct PythonStyle;

impl Formatter for PythonStyle {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Takes out `{% generation %}` and `{% endgeneration %}`, which only matter for training.
fn without_generation_marks(source: &str) -> String {
    let mut kept = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let Some(length) = rest[start..].find("%}") else { break };
        let end = start + length + 2;
        let word = rest[start + 2..end - 2].trim_matches(|c: char| c == '-' || c == '+' || c.is_whitespace());
        if matches!(word, "generation" | "endgeneration") {
            kept.push_str(&rest[..start]);
        } else {
            kept.push_str(&rest[..end]);
        }
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
