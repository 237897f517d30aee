//! Reading the body of a request within bounds of size, memory and time.
//! Must not hold more than has really arrived: a caller that announces much and sends little costs little.

use std::{sync::Arc, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
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
    #[error("the body did not arrive in time")]
    Slow,
    #[error("the body ended early: {0}")]
    Broken(#[from] axum::Error),
}

/// A body and its share of the memory set aside for bodies.
#[derive(Debug)]
pub(super) struct Held {
    pub bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

/// How fast a body must arrive, so that few callers cannot hold the room of all.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// How long nothing may arrive.
    pub patience: Duration,
    /// Bytes per second.
    pub rate: u32,
    pub deadline: Instant,
}

/// Reads `body` up to `limit` bytes, taking one permit of `room` for each byte.
pub(super) async fn read(
    body: &mut Body,
    limit: usize,
    room: &Arc<Semaphore>,
    pace: Pace,
) -> Result<Held, BodyError> {
    let announced = axum::body::HttpBody::size_hint(body).lower();
    if announced > limit as u64 {
        return Err(BodyError::TooLong(limit));
    }
    let mut bytes = Vec::new();
    let mut share: Option<OwnedSemaphorePermit> = None;
    let mut due = Instant::now() + pace.patience;
    while let Some(frame) =
        timeout_at(due.min(pace.deadline), body.frame()).await.map_err(|_| BodyError::Slow)?
    {
        let Ok(data) = frame?.into_data() else { continue };
        // Bytes earn time, but none is saved: who sends most of a body at once cannot rest on it.
        let earned = Duration::from_secs_f64(data.len() as f64 / f64::from(pace.rate.max(1)));
        due = (due + earned).min(Instant::now() + pace.patience);
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
