//! Forms of an answer. For programs the form is stable: fields are added, never renamed, and their order is fixed.

use std::io::Write;

use clap::ValueEnum;
use serde::Serialize;

use crate::error::Error;

/// For people, or for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
    Yaml,
}

/// Writes `answer` as one JSON or YAML document; text is the business of the command.
///
/// # Errors
/// The output cannot be written.
pub fn write_document(answer: &impl Serialize, format: Format, out: &mut impl Write) -> Result<(), Error> {
    if format == Format::Yaml {
        serde_yaml_ng::to_writer(&mut *out, answer).map_err(std::io::Error::other)?;
        return Ok(());
    }
    serde_json::to_writer_pretty(&mut *out, answer).map_err(std::io::Error::from)?;
    writeln!(out)?;
    Ok(())
}
