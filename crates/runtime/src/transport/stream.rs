//! The answer as the caller reads it, item by item.
//! It must not hide a loss: an answer without its final frame ends with an error item.

use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use futures::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::FramedRead;

use super::frame::{Frame, FrameCodec, FrameError};
use super::{Control, Handshake, ItemFrame, Prologue};
use crate::protocol::{Annotated, WorkerOutput};

/// Why an answer broke off; items may have been delivered before.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("Stream ended before generation completed ({reason})")]
    StreamLost { reason: String },
    #[error("the worker sent an item that cannot be read: {0}")]
    Decode(#[from] serde_json::Error),
}

/// The call-home connection with its frames.
#[derive(Debug)]
pub(super) struct Home {
    input: FramedRead<OwnedReadHalf, FrameCodec>,
    output: OwnedWriteHalf,
}

impl Home {
    pub(super) fn new(socket: TcpStream, limit: usize) -> Self {
        let (input, output) = socket.into_split();
        Self { input: FramedRead::new(input, FrameCodec { limit }), output }
    }

    pub(super) async fn handshake(&mut self) -> Result<String, StreamError> {
        let frame = self.next_frame().await?;
        let handshake: Handshake = serde_json::from_slice(&frame.header)?;
        Ok(handshake.subject)
    }

    /// The worker's word on whether there will be an answer.
    pub(super) async fn prologue(&mut self) -> Result<Option<String>, StreamError> {
        let frame = self.next_frame().await?;
        let prologue: Prologue = serde_json::from_slice(&frame.header)?;
        Ok(prologue.error)
    }

    async fn next_frame(&mut self) -> Result<Frame, StreamError> {
        match self.input.next().await {
            Some(Ok(frame)) => Ok(frame),
            Some(Err(error)) => Err(lost(&error.to_string())),
            None => Err(lost("the worker closed the connection")),
        }
    }

    /// Control words are tiny: when they do not fit the socket's buffer, the worker has stopped
    /// reading and will notice the end of the connection instead.
    fn send(&self, word: Control) {
        let mut bytes = BytesMut::new();
        Frame::header(word.bytes()).put(&mut bytes);
        if let Err(error) = self.output.try_write(&bytes) {
            tracing::debug!("{word:?} not sent: {error}");
        }
    }
}

fn lost(reason: &str) -> StreamError {
    StreamError::StreamLost { reason: reason.to_owned() }
}

/// An answer stream. It ends after the final frame or after one error item; dropping it earlier
/// sends `kill` to the worker.
#[derive(Debug)]
pub struct ResponseStream<T = WorkerOutput> {
    home: Option<Home>,
    stopped: bool,
    items: PhantomData<fn() -> T>,
}

impl<T> ResponseStream<T> {
    pub(super) fn new(home: Home) -> Self {
        Self { home: Some(home), stopped: false, items: PhantomData }
    }

    /// Asks the worker to end the answer soon; the rest of the stream is still delivered.
    pub fn stop(&mut self) {
        if let Some(home) = self.home.as_ref().filter(|_| !self.stopped) {
            self.stopped = true;
            home.send(Control::Stop);
        }
    }
}

impl<T: DeserializeOwned> Stream for ResponseStream<T> {
    type Item = Result<Annotated<T>, StreamError>;

    fn poll_next(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let Some(home) = self.home.as_mut() else { return Poll::Ready(None) };
            let frame: Option<Result<Frame, FrameError>> = futures::ready!(home.input.poll_next_unpin(task));
            let outcome = match frame {
                Some(Ok(frame)) if frame.body.is_empty() => continue,
                Some(Ok(frame)) => serde_json::from_slice::<ItemFrame<Annotated<T>>>(&frame.body),
                Some(Err(error)) => {
                    self.home = None;
                    return Poll::Ready(Some(Err(lost(&error.to_string()))));
                }
                None => {
                    self.home = None;
                    return Poll::Ready(Some(Err(lost("the connection closed without the final frame"))));
                }
            };
            match outcome {
                Ok(ItemFrame { complete_final: true, data }) => {
                    self.home = None;
                    return Poll::Ready(data.map(Ok));
                }
                Ok(ItemFrame { data: Some(item), .. }) => return Poll::Ready(Some(Ok(item))),
                Ok(ItemFrame { data: None, .. }) => {}
                Err(error) => {
                    if let Some(home) = self.home.take() {
                        home.send(Control::Kill);
                    }
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
    }
}

impl<T> Drop for ResponseStream<T> {
    fn drop(&mut self) {
        if let Some(home) = &self.home {
            home.send(Control::Kill);
        }
    }
}
