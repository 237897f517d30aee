//! Probes of a container, as the API server will see them (`workload.md` section 6.3).
//! What a probe asks for is the user's own.

use k8s_openapi::{
    api::core::v1::{Container, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{Rule, Verdict, pod};

/// The liveness, readiness and startup probe of a container, with the field of each.
pub(super) fn check(fields: [String; 3], container: &Container, verdict: &mut Verdict) {
    let probes = [&container.liveness_probe, &container.readiness_probe, &container.startup_probe];
    for (at, (field, probe)) in fields.iter().zip(probes).enumerate() {
        let Some(probe) = probe else { continue };
        check_handlers(field, probe, verdict);
        check_numbers(field, probe, verdict);
        // Only readiness may ask for several successes in a row.
        if at != 1
            && let Some(number) = probe.success_threshold.filter(|number| *number > 1)
        {
            let field = format!("{field}.successThreshold");
            verdict.invalid(
                Rule::ProbeTiming,
                field,
                &number.to_string(),
                "of a probe of this kind must be 1",
            );
        }
    }
}

fn check_handlers(field: &str, probe: &Probe, verdict: &mut Verdict) {
    let given =
        [probe.exec.is_some(), probe.grpc.is_some(), probe.http_get.is_some(), probe.tcp_socket.is_some()];
    match given.into_iter().filter(|given| *given).count() {
        0 => {
            let words = "has no handler: add httpGet, tcpSocket, grpc or exec, or the Deployment is refused";
            verdict.missing(Rule::ProbeHandlerMissing, field, words);
        }
        1 => {}
        _ => verdict.missing(Rule::ProbeHandlers, field, "has several handlers: keep one"),
    }
    let ports = [
        ("httpGet", probe.http_get.as_ref().map(|http| &http.port)),
        ("tcpSocket", probe.tcp_socket.as_ref().map(|tcp| &tcp.port)),
    ];
    for (handler, port) in ports {
        let field = format!("{field}.{handler}.port");
        match port {
            Some(IntOrString::Int(number)) => pod::check_port_number(&field, *number, verdict),
            Some(IntOrString::String(name)) => pod::check_port_name(&field, name, verdict),
            None => {}
        }
    }
    if let Some(grpc) = &probe.grpc {
        pod::check_port_number(&format!("{field}.grpc.port"), grpc.port, verdict);
    }
}

fn check_numbers(field: &str, probe: &Probe, verdict: &mut Verdict) {
    let numbers = [
        ("initialDelaySeconds", probe.initial_delay_seconds),
        ("timeoutSeconds", probe.timeout_seconds),
        ("periodSeconds", probe.period_seconds),
        ("successThreshold", probe.success_threshold),
        ("failureThreshold", probe.failure_threshold),
    ];
    for (key, number) in numbers {
        if let Some(number) = number.filter(|number| *number < 0) {
            let field = format!("{field}.{key}");
            verdict.invalid(Rule::ProbeTiming, field, &number.to_string(), "of a probe must not be negative");
        }
    }
}
