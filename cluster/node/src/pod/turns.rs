//! The order in which the containers of a pod are started.

use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Gives turns in the order in which they were asked for, some at the same time.
///
/// Started all at once, the containers of a pod take the processors from each other and come up together, late. One
/// after the other the first is up soon; where containers wait for each other, as the steps of a task do, it does its
/// work while the others start.
#[derive(Debug, Clone)]
pub(crate) struct Turns(Arc<Semaphore>);

impl Turns {
    /// As many at the same time as there are processors, at least two.
    pub(crate) fn of_processors() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self::new(processors.max(2))
    }

    fn new(together: usize) -> Self {
        Self(Arc::new(Semaphore::new(together)))
    }

    /// Joins the queue now; the turn lasts until what the future gives is dropped.
    pub(crate) fn take(&self) -> impl Future<Output = Option<OwnedSemaphorePermit>> + Send + use<> {
        let mut turn = Box::pin(Arc::clone(&self.0).acquire_owned());
        // A semaphore knows of those who wait from their first look on, in that order.
        let first = turn.as_mut().now_or_never();
        async move {
            let turn = match first {
                Some(turn) => turn,
                None => turn.await,
            };
            // It is never closed.
            turn.ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn turns_come_in_the_order_in_which_they_were_asked_for() {
        let turns = Turns::new(1);
        let (first, second, third) = (turns.take(), turns.take(), turns.take());
        let (mut second, mut third) = (pin!(second), pin!(third));
        assert!(
            third.as_mut().now_or_never().is_none(),
            "it looks before the others"
        );
        assert!(second.as_mut().now_or_never().is_none());
        let first = first.now_or_never().flatten();
        assert!(first.is_some());
        drop(first);
        assert!(third.as_mut().now_or_never().is_none());
        let second = second.await;
        assert!(third.as_mut().now_or_never().is_none());
        drop(second);
        assert!(third.await.is_some());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_holds_nobody_up() {
        let turns = Turns::new(1);
        let (first, second, third) = (turns.take(), turns.take(), turns.take());
        drop(second);
        drop(first);
        assert!(third.await.is_some());
    }
}
