//! Completion in shells: the script that a shell loads, and its questions, with the names of graphs from the cluster.
//! A question has an answer within a second, and a failure is silent: somebody is typing.

use std::{
    ffi::{OsStr, OsString},
    io::Write,
    process::ExitCode,
    time::Duration,
};

use clap::{Args, FromArgMatches};
use clap_complete::{
    ArgValueCandidates, CompletionCandidate,
    engine::complete,
    env::{CompleteEnv, Shells},
};
use dynamo_api::v1alpha1::DynamoGraphDeployment;
use kube::{ResourceExt, api::ListParams};

use crate::{
    cluster::{self, Target, block_on},
    console::Console,
    error::Error,
    name::Name,
};

/// Arguments of `dynamoctl completion`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Shell that loads the script
    #[arg(value_name = "SHELL", value_parser = ["bash", "elvish", "fish", "powershell", "zsh"])]
    shell: String,
}

/// The variable by which the script asks.
const VARIABLE: &str = "COMPLETE";
/// How long an answer of the cluster may take.
const LIMIT: Duration = Duration::from_secs(1);

/// Writes the script for a shell.
///
/// # Errors
/// The shell is not known, or the output cannot be written.
pub fn run(arguments: &Arguments, console: &mut Console<'_>) -> Result<ExitCode, Error> {
    let shells = Shells::builtins();
    let shell = shells.completer(&arguments.shell).ok_or_else(|| {
        let known: Vec<&str> = shells.names().collect();
        Error::Usage(format!("shell {:?} is not known: there are {}", arguments.shell, known.join(", ")))
    })?;
    let name = Name::Dynamoctl.word();
    shell.write_registration(VARIABLE, name, name, name, console)?;
    Ok(ExitCode::SUCCESS)
}

/// Answers the question of a shell; `false` when this call is none.
///
/// # Errors
/// The question cannot be understood.
pub fn answer(name: Name) -> clap::error::Result<bool> {
    let here = std::env::current_dir().ok();
    CompleteEnv::with_factory(move || crate::name::command(name))
        .var(VARIABLE)
        .try_complete(std::env::args_os(), here.as_deref())
}

/// Answers kubectl, which asks with the words after `kubectl dynamo`: a candidate per line, then what the shell may do
/// itself, 4 being nothing.
///
/// # Errors
/// The output cannot be written.
pub fn answer_kubectl(words: impl Iterator<Item = OsString>, out: &mut impl Write) -> std::io::Result<()> {
    let mut all = vec![OsString::from(Name::Dynamoctl.word())];
    all.extend(words);
    let at = all.len() - 1;
    let here = std::env::current_dir().ok();
    let mut command = crate::name::command(Name::KubectlPlugin);
    for candidate in complete(&mut command, all, at, here.as_deref()).unwrap_or_default() {
        if candidate.is_hide_set() {
            continue;
        }
        let help = candidate.get_help().map(|help| format!("\t{help}")).unwrap_or_default();
        let help = help.lines().next().unwrap_or_default();
        writeln!(out, "{}{help}", candidate.get_value().to_string_lossy())?;
    }
    writeln!(out, ":4")
}

/// Completes the name of a graph.
pub fn graphs() -> ArgValueCandidates {
    ArgValueCandidates::new(|| names(std::env::args_os().collect()).unwrap_or_default())
}

/// The graphs of the namespace that the words so far name.
fn names(words: Vec<OsString>) -> Option<Vec<CompletionCandidate>> {
    let target = target(words)?;
    let found = block_on(async {
        let asked = async {
            let cluster = target.connect().await?;
            let graphs = cluster.api::<DynamoGraphDeployment>().list(&ListParams::default()).await;
            graphs.map_err(|error| cluster::Error::of("list graphs", &error))
        };
        let silent = || cluster::Error::Request { what: "no answer".to_owned(), reason: String::new() };
        tokio::time::timeout(LIMIT, asked).await.map_err(|_| silent())?
    });
    Some(found.ok()?.iter().map(|graph| CompletionCandidate::new(graph.name_any())).collect())
}

/// The options of the cluster among words that are not complete yet.
fn target(words: Vec<OsString>) -> Option<Target> {
    let command = Target::augment_args(clap::Command::new("words")).ignore_errors(true);
    let mut chosen = vec![OsString::from("words")];
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let is_option = ["-n", "--namespace", "--context", "--kubeconfig"].contains(&text.as_str());
        let is_whole =
            ["-n", "--namespace=", "--context=", "--kubeconfig="].iter().any(|start| text.starts_with(start));
        if is_option {
            let value = words.next_if(|value| value != OsStr::new(""))?;
            chosen.extend([word, value]);
        } else if is_whole {
            chosen.push(word);
        }
    }
    Target::from_arg_matches(&command.get_matches_from(chosen)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_the_cluster_are_found_among_words_that_are_not_complete() {
        let of = |words: &[&str]| target(words.iter().map(OsString::from).collect());
        let found = of(&["dynamoctl", "status", "-n", "ns", "--context=c", "ag"]).unwrap();
        assert_eq!((found.namespace.as_deref(), found.context.as_deref()), (Some("ns"), Some("c")));
        assert_eq!(
            of(&["dynamoctl", "status", "--output", "json", "-nns"]).unwrap().namespace.unwrap(),
            "ns"
        );
        assert_eq!(of(&["dynamoctl", "status", ""]).unwrap().namespace, None);
        assert!(of(&["dynamoctl", "status", "-n"]).is_none(), "an option without its value");
    }
}
