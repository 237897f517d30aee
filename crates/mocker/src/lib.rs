//! An engine without a GPU that behaves like a worker (runtime.md 9).
//! It must not compute a model: answers are random tokens at a measured pace.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use dynamo_runtime::discovery::DiscoveryError;
use dynamo_runtime::endpoint::EndpointError;
use dynamo_runtime::metrics::{ComponentMetrics, MetricsRegistry};
use dynamo_runtime::shutdown::{ShutdownSettings, drain_worker, on_signal};
use dynamo_runtime::system::{SystemHealth, SystemServer, SystemSettings};
use dynamo_runtime::transport::RequestPlane;
use dynamo_runtime::{Discovery, DynNamespace, EndpointId, PodIdentity, RequestPlaneServer, logging};

use flags::{EngineArgs, Flags, FlagsError};
use model::{Model, ModelError};
use worker::{PublishError, Worker};

pub mod cache;
pub mod engine;
pub mod flags;
pub mod model;
pub mod scheduler;
pub mod sequence;
pub mod timing;
pub mod worker;

/// Exit code of a wrong command line.
const USAGE: u8 = 2;

/// Why a mocker ends with a failure.
#[derive(Debug, thiserror::Error)]
pub enum MockerError {
    #[error(transparent)]
    Flags(#[from] FlagsError),
    #[error("--endpoint: {0}")]
    Endpoint(#[from] EndpointError),
    #[error(transparent)]
    Model(#[from] ModelError),
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: std::io::Error },
}

/// Runs the mocker until a signal; `args` are the arguments after the program's name.
pub fn run(args: Vec<OsString>) -> ExitCode {
    let flags = match Flags::try_parse_from(std::iter::once(OsString::from("mocker")).chain(args)) {
        Ok(flags) => flags,
        Err(error) => {
            // Nothing can be done about a closed terminal.
            drop(error.print());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(USAGE));
        }
    };
    logging::init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!("the async runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(serve(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            match error {
                MockerError::Flags(_) | MockerError::Endpoint(_) => ExitCode::from(USAGE),
                _ => ExitCode::FAILURE,
            }
        }
    }
}

async fn serve(flags: &Flags) -> Result<(), MockerError> {
    let args = flags.engine_args()?;
    let endpoint = endpoint(flags, &args)?;
    warn_unsupported(flags, &args);
    let io = |what| move |source| MockerError::Io { what, source };
    let stop = on_signal().map_err(io("signals cannot be watched"))?;
    let settings = SystemSettings::from_environment();
    let (health, metrics) = (SystemHealth::new(&settings), MetricsRegistry::default());
    let discovery = Discovery::from_environment(Some(&flags.store_kv)).await?;
    health.set_endpoint(&endpoint.endpoint, false);
    let system = SystemServer::start(&settings, health.clone(), metrics.clone(), Some(discovery.clone()));
    let _system = system.await.map_err(io("the system status server cannot listen"))?;
    if let Err(error) = discovery.clear_stale().await {
        tracing::warn!("entries of an earlier container could not be cleared: {error}");
    }

    let mut model = Model::find(flags.model_path.as_deref(), flags.model_name.as_deref())?;
    model.describe(&args);
    let plane = RequestPlane::named(&flags.request_plane).unwrap_or_default();
    let server = RequestPlaneServer::from_environment(plane).await;
    let served = ComponentMetrics::register(&metrics, &endpoint, Some(&model.card.display_name));
    let server = server.map_err(io("the request plane cannot listen"))?;
    let started = start_workers(flags, &args, &endpoint, &model, (&server, &discovery, &health, &served));
    match stop.run_until_cancelled(started).await {
        Some(outcome) => outcome?,
        None => tracing::info!("stopped before the engine was ready"),
    }
    stop.cancelled().await;
    drain_worker(&health, &discovery, &[&server], ShutdownSettings::from_environment()).await;
    Ok(())
}

type Shared<'a> = (&'a RequestPlaneServer, &'a Discovery, &'a SystemHealth, &'a ComponentMetrics);

/// Starts and publishes the workers one after the other.
async fn start_workers(
    flags: &Flags,
    args: &EngineArgs,
    endpoint: &EndpointId,
    model: &Model,
    (server, discovery, health, metrics): Shared<'_>,
) -> Result<(), MockerError> {
    if let Some(seconds) = args.startup_time {
        tracing::info!("imitating {seconds} s of model loading");
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }
    let pod = PodIdentity::from_environment().map_or_else(
        |_| format!("local-{}-{}", std::process::id(), rand::random::<u32>()),
        |identity| identity.name,
    );
    for number in 0..flags.num_workers {
        if number > 0 {
            tokio::time::sleep(Duration::from_secs_f64(flags.stagger_seconds())).await;
        }
        // The first has the pod's own id; further ones need one of their own.
        let name = if number == 0 { pod.clone() } else { format!("{pod}-{number}") };
        let id = discovery.new_instance_id(&name);
        let worker = Worker::start(args, model);
        publish_until_done(&worker, server, discovery, health, metrics, (endpoint, id), model).await?;
        tracing::info!("worker {id:x} serves model {} at {endpoint}", model.card.display_name);
    }
    Ok(())
}

/// A cluster that starts may refuse the first writes; the pod stays unready meanwhile.
async fn publish_until_done(
    worker: &std::sync::Arc<Worker>,
    server: &RequestPlaneServer,
    discovery: &Discovery,
    health: &SystemHealth,
    metrics: &ComponentMetrics,
    address: (&EndpointId, u64),
    model: &Model,
) -> Result<(), MockerError> {
    let mut delay = Duration::from_millis(500);
    loop {
        match worker.publish(server, discovery, health, metrics, address, model).await {
            Ok(()) => return Ok(()),
            Err(error) if error.is_passing() => {
                tracing::error!("{error}; trying again in {} ms", delay.as_millis());
                tokio::time::sleep(delay).await;
                delay = (delay * 2).min(Duration::from_secs(30));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn endpoint(flags: &Flags, args: &EngineArgs) -> Result<EndpointId, EndpointError> {
    match &flags.endpoint {
        Some(address) => EndpointId::parse(address),
        None => {
            let component = if args.is_prefill { "prefill" } else { "backend" };
            Ok(EndpointId::new(DynNamespace::from_environment().0, component, "generate"))
        }
    }
}

fn warn_unsupported(flags: &Flags, args: &EngineArgs) {
    if let Some(path) = &args.planner_profile_data {
        tracing::warn!(
            "--planner-profile-data {}: measured times are not read by this version; the built-in polynomials \
             are used",
            path.display()
        );
    }
    if !flags.bootstrap_ports.is_empty() || args.bootstrap_port.is_some() {
        tracing::warn!(
            "--bootstrap-ports: this version hands over without a bootstrap connection; decode workers wait \
             for the prefill answer instead"
        );
    }
}

#[cfg(test)]
mod tests;
