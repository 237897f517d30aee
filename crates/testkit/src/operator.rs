//! The operator's own program under test: started with real flags, stopped with real signals.
//! It ends with the test process, however that ends.

use std::{
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use dynamo_devkit::control_plane::{free_ports, supervised::Supervised};

use crate::Plane;

/// A running operator.
#[derive(Debug)]
pub struct Operator {
    process: Supervised,
    log: PathBuf,
    probes: String,
    metrics: String,
}

/// Flags without which the operator does not start, and those that the chart passes with them.
pub const REQUIRED: [&str; 5] = [
    "--planner-cluster-role-name=planner",
    "--epp-cluster-role-name=epp",
    "--mpi-run-ssh-secret-name=mpi-run-ssh-key",
    "--mpi-run-ssh-secret-namespace=dynamo-system",
    "--natsAddr=nats://dynamo-platform-nats.dynamo-system.svc.cluster.local:4222",
];

impl Operator {
    /// Starts `program` on `plane` and waits until it is ready.
    #[must_use]
    pub fn start(program: &str, plane: &Plane, args: &[&str]) -> Self {
        Self::start_with(program, plane, &plane.operator_kubeconfig(), args)
    }

    /// The same with a `kubeconfig` of one's own: another user, or a way through a proxy.
    #[must_use]
    pub fn start_with(program: &str, plane: &Plane, kubeconfig: &Path, args: &[&str]) -> Self {
        let mut operator = Self::launch(program, plane, kubeconfig, args);
        let start = Instant::now();
        while http_status(&operator.probes, "/readyz") != Some(200) {
            operator.process.check().unwrap_or_else(|error| panic!("operator: {error}"));
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "operator not ready:\n{}",
                operator.log_text()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        operator
    }

    fn launch(program: &str, plane: &Plane, kubeconfig: &Path, args: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let log = plane.folder().join(format!("operator-{}.log", COUNT.fetch_add(1, Ordering::Relaxed)));
        let [probes, metrics] = free_ports::<2>().expect("free ports");
        let (probes, metrics) = (format!("127.0.0.1:{probes}"), format!("127.0.0.1:{metrics}"));
        let own = [
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--health-probe-bind-address={probes}"),
            format!("--metrics-bind-address={metrics}"),
        ];
        let args: Vec<String> =
            own.into_iter().chain(REQUIRED.iter().chain(args).map(ToString::to_string)).collect();
        let process = Supervised::start("operator", Path::new(program), &args, log.clone())
            .unwrap_or_else(|error| panic!("operator: {error}"));
        Self { process, log, probes, metrics }
    }

    /// What it logged so far.
    #[must_use]
    pub fn log_text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The body of `/metrics`.
    #[must_use]
    pub fn metrics(&self) -> String {
        http_body(&self.metrics, "/metrics").expect("metrics")
    }

    /// Sends a signal, such as `TERM` or `KILL`.
    pub fn signal(&self, name: &str) {
        let pid = self.process.pid().to_string();
        Command::new("kill").args(["-s", name, &pid]).status().expect("kill");
    }

    /// Waits for the end of the process.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.process.status().expect("status of the operator") {
                return status;
            }
            assert!(start.elapsed() < Duration::from_secs(40), "operator does not end:\n{}", self.log_text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Panics with its log when the process is gone.
    pub fn assert_alive(&mut self) {
        self.process.check().unwrap_or_else(|error| panic!("operator: {error}"));
    }
}

fn http_status(address: &str, path: &str) -> Option<u16> {
    http(address, path)?.split_whitespace().nth(1)?.parse().ok()
}

fn http_body(address: &str, path: &str) -> Option<String> {
    http(address, path)?.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

fn http(address: &str, path: &str) -> Option<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}
