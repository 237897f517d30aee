//! `dynamoctl logs`: the logs of all pods of a graph or of one service, each line after the name of its pod.
//! Which containers are read is chosen in `sources`; here they are read and written.

mod sources;

use std::{collections::BTreeSet, io::Write, process::ExitCode, time::Duration};

use futures::{
    AsyncBufReadExt, FutureExt, SinkExt, StreamExt, channel::mpsc, future::LocalBoxFuture,
    stream::FuturesUnordered,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;

use crate::{
    cluster::{self, Cluster, Target, block_on},
    completion,
    console::Console,
    duration,
    error::Error,
    graphs,
};
use sources::{Source, sources};

/// Arguments of `dynamoctl logs`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the graph
    #[arg(add = completion::graphs(), value_name = "GRAPH")]
    graph: String,
    /// Only the pods of this service
    #[arg(value_name = "SERVICE")]
    service: Option<String>,
    /// Follow the logs, those of new pods as well, until interrupted
    #[arg(short, long, conflicts_with = "previous")]
    follow: bool,
    /// Only lines of this last time, such as 90s or 10m
    #[arg(long, value_name = "TIME", value_parser = duration::parse)]
    since: Option<Duration>,
    /// Only this number of last lines of each container
    #[arg(long, value_name = "LINES")]
    tail: Option<u32>,
    /// The logs of the containers before their last restart
    #[arg(short, long)]
    previous: bool,
    /// This container instead of the main one
    #[arg(short, long, value_name = "NAME")]
    container: Option<String>,
    /// Leave out the names of pods before the lines
    #[arg(long)]
    no_prefix: bool,
}

/// After what time new pods are looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(3);

/// Writes the logs; the exit code is 1 when some of them cannot be read.
///
/// # Errors
/// There is no such graph or service, its pods cannot be listed, or the output cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    block_on(async {
        let cluster =
            if arguments.follow { target.connect_for_streams().await? } else { target.connect().await? };
        let graph = graphs::find(&cluster, &arguments.graph).await?;
        if let Some(service) = &arguments.service {
            graphs::service_of(&graph, service)?;
        }
        if arguments.follow {
            return follow(&cluster, arguments, console).await;
        }
        let found = list(&cluster, arguments).await?;
        if found.is_empty() {
            eprintln!("graph {} has no pods to read; dynamoctl status tells why", arguments.graph);
            return Ok(ExitCode::from(1));
        }
        let mut is_whole = true;
        for source in &found {
            match cluster.api::<Pod>().logs(&source.pod, &params(arguments, source)).await {
                Ok(log) => log.lines().try_for_each(|line| write(console, arguments, source, line))?,
                Err(error) => {
                    is_whole = false;
                    eprintln!("{}", unreadable(source, &error));
                }
            }
        }
        Ok(ExitCode::from(u8::from(!is_whole)))
    })
}

async fn list(cluster: &Cluster, arguments: &Arguments) -> Result<Vec<Source>, Error> {
    let pods = graphs::children::<Pod>(cluster, &arguments.graph).await;
    let pods = pods.map_err(|error| cluster::Error::of("list pods", &error))?;
    Ok(sources(&pods.items, arguments.service.as_deref(), arguments.container.as_deref()))
}

fn params(arguments: &Arguments, source: &Source) -> LogParams {
    LogParams {
        container: Some(source.container.clone()),
        follow: arguments.follow,
        previous: arguments.previous,
        since_seconds: arguments.since.map(|since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
        tail_lines: arguments.tail.map(i64::from),
        ..LogParams::default()
    }
}

fn write(
    console: &mut Console<'_>,
    arguments: &Arguments,
    source: &Source,
    line: &str,
) -> std::io::Result<()> {
    match arguments.no_prefix {
        true => writeln!(console, "{line}"),
        false => writeln!(console, "{} {line}", source.prefix()),
    }
}

fn unreadable(source: &Source, error: &kube::Error) -> String {
    let what = format!("read the log of container {} of pod {}", source.container, source.pod);
    cluster::Error::of(what, error).to_string()
}

/// A line, or why there are no more.
type Told = (Source, Result<String, String>);

/// Writes lines as they come until an interrupt. Pods that come later are read from their first line on.
async fn follow(
    cluster: &Cluster,
    arguments: &Arguments,
    console: &mut Console<'_>,
) -> Result<ExitCode, Error> {
    let (sender, mut lines) = mpsc::channel::<Told>(256);
    let mut readers: FuturesUnordered<LocalBoxFuture<'_, (Source, bool)>> = FuturesUnordered::new();
    let mut known: BTreeSet<Source> = BTreeSet::new();
    // Where a stream broke off, and goes on at the next look.
    let mut broken = BTreeSet::new();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut look = tokio::time::interval(LOOK_AGAIN);
    let mut is_first = true;
    loop {
        tokio::select! {
            Some((source, told)) = lines.next() => {
                match told {
                    Ok(line) => write(console, arguments, &source, &line)?,
                    Err(error) => eprintln!("{error}"),
                }
                // Whoever follows wants to see each line at once.
                console.flush()?;
            }
            Some((source, is_whole)) = readers.next(), if !readers.is_empty() => {
                if !is_whole {
                    known.remove(&source);
                    broken.insert(source);
                }
            }
            _ = look.tick() => {
                for source in list(cluster, arguments).await? {
                    if !source.is_readable || !known.insert(source.clone()) {
                        continue;
                    }
                    let mut params = params(arguments, &source);
                    if broken.remove(&source) {
                        params.tail_lines = None;
                        params.since_seconds = i64::try_from(LOOK_AGAIN.as_secs()).ok();
                    } else if !is_first {
                        (params.tail_lines, params.since_seconds) = (None, None);
                    }
                    readers.push(read(cluster, source, params, sender.clone()).boxed_local());
                }
                is_first = false;
            }
            _ = &mut interrupt => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// Sends the lines of one container; returns whether its log came to its end.
async fn read(
    cluster: &Cluster,
    source: Source,
    params: LogParams,
    mut sender: mpsc::Sender<Told>,
) -> (Source, bool) {
    let stream = match cluster.api::<Pod>().log_stream(&source.pod, &params).await {
        Ok(stream) => stream,
        Err(error) => {
            let _ = sender.send((source.clone(), Err(unreadable(&source, &error)))).await;
            return (source, false);
        }
    };
    let mut lines = stream.lines();
    while let Some(line) = lines.next().await {
        let Ok(line) = line else { return (source, false) };
        if sender.send((source.clone(), Ok(line))).await.is_err() {
            break;
        }
    }
    (source, true)
}
