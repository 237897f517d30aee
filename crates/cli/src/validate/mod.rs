//! `dynamoctl validate`: would these manifests be accepted, and if not, where is each mistake. All of them at once.
//! Kinds of other groups are counted and passed over; it never asks a cluster.
//!
//! Who is right about a field that the API does not have? The API server drops it and accepts the object, Helm and GitOps
//! tools leave it at that, and only `kubectl apply` asks the server to refuse it. The verdict is that of the server, so
//! that it is the same whoever applies: such a field is a warning. `--strict` is the verdict that kubectl gets.

mod findings;
mod judge;
mod standing;
mod text;
mod yaml;

use std::{io::Write, path::PathBuf, process::ExitCode};

use dynamo_render::{OperatorConfig, validate::Policy};

use self::{findings::Answer, judge::Judge};
use crate::{cluster::Target, console::Console, error::Error, manifest, output::Format, schema::Schemas};

/// Arguments of `dynamoctl validate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, folders, or `-` for standard input
    #[arg(required = true, value_name = "FILE")]
    sources: Vec<PathBuf>,
    /// Judge as an operator that is restricted to one namespace
    #[arg(long)]
    restricted: bool,
    /// Refuse fields that the API does not have, as kubectl apply does; without it they are warnings
    #[arg(long)]
    strict: bool,
    /// Form of the answer; json is one object per line, yaml one document per manifest
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Judges every document; the exit code is 1 when one of them is refused.
///
/// # Errors
/// A source that cannot be read, or an output that cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let config = OperatorConfig::default();
    // Without a cluster nobody knows which optional APIs it has.
    let policy = Policy { restricted: arguments.restricted, ..Policy::stateless(&config) };
    let namespace = target.offline_namespace();
    let mut judge = Judge { policy, namespace, strict: arguments.strict, schemas: Schemas::default() };
    let mut count = text::Count::default();
    for document in manifest::read(&arguments.sources)? {
        let answer = judge.judge(document);
        count.add(answer.as_ref());
        if let Some(answer) = answer {
            write_answer(&answer, arguments.output, console)?;
        }
    }
    if arguments.output == Format::Text {
        text::write_count(&count, console)?;
    }
    Ok(ExitCode::from(u8::from(count.refused > 0)))
}

fn write_answer(answer: &Answer, output: Format, out: &mut impl Write) -> Result<(), Error> {
    match output {
        Format::Text => text::write(answer, out)?,
        Format::Json => {
            serde_json::to_writer(&mut *out, answer).map_err(std::io::Error::from)?;
            out.write_all(b"\n")?;
        }
        Format::Yaml => {
            out.write_all(b"---\n")?;
            serde_yaml_ng::to_writer(&mut *out, answer).map_err(std::io::Error::other)?;
        }
    }
    Ok(())
}
