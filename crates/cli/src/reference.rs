//! The reference page of the tool and its man pages, both from what clap knows.
//! Every word comes from the arguments themselves.

use std::{fmt::Write, path::PathBuf, process::ExitCode};

use clap::{Arg, ArgAction, Command};

use crate::{
    causes::Kind,
    error::Error,
    name::{Name, command},
};

/// Arguments of the hidden `dynamoctl man`.
#[derive(Debug, clap::Args)]
pub struct ManArguments {
    /// Folder that gets one page for each command; it is made
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes the man pages.
///
/// # Errors
/// The folder cannot be written.
pub fn man(arguments: &ManArguments) -> Result<ExitCode, Error> {
    let cannot =
        |error| Error::Usage(format!("cannot write man pages into {}: {error}", arguments.folder.display()));
    std::fs::create_dir_all(&arguments.folder).map_err(cannot)?;
    let pages = command(Name::Dynamoctl).disable_help_subcommand(true);
    clap_mangen::generate_to(pages, &arguments.folder).map_err(cannot)?;
    Ok(ExitCode::SUCCESS)
}

const INTRO: &str = "# dynamoctl

Generated from the program (`UPDATE_REFERENCE=1 cargo test -p dynamo-cli --test reference_page`).

As `kubectl-dynamo` in the path it is also `kubectl dynamo`; a second link `kubectl_complete-dynamo` gives kubectl its
completions. Exit codes: 0 done, 1 the answer is no, 2 wrong use or no answer.
";

const CAUSES: &str = "
## Causes of not being ready

What `status -o json` gives as `firstCause.kind`, by rank: of causes at the same place the first one is told first, and what
stands in the way of the whole graph comes before what stands in the way of one pod.

| Kind | Meaning | May waiting help? |
|---|---|---|
";

/// The page as Markdown.
pub fn page() -> String {
    let mut root = command(Name::Dynamoctl);
    root.build();
    let mut page = INTRO.to_owned();
    page.push_str("\n## Arguments of every command\n\n");
    arguments(&mut page, root.get_arguments().filter(|argument| argument.is_global_set()));
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(&mut page, command, "##");
    }
    page.push_str(CAUSES);
    for kind in Kind::ALL {
        let waiting = if kind.waiting_may_help() { "yes" } else { "no" };
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| `{kind:?}` | {} | {waiting} |", kind.title());
    }
    page
}

fn section(page: &mut String, command: &Command, heading: &str) {
    if command.get_name() == "help" {
        return;
    }
    let path = command.get_bin_name().unwrap_or(command.get_name());
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    // Writing to a string cannot fail.
    let _ = write!(page, "\n{heading} {path}\n\n{}.\n", about.trim_end_matches('.'));
    let usage = command.clone().render_usage().to_string();
    let _ = write!(page, "\n```text\n{}\n```\n\n", usage.trim_start_matches("Usage: "));
    arguments(page, command.get_arguments().filter(|argument| !argument.is_global_set()));
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        section(page, inner, "###");
    }
}

fn arguments<'a>(page: &mut String, all: impl Iterator<Item = &'a Arg>) {
    let is_shown = |argument: &&Arg| {
        !argument.is_hide_set()
            && !matches!(
                argument.get_action(),
                ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
            )
    };
    let rows: Vec<String> = all.filter(is_shown).map(row).collect();
    if !rows.is_empty() {
        page.push_str("| Argument | Meaning | Default |\n|---|---|---|\n");
        page.extend(rows);
    }
}

fn row(argument: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(argument.get_short().map(|short| format!("-{short}")));
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    let values = argument.get_value_names().unwrap_or_default();
    let takes = argument.get_action().takes_values();
    let value = values.first().filter(|_| takes).map(ToString::to_string).unwrap_or_default();
    let name = match names.is_empty() {
        true => value,
        false => format!("{} {value}", names.join(", ")).trim_end().to_owned(),
    };
    let mut meaning = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let choices: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| takes)
        .map(|choice| format!("`{}`", choice.get_name()))
        .collect();
    if !choices.is_empty() {
        meaning.push_str(&format!(": {}", choices.join(", ")));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    let default = if takes { defaults.join(", ") } else { String::new() };
    let cell = |text: &str| text.replace('|', "\\|").replace('<', "\\<");
    format!("| `{name}` | {} | {} |\n", cell(&meaning), cell(&default))
}
