//! Rules of a DynamoGraphDeploymentRequest (`operator-process.md` section 7).
//! The profiler's configuration is its own; only the parts that the operator reads are judged.

use dynamo_api::v1alpha1::{DynamoGraphDeploymentRequest, DynamoGraphDeploymentRequestSpec};
use serde_json::Value;

use super::{Policy, Rule, Verdict, resources, texts};
use crate::names::{self, LABEL_LIMIT};

const CONFIG: &str = "spec.profilingConfig.config";

pub(super) fn judge(request: &DynamoGraphDeploymentRequest, policy: &Policy<'_>, verdict: &mut Verdict) {
    let spec = &request.spec;
    let job = names::profiling_job(request.metadata.name.as_deref().unwrap_or_default());
    if job.len() > LABEL_LIMIT {
        let words =
            format!("the name of the profiling Job must be at most {LABEL_LIMIT} characters: shorten it");
        verdict.invalid(Rule::RequestNameLong, "metadata.name", &job, &words);
    }
    if spec.enable_gpu_discovery && policy.restricted {
        let field = "spec.enableGpuDiscovery";
        let text = format!(
            "{field} can only be set to true for cluster-wide operators. Namespace-restricted operators cannot access \
             cluster nodes: set it to false and give hardware.min_num_gpus_per_engine, \
             hardware.max_num_gpus_per_engine and hardware.num_gpus_per_node in {CONFIG}"
        );
        verdict.say(Rule::GpuDiscoveryRestricted, field, Some("true".to_owned()), text);
    }
    let profiling = &spec.profiling_config;
    check_config(spec, verdict);
    if profiling.profiler_image.is_empty() {
        let words = "is required: the image of the profiler";
        verdict.missing(Rule::ProfilerImageMissing, "spec.profilingConfig.profilerImage", words);
    }
    check_references(spec, verdict);
    if let Some(amounts) = &profiling.resources {
        let path = |side: &str, name: &str| format!("spec.profilingConfig.resources.{side}[{name}]");
        resources::check(amounts, path, verdict);
    }
    if let Some(overrides) = &spec.deployment_overrides {
        let field = "spec.deploymentOverrides";
        texts::check_labels(&format!("{field}.labels"), &overrides.labels, verdict);
        texts::check_annotations(&format!("{field}.annotations"), &overrides.annotations, verdict);
    }
}

fn check_config(spec: &DynamoGraphDeploymentRequestSpec, verdict: &mut Verdict) {
    let fields = match &spec.profiling_config.config {
        None | Some(Value::Null) => {
            let words = "is required and must not be empty: {} is enough";
            verdict.missing(Rule::ProfilingConfigMissing, CONFIG, words);
            return;
        }
        Some(Value::Object(fields)) => fields,
        Some(other) => {
            let text = format!("failed to parse {CONFIG}: expected an object, found {}", describe(other));
            verdict.say(Rule::ProfilingConfigUnreadable, CONFIG, Some(describe(other).to_owned()), text);
            return;
        }
    };
    let forced = [
        (Rule::ProfilingModelOverwritten, "deployment", "model", "spec.model", spec.model.as_str()),
        (Rule::ProfilingBackendOverwritten, "engine", "backend", "spec.backend", spec.backend.as_str()),
    ];
    for (rule, section, key, by, value) in forced {
        let field = format!("{CONFIG}.{section}");
        match fields.get(section) {
            None | Some(Value::Null) => {}
            Some(Value::Object(section)) => {
                let said = section.get(key).and_then(Value::as_str).unwrap_or_default();
                if !said.is_empty() && said != value {
                    let words = format!("({said}) will be overwritten by {by} ({value})");
                    verdict.missing(rule, format!("{field}.{key}"), &words);
                }
            }
            Some(other) => {
                let words = format!("must be an object, not {}", describe(other));
                verdict.missing(Rule::ProfilingSectionInvalid, field, &words);
            }
        }
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Names of other objects that the request or its graph refers to.
fn check_references(spec: &DynamoGraphDeploymentRequestSpec, verdict: &mut Verdict) {
    let profiling = &spec.profiling_config;
    let overrides = spec.deployment_overrides.as_ref();
    let map = profiling.config_map_ref.as_ref().map(|reference| reference.name.as_str());
    let names = [
        ("spec.profilingConfig.configMapRef.name", map),
        ("spec.profilingConfig.outputPVC", profiling.output_pvc.as_deref()),
        ("spec.deploymentOverrides.name", overrides.and_then(|overrides| overrides.name.as_deref())),
    ];
    for (field, name) in names {
        if let Some(name) = name.filter(|name| !names::is_dns_subdomain(name)) {
            verdict.invalid(Rule::RequestReferenceInvalid, field, name, texts::SUBDOMAIN);
        }
    }
    let namespace = overrides.and_then(|overrides| overrides.namespace.as_deref());
    if let Some(name) = namespace.filter(|name| !names::is_dns_label(name)) {
        let field = "spec.deploymentOverrides.namespace";
        verdict.invalid(Rule::RequestReferenceInvalid, field, name, texts::DNS_LABEL);
    }
}

pub(super) fn judge_change(
    new: &DynamoGraphDeploymentRequest,
    old: &DynamoGraphDeploymentRequest,
    verdict: &mut Verdict,
) {
    let state = old.status.as_ref().and_then(|status| status.state.as_ref());
    if let Some(state) = state
        && new.spec != old.spec
    {
        let text =
            format!("spec: the request is {state}: changes of spec have no effect, make a new request");
        verdict.say(Rule::RequestChangeIgnored, "spec", None, text);
    }
}
