//! `dynamoctl top`: what the services of a graph do right now, from Prometheus.
//! Asks, sorts the figures to services, prints; nothing is judged.

mod prometheus;
mod queries;

use std::{collections::BTreeMap, io::Write, process::ExitCode, time::Duration};

use dynamo_api::v1alpha1::DynamoGraphDeployment;
use dynamo_render::names;
use serde::Serialize;

use crate::{
    cluster::{Target, block_on},
    completion,
    console::{Console, note},
    duration,
    error::Error,
    graphs, layout,
    output::{Format, write_document},
};
use prometheus::Prometheus;
use queries::{COMPONENT, FIGURES, Figure};

/// Arguments of `dynamoctl top`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Name of the graph
    #[arg(add = completion::graphs(), value_name = "GRAPH")]
    graph: String,
    /// Prometheus to ask; without it the one of the cluster, through the API server
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    /// Time over which rates and latencies are taken
    #[arg(long, value_name = "TIME", default_value = "1m", value_parser = duration::parse)]
    window: Duration,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// The answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Top {
    namespace: String,
    graph: String,
    prometheus: String,
    window_seconds: u64,
    services: Vec<Line>,
}

/// One service. A figure that nobody measured is absent.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    name: String,
    output_tokens_per_second: Option<f64>,
    requests_per_second: Option<f64>,
    ttft_seconds_p50: Option<f64>,
    ttft_seconds_p95: Option<f64>,
    itl_seconds_p50: Option<f64>,
    itl_seconds_p95: Option<f64>,
    queued_requests: Option<f64>,
    running_requests: Option<f64>,
    /// Between 0 and 1; the fullest of the service's pods.
    kv_cache_use: Option<f64>,
}

impl Line {
    fn place(&mut self, figure: Figure) -> &mut Option<f64> {
        match figure {
            Figure::OutputTokens => &mut self.output_tokens_per_second,
            Figure::Requests => &mut self.requests_per_second,
            Figure::TtftMedian => &mut self.ttft_seconds_p50,
            Figure::Ttft95 => &mut self.ttft_seconds_p95,
            Figure::ItlMedian => &mut self.itl_seconds_p50,
            Figure::Itl95 => &mut self.itl_seconds_p95,
            Figure::Queued => &mut self.queued_requests,
            Figure::Running => &mut self.running_requests,
            Figure::KvUse => &mut self.kv_cache_use,
        }
    }
}

/// Writes the figures; the exit code is 1 when Prometheus knows nothing of the graph.
///
/// # Errors
/// There is no such graph or no Prometheus, it gives no answer, or the output cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let named = arguments.prometheus.as_deref();
    block_on(async {
        let cluster = target.connect().await?;
        let graph = graphs::find(&cluster, &arguments.graph).await?;
        let prometheus = match named {
            Some(url) => Prometheus::at(url)?,
            None => Prometheus::of_cluster(&cluster).await?,
        };
        let services = services(&graph);
        let components: Vec<String> = services.keys().cloned().collect();
        let asked = FIGURES.map(|figure| {
            let query = figure.query(&cluster.namespace, &components, arguments.window);
            let prometheus = &prometheus;
            async move { prometheus.ask(&query, COMPONENT).await.map(|values| (figure, values)) }
        });
        let values = futures::future::try_join_all(asked).await?;
        let is_silent = values.iter().all(|(_, values)| values.is_empty());
        let top = Top {
            namespace: cluster.namespace,
            graph: arguments.graph.clone(),
            prometheus: prometheus.name,
            window_seconds: arguments.window.as_secs(),
            services: lines(&services, &values),
        };
        match arguments.output {
            Format::Text if is_silent => {}
            Format::Text => write(&top, console)?,
            format => write_document(&top, format, console)?,
        }
        if is_silent {
            note(&format!(
                "Prometheus ({}) has no figures of graph {}: is it new, and are its PodMonitors selected \
                 (podMonitorSelectorNilUsesHelmValues=false)?",
                top.prometheus, top.graph
            ));
        }
        Ok(ExitCode::from(u8::from(is_silent)))
    })
}

/// Services by the name of their component.
fn services(graph: &DynamoGraphDeployment) -> BTreeMap<String, String> {
    let name = graph.metadata.name.as_deref().unwrap_or_default();
    let services = graph.spec.services.keys();
    services.map(|service| (names::component(name, service), service.clone())).collect()
}

fn lines(services: &BTreeMap<String, String>, values: &[(Figure, BTreeMap<String, f64>)]) -> Vec<Line> {
    let each = services.iter().map(|(component, service)| {
        let mut line = Line { name: service.clone(), ..Line::default() };
        for (figure, values) in values {
            *line.place(*figure) = values.get(component).copied();
        }
        line
    });
    each.collect()
}

fn write(top: &Top, console: &mut Console<'_>) -> std::io::Result<()> {
    let headers =
        ["SERVICE", "TOKENS/S", "REQ/S", "TTFT P50", "P95", "ITL P50", "P95", "QUEUED", "RUNNING", "KV USE"];
    let number = |value: Option<f64>, digits: usize| text(value.map(|value| format!("{value:.digits$}")));
    let time = |value: Option<f64>| text(value.map(milliseconds));
    let row = |line: &Line| {
        vec![
            line.name.clone(),
            number(line.output_tokens_per_second, 1),
            number(line.requests_per_second, 2),
            time(line.ttft_seconds_p50),
            time(line.ttft_seconds_p95),
            time(line.itl_seconds_p50),
            time(line.itl_seconds_p95),
            number(line.queued_requests, 0),
            number(line.running_requests, 0),
            text(line.kv_cache_use.map(|value| format!("{:.0}%", value * 100.0))),
        ]
    };
    let rows: Vec<Vec<String>> = top.services.iter().map(row).collect();
    let width = console.width();
    layout::table(console, width, &headers, &rows)?;
    writeln!(console, "Over the last {} s, from {}.", top.window_seconds, top.prometheus)
}

fn text(value: Option<String>) -> String {
    value.unwrap_or_else(|| "-".to_owned())
}

/// `0.0421` as `42ms`, `12.3` as `12.3s`.
fn milliseconds(seconds: f64) -> String {
    match seconds {
        0.0..0.01 => format!("{:.1}ms", seconds * 1000.0),
        0.01..10.0 => format!("{:.0}ms", seconds * 1000.0),
        _ => format!("{seconds:.1}s"),
    }
}
