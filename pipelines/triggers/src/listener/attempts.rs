//! Trying again what is away for a moment.

use std::time::Duration;

/// Attempts at one thing, with pauses between them that double.
#[derive(Debug)]
pub(super) struct Attempts {
    left: u32,
    pause: Duration,
}

impl Attempts {
    /// So many attempts altogether, and the first pause.
    pub const fn new(most: u32, pause: Duration) -> Self {
        Self {
            left: most.saturating_sub(1),
            pause,
        }
    }

    /// Waits until the next attempt; `false` at once if there is to be none.
    pub async fn another(&mut self) -> bool {
        if self.left == 0 {
            return false;
        }
        self.left -= 1;
        tokio::time::sleep(self.pause).await;
        self.pause *= 2;
        true
    }
}

/// May asking the API server again soon help?
pub(super) fn is_passing(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code >= 500 || status.code == 429,
        kube::Error::HyperError(_) | kube::Error::Service(_) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_attempts_end() {
        let (start, mut made) = (Instant::now(), 1);
        let mut attempts = Attempts::new(4, Duration::from_secs(1));
        while attempts.another().await {
            made += 1;
        }
        assert_eq!((made, start.elapsed().as_secs()), (4, 1 + 2 + 4));
        assert!(!attempts.another().await);
        assert!(!Attempts::new(1, Duration::from_secs(1)).another().await);
    }
}
