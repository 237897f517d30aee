//! The listeners of probes and metrics, which answer while everything else starts.
//! What they answer is decided elsewhere.

use std::sync::Arc;

use axum::Router;
use futures::FutureExt;
use kube::Client;
use prometheus_client::registry::Registry;

use super::{Error, Tasks, start::AdmissionMetrics};
use crate::{
    flags::Flags,
    metrics::Metrics,
    metrics_access::{self, Gate, Limits, limited},
    self_signed,
    server::{self, Readiness},
    webhook::server::{Bounds, bind, serve_bounded, tls_config},
};

/// Opens the listeners of the flags. `client` asks who may read metrics.
pub(super) fn listen(
    flags: &Flags,
    client: &Client,
    metrics: &Metrics,
    admission: &AdmissionMetrics,
    ready: &Readiness,
    tasks: &mut Tasks,
) -> Result<(), Error> {
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    if flags.webhooks.is_some() {
        admission.webhook.register(&mut registry);
        admission.certificates.register(&mut registry);
    }
    let registry = Arc::new(registry);
    if let Some(address) = flags.probe_address.clone() {
        tasks.spawn(server::probes(address, ready.clone()).map(|ended| ended.map_err(Error::from)));
    }
    if let Some(address) = flags.metrics_address.clone() {
        if flags.metrics_secure {
            let routes = server::metrics_routes(Arc::clone(&registry));
            serve_self_signed(address, routes, flags.http2, Bounds::default(), tasks)?;
        } else {
            let serving = server::metrics(address, Arc::clone(&registry));
            tasks.spawn(serving.map(|ended| ended.map_err(Error::from)));
        }
    }
    if let Some(address) = flags.metrics_secure_address.clone() {
        let routes = server::metrics_routes(registry);
        let routes = if flags.metrics_anonymous {
            limited(routes)
        } else {
            Gate::new(client.clone(), Limits::default()).guard(routes)
        };
        serve_self_signed(address, routes, flags.http2, metrics_access::BOUNDS, tasks)?;
    }
    Ok(())
}

/// Serves `routes` over HTTPS with a certificate that nobody can check.
fn serve_self_signed(
    address: String,
    routes: Router,
    http2: bool,
    bounds: Bounds,
    tasks: &mut Tasks,
) -> Result<(), Error> {
    let certificate = self_signed::resolver("dynamo-operator").map_err(Error::SelfSigned)?;
    let config = Arc::new(tls_config(certificate, http2).map_err(Error::Tls)?);
    tasks.spawn(async move {
        let listener = bind(&address).await?;
        serve_bounded(listener, routes, config, bounds, std::future::pending()).await;
        Ok(())
    });
    Ok(())
}
