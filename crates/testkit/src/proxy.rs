//! A proxy between a program and the API server that can cut the network while connections are open.
//! It passes bytes and never looks into them.

use std::{io, net::SocketAddr};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// What happens to bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Nothing arrives. Connections stay, new ones are accepted and stay silent. What was sent arrives after the cut,
    /// as the kernel would send it again, unless the sender has reset its connection meanwhile.
    BlackHole,
    /// Open connections are reset, new ones as soon as they come.
    Reset,
}

/// Bytes held back of one direction at most; a sender then waits.
const HELD: usize = 1 << 20;

/// A running proxy on an own thread. It ends with this value.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Proxy {
    /// Listens on a free port of loopback and forwards to `target`.
    #[must_use]
    pub fn start(target: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("runtime of the proxy");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("port of the proxy");
        listener.set_nonblocking(true).expect("listener of the proxy");
        let address = listener.local_addr().expect("address of the proxy");
        let (mode, modes) = watch::channel(Mode::Pass);
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).expect("listener of the proxy");
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, target, modes.clone()));
            }
        });
        Self { address, mode, runtime: Some(runtime) }
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens from now on, also on open connections.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn connection(client: TcpStream, target: SocketAddr, mut modes: watch::Receiver<Mode>) {
    // A cut network brings no connection about.
    if modes.wait_for(|mode| *mode != Mode::BlackHole).await.is_err() || gone(&client) {
        return;
    }
    let Ok(server) = TcpStream::connect(target).await else { return };
    let mut reset = modes.clone();
    let broken = tokio::select! {
        () = pump(&client, &server, modes.clone()) => false,
        () = pump(&server, &client, modes) => false,
        _ = reset.wait_for(|mode| *mode == Mode::Reset) => true,
    };
    if broken {
        // A stream that is closed already has nothing left to reset.
        let _ = client.set_zero_linger();
        let _ = server.set_zero_linger();
    }
}

/// Forwards until one end is gone.
async fn pump(from: &TcpStream, to: &TcpStream, mut modes: watch::Receiver<Mode>) {
    let mut held: Vec<u8> = Vec::new();
    let mut ended = false;
    let mut chunk = vec![0; 16 * 1024];
    loop {
        if *modes.borrow_and_update() == Mode::Pass {
            // What a sender gave up by a reset, its kernel does not send again.
            if gone(from) || deliver(&held, to).await.is_err() || ended {
                return;
            }
            held.clear();
        }
        tokio::select! {
            ready = from.readable(), if !ended && held.len() < HELD => match ready.and_then(|()| from.try_read(&mut chunk)) {
                Ok(0) => ended = true,
                Ok(count) => held.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            },
            changed = modes.changed() => if changed.is_err() { return },
        }
    }
}

async fn deliver(mut bytes: &[u8], to: &TcpStream) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the other end has reset the connection.
fn gone(stream: &TcpStream) -> bool {
    !matches!(stream.take_error(), Ok(None))
}
