//! `dynamoctl benchmark setup`: the claim and the token that benchmarks and profilers need (`tools.md` section 4).
//! It writes to one namespace and never deletes; a token is sent to the cluster alone, never printed.

mod access;
mod manifests;
mod steps;

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anstyle::Style;
use clap::{Subcommand, ValueEnum};

use crate::{
    cluster::{Target, block_on},
    console::{BLUE, Console, GREEN, RED, YELLOW},
    error::Error,
};

/// Arguments of `dynamoctl benchmark`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the claim dynamo-pvc, and the Secret hf-token-secret when HF_TOKEN is set.
    ///
    /// The namespace is that of -n, else of the variable NAMESPACE, else "default". A variable FORCE or YES that is not
    /// empty means --yes.
    Setup(Setup),
}

/// Arguments of `dynamoctl benchmark setup`.
#[derive(Debug, clap::Args)]
struct Setup {
    /// Go on where the platform is not installed in the namespace, without a question
    #[arg(short, long)]
    yes: bool,
    /// Folder whose manifests are applied instead of the claim of this program (pvc-access-pod.yaml is left out)
    #[arg(long, value_name = "FOLDER")]
    manifests: Option<PathBuf>,
    /// Access mode of the claim instead of the one that suits its class
    #[arg(long, value_name = "MODE", value_enum)]
    access_mode: Option<AccessMode>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AccessMode {
    #[value(name = "ReadWriteOnce")]
    Once,
    #[value(name = "ReadWriteMany")]
    Many,
}

impl AccessMode {
    fn name(self) -> &'static str {
        match self {
            Self::Once => "ReadWriteOnce",
            Self::Many => "ReadWriteMany",
        }
    }
}

/// Progress lines of this command.
struct Log<'a, 'b>(&'a mut Console<'b>);

impl Log<'_, '_> {
    fn line(&mut self, style: Style, word: &str, text: &str) -> io::Result<()> {
        writeln!(self.0, "{style}[{word}]{style:#} {text}")
    }

    fn info(&mut self, text: &str) -> io::Result<()> {
        self.line(BLUE, "INFO", text)
    }

    fn ok(&mut self, text: &str) -> io::Result<()> {
        self.line(GREEN, "OK", text)
    }

    fn warn(&mut self, text: &str) -> io::Result<()> {
        self.line(YELLOW, "WARN", text)
    }

    fn error(&mut self, text: &str) -> io::Result<()> {
        self.line(RED, "ERROR", text)
    }
}

/// Does the step; the exit code is 1 when one fails or its result is not there.
///
/// # Errors
/// Manifests that cannot be read, or an output that cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let Command::Setup(setup) = &arguments.command;
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let namespace = target.namespace.clone().or_else(|| variable("NAMESPACE"));
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    let plan = steps::Plan {
        objects: manifests::read(setup.manifests.as_deref(), &namespace)?,
        namespace,
        token: variable("HF_TOKEN"),
        yes: setup.yes || variable("FORCE").is_some() || variable("YES").is_some(),
        access_mode: setup.access_mode.map(AccessMode::name),
    };
    let mut log = Log(console);
    match block_on(steps::take(&plan, target, &mut log)) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(steps::Stop::Output(error)) => Err(error.into()),
        Err(steps::Stop::Cluster(error)) => {
            log.error(&error.to_string())?;
            Ok(ExitCode::FAILURE)
        }
        Err(steps::Stop::Said) => Ok(ExitCode::FAILURE),
    }
}
