//! Waiting for what a cluster does in its own time.
//! Deadlines bound a test; nothing here judges speed.

use std::time::{Duration, Instant};

/// Polls until `check` gives a value; panics with the last reason when the deadline passes.
pub async fn eventually<T, Check>(what: &str, mut check: impl FnMut() -> Check) -> T
where
    Check: Future<Output = Result<T, String>>,
{
    const DEADLINE: Duration = Duration::from_secs(60);
    let start = Instant::now();
    loop {
        match check().await {
            Ok(value) => return value,
            Err(reason) if start.elapsed() > DEADLINE => {
                panic!("{what}: not within {} s: {reason}", DEADLINE.as_secs())
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
