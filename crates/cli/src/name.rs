//! The program as clap knows it, under the names by which it is called.
//! Nothing is run here.

use std::{ffi::OsStr, path::Path};

use clap::CommandFactory;

use crate::Arguments;

/// By which name the program was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    Dynamoctl,
    /// `kubectl dynamo`, for which kubectl looks for `kubectl-dynamo`.
    KubectlPlugin,
    /// `kubectl_complete-dynamo`, which kubectl asks for completions.
    KubectlCompletion,
}

impl Name {
    /// From the first word of the process.
    pub fn of(word: Option<&OsStr>) -> Self {
        let stem = word.and_then(|word| Path::new(word).file_stem()).and_then(OsStr::to_str);
        match stem {
            Some("kubectl-dynamo") => Self::KubectlPlugin,
            Some("kubectl_complete-dynamo") => Self::KubectlCompletion,
            _ => Self::Dynamoctl,
        }
    }

    /// How help and errors call it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Dynamoctl => "dynamoctl",
            Self::KubectlPlugin | Self::KubectlCompletion => "kubectl dynamo",
        }
    }
}

/// All commands and arguments.
pub fn command(name: Name) -> clap::Command {
    Arguments::command().bin_name(name.word())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_that_of_the_file_by_which_it_was_called() {
        for (word, name) in [
            ("/usr/bin/kubectl-dynamo", Name::KubectlPlugin),
            ("kubectl-dynamo.exe", Name::KubectlPlugin),
            ("./kubectl_complete-dynamo", Name::KubectlCompletion),
            ("target/debug/dynamoctl", Name::Dynamoctl),
        ] {
            assert_eq!(Name::of(Some(OsStr::new(word))), name, "{word}");
        }
        assert_eq!(Name::of(None), Name::Dynamoctl);
    }

    #[test]
    fn clap_finds_no_fault_in_the_arguments() {
        command(Name::Dynamoctl).debug_assert();
    }
}
