//! `dynamoctl install` and `uninstall`: the Helm calls of the guide, with this tool's cluster and namespace.
//! Helm does all the work, and its answers are passed on as they are.

use std::{
    ffi::OsString,
    io::Write,
    path::PathBuf,
    process::{Command, ExitCode},
};

use crate::{check, cluster::Target, console::Console, error::Error};

/// Arguments of `dynamoctl install`.
#[derive(Debug, clap::Args)]
pub struct InstallArguments {
    #[command(flatten)]
    release: Release,
    /// Folder with the charts `crds` and `platform`
    #[arg(long, value_name = "FOLDER", default_value = "deploy/helm/charts")]
    charts: PathBuf,
    /// Leave out the definitions, which another release has
    #[arg(long)]
    skip_crds: bool,
    /// Check to leave out before, such as gpu-nodes; may be given several times
    #[arg(long, value_name = "NAME", value_enum, value_delimiter = ',')]
    skip: Vec<check::Skippable>,
    /// Install without any of the checks of `dynamoctl check` before
    #[arg(long)]
    skip_check: bool,
    /// Further arguments of Helm for the platform's chart, after `--`
    #[arg(last = true, value_name = "HELM ARGUMENTS")]
    helm: Vec<OsString>,
}

/// Arguments of `dynamoctl uninstall`.
#[derive(Debug, clap::Args)]
pub struct UninstallArguments {
    #[command(flatten)]
    release: Release,
    /// Also uninstall the release of the definitions; these and every object of their kinds stay
    #[arg(long)]
    crds: bool,
}

/// Which release, and how far to go.
#[derive(Debug, clap::Args)]
struct Release {
    /// Name of the release
    #[arg(long, value_name = "NAME", default_value = "dynamo-platform")]
    release: String,
    /// Only print the calls
    #[arg(long)]
    dry_run: bool,
}

const CRDS: &str = "dynamo-crds";
/// Where the guide installs the platform.
const NAMESPACE: &str = "dynamo-system";
/// Where it has the release of the definitions, which belong to no namespace: this one is always there.
const CRDS_NAMESPACE: &str = "default";

/// One call of Helm: its words, and the namespace of the release.
type Call<'a> = (Vec<OsString>, &'a str);

/// Installs or upgrades the definitions and the platform, on a cluster that is ready for them. The exit code is that of
/// Helm, and 1 when a check fails before.
///
/// # Errors
/// Helm cannot be started, or the output cannot be written.
pub fn install(
    arguments: &InstallArguments,
    target: &Target,
    console: &mut Console<'_>,
) -> Result<ExitCode, Error> {
    let target = &Target { namespace: Some(namespace(target).to_owned()), ..target.clone() };
    let is_checked = !arguments.skip_check && !arguments.release.dry_run;
    if is_checked && !check::is_ready(&arguments.skip, target, console)? {
        writeln!(
            console,
            "\nNothing was installed. Put right what failed, or leave out what this cluster needs not: --skip NAME, or \
             --skip-check for all checks"
        )?;
        return Ok(ExitCode::FAILURE);
    }
    let chart = |name: &str| arguments.charts.join(name).into_os_string();
    let upgrade = |release: &str, chart: OsString| {
        let mut words: Vec<OsString> = ["upgrade", "--install", release].map(OsString::from).to_vec();
        words.push(chart);
        words
    };
    let mut calls = Vec::new();
    if !arguments.skip_crds {
        calls.push((upgrade(CRDS, chart("crds")), CRDS_NAMESPACE));
    }
    let mut platform = upgrade(&arguments.release.release, chart("platform"));
    platform.push("--create-namespace".into());
    platform.extend(arguments.helm.iter().cloned());
    calls.push((platform, namespace(target)));
    run(calls, target, arguments.release.dry_run, console)
}

/// Uninstalls the platform, and the definitions when asked; the exit code is that of Helm.
///
/// # Errors
/// Helm cannot be started.
pub fn uninstall(
    arguments: &UninstallArguments,
    target: &Target,
    console: &mut Console<'_>,
) -> Result<ExitCode, Error> {
    let words = |release: &str| ["uninstall", release].map(OsString::from).to_vec();
    let mut calls = vec![(words(&arguments.release.release), namespace(target))];
    if arguments.crds {
        calls.push((words(CRDS), CRDS_NAMESPACE));
    }
    run(calls, target, arguments.release.dry_run, console)
}

fn run(
    calls: Vec<Call<'_>>,
    target: &Target,
    is_dry: bool,
    console: &mut Console<'_>,
) -> Result<ExitCode, Error> {
    for (mut words, namespace) in calls {
        // After the verb: arguments of the caller come last and win.
        words.splice(1..1, place(target, namespace));
        let shown: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        writeln!(console, "helm {}", shown.join(" "))?;
        // Helm writes to the same place.
        console.flush()?;
        if is_dry {
            continue;
        }
        let status = Command::new("helm").args(&words).status();
        let status = status.map_err(|error| {
            Error::Usage(format!("cannot start helm: {error}; install Helm 3 and put it into PATH"))
        })?;
        if !status.success() {
            // What follows builds on this call.
            return Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(2)));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn namespace(target: &Target) -> &str {
    target.namespace.as_deref().unwrap_or(NAMESPACE)
}

/// The cluster and the namespace, as Helm takes them.
fn place(target: &Target, namespace: &str) -> Vec<OsString> {
    let mut words: Vec<OsString> = vec!["--namespace".into(), namespace.into()];
    if let Some(file) = &target.kubeconfig {
        words.extend(["--kubeconfig".into(), file.clone().into_os_string()]);
    }
    if let Some(context) = &target.context {
        words.extend(["--kube-context".into(), context.into()]);
    }
    words
}
