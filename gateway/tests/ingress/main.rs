//! The gateway against a real API server in process, with pods on loopback.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests fail the test"
)]

mod cluster;
mod routing;
mod waking;

use std::time::Duration;

/// Longest wait for anything in these tests.
const SOON: Duration = Duration::from_secs(15);

/// Fails instead of hanging.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.expect("in time")
}
