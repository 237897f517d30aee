//! `dynamoctl chat`: talk to the model of a graph, through its frontend's OpenAI API.
//! One answer for a prompt, a conversation on a terminal; answers are written as they stream in.

mod api;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    process::ExitCode,
};

use crate::{
    cluster::{Target, block_on},
    completion,
    console::{Console, note},
    error::Error,
    forward,
};
use api::{Endpoint, Message};

/// Arguments of `dynamoctl chat`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the graph
    #[arg(add = completion::graphs(), value_name = "GRAPH", required_unless_present = "url")]
    graph: Option<String>,
    /// What to say; without it a conversation, or the text of standard input
    #[arg(value_name = "PROMPT")]
    prompt: Vec<String>,
    /// Ask this address instead of a graph's frontend
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Model to ask; without it the first one that is served
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Text that the model is told before
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// Longest answer
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<u32>,
}

/// Asks and writes the answer.
///
/// # Errors
/// There is no way to a frontend, it serves no such model, or it refuses.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    block_on(async {
        // With an address the first word belongs to the prompt.
        let (graph, mut words) = (arguments.graph.as_deref(), arguments.prompt.clone());
        let address = match (&arguments.url, graph) {
            (Some(url), graph) => {
                words.splice(0..0, graph.map(str::to_owned));
                url.clone()
            }
            (None, graph) => connect(target, graph.unwrap_or_default()).await?,
        };
        let endpoint = Endpoint::at(&address)?;
        let model = endpoint.model(arguments.model.as_deref()).await?;
        let mut told: Vec<Message> =
            arguments.system.iter().map(|text| Message::of("system", text)).collect();
        if words.is_empty() && io::stdin().is_terminal() {
            converse(&endpoint, &model, arguments, &mut told, console).await?;
            return Ok(ExitCode::SUCCESS);
        }
        let prompt = if words.is_empty() { read_prompt()? } else { words.join(" ") };
        if prompt.trim().is_empty() {
            return Err(Error::Usage("there is nothing to say: give a prompt".to_owned()));
        }
        told.push(Message::of("user", prompt.trim()));
        endpoint.ask(&model, &told, arguments.max_tokens, console).await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Opens a way to the frontend that lives as long as this process; returns its address.
async fn connect(target: &Target, graph: &str) -> Result<String, Error> {
    let way = forward::open(target, graph, None, 0).await?;
    let address = format!("http://{}", way.address);
    tokio::spawn(way.serve());
    Ok(address)
}

fn read_prompt() -> Result<String, Error> {
    io::read_to_string(io::stdin())
        .map_err(|error| Error::Usage(format!("cannot read the prompt from standard input: {error}")))
}

async fn converse(
    endpoint: &Endpoint,
    model: &str,
    arguments: &Arguments,
    told: &mut Vec<Message>,
    console: &mut Console<'_>,
) -> Result<(), Error> {
    note(&format!("{model}; end with Ctrl-D"));
    loop {
        let _ = write!(io::stderr(), "> ");
        // The terminal must not keep the streams from moving.
        let line = tokio::task::spawn_blocking(|| {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map(|read| (read > 0).then_some(line))
        });
        let Ok(read) = line.await else { return Ok(()) };
        let read = read.map_err(|error| Error::Usage(format!("cannot read from standard input: {error}")))?;
        let Some(line) = read else {
            writeln!(console)?;
            return Ok(());
        };
        if line.trim().is_empty() {
            continue;
        }
        told.push(Message::of("user", line.trim()));
        match endpoint.ask(model, told, arguments.max_tokens, console).await {
            Ok(answer) => told.push(Message::of("assistant", &answer)),
            Err(error @ Error::Write(_)) => return Err(error),
            // What was said before stays, and the question can be put again.
            Err(error) => {
                note(&error.to_string());
                told.pop();
            }
        }
    }
}
