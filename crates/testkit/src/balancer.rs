//! A TCP balancer in the place of a Service: new connections go to backends that are ready, in turn.
//! Knows nothing of what flows; open connections stay where they are.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

#[derive(Clone)]
struct Backend {
    address: SocketAddr,
    is_ready: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Held once by each connection that may go here.
    open: Arc<()>,
}

/// A running balancer; it ends, with its connections, when dropped.
pub struct Balancer {
    port: u16,
    backends: Backends,
    task: JoinHandle<()>,
}

#[derive(Clone, Default)]
struct Backends(Arc<Mutex<Vec<Backend>>>);

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
        self.backends.lock().push(Backend { address, is_ready: Arc::new(is_ready), open: Arc::default() });
    }

    /// Sends no new connection to a backend and waits for the end of those that are open, for 30 s at most.
    pub async fn drain(&self, address: SocketAddr) {
        let removed = {
            let mut backends = self.backends.lock();
            let at = backends.iter().position(|backend| backend.address == address);
            at.map(|at| backends.remove(at))
        };
        let Some(removed) = removed else { return };
        for _ in 0..3000 {
            if Arc::strong_count(&removed.open) == 1 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("connections to {address} do not end");
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backends {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Backend>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(self, listener: TcpListener) {
        let mut connections = JoinSet::new();
        let mut turn = 0_usize;
        loop {
            tokio::select! {
                Ok((client, _)) = listener.accept() => {
                    let mut ready: Vec<Backend> =
                        self.lock().iter().filter(|backend| (backend.is_ready)()).cloned().collect();
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
async fn connect(mut client: TcpStream, backends: Vec<Backend>) {
    for backend in backends {
        if let Ok(mut server) = TcpStream::connect(backend.address).await {
            let _ = copy_bidirectional(&mut client, &mut server).await;
            return;
        }
    }
}
