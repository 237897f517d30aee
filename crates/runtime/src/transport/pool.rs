//! Connections to workers, kept open between requests; one request at a time on each.
//! It must not retry on another worker: the caller chooses.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::request::{RequestError, read_reply};
use super::{TransportSettings, tune};

/// Largest reply text that is read.
const REPLY_LIMIT: usize = 64 * 1024;

/// What came of sending a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error("connect: {0}")]
    Connect(io::Error),
    #[error("no reply: {0}")]
    Reply(RequestError),
    #[error("no reply in time")]
    Timeout,
    #[error("{0}")]
    Refused(String),
}

struct Idle {
    sockets: Mutex<Vec<TcpStream>>,
    /// Limits requests that wait for their acknowledgement, so a slow worker cannot use up sockets.
    permits: Semaphore,
}

pub(super) struct Pool {
    settings: TransportSettings,
    addresses: Mutex<HashMap<String, Arc<Idle>>>,
}

impl Pool {
    pub(super) fn new(settings: TransportSettings) -> Self {
        Self { settings, addresses: Mutex::default() }
    }

    fn idle(&self, address: &str) -> Arc<Idle> {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = addresses.entry(address.to_owned()).or_insert_with(|| {
            let permits = Semaphore::new(self.settings.pool_size);
            Arc::new(Idle { sockets: Mutex::default(), permits })
        });
        idle.clone()
    }

    /// Closes idle connections the peer has closed and forgets addresses without any.
    pub(super) fn sweep(&self) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.retain(|_, idle| {
            let mut sockets = idle.sockets.lock().unwrap_or_else(PoisonError::into_inner);
            sockets.retain(is_open);
            !sockets.is_empty() || Arc::strong_count(idle) > 1
        });
    }

    /// Sends a request and waits for the reply. An idle connection that turns out to be closed is
    /// replaced by a new one: nothing was accepted on it.
    pub(super) async fn exchange(&self, address: &str, message: &[u8]) -> Result<(), ExchangeError> {
        let idle = self.idle(address);
        let work = async {
            let Ok(_permit) = idle.permits.acquire().await else { return Err(ExchangeError::Timeout) };
            while let Some(mut socket) = idle.take() {
                match talk(&mut socket, message).await {
                    Err(ExchangeError::Reply(error)) => {
                        tracing::debug!("kept connection to {address} was closed: {error}");
                    }
                    outcome => {
                        idle.keep(socket);
                        return outcome;
                    }
                }
            }
            let mut socket = self.connect(address).await?;
            let outcome = talk(&mut socket, message).await;
            if !matches!(outcome, Err(ExchangeError::Reply(_))) {
                idle.keep(socket);
            }
            outcome
        };
        let limit = self.settings.request_timeout + self.settings.connect_timeout;
        tokio::time::timeout(limit, work).await.unwrap_or(Err(ExchangeError::Timeout))
    }

    async fn connect(&self, address: &str) -> Result<TcpStream, ExchangeError> {
        let connecting = tokio::time::timeout(self.settings.connect_timeout, TcpStream::connect(address));
        let socket = match connecting.await {
            Ok(outcome) => outcome.map_err(ExchangeError::Connect)?,
            Err(_) => return Err(ExchangeError::Connect(io::ErrorKind::TimedOut.into())),
        };
        tune(&socket);
        Ok(socket)
    }
}

impl Idle {
    fn take(&self) -> Option<TcpStream> {
        let mut sockets = self.sockets.lock().unwrap_or_else(PoisonError::into_inner);
        std::iter::from_fn(|| sockets.pop()).find(is_open)
    }

    fn keep(&self, socket: TcpStream) {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    }
}

/// An idle connection has nothing to read; an end, an error or unexpected bytes make it useless.
fn is_open(socket: &TcpStream) -> bool {
    let outcome = socket.try_read(&mut [0_u8; 1]);
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

async fn talk(socket: &mut TcpStream, message: &[u8]) -> Result<(), ExchangeError> {
    let closed = |error: io::Error| ExchangeError::Reply(error.into());
    socket.write_all(message).await.map_err(closed)?;
    match read_reply(socket, REPLY_LIMIT).await.map_err(ExchangeError::Reply)? {
        None => Ok(()),
        Some(text) => Err(ExchangeError::Refused(text)),
    }
}
