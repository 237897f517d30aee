//! The worker's way back to the caller: handshake, prologue, items, final frame (runtime.md 7.1).
//! It must not accept requests; the caller's word on this connection ends the work.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio_util::codec::{Decoder, FramedRead};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::frame::{Frame, FrameCodec, FrameError};
use super::server::{BodyStream, RequestContext};
use super::{
    CallHeader, CallHomeInfo, Control, Handshake, Prologue, RESPONSE_STREAM, TCP_TRANSPORT,
    TransportSettings, tune,
};
use crate::metrics::{ComponentMetrics, ErrorType};

const FINAL_FRAME: &[u8] = br#"{"complete_final":true}"#;
/// After the final frame the caller closes; a caller that does not is not waited for longer.
const FAREWELL: Duration = Duration::from_secs(5);

/// A request whose return address is known.
#[derive(Debug)]
pub(super) struct Call {
    id: String,
    home: CallHomeInfo,
    body: Bytes,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    #[error("the payload is not one two-part frame")]
    Frame,
    #[error("the frame's header is not a call header: {0}")]
    Header(serde_json::Error),
    #[error("answers over `{0}` are not supported, only over {TCP_TRANSPORT}")]
    Transport(String),
    #[error("the return address is not readable: {0}")]
    Info(serde_json::Error),
}

impl Call {
    pub(super) fn parse(payload: &Bytes, limit: usize) -> Result<Self, CallError> {
        let mut input = BytesMut::from(payload.as_ref());
        let frame = FrameCodec { limit }.decode(&mut input).ok().flatten().ok_or(CallError::Frame)?;
        let header: CallHeader = serde_json::from_slice(&frame.header).map_err(CallError::Header)?;
        let connection = header.connection_info;
        if connection.transport != TCP_TRANSPORT {
            return Err(CallError::Transport(connection.transport));
        }
        let home: CallHomeInfo = serde_json::from_str(&connection.info).map_err(CallError::Info)?;
        let id = if header.id.is_empty() { home.context.clone() } else { header.id };
        Ok(Self { id, home, body: frame.body })
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum AnswerError {
    #[error("the caller's address {address} cannot be reached: {source}")]
    Connect { address: String, source: std::io::Error },
    #[error("the caller went away: {0}")]
    Io(#[from] std::io::Error),
    #[error("the caller killed the request or went away")]
    Killed,
    #[error("an answer cannot be encoded: {0}")]
    Encode(#[from] serde_json::Error),
}

/// Connects to the caller and streams the handler's answer.
pub(super) async fn answer(
    call: Call,
    headers: BTreeMap<String, String>,
    settings: &TransportSettings,
    metrics: Option<&ComponentMetrics>,
    handler: impl FnOnce(RequestContext, Value) -> BodyStream,
) -> Result<(), AnswerError> {
    let count = |error| {
        if let Some(metrics) = metrics {
            metrics.error(error);
        }
    };
    let address = call.home.address.clone();
    let connected = tokio::time::timeout(settings.connect_timeout, TcpStream::connect(&address)).await;
    let socket = connected
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
        .map_err(|source| AnswerError::Connect { address, source })
        .inspect_err(|_| count(ErrorType::ResponseStream))?;
    tune(&socket);
    let (input, mut output) = socket.into_split();
    let handshake = Handshake { subject: call.home.subject.clone(), stream_type: RESPONSE_STREAM.to_owned() };
    let mut buffer = BytesMut::new();
    Frame::header(serde_json::to_vec(&handshake)?).put(&mut buffer);

    let request = serde_json::from_slice::<Value>(&call.body);
    let error = request.as_ref().err().map(|error| format!("the request is not valid JSON: {error}"));
    Frame::header(serde_json::to_vec(&Prologue { error })?).put(&mut buffer);
    output.write_all(&buffer).await.inspect_err(|_| count(ErrorType::ResponseStream))?;
    let Ok(request) = request.inspect_err(|_| count(ErrorType::Deserialization)) else {
        return farewell(output, None).await;
    };
    let context = RequestContext {
        id: call.id,
        headers,
        cancel: CancellationToken::new(),
        killed: CancellationToken::new(),
    };
    let killed = context.killed.clone();
    let control = AbortOnDropHandle::new(tokio::spawn(obey(input, context.clone())));
    let items = handler(context, request).ready_chunks(settings.channel_buffer);
    let sent = killed
        .run_until_cancelled(send_items(items, &mut output, metrics))
        .await
        .unwrap_or(Err(AnswerError::Killed));
    sent.inspect_err(|error| match error {
        AnswerError::Encode(_) => count(ErrorType::Deserialization),
        _ => count(ErrorType::PublishResponse),
    })?;
    buffer.clear();
    Frame::body(FINAL_FRAME).put(&mut buffer);
    output.write_all(&buffer).await.inspect_err(|_| count(ErrorType::PublishFinal))?;
    farewell(output, Some(control)).await
}

async fn send_items(
    items: impl futures::Stream<Item = Vec<Result<Vec<u8>, serde_json::Error>>>,
    output: &mut OwnedWriteHalf,
    metrics: Option<&ComponentMetrics>,
) -> Result<(), AnswerError> {
    let mut items = std::pin::pin!(items);
    let mut buffer = BytesMut::new();
    while let Some(ready) = items.next().await {
        buffer.clear();
        for body in ready {
            Frame::body(body?).put(&mut buffer);
        }
        output.write_all(&buffer).await?;
        if let Some(metrics) = metrics {
            metrics.response_bytes.inc_by(buffer.len() as u64);
        }
    }
    Ok(())
}

/// Follows the caller's control frames; a lost connection counts as `kill`.
async fn obey(input: OwnedReadHalf, context: RequestContext) {
    let mut frames = FramedRead::new(input, FrameCodec { limit: 64 * 1024 });
    let mut finished = false;
    loop {
        let frame: Option<Result<Frame, FrameError>> = frames.next().await;
        match frame {
            Some(Ok(frame)) => match Control::parse(&frame.header) {
                Some(Control::Stop) => context.cancel.cancel(),
                Some(Control::Kill) => break,
                Some(Control::Sentinel) => finished = true,
                None => {}
            },
            _ if finished => return,
            _ => break,
        }
    }
    context.killed.cancel();
    context.cancel.cancel();
}

/// Closes in order: a socket dropped with unread input would be reset, and the reset can overtake
/// the last items on their way to the caller.
async fn farewell(
    mut output: OwnedWriteHalf,
    control: Option<AbortOnDropHandle<()>>,
) -> Result<(), AnswerError> {
    output.shutdown().await?;
    if let Some(control) = control {
        drop(tokio::time::timeout(FAREWELL, control).await);
    }
    Ok(())
}
