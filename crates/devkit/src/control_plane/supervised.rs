//! Child processes that end with this process, even when it is killed.
//! Must not rely on anything of ours being in `PATH`: a shell watches a pipe that only this process holds.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::{Error, Result, files};

// Prints the program's id and waits for it. The second background job reads the pipe on file 3; the end of the pipe
// means that our process is gone or closed it, and kills the program. setpriv covers a killed shell.
const WATCH: &str = r#"
log=$1
shift
exec 3<&0
if command -v setpriv >/dev/null 2>&1; then set -- setpriv --pdeathsig KILL "$@"; fi
"$@" </dev/null >>"$log" 2>&1 3<&- &
program=$!
{ cat <&3 >/dev/null; kill -KILL "$program"; } >/dev/null 2>&1 &
watcher=$!
exec 3<&-
echo "$program"
wait "$program"
status=$?
kill -KILL "$watcher" 2>/dev/null
exit "$status"
"#;

// Removes a folder after the pipe's end; programs that are being killed may still write into it for a moment.
const TIDY: &str = r#"
cat >/dev/null
for turn in 1 2 3 4 5; do
    sleep 0.3
    rm -rf -- "$1"
done
"#;

/// A program under a watching shell.
#[derive(Debug)]
pub struct Supervised {
    name: String,
    shell: Child,
    pipe: Option<ChildStdin>,
    pid: i32,
    log: PathBuf,
}

impl Supervised {
    pub fn start(name: &str, program: &Path, args: &[String], log: PathBuf) -> Result<Self> {
        files::parent(&log)?;
        let mut shell = Command::new("sh")
            .args(["-c", WATCH, "supervise"])
            .arg(&log)
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C reaches our process alone; the programs then end with it.
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Start { program: "sh".into(), source })?;
        let pipe = shell.stdin.take();
        let mut line = String::new();
        if let Some(out) = shell.stdout.take() {
            BufReader::new(out).read_line(&mut line).map_err(Error::io("read the process id for", &log))?;
        }
        let pid = line.trim().parse().map_err(|e| Error::parse(format!("the process id of {name}"), e))?;
        Ok(Self { name: name.into(), shell, pipe, pid, log })
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Fails if the program has ended, with its last log lines.
    pub fn check(&mut self) -> Result<()> {
        let Some(status) = self.shell.try_wait().map_err(Error::io("wait for", &self.log))? else {
            return Ok(());
        };
        let tail = files::tail(&self.log, 25);
        if tail.contains("address already in use") {
            return Err(Error::AddressInUse { what: self.name.clone() });
        }
        let (what, status) = (self.name.clone(), status.to_string());
        Err(Error::Failed { what, status, log: Some(self.log.clone()), tail })
    }

    /// How the program ended; `None` while it runs.
    ///
    /// # Errors
    /// [`Error::Io`] when the watching shell cannot be asked.
    pub fn status(&mut self) -> Result<Option<std::process::ExitStatus>> {
        self.shell.try_wait().map_err(Error::io("wait for", &self.log))
    }

    pub fn log_tail(&self) -> String {
        format!("--- {}\n{}", self.log.display(), files::tail(&self.log, 15))
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.pipe.take();
        let _ = self.shell.wait();
    }
}

/// Removes a temporary folder if this process ends without doing it.
#[derive(Debug)]
pub struct Janitor {
    shell: Child,
}

impl Janitor {
    pub fn start(folder: &Path) -> Result<Self> {
        let shell = Command::new("sh")
            .args(["-c", TIDY, "tidy"])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|source| Error::Start { program: "sh".into(), source })?;
        Ok(Self { shell })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        // The owner is alive and removes the folder itself. `cat` ends by the closed pipe.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
