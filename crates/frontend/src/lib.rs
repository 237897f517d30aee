//! OpenAI-compatible HTTP frontend over discovered models
