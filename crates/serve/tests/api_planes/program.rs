//! A program that ends with its owner, its output in a file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use dynamo_devkit::tools::{self, Tool, Tools};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Long enough for a loaded machine, as nothing here waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

pub fn eventually(what: &str, reached: impl FnMut() -> bool) {
    within(PATIENCE, what, reached);
}

pub fn within(limit: Duration, what: &str, mut reached: impl FnMut() -> bool) {
    let started = Instant::now();
    while !reached() {
        assert!(started.elapsed() < limit, "not within {} s: {what}", limit.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Path of a pinned tool.
pub fn tool(name: &str) -> PathBuf {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| tools::ensure(&[Tool::Etcd, Tool::Nats]).unwrap()).program(name)
}

pub fn free_ports<const N: usize>() -> [u16; N] {
    dynamo_devkit::control_plane::free_ports().unwrap()
}

pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts `command` with the output at `log`; a second program may continue it.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, log: log.to_owned() }
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Asks the program to end.
    pub fn terminate(&self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
    }

    /// Waits for the end after [`Program::terminate`]; whether it was an orderly one.
    pub fn ended(&mut self) -> bool {
        eventually("the program ends", || !self.is_running());
        self.child.wait().unwrap().success()
    }

    /// Ends the program without a chance to say goodbye.
    pub fn kill(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- {}\n{}", self.log.display(), self.log());
        }
    }
}
