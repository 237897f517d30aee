//! The cluster that a command asks. Commands that need none never come here, and need no kubeconfig.

mod again;

use std::{fmt, future::Future, path::PathBuf, time::Duration};

use again::Again;
use dynamo_kubekit::client::{chain, without_needless_authorities};
use kube::{
    Api, Client, Config,
    client::ClientBuilder,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tower::{buffer::BufferLayer, retry::RetryLayer};

/// How long a connection to a server outside of the cluster may take.
const CONNECT: Duration = Duration::from_secs(15);

/// How many requests may wait for the one before them to be sent.
const WAITING: usize = 256;

/// Which cluster, and where in it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Target {
    /// Kubeconfig file instead of $KUBECONFIG or ~/.kube/config
    #[arg(long, global = true, value_name = "FILE", help_heading = "Cluster")]
    pub kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig instead of the current one
    #[arg(long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub context: Option<String>,
    /// Namespace; without it that of the context, then "default"
    #[arg(short, long, global = true, value_name = "NAME", help_heading = "Cluster")]
    pub namespace: Option<String>,
    /// Seconds that one request to the cluster may take
    #[arg(long, global = true, value_name = "SECONDS", default_value_t = 15, help_heading = "Cluster")]
    pub request_timeout: u16,
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    pub namespace: String,
}

impl Cluster {
    /// An API of the namespace that was asked for.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

/// Why a cluster gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "there is no cluster to ask: {0}; set KUBECONFIG or --kubeconfig to a kubeconfig file, and --context to one of \
         its contexts"
    )]
    NoConfig(#[source] KubeconfigError),
    /// A client would have nowhere to connect to.
    #[error("the address {0:?} lacks a scheme or a host: write it as https://HOST:PORT")]
    Address(String),
    #[error("cannot make a client of the kubeconfig: {0}")]
    Client(#[source] kube::Error),
    #[error("cannot start the runtime of this process: {0}")]
    Runtime(#[source] std::io::Error),
    #[error("{what}: {reason}")]
    Request { what: String, reason: String },
}

impl Error {
    /// `error` of an attempt to `what` at a server that is no API server, such as a frontend.
    pub fn of_server(what: impl Into<String>, error: &kube::Error) -> Self {
        let reason = match error {
            kube::Error::Api(status) if status.message.is_empty() => {
                format!("it answers with the HTTP status {}", status.code)
            }
            kube::Error::Api(status) => {
                format!("it answers with the HTTP status {}: {}", status.code, status.message.trim())
            }
            _ => format!("{}; is it reachable from here?", chain(error)),
        };
        Self::Request { what: format!("cannot {}", what.into()), reason }
    }

    /// `error` of an attempt to `what`, such as `list nodes`, in words that lead on.
    pub fn of(what: impl Into<String>, error: &kube::Error) -> Self {
        Self::Request { what: format!("cannot {}", what.into()), reason: reason(error) }
    }
}

/// Refusals of the API server by their meaning; everything else with its chain of causes.
fn reason(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else {
        return format!("{}; is the cluster reachable from here?", chain(error));
    };
    match status.code {
        401 => format!("{}: the cluster does not know this user; log in again", status.message),
        403 => format!(
            "{}; ask for that right, or name another namespace with -n or another user with --context",
            status.message
        ),
        // The second is the answer for a group that nobody serves.
        404 if ["could not find the requested resource", "404 page not found"]
            .iter()
            .any(|text| status.message.contains(text)) =>
        {
            "the cluster does not serve this kind; install the CRDs of the platform \
             (helm upgrade --install dynamo-crds deploy/helm/charts/crds)"
                .to_owned()
        }
        _ => status.message.clone(),
    }
}

impl Target {
    /// The namespace that was named, else "default": for commands that ask no cluster.
    pub fn offline_namespace(&self) -> &str {
        self.namespace.as_deref().unwrap_or("default")
    }

    /// Connects as the arguments say; nothing is sent yet.
    ///
    /// # Errors
    /// There is no kubeconfig or no such context, or it makes no client.
    pub async fn connect(&self) -> Result<Cluster, Error> {
        self.connect_with(Some(Duration::from_secs(self.request_timeout.into()))).await
    }

    /// The same for answers that go on, such as a log that is followed: they may be silent for any time.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_for_streams(&self) -> Result<Cluster, Error> {
        self.connect_with(None).await
    }

    async fn connect_with(&self, read_timeout: Option<Duration>) -> Result<Cluster, Error> {
        let limit = Duration::from_secs(self.request_timeout.into());
        let mut config = self.config().await?;
        config.connect_timeout = Some(limit);
        config.read_timeout = read_timeout;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Cluster { client: client(config, Again::within(limit))?, namespace })
    }

    async fn config(&self) -> Result<Config, Error> {
        let options = KubeConfigOptions { context: self.context.clone(), ..Default::default() };
        let from = |kubeconfig| async { Config::from_custom_kubeconfig(kubeconfig, &options).await };
        let config = match &self.kubeconfig {
            Some(file) => match Kubeconfig::read_from(file) {
                Ok(kubeconfig) => from(kubeconfig).await,
                Err(error) => Err(error),
            },
            None => Config::from_kubeconfig(&options).await,
        };
        match config {
            Ok(config) => Ok(config),
            // In a pod there is an account instead.
            Err(error) if self.kubeconfig.is_none() && self.context.is_none() && in_pod() => {
                Config::incluster().map_err(|_| Error::NoConfig(error))
            }
            Err(error) => Err(Error::NoConfig(error)),
        }
    }
}

/// A client of a server that is no API server, such as a frontend. Nothing is sent yet.
///
/// # Errors
/// There is no authority on this machine to check a certificate against.
pub fn client_of(uri: http::Uri, read_timeout: Option<Duration>) -> Result<Client, Error> {
    let mut config = Config::new(uri);
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = read_timeout;
    client(config, Again::within(CONNECT))
}

fn client(mut config: Config, again: Again) -> Result<Client, Error> {
    let address = &config.cluster_url;
    if !matches!(address.scheme_str(), Some("http" | "https")) || address.host().is_none_or(str::is_empty) {
        return Err(Error::Address(address.to_string()));
    }
    // The client's own retries take minutes, and ask again what may have been done; somebody waits for this answer.
    config.default_retry = false;
    let builder = ClientBuilder::try_from(without_needless_authorities(config)).map_err(Error::Client)?;
    Ok(builder.with_layer(&BufferLayer::new(WAITING)).with_layer(&RetryLayer::new(again)).build())
}

fn in_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

/// Runs a command that waits for a cluster.
///
/// # Errors
/// Those of the command, and when this process has no room for a runtime.
pub fn block_on<T, E: From<Error>>(command: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    runtime.block_on(command)
}
