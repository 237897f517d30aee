//! The operator in a thread of a test program.

use std::{path::Path, thread};

use dynamo_operator::{flags::Flags, process};
use dynamo_testkit::operator::REQUIRED;

/// The decoders of the large types of core/v1 take a lot in a development build.
pub const STACK: usize = 16 << 20;

pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).thread_stack_size(STACK).enable_all().build().unwrap()
}

/// Starts an operator on the cluster of `kubeconfig`; it runs until the program ends.
pub fn operator(kubeconfig: &Path) -> thread::JoinHandle<()> {
    let kubeconfig = format!("--kubeconfig={}", kubeconfig.display());
    let own = [kubeconfig.as_str(), "--health-probe-bind-address=0", "--metrics-bind-address=0"];
    let words: Vec<String> = own.iter().chain(&REQUIRED).map(|word| (*word).to_owned()).collect();
    let flags = Flags::parse(words).unwrap_or_else(|exit| panic!("{exit}"));
    let run = move || runtime().block_on(process::run(flags)).expect("the operator runs");
    thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread")
}
