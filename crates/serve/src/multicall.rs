//! Which program a command line asks for: by subcommand, as `python3 -m …`, or as `sh -c "…"`.
//! It must not run anything.

use std::ffi::OsString;
use std::path::Path;

use crate::{Args, shell};

pub const USAGE: &str = "\
dynamo-serve: serving processes of a Dynamo graph

Usage:
  dynamo-serve frontend [flags]    OpenAI-compatible HTTP frontend
  dynamo-serve mocker [flags]      engine without a GPU
  dynamo-serve sleep SECONDS       waits, for PreStop hooks

Called as python3: -m dynamo.frontend, -m dynamo.mocker. Called as sh: -c with one simple command.
`dynamo-serve <program> --help` lists the flags of a program.
";

/// What is to be run.
#[derive(Debug, PartialEq)]
pub enum Invocation {
    Frontend(Args),
    Mocker(Args),
    Sleep(f64),
    True,
    Help,
    Version,
    Shell(shell::Command),
}

/// A command line this image cannot run.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum InvocationError {
    #[error("no program named; use one of frontend, mocker, sleep (dynamo-serve --help)")]
    Nothing,
    #[error("program `{0}` is not in this image; it offers frontend, mocker and sleep")]
    Program(String),
    #[error(
        "python module `{0}` is not in this image; it offers dynamo.frontend and dynamo.mocker. Use a runtime \
         image of your engine for other modules"
    )]
    Module(String),
    #[error(
        "this image has no Python interpreter: {0}. It runs `python3 -m dynamo.frontend` and `python3 -m \
         dynamo.mocker` only"
    )]
    Python(String),
    #[error("sh: only `sh -c COMMAND` is supported, not {0}")]
    ShellUse(String),
    #[error("sh -c: {0}")]
    Shell(#[from] shell::ShellError),
    #[error("sleep: `{0}` is not a number of seconds")]
    Sleep(String),
}

/// Reads a whole command line, the program's name first.
pub fn parse(mut args: Vec<OsString>) -> Result<Invocation, InvocationError> {
    if args.is_empty() {
        return Err(InvocationError::Nothing);
    }
    let name = args.remove(0);
    let name = Path::new(&name).file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if name == "dynamo-serve" {
        if args.is_empty() {
            return Err(InvocationError::Nothing);
        }
        let program = args.remove(0);
        let named = Path::new(&program).file_name().map(|name| name.to_string_lossy().into_owned());
        return program_of(&named.unwrap_or_default(), args);
    }
    program_of(&name, args)
}

fn program_of(name: &str, args: Args) -> Result<Invocation, InvocationError> {
    match name {
        "frontend" => Ok(Invocation::Frontend(args)),
        "mocker" => Ok(Invocation::Mocker(args)),
        "sleep" => sleep(&args),
        "true" => Ok(Invocation::True),
        "sh" | "bash" => shell_of(&args),
        "--help" | "-h" | "help" => Ok(Invocation::Help),
        "--version" | "-V" => Ok(Invocation::Version),
        _ if is_python(name) => python(args),
        _ => Err(InvocationError::Program(name.to_owned())),
    }
}

/// `python`, `python3` and `python3.<minor>`.
fn is_python(name: &str) -> bool {
    let version = name.strip_prefix("python");
    version.is_some_and(|version| version.chars().all(|c| c.is_ascii_digit() || c == '.'))
}

fn python(args: Args) -> Result<Invocation, InvocationError> {
    let mut args = args.into_iter();
    while let Some(argument) = args.next() {
        let text = argument.to_string_lossy().into_owned();
        match text.as_str() {
            // Unbuffered output, isolation, optimisation, byte code, warnings: nothing to do here.
            "-u" | "-I" | "-E" | "-s" | "-S" | "-O" | "-OO" | "-B" | "-q" | "-v" => {}
            "-W" | "-X" => drop(args.next()),
            "-V" | "--version" => return Ok(Invocation::Version),
            "-h" | "--help" => return Ok(Invocation::Help),
            "-m" => {
                let module =
                    args.next().ok_or_else(|| InvocationError::Python("-m without a module".to_owned()))?;
                return module_of(&module.to_string_lossy(), args.collect());
            }
            _ if text.starts_with("-m") && text.len() > 2 => return module_of(&text[2..], args.collect()),
            _ if text.starts_with("-um") && text.len() == 3 => {
                let module =
                    args.next().ok_or_else(|| InvocationError::Python("-m without a module".to_owned()))?;
                return module_of(&module.to_string_lossy(), args.collect());
            }
            _ if text.starts_with("-W") || text.starts_with("-X") => {}
            "-c" => return Err(InvocationError::Python("-c runs Python code".to_owned())),
            _ => return Err(InvocationError::Python(format!("`{text}` would run a script"))),
        }
    }
    Err(InvocationError::Python("an interactive session was asked for".to_owned()))
}

fn module_of(module: &str, args: Args) -> Result<Invocation, InvocationError> {
    match module.trim_end_matches(".__main__") {
        "dynamo.frontend" => Ok(Invocation::Frontend(args)),
        "dynamo.mocker" => Ok(Invocation::Mocker(args)),
        _ => Err(InvocationError::Module(module.to_owned())),
    }
}

fn sleep(args: &[OsString]) -> Result<Invocation, InvocationError> {
    let text = args.first().map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
    let seconds = text.strip_suffix('s').unwrap_or(&text).parse::<f64>().ok();
    match seconds.filter(|seconds| (0.0..1e9).contains(seconds)) {
        Some(seconds) if args.len() == 1 => Ok(Invocation::Sleep(seconds)),
        _ => Err(InvocationError::Sleep(text)),
    }
}

/// `sh [-e|-x|-u|-l …] -c COMMAND`, the options also joined as in `-lc`.
fn shell_of(args: &[OsString]) -> Result<Invocation, InvocationError> {
    let mut args = args.iter().map(|argument| argument.to_string_lossy().into_owned());
    while let Some(argument) = args.next() {
        let options = argument.strip_prefix('-').unwrap_or_default();
        if options.is_empty() || !options.chars().all(|c| "cexul".contains(c)) {
            return Err(InvocationError::ShellUse(format!("`{argument}`")));
        }
        if options.contains('c') {
            let command =
                args.next().ok_or_else(|| InvocationError::ShellUse("-c without a command".to_owned()))?;
            return Ok(Invocation::Shell(shell::parse(&command)?));
        }
    }
    Err(InvocationError::ShellUse("an interactive shell".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Invocation, InvocationError> {
        parse(args.iter().map(OsString::from).collect())
    }

    fn os(args: &[&str]) -> Args {
        args.iter().map(OsString::from).collect()
    }

    #[test]
    fn the_same_program_is_found_under_all_its_names() {
        for line in [
            &["dynamo-serve", "mocker", "--block-size", "4"][..],
            &["/usr/bin/python3", "-m", "dynamo.mocker", "--block-size", "4"],
            &["python3.12", "-u", "-W", "ignore", "-m", "dynamo.mocker", "--block-size", "4"],
            &["python", "-um", "dynamo.mocker", "--block-size", "4"],
            &["dynamo-serve", "python3", "-m", "dynamo.mocker", "--block-size", "4"],
        ] {
            assert_eq!(parsed(line), Ok(Invocation::Mocker(os(&["--block-size", "4"]))), "{line:?}");
        }
        let frontend = parsed(&["python3", "-m", "dynamo.frontend"]);
        assert_eq!(frontend, Ok(Invocation::Frontend(Vec::new())));
    }

    #[test]
    fn flags_of_the_module_are_not_taken_for_the_interpreters() {
        let parsed = parsed(&["python3", "-m", "dynamo.frontend", "-i", "-u"]);
        assert_eq!(parsed, Ok(Invocation::Frontend(os(&["-i", "-u"]))));
    }

    #[test]
    fn what_the_image_does_not_have_is_named() {
        for (line, name) in [
            (&["python3", "-m", "dynamo.vllm"][..], "dynamo.vllm"),
            (&["python3", "script.py"], "script.py"),
            (&["python3", "-c", "print(1)"], "-c"),
            (&["python3"], "interactive"),
            (&["dynamo-serve", "nginx"], "nginx"),
            (&["sh"], "interactive"),
            (&["sh", "script.sh"], "script.sh"),
            (&["dynamo-serve", "sleep", "soon"], "soon"),
        ] {
            let error = parsed(line).unwrap_err().to_string();
            assert!(error.contains(name), "{line:?}: {error}");
        }
        assert_eq!(parsed(&["dynamo-serve"]), Err(InvocationError::Nothing));
    }

    #[test]
    fn a_shell_runs_one_simple_command() {
        let expected = shell::Command { words: os(&["sleep", "5"]), ..shell::Command::default() };
        for line in [
            &["/bin/sh", "-c", "sleep 5"][..],
            &["bash", "-lc", "exec sleep 5"],
            &["sh", "-e", "-c", "sleep 5"],
        ] {
            assert_eq!(
                parsed(line).unwrap(),
                Invocation::Shell(shell::Command { ..expected.clone() }),
                "{line:?}"
            );
        }
        assert_eq!(parsed(&["sleep", "5"]), Ok(Invocation::Sleep(5.0)));
    }
}
