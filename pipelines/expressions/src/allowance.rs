//! What an evaluation may spend.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use kube_cel::cel::{Context, ExecutionError};
use parking_lot::Mutex;

use crate::patterns::{self, Patterns};
use crate::{sizes, turns};

/// How much may be done in one evaluation: turns of loops, bytes that are compared with patterns, and the sizes of what
/// goes into operators and functions and comes out. Cheap to clone; clones spend the same.
#[derive(Clone, Debug)]
pub struct Allowance(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    left: AtomicU64,
    until: Option<Instant>,
    patterns: Mutex<Patterns>,
}

impl Allowance {
    /// So many units of work: a turn of a loop is one, and so is each byte that is compared with a pattern. To read a
    /// pattern that is new costs 2^16 of them.
    pub fn new(work: u64) -> Self {
        Self::with(work, None)
    }

    /// The same, and no more once that moment is past.
    pub fn until(work: u64, moment: Instant) -> Self {
        Self::with(work, Some(moment))
    }

    fn with(work: u64, until: Option<Instant>) -> Self {
        Self(Arc::new(Inner {
            left: AtomicU64::new(work),
            until,
            patterns: Mutex::default(),
        }))
    }

    /// Replaces what uses patterns by what spends, and adds what [`count`](crate::count) needs. `find` and `findAll`
    /// are among it: call this after the functions of Kubernetes are registered.
    pub fn register(&self, context: &mut Context<'_>) {
        turns::register(context, self);
        sizes::register(context, self);
        patterns::register(context, self);
    }

    /// Spends so much.
    ///
    /// # Errors
    /// If there is not as much left, or the time is over; nor is there anything from then on.
    pub fn spend(&self, work: u64) -> Result<(), ExecutionError> {
        let late = self.0.until.is_some_and(|until| Instant::now() >= until);
        let spent = self
            .0
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(if late { 0 } else { left.saturating_sub(work) })
            });
        match spent {
            Ok(before) if !late && before >= work.max(1) => Ok(()),
            _ => Err(ExecutionError::FunctionError {
                function: "expression".to_owned(),
                message: "it does too much: loop over less, or use fewer patterns".to_owned(),
            }),
        }
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.left.load(Ordering::Relaxed)
    }

    pub(crate) fn patterns(&self) -> &Mutex<Patterns> {
        &self.0.patterns
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_spent_is_gone_for_all_clones() {
        let allowance = Allowance::new(10);
        let clone = allowance.clone();
        assert!(allowance.spend(4).is_ok());
        assert!(clone.spend(6).is_ok());
        assert!(allowance.spend(1).is_err());
        let allowance = Allowance::new(10);
        assert!(allowance.spend(11).is_err());
        assert!(
            allowance.spend(1).is_err(),
            "who asked for too much gets nothing more"
        );
    }

    #[test]
    fn nothing_is_allowed_once_the_time_is_over() {
        let now = Instant::now();
        assert!(Allowance::until(10, now).spend(1).is_err());
        assert!(
            Allowance::until(10, now + Duration::from_secs(3600))
                .spend(1)
                .is_ok()
        );
    }
}
