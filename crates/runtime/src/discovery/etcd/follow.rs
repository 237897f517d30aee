//! Keeps the visible state equal to etcd: a list, then the events after it, and again after each break.
//! It must not forget anything because etcd is away.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tonic::{Code, Status};

use super::super::Snapshot;
use super::client::Failure;
use super::proto::{Op, RangeRequest, TxnRequest, WatchCreate};
use super::view::View;
use super::{Shared, TREES};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Follows until the process ends.
pub(super) async fn observe(
    shared: Arc<Shared>,
    namespace: Option<String>,
    visible: watch::Sender<Arc<Snapshot>>,
) {
    let ranges = ranges(namespace.as_deref());
    let mut view = View::default();
    let mut pause = FIRST_PAUSE;
    let mut broken = false;
    loop {
        let mut listed = false;
        let failure = follow(&shared, &ranges, &mut view, &visible, &mut listed).await;
        if listed {
            (pause, broken) = (FIRST_PAUSE, false);
        }
        // The breaks of one outage are one message.
        if !std::mem::replace(&mut broken, true) && failure.status.code() != Code::OutOfRange {
            tracing::warn!("discovery: {failure}; what is known stays, trying again");
        } else {
            tracing::debug!("discovery: {failure}");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// First and last key of what is watched. The slash keeps namespace `ns` apart from `ns2`.
fn ranges(namespace: Option<&str>) -> Vec<RangeRequest> {
    let range = |(_, tree): (&str, &str)| {
        let prefix = match namespace {
            Some(namespace) => format!("{tree}/{namespace}"),
            None => tree.to_owned(),
        };
        // `0` follows the slash.
        RangeRequest { key: format!("{prefix}/").into_bytes(), range_end: format!("{prefix}0").into_bytes() }
    };
    TREES.into_iter().map(range).collect()
}

async fn follow(
    shared: &Shared,
    ranges: &[RangeRequest],
    view: &mut View,
    visible: &watch::Sender<Arc<Snapshot>>,
    listed: &mut bool,
) -> Failure {
    match follow_once(shared, ranges, view, visible, listed).await {
        Ok(never) => match never {},
        Err(failure) => failure,
    }
}

async fn follow_once(
    shared: &Shared,
    ranges: &[RangeRequest],
    view: &mut View,
    visible: &watch::Sender<Arc<Snapshot>>,
    listed: &mut bool,
) -> Result<std::convert::Infallible, Failure> {
    let cluster = &shared.cluster;
    let reads = ranges.iter().map(|range| Op::Range(range.clone()).into()).collect();
    let found = cluster.txn(TxnRequest { success: reads, ..TxnRequest::default() }).await?;
    let kvs: Vec<_> = found
        .responses
        .into_iter()
        .filter_map(|response| response.range)
        .flat_map(|range| range.kvs)
        .collect();
    view.list(&kvs, Instant::now());
    show(visible, view);
    let start_revision = found.header.map_or(0, |header| header.revision) + 1;
    let creates = ranges.iter().cloned().map(|RangeRequest { key, range_end }| WatchCreate {
        key,
        range_end,
        start_revision,
    });
    let mut answers = cluster.watch(creates.collect()).await?;
    *listed = true;
    loop {
        let end = view.next_end();
        tokio::select! {
            answer = answers.message() => {
                let answer = answer
                    .map_err(|status| cluster.failure(status))?
                    .ok_or_else(|| cluster.failure(Status::unavailable("the watch was closed")))?;
                if answer.canceled {
                    return Err(canceled(shared, &answer.cancel_reason, answer.compact_revision));
                }
                for event in &answer.events {
                    view.apply(event);
                }
            }
            () = tokio::time::sleep_until(end.unwrap_or_else(Instant::now)), if end.is_some() => {
                view.expire(Instant::now());
            }
        }
        show(visible, view);
    }
}

/// A list starts over whatever the reason; a token that has ended must not be used for it.
fn canceled(shared: &Shared, reason: &str, compacted: i64) -> Failure {
    if compacted > 0 {
        return shared.cluster.failure(Status::out_of_range("the watch was overtaken by a compaction"));
    }
    shared.cluster.forget_token();
    shared.cluster.failure(Status::aborted(format!("the watch was cancelled: {reason}")))
}

fn show(visible: &watch::Sender<Arc<Snapshot>>, view: &View) {
    let snapshot = view.snapshot();
    visible.send_if_modified(|shown| {
        let changed = **shown != snapshot;
        if changed {
            *shown = Arc::new(snapshot);
        }
        changed
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_namespace_is_not_a_prefix_of_another() {
        let keys = |range: &RangeRequest| {
            let text = |key: &[u8]| String::from_utf8(key.to_vec()).unwrap();
            (text(&range.key), text(&range.range_end))
        };
        let own: Vec<_> = ranges(Some("ns")).iter().map(keys).collect();
        assert_eq!(own[0], ("v1/instances/ns/".to_owned(), "v1/instances/ns0".to_owned()));
        let inside = |key: &str| key >= own[0].0.as_str() && key < own[0].1.as_str();
        assert!(inside("v1/instances/ns/b/g/1") && !inside("v1/instances/ns2/b/g/1"));
        assert_eq!(keys(&ranges(None)[1]), ("v1/mdc/".to_owned(), "v1/mdc0".to_owned()));
    }
}
