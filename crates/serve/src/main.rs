//! dynamo-serve: the program that runs in the pods of a graph. It finds out which program it stands
//! for and runs it; it must not hold any logic of those programs.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use multicall::{Invocation, USAGE};

mod multicall;
mod shell;

/// Exit code of a command line that asks for something this image does not have.
const USAGE_EXIT: u8 = 2;

fn main() -> ExitCode {
    match multicall::parse(std::env::args_os().collect()) {
        Ok(invocation) => run(invocation),
        Err(error) => fail(&error.to_string()),
    }
}

fn run(invocation: Invocation) -> ExitCode {
    match invocation {
        Invocation::Frontend(args) => dynamo_frontend::run(args),
        Invocation::Mocker(args) => dynamo_mocker::run(args),
        Invocation::Sleep(seconds) => {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            ExitCode::SUCCESS
        }
        Invocation::True => ExitCode::SUCCESS,
        Invocation::Help => say(USAGE),
        Invocation::Version => say(concat!("dynamo-serve ", env!("CARGO_PKG_VERSION"), "\n")),
        Invocation::Shell(command) => shell_command(command),
    }
}

/// Settings and folder of a shell command need a fresh process image: changing the environment of a
/// running one is not safe.
fn shell_command(command: shell::Command) -> ExitCode {
    use std::os::unix::process::CommandExt;

    let invocation = match multicall::parse(command.words.clone()) {
        Ok(invocation) => invocation,
        Err(error) => return fail(&error.to_string()),
    };
    if command.settings.is_empty() && command.folder.is_none() {
        return run(invocation);
    }
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return fail(&format!("the own program file cannot be found: {error}")),
    };
    let mut next = std::process::Command::new(program);
    if let Some((name, args)) = command.words.split_first() {
        next.arg0(name).args(args);
    }
    next.envs(command.settings);
    if let Some(folder) = &command.folder {
        next.current_dir(folder);
    }
    let error = next.exec();
    fail(&format!("the command cannot be started: {error}"))
}

fn say(text: &str) -> ExitCode {
    use std::io::Write;

    // Help and version belong on standard output; a closed pipe is not an error.
    drop(std::io::stdout().write_all(text.as_bytes()));
    ExitCode::SUCCESS
}

fn fail(message: &str) -> ExitCode {
    eprintln!("dynamo-serve: {message}");
    ExitCode::from(USAGE_EXIT)
}

/// Arguments after the program's name.
type Args = Vec<OsString>;
