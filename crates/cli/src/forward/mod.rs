//! The way from this machine to the frontend of a graph: which pod, and the streams to its port.
//! Used by `port-forward` and `chat`; what flows through is their business.

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use dynamo_api::{labels, v1alpha1::DynamoGraphDeployment};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

use crate::{
    causes::pods::is_ready,
    cluster::{self, Cluster, Target},
    console::note,
    error::Error,
    graphs,
};

/// The port of a frontend when its pod does not name one.
const HTTP: u16 = 8000;
/// The name of that port.
const PORT_NAME: &str = "http";

/// A frontend pod that answers, and the port of its API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontend {
    pub pod: String,
    pub port: u16,
}

/// A port of this machine that leads to a frontend while it is served.
#[derive(Debug)]
pub struct Way {
    pub address: SocketAddr,
    pub to: Frontend,
    listener: TcpListener,
    cluster: Cluster,
}

/// Opens a way to `service` of a graph, or to its frontend, at `port` of loopback, any free one for 0.
///
/// # Errors
/// There is no such graph or service or no ready pod, or the port is taken.
pub async fn open(target: &Target, graph: &str, service: Option<&str>, port: u16) -> Result<Way, Error> {
    let cluster = target.connect().await?;
    let graph = graphs::find(&cluster, graph).await?;
    let to = frontend(&cluster, &graph, service).await?;
    let (listener, address) = listen(port).await?;
    // Connections may be silent for any time.
    Ok(Way { address, to, listener, cluster: target.connect_for_streams().await? })
}

/// The first ready pod of `service`, or of the graph's frontend.
///
/// # Errors
/// There is no such service or no ready pod, or the pods cannot be listed.
pub async fn frontend(
    cluster: &Cluster,
    graph: &DynamoGraphDeployment,
    service: Option<&str>,
) -> Result<Frontend, Error> {
    let name = graph.name_any();
    let service = match service {
        Some(service) => graphs::service_of(graph, service)?,
        None => frontend_service(graph)?,
    };
    let pods = graphs::children::<Pod>(cluster, &name).await;
    let pods = pods.map_err(|error| cluster::Error::of("list pods", &error))?;
    let mut ready: Vec<&Pod> = pods
        .iter()
        .filter(|pod| pod.labels().get(labels::COMPONENT).is_some_and(|of| of == service) && is_ready(pod))
        .collect();
    ready.sort_by_key(|pod| &pod.metadata.name);
    let pod = ready.first().ok_or_else(|| {
        Error::Usage(format!(
            "service {service} of graph {name} has no ready pod: dynamoctl status {name} tells why"
        ))
    })?;
    Ok(Frontend { pod: pod.name_any(), port: port(pod) })
}

/// The service whose type is `frontend`.
fn frontend_service(graph: &DynamoGraphDeployment) -> Result<&str, Error> {
    let is_frontend =
        |spec: &dynamo_api::v1alpha1::SharedSpec| spec.component_type.as_deref() == Some("frontend");
    let mut services = graph.spec.services.iter();
    services.find(|(_, spec)| is_frontend(spec)).map(|(name, _)| name.as_str()).ok_or_else(|| {
        Error::Usage(format!(
            "graph {} has no service with componentType frontend: name one with --service",
            graph.name_any()
        ))
    })
}

fn port(pod: &Pod) -> u16 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
    let named = ports.find(|port| port.name.as_deref() == Some(PORT_NAME));
    named.and_then(|port| u16::try_from(port.container_port).ok()).unwrap_or(HTTP)
}

async fn listen(port: u16) -> Result<(TcpListener, SocketAddr), Error> {
    let cannot =
        |error| Error::Usage(format!("cannot listen on 127.0.0.1:{port}: {error}; choose another port"));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    Ok((listener, address))
}

/// How long no connection is taken after one could not be, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_secs(1);

impl Way {
    /// Carries each connection to the frontend, for ever.
    pub async fn serve(self) {
        let Self { to, listener, cluster, .. } = self;
        loop {
            let connection = match listener.accept().await {
                Ok((connection, _)) => connection,
                Err(error) => {
                    note(&format!("cannot take a connection: {error}"));
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let (cluster, to) = (cluster.clone(), to.clone());
            tokio::spawn(async move {
                if let Err(reason) = carry(connection, &cluster, &to).await {
                    note(&format!("connection to pod {}: {reason}", to.pod));
                }
            });
        }
    }
}

async fn carry(mut connection: TcpStream, cluster: &Cluster, to: &Frontend) -> Result<(), String> {
    let forward = cluster.api::<Pod>().portforward(&to.pod, &[to.port]).await;
    let mut forward = forward.map_err(|error| cluster::Error::of("open it", &error).to_string())?;
    let mut stream = forward.take_stream(to.port).ok_or("no stream")?;
    let refused = forward.take_error(to.port);
    // A side that hangs up is the end of a connection, not a failure.
    let _ = copy_bidirectional(&mut connection, &mut stream).await;
    drop(stream);
    match refused {
        Some(refused) => refused.await.map_or(Ok(()), Err),
        None => Ok(()),
    }
}
