//! The main job in one command: cluster, images, charts, a graph, and a chat completion through it.
//! Must say at every moment what it does and what it waits for.

pub mod chat;
pub mod choose;
pub mod diagnose;
pub mod http;
pub mod install;
pub mod pods;

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::images::oci::Archive;
use crate::images::{self, BuildOptions};
use crate::kubectl::Kubectl;
use crate::progress::{self, Progress};
use crate::{Result, cluster, files};
use chat::Route;
use choose::Chosen;

/// Namespace of the example graph.
pub const NAMESPACE: &str = "dynamo-demo";
const GRAPH: &str = "agg";
const EXAMPLE: &str = "examples/agg.yaml";
const SERVE: &str = "localhost/dynamo-serve";
const LIMIT: Duration = Duration::from_secs(300);
const QUESTION: &str = "What does a graph of frontend and workers do?";

/// Options of the demo.
#[derive(Debug, Clone, Default)]
pub struct DemoOptions {
    /// `HOST/PATH` that holds `dynamo-operator:TAG` and `dynamo-serve:TAG`, for a cluster that takes images from a
    /// registry alone.
    pub registry: Option<String>,
    /// Profile and tag.
    pub build: BuildOptions,
}

/// Runs the demo; what it answers goes to `out`, progress to standard error.
///
/// # Errors
/// The error of the step that failed, with log lines that explain it.
pub fn run(options: &DemoOptions, out: &mut dyn Write) -> Result<()> {
    let started = Instant::now();
    let root = images::workspace()?;
    let chosen = choose::choose()?;
    let kubectl = &chosen.kubectl;
    let images = provide_images(&chosen, options)?;
    let log = images::archives()?.join("helm.log");
    files::write(&log, "")?;
    install::install(kubectl, &root, &log, &images.operator_repository, &images.operator_tag)?;
    let graph_started = Instant::now();
    apply_graph(kubectl, &files::read(&root.join(EXAMPLE))?, &images)?;
    wait_ready(kubectl, &images)?;
    let ready = graph_started.elapsed();

    let progress = Progress::start("find the model");
    let service = format!("{GRAPH}-frontend");
    let route = if chosen.own {
        Route::service(kubectl, NAMESPACE, &service)?
    } else {
        Route::forward(kubectl, NAMESPACE, &service)?
    };
    let model = route.model(&progress).map_err(|error| diagnose::explain(error, kubectl, NAMESPACE))?;
    progress.done(&model);
    say(out, &format!("\n> {QUESTION}"));
    let asked = Instant::now();
    let pieces = route.chat(&model, QUESTION, out)?;
    say(out, &format!("({pieces} pieces in {:.2} s from model {model})\n", asked.elapsed().as_secs_f32()));
    let shown = kubectl.run(&["get", "dgd,dcd,deploy,svc,pods,dwm", "-n", NAMESPACE])?;
    say(out, &shown);
    say(
        out,
        &format!(
            "The graph was Ready after {:.0} s; the whole demo took {:.0} s.",
            ready.as_secs_f32(),
            started.elapsed().as_secs_f32()
        ),
    );
    say(out, &next_steps(&chosen, &route, &model)?);
    Ok(())
}

fn say(out: &mut dyn Write, text: &str) {
    // A closed standard output is no reason to stop.
    let _ = writeln!(out, "{text}");
}

struct Images {
    operator_repository: String,
    operator_tag: String,
    serve: String,
    // Known for images built here; a registry's content is not compared.
    serve_archive: Option<Archive>,
}

fn provide_images(chosen: &Chosen, options: &DemoOptions) -> Result<Images> {
    let tag = &options.build.tag;
    if let Some(registry) = &options.registry {
        let registry = registry.trim_end_matches('/');
        return Ok(Images {
            operator_repository: format!("{registry}/dynamo-operator"),
            operator_tag: tag.clone(),
            serve: format!("{registry}/dynamo-serve:{tag}"),
            serve_archive: None,
        });
    }
    let target = chosen.target()?;
    let built = images::build(&options.build)?;
    target.load(&built.operator)?;
    target.load(&built.serve)?;
    let pinned = built.operator.pinned_name();
    let (repository, tag_of_content) = pinned.rsplit_once(':').unwrap_or((pinned, tag));
    Ok(Images {
        operator_repository: repository.to_owned(),
        operator_tag: tag_of_content.to_owned(),
        serve: format!("{SERVE}:{tag}"),
        serve_archive: Some(built.serve),
    })
}

fn apply_graph(kubectl: &Kubectl, example: &str, images: &Images) -> Result<()> {
    let progress = Progress::start(format!("apply {EXAMPLE} in namespace {NAMESPACE}"));
    kubectl.apply(&format!(
        "{{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{{\"name\":\"{NAMESPACE}\"}}}}"
    ))?;
    let graph = example.replace(&format!("{SERVE}:dev"), &images.serve);
    let mut shown = String::new();
    // An admission webhook of the cluster may not answer for a moment while its own pods start.
    progress::wait(
        &progress,
        "the graph to be accepted",
        Duration::from_secs(60),
        Duration::from_secs(1),
        || match kubectl.apply_in(NAMESPACE, &graph) {
            Ok(text) => {
                shown = text;
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        },
    )
    .map_err(|error| diagnose::explain(error, kubectl, NAMESPACE))?;
    let mut restarted = Vec::new();
    if let Some(archive) = &images.serve_archive {
        restarted = pods::outdated(&pods::all(kubectl, NAMESPACE), &images.serve, archive);
        for pod in &restarted {
            kubectl.run(&["delete", "pod", pod, "-n", NAMESPACE, "--wait=false"])?;
        }
    }
    let note =
        if restarted.is_empty() { String::new() } else { format!("; restarted {}", restarted.join(", ")) };
    progress.done(&format!("{}{note}", shown.trim()));
    Ok(())
}

fn wait_ready(kubectl: &Kubectl, images: &Images) -> Result<()> {
    let progress = Progress::start(format!("wait for graph {GRAPH} to be Ready"));
    let result = progress::wait(&progress, "the graph", LIMIT, Duration::from_millis(500), || {
        let graph =
            kubectl.json(&["get", "dgd", GRAPH, "-n", NAMESPACE]).map_err(|error| error.to_string())?;
        let pods = pods::all(kubectl, NAMESPACE);
        let unready: Vec<String> =
            pods["items"].as_array().into_iter().flatten().filter_map(pods::reason).collect();
        let condition = graph_ready(&graph);
        let outdated =
            images.serve_archive.as_ref().map(|archive| pods::outdated(&pods, &images.serve, archive));
        if condition.is_ok() && unready.is_empty() && outdated.unwrap_or_default().is_empty() {
            return Ok(());
        }
        let mut parts: Vec<String> = condition.err().into_iter().collect();
        parts.extend(unready);
        Err(parts.join("; "))
    });
    result.map_err(|error| diagnose::explain(error, kubectl, NAMESPACE))?;
    progress.done("");
    Ok(())
}

/// Whether the graph's condition Ready is true; else what it says.
fn graph_ready(graph: &Value) -> std::result::Result<(), String> {
    let conditions = graph["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(ready) = conditions.iter().find(|condition| condition["type"] == "Ready") else {
        return Err("the operator has not written a condition yet".into());
    };
    let generation = graph["metadata"]["generation"].as_i64().unwrap_or_default();
    let stale = ready["observedGeneration"].as_i64().is_some_and(|seen| seen < generation);
    match ready["status"].as_str() {
        Some("True") if !stale => Ok(()),
        _ if stale => Err("the operator has not looked at the change yet".into()),
        _ => {
            let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
            Err(format!("{}: {}", text("reason"), text("message")))
        }
    }
}

fn next_steps(chosen: &Chosen, route: &Route, model: &str) -> Result<String> {
    let body = format!(
        r#"{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}], "stream": true}}"#
    );
    let (export, reach, remove) = if chosen.own {
        let export = format!("export KUBECONFIG={}", cluster::kubeconfig()?.display());
        (export, String::new(), "make cluster-down".to_owned())
    } else {
        let reach = format!("  kubectl port-forward -n {NAMESPACE} service/{GRAPH}-frontend 8000 &\n");
        let remove = format!(
            "kubectl delete namespace {NAMESPACE}; helm uninstall {} -n {}",
            install::RELEASE,
            install::NAMESPACE
        );
        (format!("kubectl config use-context {}", chosen.context), reach, remove)
    };
    let address = if chosen.own { route.address.as_str() } else { "127.0.0.1:8000" };
    Ok(format!(
        "\nNext:\n  {export}\n{reach}  curl -N http://{address}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'\n  \
         kubectl describe dgd {GRAPH} -n {NAMESPACE}\nTo remove it all: {remove}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_graph_is_ready_only_for_its_present_generation() {
        let graph = |status: &str, seen: i64| {
            json!({
                "metadata": {"generation": 2},
                "status": {"conditions": [
                    {"type": "Ready", "status": status, "observedGeneration": seen, "reason": "R", "message": "m"},
                ]},
            })
        };
        assert_eq!(graph_ready(&graph("True", 2)), Ok(()));
        assert!(graph_ready(&graph("True", 1)).unwrap_err().contains("not looked"));
        assert_eq!(graph_ready(&graph("False", 2)), Err("R: m".into()));
        assert!(graph_ready(&json!({})).is_err());
    }
}
