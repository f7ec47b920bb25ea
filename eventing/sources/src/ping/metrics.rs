//! What became of ticks.

use std::sync::LazyLock;

use informer::registered;
use prometheus::{IntCounter, IntCounterVec, Opts};

/// How many ticks ended how.
pub(crate) static TICKS: LazyLock<Ticks> = LazyLock::new(|| {
    let options = Opts::new(
        "spindrift_ping_ticks_total",
        "Ticks of PingSources: sent, not delivered, dropped since too many were under way, and late after a takeover",
    );
    Ticks(registered(IntCounterVec::new(options, &["outcome"])))
});

pub(crate) struct Ticks(IntCounterVec);

#[derive(Clone, Copy, Debug)]
pub(crate) enum Outcome {
    Sent,
    Failed,
    Dropped,
    /// Counted when it is sent, beside how that ends.
    Late,
}

impl Ticks {
    pub fn of(&self, outcome: Outcome) -> IntCounter {
        self.0.with_label_values(&[match outcome {
            Outcome::Sent => "sent",
            Outcome::Failed => "failed",
            Outcome::Dropped => "dropped",
            Outcome::Late => "late",
        }])
    }
}
