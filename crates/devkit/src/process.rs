//! Running programs: to completion with a log, detached with a record, and ending what was recorded.
//! Must not end a process that is not the one recorded: every record carries the start time.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::progress::Progress;
use crate::{Error, Result, files};

const POLL: Duration = Duration::from_millis(50);

/// Finds a program on `PATH` (and in the administrator's folders, which a user's `PATH` often lacks).
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Finds a program or fails with how to get it.
///
/// # Errors
/// [`Error::Missing`].
pub fn require(program: &str, fix: &str) -> Result<PathBuf> {
    find(program).ok_or_else(|| Error::Missing { program: program.into(), fix: fix.into() })
}

/// Runs a program and returns its standard output as text.
///
/// # Errors
/// [`Error::Start`], or [`Error::Failed`] with the last lines of standard error.
pub fn output(command: &mut Command, what: &str) -> Result<String> {
    let result = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| Error::Start { program: name_of(command), source })?;
    if result.status.success() {
        return Ok(String::from_utf8_lossy(&result.stdout).into_owned());
    }
    let text =
        format!("{}{}", String::from_utf8_lossy(&result.stdout), String::from_utf8_lossy(&result.stderr));
    let lines: Vec<&str> = text.lines().collect();
    let tail = lines[lines.len().saturating_sub(30)..].join("\n");
    Err(Error::Failed { what: what.into(), status: result.status.to_string(), log: None, tail })
}

/// Runs a program with its output appended to `log`, showing the last line of it while it runs.
///
/// # Errors
/// [`Error::Start`], or [`Error::Failed`] with the last lines of the log.
pub fn run_logged(command: &mut Command, what: &str, log: &Path, progress: &Progress) -> Result<()> {
    let file = append(log)?;
    let copy = file.try_clone().map_err(Error::io("open", log))?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy)
        .spawn()
        .map_err(|source| Error::Start { program: name_of(command), source })?;
    let mut shown = Instant::now();
    loop {
        if let Some(status) = child.try_wait().map_err(Error::io("wait for", log))? {
            if status.success() {
                return Ok(());
            }
            let (status, tail) = (status.to_string(), files::tail(log, 30));
            return Err(Error::Failed { what: what.into(), status, log: Some(log.into()), tail });
        }
        if shown.elapsed() > Duration::from_secs(2) {
            shown = Instant::now();
            let line = files::tail(log, 1);
            progress.waiting(if line.trim().is_empty() { what } else { line.trim() });
        }
        std::thread::sleep(POLL);
    }
}

/// Opens a log for appending, making its folder.
///
/// # Errors
/// [`Error::Io`].
pub fn append(log: &Path) -> Result<File> {
    files::parent(log)?;
    File::options().create(true).append(true).open(log).map_err(Error::io("open", log))
}

fn name_of(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

/// A process that can be found again: the id alone may be given to another process after it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Process id.
    pub pid: i32,
    /// Start time in clock ticks since boot (`/proc/PID/stat`, field 22).
    pub start: u64,
    /// The kernel's boot id, since start times repeat after a restart of the machine.
    pub boot: String,
}

impl Record {
    /// The record of a running process; `None` when there is none with this id.
    pub fn of(pid: i32) -> Option<Self> {
        let (start, _) = stat(pid)?;
        Some(Self { pid, start, boot: boot_id() })
    }

    /// Whether exactly this process still runs (a zombie does not).
    pub fn alive(&self) -> bool {
        self.boot == boot_id()
            && stat(self.pid).is_some_and(|(start, state)| start == self.start && state != 'Z')
    }

    /// Sends a signal if exactly this process still runs.
    pub fn signal(&self, signal: Signal) {
        if self.alive() {
            // Failure means that it ended in between, which is what the caller wants.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Ends the process: SIGTERM, then SIGKILL after `grace`. Returns whether it is gone.
    pub fn end(&self, grace: Duration) -> bool {
        self.signal(Signal::SIGTERM);
        if self.wait_gone(grace) {
            return true;
        }
        self.signal(Signal::SIGKILL);
        self.wait_gone(Duration::from_secs(10))
    }

    fn wait_gone(&self, limit: Duration) -> bool {
        let started = Instant::now();
        while self.alive() {
            if started.elapsed() > limit {
                return false;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

/// Start time and state letter of a process, from `/proc/PID/stat`.
fn stat(pid: i32) -> Option<(u64, char)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the program's name in brackets, which may itself hold spaces and brackets.
    let rest = text.get(text.rfind(')')? + 2..)?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some((fields.get(19)?.parse().ok()?, fields.first()?.chars().next()?))
}

/// Ids of all processes of this machine.
pub fn all() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").ok();
    entries.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Identifies this boot of the kernel; empty when the kernel does not say.
pub fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Starts a program that outlives this one, in a session of its own, with its output appended to `log`.
///
/// # Errors
/// [`Error::Missing`] without `setsid` (util-linux), [`Error::Start`], [`Error::Failed`] when it ended at once.
pub fn spawn_detached<I, S>(program: &Path, args: I, log: &Path, env: &[(&str, &str)]) -> Result<Record>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let setsid = require("setsid", "install util-linux")?;
    let file = append(log)?;
    let copy = file.try_clone().map_err(Error::io("open", log))?;
    // setsid replaces itself by the program, so the id stays; the standard library offers no safe setsid.
    let mut child = Command::new(setsid)
        .arg(program)
        .args(args)
        .envs(env.iter().copied())
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(copy)
        .spawn()
        .map_err(|source| Error::Start { program: program.display().to_string(), source })?;
    let record = i32::try_from(child.id()).ok().and_then(Record::of);
    // Reaps the process if it ends while this command still runs; else the system's first process does.
    std::thread::spawn(move || child.wait());
    record.ok_or_else(|| Error::Failed {
        what: program.display().to_string(),
        status: "ended at once".into(),
        log: Some(log.into()),
        tail: files::tail(log, 20),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recycled_pid_is_neither_alive_nor_signalled() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let real = Record::of(i32::try_from(child.id()).unwrap()).unwrap();
        assert!(real.alive());
        let older = Record { start: real.start - 1, ..real.clone() };
        let other_boot = Record { boot: "before".into(), ..real.clone() };
        assert!(!older.alive() && !other_boot.alive());
        assert!(older.end(Duration::ZERO) && other_boot.end(Duration::ZERO));
        assert!(child.try_wait().unwrap().is_none(), "the process with the recycled id must live");
        real.signal(Signal::SIGKILL);
        child.wait().unwrap();
        assert!(!real.alive());
    }

    #[test]
    fn a_failing_program_reports_its_last_lines_and_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo broken thing; exit 3"]);
        let error = run_logged(&mut command, "the step", &log, &Progress::silent()).unwrap_err().to_string();
        assert!(error.contains("the step failed") && error.contains("broken thing"), "{error}");
        assert!(error.contains(&log.display().to_string()), "{error}");
    }

    #[test]
    fn a_missing_program_says_how_to_get_it() {
        let error = require("no-such-program-here", "install it").unwrap_err().to_string();
        assert_eq!(error, "the program no-such-program-here is missing: install it");
    }
}
