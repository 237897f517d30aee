//! The operator's program against a real kube-apiserver, etcd and controller manager.
//! One control plane and one operator serve most tests; those that count writes start their own.

mod admission;
mod causes;
mod checkpoints;
mod claims;
mod deletion;
mod dry_run;
mod etcd_auth;
mod graphs;
mod inputs;
mod kai_queues;
mod lifecycle;
mod metrics;
mod models;
mod optional_apis;
mod ownership;
mod parity;
mod process;
mod restart;
mod rollout;
mod rotation;
mod scaling;
mod scope;
mod secrets;
/// How a graph is rendered as a whole, as the tests of rendering do it.
#[path = "../../../render/tests/support/mod.rs"]
mod support;
mod takeover;
mod watches;
mod writes;

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use dynamo_testkit::{Operator, Plane};

const PROGRAM: &str = env!("CARGO_BIN_EXE_dynamo-operator");

/// The operator that the tests of this binary share. It must survive all of them.
fn operator() {
    shared_operator().assert_alive();
}

fn shared_operator() -> MutexGuard<'static, Operator> {
    static OPERATOR: OnceLock<Mutex<Operator>> = OnceLock::new();
    OPERATOR
        .get_or_init(|| Mutex::new(Operator::start(PROGRAM, Plane::shared(), &[])))
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
}
