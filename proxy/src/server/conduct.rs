//! How the client of one connection behaves, and why its connection had to be closed.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::sync::Notify;

/// Requests that a client may give up before their response began, while it gives up more than it lets be answered.
///
/// An HTTP/2 client can ask and take back without end: each request costs it a few bytes and us a way to the
/// application and back (CVE-2023-44487). The library bounds only those that were not yet accepted. The number is
/// Envoy's for premature resets.
const MAX_GIVEN_UP: u32 = 500;

/// Why a connection was closed on the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// No request at all came in time.
    Silent,
    /// A head did not end in time.
    SlowHead,
    /// A head was larger than may be.
    LargeHead,
    /// It did not speak HTTP.
    Malformed,
    /// It broke a rule of HTTP/2, or used up what it may do for nothing.
    Http2,
    /// It gave up too many requests.
    GaveUp,
}

impl Closed {
    /// Every value.
    pub const ALL: [Self; 6] = [
        Self::Silent,
        Self::SlowHead,
        Self::LargeHead,
        Self::Malformed,
        Self::Http2,
        Self::GaveUp,
    ];

    /// The value of a metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::SlowHead => "slow_head",
            Self::LargeHead => "large_head",
            Self::Malformed => "malformed",
            Self::Http2 => "http2",
            Self::GaveUp => "gave_up",
        }
    }

    /// What a connection's error says about the client; `None` if it only went away.
    pub(super) fn by(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<hyper::Error>() {
                if error.is_parse_too_large() {
                    return Some(Self::LargeHead);
                } else if error.is_parse() {
                    return Some(Self::Malformed);
                } else if error.is_timeout() {
                    return Some(Self::SlowHead);
                }
            }
            if let Some(error) = error.downcast_ref::<h2::Error>() {
                return error.is_library().then_some(Self::Http2);
            }
            cause = error.source();
        }
        None
    }
}

/// What one connection has asked for so far.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    spoke: AtomicBool,
    answered: AtomicU32,
    given_up: AtomicU32,
    enough: Notify,
}

impl Conduct {
    /// A request has arrived.
    pub(super) fn request(self: &Arc<Self>) -> Pending {
        self.spoke.store(true, Ordering::Relaxed);
        Pending {
            conduct: self.clone(),
            answered: false,
        }
    }

    /// Whether any request came.
    pub(super) fn spoke(&self) -> bool {
        self.spoke.load(Ordering::Relaxed)
    }

    /// Resolves when too many requests were given up.
    pub(super) async fn misbehaved(&self) {
        self.enough.notified().await;
    }
}

/// A request whose response has not begun; dropped before that, the client has given it up.
pub(super) struct Pending {
    conduct: Arc<Conduct>,
    answered: bool,
}

impl Pending {
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let conduct = &self.conduct;
        if self.answered {
            conduct.answered.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let given_up = conduct.given_up.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if given_up >= MAX_GIVEN_UP && given_up > conduct.answered.load(Ordering::Relaxed) {
            conduct.enough.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn only_who_gives_up_most_requests_misbehaves() {
        for (answered, given_up, expected) in [
            (0, MAX_GIVEN_UP - 1, false),
            (0, MAX_GIVEN_UP, true),
            (MAX_GIVEN_UP - 1, MAX_GIVEN_UP, true),
            (10_000, 9_999, false),
        ] {
            let conduct = Arc::new(Conduct::default());
            assert!(!conduct.spoke());
            (0..answered).for_each(|_| conduct.request().answered());
            (0..given_up).for_each(|_| drop(conduct.request()));
            let misbehaved = conduct.misbehaved().now_or_never().is_some();
            assert_eq!(misbehaved, expected, "{answered} {given_up}");
            assert!(conduct.spoke());
        }
    }
}
