//! `dynamoctl wait`: until a graph is ready or gone, with progress on standard error.
//! It ends early only where nothing but a change of the graph itself can help.

use std::{
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use dynamo_api::v1alpha1::DynamoGraphDeployment;
use indicatif::{ProgressBar, ProgressStyle};
use k8s_openapi::jiff::Timestamp;

use crate::{
    causes::{Cause, is_ready},
    cluster::{self, Cluster, Target, block_on},
    completion,
    console::{Console, note},
    duration,
    error::Error,
    graphs,
    status::{gather, report, tree},
};

/// Arguments of `dynamoctl wait`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the graph
    #[arg(add = completion::graphs(), value_name = "GRAPH")]
    graph: String,
    /// What to wait for
    #[arg(long = "for", value_enum, default_value_t = Goal::Ready, value_name = "GOAL")]
    goal: Goal,
    /// How long to wait, such as 90s or 10m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    timeout: Duration,
}

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Goal {
    Ready,
    Deleted,
}

/// Pause between two looks at the graph.
const PAUSE: Duration = Duration::from_secs(2);
/// After what time causes are looked for again when the graph itself says nothing new.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Waits; the exit code is 1 when the time is over, or when waiting is useless.
///
/// # Errors
/// The cluster gives no answer at the beginning, there is no such graph, or the output cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    block_on(async {
        let cluster = target.connect().await?;
        let name = &arguments.graph;
        let start = Instant::now();
        let mut graph = match (arguments.goal, graphs::find(&cluster, name).await) {
            (Goal::Deleted, Err(Error::Usage(_))) => return gone(name, console),
            (_, found) => Some(found?),
        };
        let mut progress = Progress::start();
        let mut seen = Seen::default();
        loop {
            match (&graph, arguments.goal) {
                (None, Goal::Deleted) => {
                    progress.end();
                    return gone(name, console);
                }
                (None, Goal::Ready) => {
                    progress.end();
                    writeln!(console, "graph {name} was deleted")?;
                    return Ok(ExitCode::from(1));
                }
                (Some(graph), Goal::Ready) if is_ready(graph) => {
                    progress.end();
                    writeln!(console, "graph {name} is ready")?;
                    return Ok(ExitCode::SUCCESS);
                }
                (Some(graph), goal) => seen.look(&cluster, graph, goal).await,
            }
            progress.say(&seen.text(name, arguments.goal));
            let is_over = start.elapsed() >= arguments.timeout;
            if is_over || seen.is_hopeless {
                progress.end();
                let after = start.elapsed().min(arguments.timeout).as_secs();
                let not = if arguments.goal == Goal::Ready { "not ready" } else { "still there" };
                writeln!(console, "graph {name} is {not} after {after} s")?;
                if let Ok(snapshot) = gather::snapshot(&cluster, name).await {
                    let causes = gather::causes(&cluster, &snapshot, Timestamp::now()).await;
                    tree::write_causes(&report::report(&snapshot, &causes), console)?;
                }
                return Ok(ExitCode::from(1));
            }
            tokio::time::sleep(PAUSE.min(arguments.timeout.saturating_sub(start.elapsed()))).await;
            match cluster.api::<DynamoGraphDeployment>().get_opt(name).await {
                Ok(now) => graph = now,
                // An API server that restarts must not end a wait of ten minutes.
                Err(error) => {
                    progress.say(&cluster::Error::of(format!("read graph {name:?}"), &error).to_string());
                }
            }
        }
    })
}

fn gone(name: &str, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    writeln!(console, "graph {name} is gone")?;
    Ok(ExitCode::SUCCESS)
}

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    version: Option<String>,
    looked: Option<Instant>,
    state: String,
    cause: String,
    is_hopeless: bool,
}

impl Seen {
    /// Looks for causes when the graph changed, or now and then.
    async fn look(&mut self, cluster: &Cluster, graph: &DynamoGraphDeployment, goal: Goal) {
        let version = &graph.metadata.resource_version;
        if *version == self.version && self.looked.is_some_and(|at| at.elapsed() < LOOK_AGAIN) {
            return;
        }
        let name = graph.metadata.name.as_deref().unwrap_or_default();
        // What is not seen now is seen at the next look.
        let Ok(snapshot) = gather::snapshot(cluster, name).await else { return };
        let causes = gather::causes(cluster, &snapshot, Timestamp::now()).await;
        self.version.clone_from(version);
        self.looked = Some(Instant::now());
        let report = report::report(&snapshot, &causes);
        let ready = report.services.iter().filter(|service| service.ready >= service.wanted).count();
        self.state = format!("{}, {ready}/{} services", report.graph.state, report.services.len());
        self.is_hopeless =
            goal == Goal::Ready && causes.first().is_some_and(|cause| cause.kind.ends_waiting());
        self.cause = causes.first().map(told).unwrap_or_default();
    }

    fn text(&self, name: &str, goal: Goal) -> String {
        match goal {
            Goal::Ready if self.cause.is_empty() => format!("{name}: {}", self.state),
            Goal::Ready => format!("{name}: {}; {}", self.state, self.cause),
            Goal::Deleted => format!("{name}: waiting until it is gone"),
        }
    }
}

fn told(cause: &Cause) -> String {
    let service = cause.service.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    format!("{service}{}: {}", cause.kind.title(), cause.message)
}

/// One line on a terminal, else a line for each change.
enum Progress {
    Bar(ProgressBar),
    Lines(String),
}

impl Progress {
    fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self::Lines(String::new());
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Self::Bar(bar)
    }

    fn say(&mut self, text: &str) {
        match self {
            Self::Bar(bar) => bar.set_message(text.to_owned()),
            Self::Lines(last) if last != text => {
                note(text);
                text.clone_into(last);
            }
            Self::Lines(_) => {}
        }
    }

    fn end(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}
