//! What each role gets without the user saying anything (`workload.md` section 6.1).
//! Tables only; merging is elsewhere.

use k8s_openapi::{
    api::core::v1::{Container, ContainerPort, GRPCAction, HTTPGetAction, PodSpec, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::{ComponentType, Role};

/// Name of the container that runs the component.
pub(crate) const MAIN: &str = "main";
pub(crate) const HTTP_PORT: i32 = 8000;
pub(super) const SYSTEM_PORT: i32 = 9090;
const PLANNER_METRICS_PORT: i32 = 9085;
pub(crate) const EPP_PORT: i32 = 9002;
const EPP_HEALTH_PORT: i32 = 9003;

/// The main container before anything is merged over it.
pub(super) fn base_container(role: Role) -> Container {
    let strings = |items: &[&str]| Some(items.iter().map(ToString::to_string).collect());
    let base = Container { name: MAIN.to_owned(), ..Container::default() };
    match role {
        Role::Frontend => Container {
            command: strings(&["python3"]),
            args: strings(&["-m", "dynamo.frontend"]),
            ports: Some(vec![port("http", HTTP_PORT)]),
            liveness_probe: Some(Probe {
                initial_delay_seconds: Some(15),
                ..http("/live", "http", [10, 1, 3])
            }),
            readiness_probe: Some(Probe {
                initial_delay_seconds: Some(10),
                ..http("/health", "http", [10, 3, 3])
            }),
            ..base
        },
        Role::Worker => Container {
            command: strings(&["/bin/sh", "-c"]),
            ports: Some(vec![port("system", SYSTEM_PORT)]),
            liveness_probe: Some(http("/live", "system", [5, 4, 1])),
            readiness_probe: Some(http("/health", "system", [10, 4, 3])),
            startup_probe: Some(http("/live", "system", [10, 5, 720])),
            ..base
        },
        Role::Planner => Container {
            command: strings(&["/bin/sh", "-c"]),
            ports: Some(vec![port("metrics", PLANNER_METRICS_PORT)]),
            ..base
        },
        Role::Epp => Container {
            ports: Some(vec![
                port("grpc", EPP_PORT),
                port("grpc-health", EPP_HEALTH_PORT),
                port("metrics", SYSTEM_PORT),
            ]),
            liveness_probe: Some(Probe { initial_delay_seconds: Some(5), ..grpc() }),
            readiness_probe: Some(Probe { initial_delay_seconds: Some(5), ..grpc() }),
            startup_probe: Some(Probe { failure_threshold: Some(180), ..grpc() }),
            ..base
        },
        Role::Plain => Container { command: strings(&["/bin/sh", "-c"]), ..base },
    }
}

/// The pod around the main container before anything is merged over it.
pub(super) fn base_pod(component_type: ComponentType) -> PodSpec {
    let grace = if component_type == ComponentType::Epp { 130 } else { 60 };
    PodSpec {
        restart_policy: Some("Always".to_owned()),
        termination_grace_period_seconds: Some(grace),
        service_account_name: component_type.account().map(ToOwned::to_owned),
        ..PodSpec::default()
    }
}

/// Variables that the role brings along (`workload.md` section 6.2).
pub(super) fn role_env(role: Role) -> &'static [(&'static str, &'static str)] {
    match role {
        Role::Frontend => &[("DYNAMO_PORT", "8000"), ("DYN_HTTP_PORT", "8000")],
        Role::Worker => &[
            ("DYN_SYSTEM_ENABLED", "true"),
            ("DYN_SYSTEM_PORT", "9090"),
            ("DYN_SYSTEM_USE_ENDPOINT_HEALTH_STATUS", r#"["generate"]"#),
            ("DYN_HEALTH_CHECK_ENABLED", "false"),
        ],
        Role::Planner => &[("PLANNER_PROMETHEUS_PORT", "9085")],
        Role::Epp => &[
            ("DYN_KV_BLOCK_SIZE", "16"),
            ("USE_STREAMING", "true"),
            ("RUST_LOG", "debug,dynamo_llm::kv_router=trace"),
        ],
        Role::Plain => &[],
    }
}

fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

/// A probe over HTTP: period, time-out (both in seconds) and failures.
fn http(path: &str, port: &str, [period, timeout, failures]: [i32; 3]) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(port.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(timeout),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn grpc() -> Probe {
    Probe {
        grpc: Some(GRPCAction { port: EPP_HEALTH_PORT, service: Some("inference-extension".to_owned()) }),
        period_seconds: Some(10),
        ..Probe::default()
    }
}
