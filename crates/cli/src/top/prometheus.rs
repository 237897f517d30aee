//! The way to Prometheus: a URL, or a Service of the cluster through the API server's proxy.
//! It asks and decodes; what is asked is not known here.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Service;
use kube::{Api, Client, ResourceExt, api::ListParams};
use serde::Deserialize;

use crate::{
    cluster::{self, Cluster},
    error::Error,
};

/// A Prometheus that can be asked.
pub struct Prometheus {
    client: Client,
    /// Before `/api/v1/query`.
    prefix: String,
    /// How it is named to people.
    pub name: String,
}

/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(15);
/// How installations label the Service: the Prometheus operator's own, then that of charts.
const LABELS: [&str; 2] =
    ["operated-prometheus=true", "app.kubernetes.io/name=prometheus,app.kubernetes.io/component!=exporter"];
/// Names of its port.
const PORTS: [&str; 4] = ["web", "http-web", "http", "prometheus"];

impl Prometheus {
    /// The one at `url`.
    ///
    /// # Errors
    /// It is no URL.
    pub fn at(url: &str) -> Result<Self, Error> {
        let wrong = |reason: String| {
            Error::Usage(format!("--prometheus {url:?} cannot be used: {reason}; write http://HOST:PORT"))
        };
        let uri: http::Uri = url.parse().map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        if uri.scheme().is_none() || uri.host().is_none() {
            return Err(wrong("it has no scheme or no host".to_owned()));
        }
        let client = cluster::client_of(uri, Some(LIMIT))?;
        Ok(Self { client, prefix: String::new(), name: url.to_owned() })
    }

    /// The one of the cluster.
    ///
    /// # Errors
    /// There is none, or this user may not look for it.
    pub async fn of_cluster(cluster: &Cluster) -> Result<Self, Error> {
        let services = Api::<Service>::all(cluster.client.clone());
        for label in LABELS {
            let found = services.list(&ListParams::default().labels(label)).await;
            let found = found.map_err(|error| {
                cluster::Error::of("look for Prometheus among the services of the cluster", &error)
            })?;
            if let Some(prometheus) = found.iter().find_map(|service| Self::behind(cluster, service)) {
                return Ok(prometheus);
            }
        }
        Err(Error::Usage(
            "no Prometheus was found in the cluster (a Service with the label operated-prometheus=true or \
             app.kubernetes.io/name=prometheus): name one with --prometheus URL"
                .to_owned(),
        ))
    }

    fn behind(cluster: &Cluster, service: &Service) -> Option<Self> {
        let (namespace, name) = (service.namespace()?, service.name_any());
        let ports = service.spec.as_ref()?.ports.as_deref()?;
        let named = |port: &&str| ports.iter().find(|one| one.name.as_deref() == Some(*port));
        let port = PORTS.iter().find_map(named).or(ports.first())?.port;
        Some(Self {
            client: cluster.client.clone(),
            prefix: format!("/api/v1/namespaces/{namespace}/services/{name}:{port}/proxy"),
            name: format!("service {namespace}/{name}"),
        })
    }

    /// The values of `query` now, by the value of `label`.
    ///
    /// # Errors
    /// There is no answer, or Prometheus refuses the query.
    pub async fn ask(&self, query: &str, label: &str) -> Result<BTreeMap<String, f64>, Error> {
        let what = || format!("ask Prometheus ({})", self.name);
        let query: String = form_urlencoded::byte_serialize(query.as_bytes()).collect();
        let request =
            http::Request::get(format!("{}/api/v1/query?query={query}", self.prefix)).body(Vec::new());
        let request = request.map_err(|error| Error::Usage(format!("cannot {}: {error}", what())))?;
        let answer: Answer =
            self.client.request(request).await.map_err(|error| cluster::Error::of_server(what(), &error))?;
        let of_label = answer.data.result.into_iter().filter_map(|sample| {
            let value: f64 = sample.value.1.parse().ok()?;
            // No observation in the window is no latency of "NaN".
            value.is_finite().then(|| Some((sample.metric.get(label)?.clone(), value)))?
        });
        Ok(of_label.collect())
    }
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    result: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    metric: BTreeMap<String, String>,
    /// When, and the number as text.
    value: (f64, String),
}
