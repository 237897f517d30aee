//! Reading the body of a request within bounds of size, memory and time.
//! Must not hold more than has really arrived: a caller that announces much and sends little costs little.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// How long, and how much of, a refused body is taken in: enough for any that is honest.
const DISCARD_TIME: Duration = Duration::from_secs(1);
const DISCARD_BYTES: usize = 32 << 20;

/// Why a body was not read.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error(
        "the body is longer than {0} bytes: a review of two objects that the API server accepts is shorter"
    )]
    TooLong(usize),
    #[error("other reviews fill the memory set aside for bodies: try again")]
    NoRoom,
    #[error("the body ended early: {0}")]
    Broken(#[from] axum::Error),
}

/// A body and its share of the memory set aside for bodies.
#[derive(Debug)]
pub(super) struct Held {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// Reads `body` up to `limit` bytes, taking one permit of `room` for each byte.
pub(super) async fn read(body: &mut Body, limit: usize, room: &Arc<Semaphore>) -> Result<Held, BodyError> {
    let announced = axum::body::HttpBody::size_hint(body).lower();
    if announced > limit as u64 {
        return Err(BodyError::TooLong(limit));
    }
    let mut bytes = Vec::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(BodyError::TooLong(limit));
        }
        let permits = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let more = Arc::clone(room).try_acquire_many_owned(permits).map_err(|_| BodyError::NoRoom)?;
        match &mut share {
            Some(share) => share.merge(more),
            None => share = Some(more),
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Held { bytes: bytes.into(), _share: share })
}

/// Takes in the rest of a body that is refused, and forgets it. A connection that is closed with unread bytes is reset,
/// and its client may never see the answer that says why.
pub(super) async fn discard(mut body: Body) {
    let drain = async {
        let mut taken = 0;
        while let Some(Ok(frame)) = body.frame().await {
            taken += frame.data_ref().map_or(0, Bytes::len);
            if taken > DISCARD_BYTES {
                break;
            }
        }
    };
    // Too slow or too long: the answer is sent all the same.
    let _ = timeout(DISCARD_TIME, drain).await;
}
