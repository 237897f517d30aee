//! `dynamoctl status`: a graph as a tree, and the first cause of not being ready.
//! Gathers, judges, prints; each of the three is a module of its own.

pub mod events;
pub mod gather;
mod overview;
pub mod report;
pub mod tree;

use std::process::ExitCode;

use k8s_openapi::jiff::Timestamp;

use crate::{
    cluster::{Target, block_on},
    completion,
    console::Console,
    error::Error,
    output::{Format, write_document},
};

/// Arguments of `dynamoctl status`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the graph; without it all graphs are listed
    #[arg(add = completion::graphs(), value_name = "GRAPH", conflicts_with = "all_namespaces")]
    graph: Option<String>,
    /// List the graphs of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Tells how a graph stands; the exit code is 1 when it is not ready.
///
/// # Errors
/// The cluster gives no answer, there is no such graph, or the output cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    block_on(async {
        let cluster = target.connect().await?;
        let Some(name) = &arguments.graph else {
            return overview::run(&cluster, arguments.all_namespaces, arguments.output, console).await;
        };
        let snapshot = gather::snapshot(&cluster, name).await?;
        let now = Timestamp::now();
        let causes = gather::causes(&cluster, &snapshot, now).await;
        let report = report::report(&snapshot, &causes);
        match arguments.output {
            Format::Text => tree::write(&report, now, console)?,
            format => write_document(&report, format, console)?,
        }
        Ok(ExitCode::from(u8::from(!report.graph.ready)))
    })
}

#[cfg(test)]
mod tests;
