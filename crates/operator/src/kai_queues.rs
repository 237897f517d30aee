//! The two queues of the KAI scheduler that graphs use by default (`charts.md` section 12), made where the scheduler is
//! installed, whenever that is. Queues that exist are never changed, and none is removed.

use std::time::Duration;

use dynamo_api::foreign::{Queue, QueueResources, QueueShare, QueueSpec};
use dynamo_kubekit::{backoff::jittered, client::chain};
use kube::{Api, Client, ResourceExt, api::ObjectMeta};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{optional_apis::OptionalApis, writes};

/// The queue of graphs that name none.
const QUEUE: &str = "dynamo";
/// The queue above it.
const PARENT: &str = "dynamo-default";

/// The queues, in the order in which they must be made.
#[must_use]
pub fn queues() -> [Queue; 2] {
    let unbounded = QueueShare { quota: -1, limit: -1, over_quota_weight: 1 };
    let queue = |name: &str, parent_queue: Option<String>| Queue {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        spec: QueueSpec {
            parent_queue,
            resources: QueueResources {
                cpu: unbounded.clone(),
                gpu: unbounded.clone(),
                memory: unbounded.clone(),
            },
        },
    };
    [queue(PARENT, None), queue(QUEUE, Some(PARENT.to_owned()))]
}

/// A queue is not there and could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{}", describe(verb, name, source))]
struct Error {
    verb: &'static str,
    name: String,
    source: kube::Error,
}

fn describe(verb: &str, name: &str, source: &kube::Error) -> String {
    let fix = match source {
        kube::Error::Api(status) if status.code == 403 => {
            ": give the operator the rights get and create on queues.scheduling.run.ai, or make the queues \
             dynamo-default and dynamo yourself"
        }
        kube::Error::Api(status) if status.code == 404 => {
            ": the cluster does not serve scheduling.run.ai/v2, install a KAI scheduler that does"
        }
        _ => "",
    };
    format!("cannot {verb} the queue {name}{fix}")
}

/// Makes the queues as soon as their API is there, and looks again `every` now and then, as the probe of the APIs does.
/// Does not end. An error is told once, and again when it is another one.
pub async fn keep(client: Client, mut apis: watch::Receiver<OptionalApis>, every: Duration) {
    let mut told = None;
    loop {
        // An error means that the probe is gone, and with it the process.
        if apis.wait_for(|apis| apis.kai).await.is_err() {
            return std::future::pending().await;
        }
        match ensure(&client).await {
            Ok(()) => told = None,
            Err(error) => {
                let text = chain(&error);
                if told.as_ref() != Some(&text) {
                    warn!(error = text, "queues of the KAI scheduler not made");
                    told = Some(text);
                }
            }
        }
        tokio::time::sleep(jittered(every)).await;
    }
}

async fn ensure(client: &Client) -> Result<(), Error> {
    let api = Api::<Queue>::all(client.clone());
    for queue in queues() {
        let name = queue.name_any();
        let failed = |verb| {
            let name = name.clone();
            move |source| Error { verb, name, source }
        };
        // Metadata alone: a queue of somebody else's version need not fit our type.
        if api.get_metadata_opt(&name).await.map_err(failed("read"))?.is_some() {
            continue;
        }
        if writes::create(&api, &queue).await.map_err(failed("create"))?.is_some() {
            info!(name, "queue of the KAI scheduler made");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::http::{Request, Response};
    use kube::client::Body;
    use serde_json::{Value, json};
    use tower::service_fn;

    use super::*;

    #[test]
    fn the_queues_are_those_of_the_contract() {
        let share = json!({"quota": -1, "limit": -1, "overQuotaWeight": 1});
        let resources = json!({"cpu": share, "gpu": share, "memory": share});
        let wanted = [
            json!({"apiVersion": "scheduling.run.ai/v2", "kind": "Queue",
                "metadata": {"name": "dynamo-default"}, "spec": {"resources": resources}}),
            json!({"apiVersion": "scheduling.run.ai/v2", "kind": "Queue", "metadata": {"name": "dynamo"},
                "spec": {"parentQueue": "dynamo-default", "resources": resources}}),
        ];
        assert_eq!(queues().map(|queue| serde_json::to_value(queue).unwrap()), wanted);
    }

    type Log = Arc<Mutex<Vec<String>>>;

    /// An API server that answers each request with what `answer` says to its method and path.
    fn cluster(answer: impl Fn(&str, &str) -> (u16, Value) + Clone + Send + 'static) -> (Client, Log) {
        let log = Log::default();
        let seen = Arc::clone(&log);
        let server = service_fn(move |request: Request<Body>| {
            let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
            seen.lock().unwrap().push(format!("{method} {}", path.rsplit('/').next().unwrap_or_default()));
            let (code, body) = answer(&method, &path);
            async move {
                let body = Body::from(body.to_string().into_bytes());
                Ok::<_, std::convert::Infallible>(Response::builder().status(code).body(body).unwrap())
            }
        });
        (Client::new(server, "default"), log)
    }

    fn refusal(code: u16, reason: &str) -> (u16, Value) {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "no", "reason": reason, "code": code});
        (code, status)
    }

    fn queue(name: &str) -> Value {
        json!({"apiVersion": "scheduling.run.ai/v2", "kind": "Queue", "metadata": {"name": name}, "spec": {}})
    }

    #[tokio::test]
    async fn a_queue_that_exists_is_left_alone_and_one_that_is_missing_is_made() {
        let (client, log) = cluster(|method, path| match (method, path.rsplit('/').next()) {
            ("GET", Some(PARENT)) => (200, queue(PARENT)),
            ("GET", _) => refusal(404, "NotFound"),
            _ => (201, queue(QUEUE)),
        });
        ensure(&client).await.unwrap();
        assert_eq!(*log.lock().unwrap(), ["GET dynamo-default", "GET dynamo", "POST queues"]);
    }

    #[tokio::test]
    async fn a_queue_that_somebody_else_makes_at_the_same_moment_is_as_good() {
        let (client, _) = cluster(|method, _| match method {
            "GET" => refusal(404, "NotFound"),
            _ => refusal(409, "AlreadyExists"),
        });
        ensure(&client).await.unwrap();
    }

    #[tokio::test]
    async fn a_missing_right_names_what_to_do() {
        let (client, _) = cluster(|method, _| match method {
            "GET" => refusal(404, "NotFound"),
            _ => refusal(403, "Forbidden"),
        });
        let text = chain(&ensure(&client).await.unwrap_err());
        assert!(
            text.contains("cannot create the queue dynamo-default: give the operator the rights"),
            "{text}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_asked_before_the_api_is_there_nor_after_it_is_gone() {
        let (client, log) = cluster(|_, path| (200, queue(path.rsplit('/').next().unwrap_or_default())));
        let (tell, apis) = watch::channel(OptionalApis::default());
        let asked = || std::mem::take(&mut *log.lock().unwrap()).len();
        let every = Duration::from_secs(60);
        let keeping = tokio::spawn(keep(client, apis, every));
        tokio::time::sleep(every * 3).await;
        assert_eq!(asked(), 0);
        tell.send_replace(OptionalApis { kai: true, ..OptionalApis::default() });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(asked(), 2, "at once");
        tokio::time::sleep(every).await;
        assert_eq!(asked(), 2, "at the next look");
        tell.send_replace(OptionalApis::default());
        tokio::time::sleep(every).await;
        asked();
        tokio::time::sleep(every * 3).await;
        assert_eq!(asked(), 0);
        assert!(!keeping.is_finished());
    }
}
