//! The hook jobs of the chart, run by the operator's own image (`operator-process.md` section 10): make the
//! certificate, publish its bundle. They end when they are done.

use std::{sync::Arc, time::Duration};

use dynamo_kubekit::{client, metrics::ApiMetrics};

use super::{Error, cluster};
use crate::{
    certs::{GenerateSettings, InjectSettings, Names, generate, inject},
    flags::{Job, JobFlags},
};

/// How long the bundle's job waits for the Secret, and how often it looks.
const WAIT: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(5);

/// Does one job.
///
/// # Errors
/// No cluster, or what the API server refuses.
pub async fn run(flags: JobFlags) -> Result<(), Error> {
    let config = cluster::load(flags.kubeconfig.as_deref()).await?;
    let client = client::build(&config, Arc::new(ApiMetrics::default())).map_err(Error::Client)?;
    let namespace = flags.namespace.or_else(cluster::own_namespace).ok_or(Error::NoWebhookNamespace)?;
    let secret = flags.secret;
    match flags.job {
        Job::Generate { service, days } => {
            let names = Names { service, namespace: namespace.clone(), cluster_domain: cluster::domain() };
            generate(&client, &GenerateSettings { namespace, secret, names, days }).await?;
        }
        Job::Inject { registrations } => {
            let settings =
                InjectSettings { namespace, secret, configurations: registrations, wait: WAIT, pause: PAUSE };
            inject(&client, &settings).await?;
        }
    }
    Ok(())
}
