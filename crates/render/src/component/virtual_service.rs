//! The VirtualService of a component (`workload.md` sections 9, 17).
//! Whether the mesh is there is not known here.

use std::time::Duration;

use dynamo_api::{
    foreign::{
        HttpDestination, HttpMatch, HttpRedirect, HttpRetries, HttpRoute, PortSelector, RouteDestination,
        StringMatch, VirtualService, VirtualServiceSpec,
    },
    v1alpha1::IngressSpec,
};

use super::{ingress, service};
use crate::{
    config::{OperatorConfig, RouteDefaults},
    validate::ValidatedComponent,
};

/// The port of a gateway for HTTP without TLS.
const PLAIN_PORT: i32 = 80;
/// Permanent Redirect: unlike 301 it keeps the method and the body, without which a completion could not be asked for.
const PERMANENT_REDIRECT: i32 = 308;

/// The gateway of the VirtualService that is asked for; without one none is made, nor where the operator has none.
pub(crate) fn gateway<'a>(ingress: &'a IngressSpec, config: &OperatorConfig) -> Option<&'a str> {
    let gateway = ingress.virtual_service_gateway.as_deref().filter(|gateway| !gateway.is_empty())?;
    let has_mesh = config.ingress.virtual_service_gateway.is_some();
    (has_mesh && ingress.enabled && ingress.use_virtual_service).then_some(gateway)
}

pub(super) fn build_virtual_service(
    component: &ValidatedComponent<'_>,
    config: &OperatorConfig,
) -> Option<VirtualService> {
    let ingress = component.spec.ingress.as_ref()?;
    let gateway = gateway(ingress, config)?;
    let route = build_route(component, &config.ingress.route);
    // The gateway ends TLS, so one route serves what came in by any of its ports. Where it serves HTTPS, what comes in
    // without TLS is sent there first; routes are tried in their order.
    let redirect = config.ingress.virtual_service_supports_https.then(build_redirect);
    Some(VirtualService {
        metadata: ingress::build_metadata(component, ingress),
        spec: VirtualServiceSpec {
            hosts: vec![ingress::host_name(ingress)],
            gateways: vec![gateway.to_owned()],
            http: redirect.into_iter().chain([route]).collect(),
        },
    })
}

fn build_redirect() -> HttpRoute {
    HttpRoute {
        matches: vec![everything(Some(PLAIN_PORT))],
        redirect: Some(HttpRedirect { scheme: "https".to_owned(), redirect_code: PERMANENT_REDIRECT }),
        ..HttpRoute::default()
    }
}

fn build_route(component: &ValidatedComponent<'_>, defaults: &RouteDefaults) -> HttpRoute {
    HttpRoute {
        matches: vec![everything(None)],
        route: vec![RouteDestination {
            destination: HttpDestination {
                host: component.name.to_owned(),
                port: PortSelector { number: service::port_number(component.component_type) },
            },
        }],
        timeout: defaults.timeout.map(duration),
        // Without a number of attempts Istio reads 0, and its own retries would end.
        retries: defaults.retry_attempts.map(|attempts| HttpRetries {
            attempts,
            per_try_timeout: defaults.retry_per_try_timeout.map(duration),
            retry_on: defaults.retry_on.clone(),
        }),
        redirect: None,
    }
}

fn everything(port: Option<i32>) -> HttpMatch {
    HttpMatch { uri: StringMatch { prefix: ingress::ROOT.to_owned() }, port }
}

/// A duration as Istio reads it, to the millisecond: `30s`, `1.5s`, `500ms`.
fn duration(time: Duration) -> String {
    let (seconds, rest) = (time.as_secs(), time.subsec_millis());
    match (seconds, rest) {
        (0, 1..) => format!("{rest}ms"),
        (_, 0) => format!("{seconds}s"),
        _ => format!("{seconds}.{}s", format!("{rest:03}").trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_istio_reads_them() {
        let cases =
            [(30_000, "30s"), (500, "500ms"), (1_500, "1.5s"), (1_050, "1.05s"), (3_600_000, "3600s")];
        for (milliseconds, text) in cases {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }
}
