//! `dynamo-operator`: starts the process and turns its end into an exit code.
//! No logic of its own.

use std::process::ExitCode;

use dynamo_operator::{flags::Flags, logging, process};
use tracing::error;

fn main() -> ExitCode {
    let flags = match Flags::parse(std::env::args().skip(1)) {
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
