//! `dynamoctl check`: is the cluster ready for the platform (`tools.md` section 1)?
//! It only reads, and sends nothing but questions about this user's rights.

mod connectivity;
mod definitions;
mod gpus;
mod operators;
mod platform;
mod print;
mod report;
mod rights;
pub(crate) mod storage;
pub(crate) mod token;
mod versions;
mod webhooks;

use std::{process::ExitCode, time::Duration};

use clap::ValueEnum;
use futures::join;
use report::{Checked, Report, Verdict};

use crate::{
    cluster::{self, Cluster, Target, block_on},
    console::Console,
    error::Error,
    output::{Format, write_document},
};

/// Arguments of `dynamoctl check`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Check to leave out; may be given several times
    #[arg(long, value_name = "NAME", value_enum, value_delimiter = ',')]
    skip: Vec<Skippable>,
    /// Form of the answer
    #[arg(short, long, value_enum, default_value_t = Format::Text)]
    output: Format,
}

/// Every check but the first, without which there is no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Skippable {
    Storage,
    GpuNodes,
    GpuOperator,
    Versions,
    Crds,
    Operators,
    Platform,
    Rights,
    Webhooks,
    HfToken,
}

/// The order of the report: the four of the contract first, under its names.
const CHECKS: [(Skippable, &str, &str, &str); 10] = [
    (Skippable::Storage, "storage", "Checking for default StorageClass", "Default StorageClass"),
    (Skippable::GpuNodes, "gpu-nodes", "Checking cluster GPU resources", "Cluster GPU Resources"),
    (Skippable::GpuOperator, "gpu-operator", "Checking GPU operator", "GPU Operator"),
    (Skippable::Versions, "versions", "Checking versions", "Versions"),
    (Skippable::Crds, "crds", "Checking Dynamo CRDs", "Dynamo CRDs"),
    (Skippable::Operators, "operators", "Checking for other Dynamo operators", "Other Operators"),
    (Skippable::Platform, "platform", "Checking pods of the platform", "Platform Pods"),
    (Skippable::Rights, "rights", "Checking rights for an install", "Install Rights"),
    (Skippable::Webhooks, "webhooks", "Checking admission webhooks", "Admission Webhooks"),
    (Skippable::HfToken, "hf-token", "Checking Hugging Face token", "Hugging Face Token"),
];

/// Makes every check but those of `skip`, writes the report for people, and tells whether all is well: before an install.
///
/// # Errors
/// The output cannot be written.
pub fn is_ready(skip: &[Skippable], target: &Target, console: &mut Console<'_>) -> Result<bool, Error> {
    let report = block_on(async { Ok::<_, Error>(examine(skip, target).await) })?;
    print::text(&report, console)?;
    Ok(report.is_ready())
}

/// Makes every check; the exit code is 1 when one fails or gets no answer.
///
/// # Errors
/// The output cannot be written.
pub fn run(arguments: &Arguments, target: &Target, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let report = block_on(async { Ok::<_, Error>(examine(&arguments.skip, target).await) })?;
    match arguments.output {
        Format::Text => print::text(&report, console)?,
        format => write_document(&report.document(), format, console)?,
    }
    Ok(ExitCode::from(u8::from(!report.is_ready())))
}

async fn examine(skip: &[Skippable], target: &Target) -> Report {
    let limit = Duration::from_secs(target.request_timeout.into());
    let tools = versions::tools(&std::env::var_os("PATH").unwrap_or_default(), limit);
    let connected = connect(target, limit).await;
    let mut checks = vec![Checked {
        id: "connectivity",
        title: "Checking kubectl connectivity",
        name: "kubectl Connectivity",
        verdict: connectivity::judge(&connected, &tools.kubectl),
    }];
    let wanted = |check: Skippable| !skip.contains(&check);
    let verdicts = match &connected {
        Ok((cluster, server)) => further(cluster, server, &tools, wanted).await,
        Err(_) => CHECKS.map(|_| Some(Verdict::skipped("there is no cluster to ask"))),
    };
    checks.extend(CHECKS.into_iter().zip(verdicts).map(|((check, id, title, name), verdict)| {
        let asked = verdict.filter(|_| wanted(check));
        let verdict = asked.unwrap_or_else(|| Verdict::skipped(&format!("--skip {id}")));
        Checked { id, title, name, verdict }
    }));
    Report(checks)
}

/// The cluster and the version of its API server.
async fn connect(target: &Target, limit: Duration) -> Result<(Cluster, String), cluster::Error> {
    let cluster = target.connect().await?;
    let asked = tokio::time::timeout(limit, cluster.client.apiserver_version()).await;
    let failed = |reason: String| cluster::Error::Request { what: "no answer".to_owned(), reason };
    let version = asked
        .map_err(|_| failed(format!("within {} s (--request-timeout)", limit.as_secs())))?
        .map_err(|error| cluster::Error::of("ask the cluster for its version", &error))?;
    Ok((cluster, version.git_version))
}

/// The checks of [`CHECKS`] in their order, read at the same time; `None` for those that are not wanted.
async fn further(
    cluster: &Cluster,
    server: &str,
    tools: &versions::Tools,
    wanted: impl Fn(Skippable) -> bool,
) -> [Option<Verdict>; 10] {
    let namespace = cluster.namespace.as_str();
    let (classes, nodes, operator, crds, operators, pods, rights, hooks, token) = join!(
        when(wanted(Skippable::Storage), storage::gather(cluster)),
        when(wanted(Skippable::GpuNodes) || wanted(Skippable::GpuOperator), gpus::gather_nodes(cluster)),
        when(wanted(Skippable::GpuOperator), gpus::gather_operator(cluster)),
        when(wanted(Skippable::Crds), definitions::gather(cluster)),
        when(wanted(Skippable::Operators), operators::gather(cluster)),
        when(wanted(Skippable::Platform), platform::gather(cluster)),
        when(wanted(Skippable::Rights), rights::gather(cluster)),
        when(wanted(Skippable::Webhooks), webhooks::gather(cluster)),
        when(wanted(Skippable::HfToken), token::gather(cluster)),
    );
    let operator = operator.zip(nodes.as_ref()).map(|(operator, nodes)| match operator {
        Ok(operator) => gpus::judge_operator(&operator, nodes),
        Err(error) => Verdict::error(&error),
    });
    [
        verdict(classes.as_ref(), storage::judge),
        verdict(nodes.as_ref(), |nodes| gpus::judge_nodes(nodes)),
        operator,
        Some(versions::judge(server, tools)),
        verdict(crds.as_ref(), |crds| definitions::judge(crds)),
        verdict(operators.as_ref(), operators::judge),
        verdict(pods.as_ref(), |pods| platform::judge(pods, namespace)),
        verdict(rights.as_ref(), |missing| rights::judge(missing, namespace)),
        verdict(hooks.as_ref(), |hooks| webhooks::judge(hooks)),
        verdict(token.as_ref(), |token| token::judge(*token, namespace)),
    ]
}

async fn when<T>(wanted: bool, gathered: impl Future<Output = T>) -> Option<T> {
    if wanted { Some(gathered.await) } else { None }
}

fn verdict<T>(
    facts: Option<&Result<T, cluster::Error>>,
    judge: impl FnOnce(&T) -> Verdict,
) -> Option<Verdict> {
    facts.map(|facts| match facts {
        Ok(facts) => judge(facts),
        Err(error) => Verdict::error(error),
    })
}
