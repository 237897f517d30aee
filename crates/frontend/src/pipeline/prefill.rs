//! Disaggregation: the prompt goes to a prefill worker first when there is one (runtime.md 4.5).
//! Must leave the request usable for decode-only when prefill fails and that is allowed.

use dynamo_router::RequestFacts;
use dynamo_runtime::WorkerRequest;
use dynamo_runtime::protocol::{BootstrapInfo, PrefillResult};
use futures::StreamExt;
use serde_json::Value;
use tokio_util::task::AbortOnDropHandle;

use super::dispatch::{Call, WorkerEntry};
use super::generate::{Job, Services};
use crate::openai::errors::ApiError;

/// What prefill did. Keeps a prefill that runs in the background alive until the answer ends.
#[derive(Debug, Default)]
pub struct Prefilled {
    pub worker: Option<u64>,
    _background: Option<AbortOnDropHandle<()>>,
}

/// Runs or starts prefill and puts its result into the decode request.
///
/// # Errors
/// With `--enforce-disagg`: 503 when no prefill worker exists, the prefill's error when it fails.
pub async fn run(services: &Services, job: &Job, request: &mut WorkerRequest) -> Result<Prefilled, ApiError> {
    let set = &job.model.prefill;
    if set.is_empty() {
        if services.enforce_disagg {
            return Err(ApiError::unavailable(format!(
                "model `{}` has no prefill worker and --enforce-disagg is set",
                job.model.name()
            )));
        }
        return Ok(Prefilled::default());
    }
    let mut copy = request.clone();
    copy.stop_conditions.max_tokens = Some(1);
    copy.stop_conditions.min_tokens = None;
    let pinned = request.routing.as_ref().and_then(|routing| routing.prefill_worker_id);
    let facts =
        RequestFacts { token_ids: &request.token_ids, block_size: job.model.card.kv_cache_block_size };
    // Without a bootstrap address the call itself chooses; choosing twice would skip every second worker.
    let chosen = match pinned {
        Some(id) => set.entry(id),
        None if set.offers_bootstrap() => set.choose(&facts),
        None => None,
    };
    if let Some(entry) = &chosen
        && let Some(bootstrap) = bootstrap_of(entry)
    {
        request.bootstrap_info = Some(bootstrap.clone());
        copy.bootstrap_info = Some(bootstrap);
        return Ok(start(services, job, copy, entry.instance.instance_id));
    }
    match answer(services, job, &copy, pinned).await {
        Ok((worker, result)) => {
            request.prefill_result = Some(result);
            Ok(Prefilled { worker: Some(worker), _background: None })
        }
        Err(error) if services.enforce_disagg || error.status.is_client_error() => Err(error),
        Err(error) => {
            tracing::warn!("request {}: prefill failed ({error}); decode does it all", job.request_id);
            Ok(Prefilled::default())
        }
    }
}

fn bootstrap_of(entry: &WorkerEntry) -> Option<BootstrapInfo> {
    let endpoint = entry.card.runtime_config.disaggregated_endpoint.as_ref()?;
    Some(BootstrapInfo {
        bootstrap_host: endpoint.bootstrap_host.clone()?,
        bootstrap_port: endpoint.bootstrap_port?,
        bootstrap_room: rand::random(),
    })
}

/// The room is known to this one prefill worker only, so the call is pinned to it.
fn start(services: &Services, job: &Job, copy: WorkerRequest, worker: u64) -> Prefilled {
    let (dispatcher, job) = (services.dispatcher.clone(), job.clone());
    let background = tokio::spawn(async move {
        let call = Call {
            model: job.model.name(),
            request: &copy,
            id: &job.request_id,
            pinned: Some(worker),
            avoid: &[],
            block_size: 0,
        };
        match dispatcher.open(&job.model.prefill, call).await {
            Ok(mut accepted) => while accepted.stream.next().await.is_some() {},
            Err(error) => tracing::error!("request {}: prefill in the background: {error}", job.request_id),
        }
    });
    Prefilled { worker: Some(worker), _background: Some(AbortOnDropHandle::new(background)) }
}

async fn answer(
    services: &Services,
    job: &Job,
    copy: &WorkerRequest,
    pinned: Option<u64>,
) -> Result<(u64, PrefillResult), ApiError> {
    let call = Call {
        model: job.model.name(),
        request: copy,
        id: &job.request_id,
        pinned,
        avoid: &[],
        block_size: job.model.card.kv_cache_block_size,
    };
    let mut accepted = services.dispatcher.open(&job.model.prefill, call).await?;
    let mut result = None;
    while let Some(item) = accepted.stream.next().await {
        let item = item.map_err(ApiError::generation)?;
        if let Some(message) = item.error_message() {
            return Err(ApiError::from_worker(&message));
        }
        let Some(data) = item.data else { continue };
        if let Some(dynamo_runtime::FinishReason::Error(message)) = &data.finish_reason {
            return Err(ApiError::from_worker(message));
        }
        if let Some(disaggregated_params) = data.disaggregated_params {
            let details = data.completion_usage.as_ref().and_then(|usage| usage.get("prompt_tokens_details"));
            let prompt_tokens_details = details.filter(|details| **details != Value::Null).cloned();
            result = Some(PrefillResult { disaggregated_params, prompt_tokens_details });
        }
    }
    match result {
        Some(result) => Ok((accepted.worker, result)),
        None => Err(ApiError::generation(format!(
            "prefill instance {} answered without disaggregated_params",
            accepted.worker
        ))),
    }
}
