//! `dynamo-operator`: starts the process and turns its end into an exit code.
//! No logic of its own.

use std::process::ExitCode;

use dynamo_operator::{flags::Flags, logging, process};
use tracing::error;

fn main() -> ExitCode {
    // A word that is no UTF-8 is a wrong value, not a panic.
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let flags = match Flags::parse(words) {
        Ok(flags) => flags,
        Err(exit) => {
            eprintln!("{exit}");
            return ExitCode::from(exit.code());
        }
    };
    logging::init(&flags.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "cannot start the runtime");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(process::run(flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %dynamo_kubekit::client::chain(&error), "the operator ends");
            ExitCode::FAILURE
        }
    }
}
