//! `dynamoctl`: words in, an exit code out.
//! No rule of the platform is written here: everything is judged by the libraries the operator uses.

mod manifest;
mod validate;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

/// Tool of the Dynamo platform.
#[derive(Debug, Parser)]
#[command(name = "dynamoctl", version, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Judge manifests by the rules of the admission webhook, without a cluster.
    Validate(validate::Arguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut out = io::BufWriter::new(io::stdout().lock());
    let ended = match arguments.command {
        Command::Validate(arguments) => validate::run(&arguments, &mut out),
    };
    match ended.and_then(|code| out.flush().map(|()| code).map_err(validate::Error::Write)) {
        Ok(code) => code,
        // The reader has seen enough, as in `dynamoctl ... | head`.
        Err(validate::Error::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dynamoctl: {error}");
            ExitCode::from(2)
        }
    }
}
