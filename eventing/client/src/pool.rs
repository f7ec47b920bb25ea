//! Connections that wait for their next request.

use std::fmt;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::connection::Connection;

/// The idle connections of one target, the most recently used last.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<(Instant, Connection)>>);

impl Idle {
    /// The most recently used connection that still works, so that those not needed grow old.
    pub(super) async fn take(&self, idle_timeout: Duration) -> Option<Connection> {
        std::future::poll_fn(|cx| {
            loop {
                // Connections are dropped outside of the lock.
                let Some((since, mut connection)) = self.0.lock().pop() else {
                    return std::task::Poll::Ready(None);
                };
                if since.elapsed() < idle_timeout && connection.is_usable(cx) {
                    return std::task::Poll::Ready(Some(connection));
                }
            }
        })
        .await
    }

    pub(super) fn put(&self, connection: Connection, max_idle: usize) {
        let mut idle = self.0.lock();
        if idle.len() < max_idle {
            idle.push((Instant::now(), connection));
        }
    }

    pub(super) fn expire(&self, idle_timeout: Duration) {
        let mut idle = self.0.lock();
        let old = idle.partition_point(|(since, _)| since.elapsed() >= idle_timeout);
        let closed: Vec<_> = idle.drain(..old).collect();
        if idle.is_empty() {
            idle.shrink_to_fit();
        }
        drop(idle);
        drop(closed);
    }

    pub(super) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

impl fmt::Debug for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idle").field("len", &self.len()).finish()
    }
}
