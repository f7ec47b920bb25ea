//! One attempt at a key: it may neither hang nor take the worker down.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt;

/// Why an attempt came to no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It took longer than this.
    TimedOut(Duration),
    /// It panicked with this message.
    Panicked(String),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(limit) => write!(f, "gave up after {} s", limit.as_secs_f64()),
            Self::Panicked(message) => write!(f, "panicked: {message}"),
        }
    }
}

/// The result of `work`, unless it panics or takes longer than `limit`.
pub async fn attempt<T>(limit: Duration, work: impl Future<Output = T>) -> Result<T, Broken> {
    let bounded = AssertUnwindSafe(tokio::time::timeout(limit, work));
    match bounded.catch_unwind().await {
        Ok(Ok(result)) => Ok(result),
        Ok(Err(_)) => Err(Broken::TimedOut(limit)),
        Err(panic) => Err(Broken::Panicked(message(panic.as_ref()))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn results_panics_and_delays_are_told_apart() {
        let limit = Duration::from_secs(1);
        assert_eq!(attempt(limit, async { 7 }).await, Ok(7));
        let slow = attempt(limit, tokio::time::sleep(2 * limit)).await;
        assert_eq!(slow, Err(Broken::TimedOut(limit)));
        let panics = attempt(limit, async { assert!(limit.is_zero(), "not zero") }).await;
        assert_eq!(panics, Err(Broken::Panicked("not zero".to_owned())));
    }
}
