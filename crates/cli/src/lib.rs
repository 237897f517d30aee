//! `dynamoctl`: what people run beside the operator.
//! No rule of the platform is written here: everything is judged and rendered by the libraries that the operator uses.

pub mod benchmark;
pub mod causes;
pub mod chat;
pub mod check;
pub mod cluster;
pub mod completion;
pub mod console;
pub mod diff;
pub mod duration;
pub mod error;
pub mod explain;
pub mod forward;
pub mod gpus;
pub mod graphs;
pub mod helm;
pub mod layout;
pub mod logs;
pub mod manifest;
pub mod name;
pub mod output;
pub mod pages;
pub mod pods;
pub mod port_forward;
pub mod program;
pub mod reference;
pub mod render;
pub mod restart;
pub mod sanity;
pub mod scale;
pub mod schema;
pub mod status;
pub mod suggest;
pub mod top;
pub mod validate;
pub mod wait;
pub mod world;

use std::{
    ffi::OsString,
    io::{self, Write},
    process::ExitCode,
};

use clap::{FromArgMatches, Parser, Subcommand};

use crate::{
    cluster::Target,
    console::{ColorChoice, Console, note},
    error::Error,
    name::Name,
};

/// Tool of the Dynamo platform.
#[derive(Debug, Parser)]
#[command(name = "dynamoctl", version, arg_required_else_help = true)]
pub struct Arguments {
    #[command(flatten)]
    pub target: Target,
    /// When to colour the output; `auto` is on a terminal that shows colours, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", value_enum)]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Prepare a namespace for benchmarks and profilers
    Benchmark(benchmark::Arguments),
    /// Talk to the model of a graph
    Chat(chat::Arguments),
    /// Check whether the cluster is ready for the platform
    Check(check::Arguments),
    /// Print the script that completes commands and names of graphs in a shell
    Completion(completion::Arguments),
    /// Show what an apply would change in the cluster, and which pods it would restart
    Diff(diff::Arguments),
    /// Explain a field of the API: type, default, rules, meaning
    Explain(explain::Arguments),
    /// List the GPUs of every node
    Gpus(gpus::Arguments),
    /// Install or upgrade the platform with Helm
    Install(helm::InstallArguments),
    /// Print the logs of a graph's pods
    Logs(logs::Arguments),
    /// Write the man pages
    #[command(hide = true)]
    Man(reference::ManArguments),
    /// Open the frontend of a graph at a port of this machine
    PortForward(port_forward::Arguments),
    /// Show every object that the operator makes of graphs, for a cluster that is described or asked
    Render(render::Arguments),
    /// Replace the pods of a graph, one service after the other
    Restart(restart::Arguments),
    /// Report what this host or container has and lacks
    Sanity(sanity::Arguments),
    /// Set the replicas of services
    Scale(scale::Arguments),
    /// Show a graph as a tree, and why it is not ready
    Status(status::Arguments),
    /// Show tokens per second, latencies, queues and cache use of each service, from Prometheus
    Top(top::Arguments),
    /// Uninstall the platform with Helm
    Uninstall(helm::UninstallArguments),
    /// Judge manifests by the rules of the admission webhook, without a cluster
    Validate(validate::Arguments),
    /// Wait until a graph is ready
    Wait(wait::Arguments),
}

impl Command {
    /// Runs to the end; text for people and for programs goes to `console`, what went wrong is the error.
    fn run(&self, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
        match self {
            Self::Benchmark(arguments) => benchmark::run(arguments, target, console),
            Self::Chat(arguments) => chat::run(arguments, target, console),
            Self::Check(arguments) => check::run(arguments, target, console),
            Self::Completion(arguments) => completion::run(arguments, console),
            Self::Diff(arguments) => diff::run(arguments, target, console),
            Self::Explain(arguments) => explain::run(arguments, target, console),
            Self::Gpus(arguments) => gpus::run(arguments, target, console),
            Self::Install(arguments) => helm::install(arguments, target, console),
            Self::Logs(arguments) => logs::run(arguments, target, console),
            Self::Man(arguments) => reference::man(arguments),
            Self::PortForward(arguments) => port_forward::run(arguments, target, console),
            Self::Render(arguments) => render::run(arguments, target, console),
            Self::Restart(arguments) => restart::run(arguments, target, console),
            Self::Sanity(arguments) => sanity::run(arguments, target, console),
            Self::Scale(arguments) => scale::run(arguments, target, console),
            Self::Status(arguments) => status::run(arguments, target, console),
            Self::Top(arguments) => top::run(arguments, target, console),
            Self::Uninstall(arguments) => helm::uninstall(arguments, target, console),
            Self::Validate(arguments) => validate::run(arguments, target, console),
            Self::Wait(arguments) => wait::run(arguments, target, console),
        }
    }
}

/// The whole program: arguments of the process, standard streams, and the exit code: 0 done, 1 the answer is no, 2 wrong
/// use or no answer.
pub fn main() -> ExitCode {
    let name = Name::of(std::env::args_os().next().as_deref());
    if name == Name::KubectlCompletion {
        // kubectl shows nothing but candidates.
        let _ = completion::answer_kubectl(std::env::args_os().skip(1), &mut io::stdout().lock());
        return ExitCode::SUCCESS;
    }
    match completion::answer(name) {
        Ok(true) => return ExitCode::SUCCESS,
        Ok(false) => {}
        Err(error) => error.exit(),
    }
    let matches = name::command(name).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let stdout = io::stdout();
    let mut out = io::BufWriter::new(arguments.color.stream(stdout.lock()));
    let code = run(&arguments, &mut Console::of_process(&mut out));
    match out.flush() {
        Ok(()) => code,
        Err(error) => end(&Error::Write(error)),
    }
}

/// One call of the program with `words` (its name first) that writes to `out`, without colours and at any width.
pub fn call(words: impl IntoIterator<Item = impl Into<OsString> + Clone>, out: &mut dyn Write) -> ExitCode {
    match Arguments::try_parse_from(words) {
        Ok(arguments) => {
            let mut plain = anstream::StripStream::new(Vec::new());
            let code = run(&arguments, &mut Console::plain(&mut plain));
            match out.write_all(&plain.into_inner()) {
                Ok(()) => code,
                Err(error) => end(&Error::Write(error)),
            }
        }
        Err(error) => {
            // Help is an answer, too.
            let _ = write!(out, "{error}");
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
        }
    }
}

fn run(arguments: &Arguments, console: &mut Console<'_>) -> ExitCode {
    match arguments.command.run(&arguments.target, console) {
        Ok(code) => code,
        Err(error) => end(&error),
    }
}

fn end(error: &Error) -> ExitCode {
    // The reader has seen enough, as in `dynamoctl ... | head`.
    if error.is_broken_pipe() {
        return ExitCode::SUCCESS;
    }
    note(&format!("dynamoctl: {error}"));
    ExitCode::from(2)
}
