//! The three clocks of a PipelineRun: all of it, its tasks, and `finally`.

use std::time::Duration;

use crds::tekton::{self, PipelineRunSpec};
use k8s_openapi::jiff::Timestamp;

use super::Elapsed;

/// How long a PipelineRun may take unless it says otherwise (upstream: `default-timeout-minutes`).
pub const DEFAULT: tekton::Duration = tekton::Duration::from_mins(60);

/// How long things may take; `None`: as long as they like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budgets {
    /// All of it.
    pub pipeline: Option<Duration>,
    /// Its tasks.
    pub tasks: Option<Duration>,
    /// Its tasks of `finally`, from when these start.
    pub finally: Option<Duration>,
}

impl Budgets {
    /// What a run says, and what follows from it by subtraction.
    pub fn of(spec: &PipelineRunSpec) -> Self {
        let said = spec.timeouts.clone().unwrap_or_default();
        let pipeline = said.pipeline.unwrap_or(DEFAULT).timeout();
        let rest = |other: tekton::Duration| Some(pipeline?.saturating_sub(other.timeout()?));
        Self {
            pipeline,
            tasks: said.tasks.map_or_else(
                || {
                    said.finally
                        .map_or(pipeline, |finally| rest(finally).or(pipeline))
                },
                tekton::Duration::timeout,
            ),
            finally: said
                .finally
                .map_or_else(|| said.tasks.and_then(rest), tekton::Duration::timeout),
        }
    }
}

/// What is spent at some moment, and when to look again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    pub budgets: Budgets,
    /// Since the run started.
    pub elapsed: Duration,
    /// Since `finally` started.
    pub finally_elapsed: Option<Duration>,
}

impl Clocks {
    pub fn new(budgets: Budgets, start: Timestamp, finally_start: Option<Timestamp>, now: Timestamp) -> Self {
        // A clock that was set back has not gone on.
        let since = |then: Timestamp| Duration::try_from(now.duration_since(then)).unwrap_or_default();
        Self {
            budgets,
            elapsed: since(start),
            finally_elapsed: finally_start.map(since),
        }
    }

    /// With what is known better than by the time of day.
    pub fn corrected(self, elapsed: Elapsed) -> Self {
        Self {
            elapsed: elapsed.run.unwrap_or(self.elapsed),
            finally_elapsed: self
                .finally_elapsed
                .map(|by_day| elapsed.finally.unwrap_or(by_day)),
            ..self
        }
    }

    pub fn pipeline_is_up(&self) -> bool {
        self.budgets.pipeline.is_some_and(|budget| self.elapsed >= budget)
    }

    pub fn tasks_are_up(&self) -> bool {
        self.budgets.tasks.is_some_and(|budget| self.elapsed >= budget)
    }

    pub fn finally_is_up(&self) -> bool {
        let (Some(budget), Some(elapsed)) = (self.budgets.finally, self.finally_elapsed) else {
            return false;
        };
        elapsed >= budget
    }

    /// What is left for a child that starts now; `None`: as long as it likes.
    pub fn left(&self, finally: bool) -> Option<Duration> {
        let all = self
            .budgets
            .pipeline
            .map(|budget| budget.saturating_sub(self.elapsed));
        let own = if finally {
            let elapsed = self.finally_elapsed.unwrap_or_default();
            self.budgets.finally.map(|budget| budget.saturating_sub(elapsed))
        } else {
            self.budgets
                .tasks
                .map(|budget| budget.saturating_sub(self.elapsed))
        };
        sooner(all, own)
    }

    /// When the next of the clocks is up.
    pub fn next(&self) -> Option<Duration> {
        let ahead = |budget: Option<Duration>, elapsed: Duration| {
            budget
                .and_then(|budget| budget.checked_sub(elapsed))
                .filter(|left| !left.is_zero())
        };
        let finally = self
            .finally_elapsed
            .and_then(|elapsed| ahead(self.budgets.finally, elapsed));
        let tasks = sooner(
            ahead(self.budgets.pipeline, self.elapsed),
            ahead(self.budgets.tasks, self.elapsed),
        );
        sooner(tasks, finally)
    }
}

/// The sooner of two moments, as far as there are any.
pub fn sooner(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn budgets(timeouts: Value) -> [Option<u64>; 3] {
        let spec: PipelineRunSpec = serde_json::from_value(json!({ "timeouts": timeouts })).unwrap();
        let budgets = Budgets::of(&spec);
        [budgets.pipeline, budgets.tasks, budgets.finally].map(|budget| budget.map(|budget| budget.as_secs()))
    }

    #[test]
    fn what_is_not_said_follows_by_subtraction() {
        for (timeouts, expected) in [
            (json!({}), [Some(3600), Some(3600), None]),
            (json!({"pipeline": "0s"}), [None, None, None]),
            (json!({"pipeline": "1m"}), [Some(60), Some(60), None]),
            (
                json!({"pipeline": "1m", "tasks": "40s"}),
                [Some(60), Some(40), Some(20)],
            ),
            (
                json!({"pipeline": "1m", "finally": "10s"}),
                [Some(60), Some(50), Some(10)],
            ),
            (
                json!({"pipeline": "1m", "tasks": "30s", "finally": "10s"}),
                [Some(60), Some(30), Some(10)],
            ),
            (json!({"pipeline": "0s", "tasks": "30s"}), [None, Some(30), None]),
            (
                json!({"pipeline": "0s", "finally": "30s"}),
                [None, None, Some(30)],
            ),
        ] {
            assert_eq!(budgets(timeouts.clone()), expected, "{timeouts}");
        }
    }

    #[test]
    fn each_clock_is_up_at_its_time_and_never_because_time_went_back() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let second = Duration::from_secs;
        let budgets = Budgets {
            pipeline: Some(second(60)),
            tasks: Some(second(40)),
            finally: Some(second(20)),
        };
        for (finally, now, up, next) in [
            (None, 100, [false, false, false], Some(40)),
            (None, 50, [false, false, false], Some(40)),
            (None, 139, [false, false, false], Some(1)),
            (None, 140, [false, true, false], Some(20)),
            (Some(140), 145, [false, true, false], Some(15)),
            (Some(110), 130, [false, false, true], Some(10)),
            (None, 160, [true, true, false], None),
        ] {
            let clocks = Clocks::new(budgets, at(100), finally.map(at), at(now));
            let are_up = [
                clocks.pipeline_is_up(),
                clocks.tasks_are_up(),
                clocks.finally_is_up(),
            ];
            assert_eq!(are_up, up, "{now}");
            assert_eq!(clocks.next().map(|next| next.as_secs()), next, "{now}");
        }
        let clocks = Clocks::new(budgets, at(100), Some(at(150)), at(155));
        assert_eq!(
            (clocks.left(false), clocks.left(true)),
            (Some(second(0)), Some(second(5)))
        );
    }
}
