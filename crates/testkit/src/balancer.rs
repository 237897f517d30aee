//! A TCP balancer in the place of a Service: new connections go to backends that are ready, in turn.
//! Knows nothing of what flows; open connections stay where they are.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

type IsReady = Arc<dyn Fn() -> bool + Send + Sync>;

/// A running balancer; it ends, with its connections, when dropped.
pub struct Balancer {
    port: u16,
    backends: Backends,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Backends(Arc<Mutex<Vec<(SocketAddr, IsReady)>>>);

impl std::fmt::Debug for Balancer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Balancer").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Balancer {
    /// Listens on a free port of 127.0.0.1.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("address of the balancer").port();
        let backends = Backends::default();
        let task = tokio::spawn(backends.clone().serve(listener));
        Self { port, backends, task }
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds a backend that gets connections while `is_ready`.
    pub fn add(&self, address: SocketAddr, is_ready: impl Fn() -> bool + Send + Sync + 'static) {
        self.backends.lock().push((address, Arc::new(is_ready)));
    }

    /// Sends no new connection to a backend.
    pub fn remove(&self, address: SocketAddr) {
        self.backends.lock().retain(|(known, _)| *known != address);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backends {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(SocketAddr, IsReady)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut turn = 0_usize;
        loop {
            tokio::select! {
                Ok((client, _)) = listener.accept() => {
                    let mut ready: Vec<SocketAddr> =
                        self.lock().iter().filter(|(_, is_ready)| is_ready()).map(|(address, _)| *address).collect();
                    if !ready.is_empty() {
                        let first = turn % ready.len();
                        ready.rotate_left(first);
                    }
                    turn = turn.wrapping_add(1);
                    connections.spawn(connect(client, ready));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Joins `client` with the first backend that takes it; without one the connection is closed.
async fn connect(mut client: TcpStream, backends: Vec<SocketAddr>) {
    for address in backends {
        if let Ok(mut backend) = TcpStream::connect(address).await {
            let _ = copy_bidirectional(&mut client, &mut backend).await;
            return;
        }
    }
}
