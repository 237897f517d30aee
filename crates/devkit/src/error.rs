//! The error type of every development command.
//! Messages name what was attempted and what to do next; no error is printed here.

use std::path::{Path, PathBuf};

/// What a development command returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a development command stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file operation failed.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program is missing.
    #[error("the program {program} is missing: {fix}")]
    Missing {
        /// Name as one would type it.
        program: String,
        /// How to get it.
        fix: String,
    },
    /// A program could not be started at all.
    #[error("cannot start {program}: {source}")]
    Start {
        /// Name or path.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("{what} failed ({status}){}", tail_text(.log.as_deref(), .tail))]
    Failed {
        /// The step, for people.
        what: String,
        /// Exit code or signal.
        status: String,
        /// Where the full log is, if there is one.
        log: Option<PathBuf>,
        /// The last lines of the log.
        tail: String,
    },
    /// Something waited for did not happen.
    #[error("gave up after {seconds} s waiting for {what}: {detail}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// What was seen last, with log lines.
        detail: String,
    },
    /// Two programs wanted one port.
    #[error("{what} could not listen: the address is in use")]
    AddressInUse {
        /// The program.
        what: String,
    },
    /// Data of another program was not as expected.
    #[error("cannot understand {what}: {reason}")]
    Parse {
        /// Where the data came from.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The command cannot do this, and the message says what to do.
    #[error("{0}")]
    Refused(String),
}

impl Error {
    /// Builds an [`Error::Io`]; made for `map_err`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { action, path, source }
    }

    /// Builds an [`Error::Parse`].
    pub fn parse(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Parse { what: what.into(), reason: reason.to_string() }
    }
}

fn tail_text(log: Option<&Path>, tail: &str) -> String {
    let place = log.map(|path| format!("; full log: {}", path.display())).unwrap_or_default();
    if tail.trim().is_empty() { place } else { format!("{place}; last lines:\n{}", tail.trim_end()) }
}
