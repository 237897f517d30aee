//! `dynamoctl port-forward`: the frontend of a graph at a port of this machine, until interrupted.
//! The streams are those of `forward`.

use std::{io::Write, process::ExitCode};

use crate::{
    cluster::{Target, block_on},
    completion,
    console::Console,
    error::Error,
    forward,
};

/// Arguments of `dynamoctl port-forward`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the graph
    #[arg(add = completion::graphs(), value_name = "GRAPH")]
    graph: String,
    /// Port of this machine; 0 is any free one
    #[arg(value_name = "PORT", default_value_t = 8000)]
    port: u16,
    /// Another service than the frontend
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
}

/// Forwards until interrupted.
///
/// # Errors
/// There is no such graph or no ready pod, or the port is taken.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    block_on(async {
        let way =
            forward::open(target, &arguments.graph, arguments.service.as_deref(), arguments.port).await?;
        let (address, to) = (way.address, &way.to);
        writeln!(console, "http://{address} is port {} of pod {}; stop with Ctrl-C", to.port, to.pod)?;
        console.flush()?;
        tokio::select! {
            () = way.serve() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        Ok(ExitCode::SUCCESS)
    })
}
