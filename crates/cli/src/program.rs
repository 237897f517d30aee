//! Programs of this machine, each run with a time limit.
//! Only running and collecting: what the output means is decided elsewhere.

use std::{
    ffi::OsStr,
    io::Read,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc::{self, Receiver},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::{AccessFlags, Pid, access},
};

/// How much of each stream is kept, in bytes.
const KEPT: u64 = 1 << 20;
const LOOK: Duration = Duration::from_millis(5);

/// What a program said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    /// The first line that says something, of standard error before standard output.
    pub fn first_line(&self) -> &str {
        let mut lines = self.stderr.lines().chain(self.stdout.lines());
        lines.find(|line| !line.trim().is_empty()).unwrap_or_default().trim()
    }
}

/// Why a program said nothing.
#[derive(Debug, thiserror::Error)]
pub enum Silent {
    #[error("cannot start {program}: {source}")]
    Start { program: String, source: std::io::Error },
    #[error("{program} gave no answer within {} s", limit.as_secs())]
    TimedOut { program: String, limit: Duration },
}

/// The executable file `name` in the first folder of `path` that has one.
pub fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(name)).find(|file| is_executable(file))
}

/// Whether this process may execute the file.
pub fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

/// Runs `command` to its end; after `limit` it is killed with all that it started.
///
/// # Errors
/// It cannot be started, or takes longer than `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Result<Said, Silent> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = |source| Silent::Start { program: program.clone(), source };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn().map_err(start)?;
    let (stdout, stderr) = (reader(child.stdout.take()), reader(child.stderr.take()));
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(start)? {
            break status;
        }
        if began.elapsed() >= limit {
            end(&mut child);
            return Err(Silent::TimedOut { program, limit });
        }
        std::thread::sleep(LOOK);
    };
    // Something that it left behind may still hold the streams open.
    let rest = limit.saturating_sub(began.elapsed()).max(Duration::from_millis(100));
    let said = Said {
        success: status.success(),
        stdout: stdout.recv_timeout(rest).unwrap_or_default(),
        stderr: stderr.recv_timeout(rest).unwrap_or_default(),
    };
    Ok(said)
}

fn end(child: &mut std::process::Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        // Gone already is as good.
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
    let _ = child.wait();
}

fn reader(stream: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut stream) = stream {
            // What was read before an error is kept.
            let _ = (&mut stream).take(KEPT).read_to_end(&mut bytes);
            // A program that goes on writing must not hang.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
        let _ = sender.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_streams_and_the_exit_are_told_apart() {
        let said = run(&mut shell("echo out; echo err >&2; exit 3"), Duration::from_secs(10)).unwrap();
        assert_eq!(said, Said { success: false, stdout: "out\n".to_owned(), stderr: "err\n".to_owned() });
        assert_eq!(said.first_line(), "err");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        // Left alone, the child would outlive the program and the wait below.
        let script = format!("sleep 300 & echo $! >'{}'; sleep 60", file.display());
        let mut limit = Duration::from_millis(200);
        let child = loop {
            let silent = run(&mut shell(&script), limit).unwrap_err();
            assert!(matches!(silent, Silent::TimedOut { .. }), "{silent}");
            // A program that had no time to start its child proves nothing.
            match std::fs::read_to_string(&file) {
                Ok(pid) if pid.ends_with('\n') => break pid.trim().to_owned(),
                _ => limit *= 2,
            }
        };
        let began = Instant::now();
        while is_alive(&child) {
            assert!(began.elapsed() < Duration::from_secs(60), "process {child} is still there");
            std::thread::sleep(LOOK);
        }
    }

    /// One that has ended stays as a zombie until somebody asks for its exit code.
    fn is_alive(pid: &str) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // PID, name in parentheses, state.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
    }

    #[test]
    fn a_program_that_floods_its_output_ends() {
        let said = run(&mut shell("head -c 3000000 /dev/zero"), Duration::from_secs(20)).unwrap();
        assert!(said.success);
        assert_eq!(said.stdout.len() as u64, KEPT);
    }
}
