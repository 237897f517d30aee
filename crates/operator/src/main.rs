//! `dynamo-operator`: starts the process and turns its end into an exit code.
//! No logic of its own.

use std::process::ExitCode;

use dynamo_operator::{
    flags::{EtcdAuthFlags, Exit, Flags, JobFlags, LogFlags},
    logging, process,
};
use tracing::error;

/// What the words ask for.
enum Command {
    Operate(Box<Flags>),
    Job(JobFlags),
    EtcdAuth(EtcdAuthFlags),
}

impl Command {
    fn parse(words: Vec<String>) -> Result<Self, Exit> {
        if let Some(job) = JobFlags::parse(&words)? {
            return Ok(Self::Job(job));
        }
        if let Some(flags) = EtcdAuthFlags::parse(&words)? {
            return Ok(Self::EtcdAuth(flags));
        }
        Ok(Self::Operate(Box::new(Flags::parse(words)?)))
    }

    fn log(&self) -> &LogFlags {
        match self {
            Self::Operate(flags) => &flags.log,
            Self::Job(flags) => &flags.log,
            Self::EtcdAuth(flags) => &flags.log,
        }
    }

    async fn run(self) -> Result<(), process::Error> {
        match self {
            Self::Operate(flags) => process::run(*flags).await,
            Self::Job(flags) => process::run_job(flags).await,
            Self::EtcdAuth(flags) => process::run_etcd_auth(flags).await,
        }
    }
}

fn main() -> ExitCode {
    // A word that is no UTF-8 is a wrong value, not a panic.
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let command = match Command::parse(words.collect()) {
        Ok(command) => command,
        Err(exit) => {
            eprintln!("{exit}");
            return ExitCode::from(exit.code());
        }
    };
    logging::init(command.log());
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(command.run()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %dynamo_kubekit::client::chain(&error), "the operator ends");
            ExitCode::FAILURE
        }
    }
}
