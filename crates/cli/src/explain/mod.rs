//! `dynamoctl explain`: a field of the API, from the API's own schema. It asks no cluster.

mod field;
mod text;

use std::process::ExitCode;

use self::field::Field;
use crate::{
    cluster::Target,
    console::Console,
    error::Error,
    output::{self, Format},
    schema::lookup,
};

/// Arguments of `dynamoctl explain`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Kind and field, such as dgd.spec.services.*.resources; `*` stands for a name that you choose
    #[arg(value_name = "FIELD")]
    field: String,
    /// All fields below it, by name and type
    #[arg(short, long)]
    recursive: bool,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Tells what the schema says.
///
/// # Errors
/// There is no such field, or the output cannot be written.
pub fn run(arguments: &Arguments, _: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let found = lookup::find(&arguments.field).map_err(|error| Error::Usage(error.to_string()))?;
    let field = Field::of(&found, arguments.recursive);
    match arguments.output {
        Format::Text => text::write(&field, arguments.recursive, console)?,
        format => output::write_document(&field, format, console)?,
    }
    Ok(ExitCode::SUCCESS)
}
