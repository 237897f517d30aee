//! `dynamoctl logs`: the logs of all pods of a graph or of one service, each line after the name of its pod.
//! Which containers are read is chosen in `sources`; here they are read and written.

mod sources;

use std::{collections::BTreeSet, io::Write, process::ExitCode, time::Duration};

use futures::{
    AsyncBufRead, AsyncBufReadExt, FutureExt, SinkExt, Stream, StreamExt, channel::mpsc,
    future::LocalBoxFuture, stream::FuturesUnordered,
};
use k8s_openapi::api::core::v1::Pod;
use kube::api::LogParams;

use crate::{
    cluster::{self, Cluster, Target, block_on},
    completion,
    console::{Console, note},
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
        let cluster = target.connect().await?;
        let graph = graphs::find(&cluster, &arguments.graph).await?;
        if let Some(service) = &arguments.service {
            graphs::service_of(&graph, service)?;
        }
        if arguments.follow {
            let streams = target.connect_for_streams().await?;
            return follow(&cluster, &streams, arguments, console).await;
        }
        let found = list(&cluster, arguments).await?;
        if found.is_empty() {
            note(&format!("graph {} has no pods to read; dynamoctl status tells why", arguments.graph));
            return Ok(ExitCode::from(1));
        }
        let mut is_whole = true;
        for source in &found {
            match cluster.api::<Pod>().log_stream(&source.pod, &params(arguments, source)).await {
                Ok(log) => {
                    let mut lines = std::pin::pin!(lines(log));
                    while let Some(line) = lines.next().await {
                        match line {
                            Ok(line) => write(console, arguments, source, &line)?,
                            Err(error) => {
                                is_whole = false;
                                note(&format!("the log of {} broke off: {error}", source.prefix()));
                                break;
                            }
                        }
                    }
                }
                Err(error) => {
                    is_whole = false;
                    note(&unreadable(source, &error));
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

/// Writes lines as they come until an interrupt. Pods that come later are read from their first line on; they are looked
/// for through `cluster`, and read through `streams`.
async fn follow(
    cluster: &Cluster,
    streams: &Cluster,
    arguments: &Arguments,
    console: &mut Console<'_>,
) -> Result<ExitCode, Error> {
    let (sender, mut lines) = mpsc::channel::<Told>(256);
    let mut readers: FuturesUnordered<LocalBoxFuture<'_, (Source, bool)>> = FuturesUnordered::new();
    let mut known: BTreeSet<Source> = BTreeSet::new();
    // Where a stream broke off, and goes on at the next look.
    let mut broken = BTreeSet::new();
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let look = |pause: Duration| async move {
        tokio::time::sleep(pause).await;
        list(cluster, arguments).await
    };
    let mut looking = Box::pin(look(Duration::ZERO));
    let mut is_first = true;
    let mut told = None;
    loop {
        tokio::select! {
            Some((source, told)) = lines.next() => {
                match told {
                    Ok(line) => write(console, arguments, &source, &line)?,
                    Err(error) => note(&error),
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
            found = &mut looking => {
                looking.set(look(LOOK_AGAIN));
                let found = match found {
                    Ok(found) => found,
                    Err(error) if is_first => return Err(error),
                    // What is read already goes on; the next look may succeed.
                    Err(error) => {
                        let error = error.to_string();
                        if told.as_ref() != Some(&error) {
                            note(&format!("{error}; logs of new pods are not seen until that works again"));
                            told = Some(error);
                        }
                        continue;
                    }
                };
                told = None;
                for source in found {
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
                    readers.push(read(streams, source, params, sender.clone()).boxed_local());
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
    let mut lines = std::pin::pin!(lines(stream));
    while let Some(line) = lines.next().await {
        let Ok(line) = line else { return (source, false) };
        if sender.send((source.clone(), Ok(line))).await.is_err() {
            break;
        }
    }
    (source, true)
}

/// The lines of a log, which may hold bytes that are no text.
fn lines(log: impl AsyncBufRead + Unpin) -> impl Stream<Item = std::io::Result<String>> {
    futures::stream::try_unfold(log, async |mut log| {
        let mut line = Vec::new();
        if log.read_until(b'\n', &mut line).await? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(line.strip_suffix(b"\n").unwrap_or(&line)).into_owned();
        Ok(Some((text, log)))
    })
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn bytes_that_are_no_text_hide_no_line() {
        let log: &[u8] = b"one\nbad \xff byte\n\nlast";
        let read: Vec<String> = lines(log).try_collect().await.unwrap();
        assert_eq!(read, ["one", "bad \u{fffd} byte", "", "last"]);
    }
}
