//! A client layer that stops a keeper before or after one of its writes, or holds its writes back.
//! Reads pass.

use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use axum::http::{Method, Request};
use futures::{FutureExt, future::BoxFuture};
use kube::client::Body;
use tokio::sync::watch;
use tower::{Layer, Service};

/// When a keeper ends: before a write is sent, or after the answer and before it is told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Crash {
    Before(usize),
    After(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Pass,
    Hold,
    Armed(Crash),
    Blown,
}

/// Shared by a replica's client and the test.
#[derive(Debug, Clone)]
pub struct Fuse {
    mode: Arc<watch::Sender<Mode>>,
    writes: Arc<Mutex<usize>>,
}

impl Default for Fuse {
    fn default() -> Self {
        Self { mode: Arc::new(watch::Sender::new(Mode::Pass)), writes: Arc::default() }
    }
}

impl Fuse {
    /// Counts writes from now on and ends the keeper at `crash`.
    pub fn arm(&self, crash: Crash) {
        *self.writes.lock().unwrap() = 0;
        self.mode.send_replace(Mode::Armed(crash));
    }

    /// Holds writes back until [`Self::release`].
    pub fn hold(&self) {
        self.mode.send_replace(Mode::Hold);
    }

    pub fn release(&self) {
        self.mode.send_replace(Mode::Pass);
    }

    pub async fn blown(&self) {
        let mut mode = self.mode.subscribe();
        let _ = mode.wait_for(|mode| *mode == Mode::Blown).await;
    }

    async fn blow(&self) -> ! {
        self.mode.send_replace(Mode::Blown);
        std::future::pending().await
    }

    async fn before(&self) -> Option<usize> {
        let mut mode = self.mode.subscribe();
        let now = *mode.wait_for(|mode| *mode != Mode::Hold).await.ok()?;
        let Mode::Armed(crash) = now else { return None };
        let write = {
            let mut writes = self.writes.lock().unwrap();
            *writes += 1;
            *writes
        };
        if crash == Crash::Before(write) {
            self.blow().await;
        }
        Some(write)
    }

    async fn after(&self, write: Option<usize>) {
        let mode = *self.mode.borrow();
        if write.is_some_and(|write| mode == Mode::Armed(Crash::After(write))) {
            self.blow().await;
        }
    }
}

impl<S> Layer<S> for Fuse {
    type Service = Fused<S>;

    fn layer(&self, inner: S) -> Fused<S> {
        Fused { inner, fuse: self.clone() }
    }
}

#[derive(Clone)]
pub struct Fused<S> {
    inner: S,
    fuse: Fuse,
}

impl<S> Service<Request<Body>> for Fused<S>
where
    S: Service<Request<Body>>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.method() == Method::GET {
            return self.inner.call(request).boxed();
        }
        // Nothing is sent before the answer is awaited.
        let answer = self.inner.call(request);
        let fuse = self.fuse.clone();
        async move {
            let write = fuse.before().await;
            let answer = answer.await;
            fuse.after(write).await;
            answer
        }
        .boxed()
    }
}
