//! Why a command has no answer. A message says what was tried, what stood in the way, and what to do next.

use std::io;

use crate::manifest::ReadError;

/// Why a command has no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("cannot write the answer: {0}")]
    Write(#[from] io::Error),
    #[error(transparent)]
    Cluster(#[from] crate::cluster::Error),
    /// Arguments that clap cannot judge alone; the text names the argument and the fix.
    #[error("{0}")]
    Usage(String),
}

impl Error {
    /// Whether the reader of the output went away.
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
