//! OpenAI-compatible HTTP frontend over discovered models (runtime.md 2, 4).
//! It must not know the operator or any engine; workers are reached through discovery and the request plane.

mod buckets;
pub mod flags;
mod http;
mod metrics;
mod models;
mod openai;
mod pipeline;

#[cfg(test)]
mod fixture;

#[cfg(test)]
mod e2e;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser;
use dynamo_runtime::transport::RequestPlane;
use dynamo_runtime::{Discovery, PushClient, logging, shutdown};

pub use http::server::{Frontend, FrontendConfig, StartError};

use flags::{Flags, HttpSettings};

const USAGE: u8 = 2;

/// Runs the frontend until SIGTERM or SIGINT. `args` are the arguments after the program's name.
/// Exit code: 0 after a shutdown, 1 when it cannot start or run, 2 for unusable arguments.
#[must_use]
pub fn run(args: Vec<OsString>) -> ExitCode {
    let flags = match Flags::try_parse_from(std::iter::once(OsString::from("dynamo.frontend")).chain(args)) {
        Ok(flags) => flags,
        Err(answer) => {
            // Nothing can be done when the terminal is gone.
            let _ = answer.print();
            return if answer.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let warnings = match flags.check() {
        Ok(warnings) => warnings,
        Err(error) => return complain(&error, USAGE),
    };
    logging::init();
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match threads {
        Ok(threads) => match threads.block_on(serve(flags)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => complain(error.as_ref(), 1),
        },
        Err(error) => complain(&error, 1),
    }
}

/// Writes an error with its causes to standard error.
fn complain(error: &dyn std::error::Error, code: u8) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    let _ = writeln!(std::io::stderr(), "error: {text}");
    ExitCode::from(code)
}

async fn serve(flags: Flags) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let stop = shutdown::on_signal()?;
    if let Some(path) = &flags.dump_config_to {
        std::fs::write(path, format!("{flags:#?}\n"))
            .map_err(|cause| format!("--dump-config-to {}: {cause}", path.display()))?;
    }
    let config = FrontendConfig {
        host: flags.http_address()?,
        port: flags.http_port,
        namespace: flags.namespace.clone(),
        router_mode: flags.router_mode,
        migration_limit: flags.migration_limit,
        enforce_disagg: flags.enforce_disagg,
        metrics_prefix: flags.metrics_prefix.clone(),
        http: HttpSettings::from_environment(),
        ..FrontendConfig::default()
    };
    let discovery = Discovery::from_environment(Some(&flags.store_kv)).await?;
    let client = PushClient::from_environment().await?;
    if RequestPlane::named(&flags.request_plane) == Some(RequestPlane::Nats) {
        let client = client.clone();
        tokio::spawn(async move { client.connect_nats().await });
    }
    let frontend = Frontend::start(config, discovery, client).await?;
    tracing::info!("listening on http://{}", frontend.address());
    stop.cancelled().await;
    frontend.shutdown().await;
    tracing::info!("stopped");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_arguments_end_with_code_2_and_questions_with_0() {
        let code = |args: &[&str]| format!("{:?}", run(args.iter().map(OsString::from).collect()));
        assert_eq!(code(&["--router-mode", "kv"]), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(&["--router-mode", "fastest"]), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(&["--http-port", "x"]), format!("{:?}", ExitCode::from(2)));
        assert_eq!(code(&["--version"]), format!("{:?}", ExitCode::SUCCESS));
    }
}
