//! What a Job does next.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::Duration;

use cluster_events::Severity;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::count::Tally;
use super::facts::{Facts, PodFacts, Standing};
use super::{BURST, backoff, indexes};

/// What is to be done, in the order of the fields.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    /// Delete the Job; then nothing else is to be done.
    pub remove: bool,
    pub status: JobStatus,
    pub events: Vec<(Severity, &'static str, String)>,
    /// Ended pods that the new status has taken in.
    pub release: Vec<&'a PodFacts>,
    /// Pods that are too many: deleted, and never counted.
    pub withdraw: Vec<&'a PodFacts>,
    /// Pods of a Job that is over: deleted, and counted as failures.
    pub end: Vec<&'a PodFacts>,
    /// A pod for each entry, with this completion index.
    pub create: Vec<Option<u32>>,
    /// When time alone changes the decision.
    pub recheck: Option<Duration>,
}

/// How a Job ends.
#[derive(Clone, Debug, PartialEq)]
struct Outcome {
    complete: bool,
    reason: String,
    message: String,
}

impl Outcome {
    fn failed(reason: &str, message: impl Into<String>) -> Self {
        Self {
            complete: false,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    fn completed() -> Self {
        Self {
            complete: true,
            reason: "CompletionsReached".to_owned(),
            message: "Reached expected number of succeeded pods".to_owned(),
        }
    }

    /// The condition that says that this end has been chosen, and the one that says that it has come.
    fn conditions(&self) -> (&'static str, &'static str) {
        match self.complete {
            true => ("SuccessCriteriaMet", "Complete"),
            false => ("FailureTarget", "Failed"),
        }
    }
}

/// Decides what the Job of `facts` does next.
pub fn plan<'a>(facts: &'a Facts) -> Plan<'a> {
    let finish = ["Complete", "Failed"]
        .into_iter()
        .find_map(|kind| facts.condition(kind));
    if let Some(condition) = finish {
        return after(facts, condition);
    }
    let mut tally = Tally::of(facts);
    let mut plan = Plan {
        status: observed(facts, &tally),
        release: std::mem::take(&mut tally.release),
        ..Plan::default()
    };
    let settled = plan.release.is_empty() && tally.is_settled();
    let suspended = facts.spec.suspend == Some(true);
    if !suspended && (plan.status.start_time.is_none() || facts.condition("Suspended").is_some()) {
        plan.status.start_time = Some(Time(facts.now));
    }
    match chosen(facts).or_else(|| choose(facts, &tally, plan.status.start_time.as_ref(), suspended)) {
        Some(outcome) => end(facts, &outcome, settled, &mut plan),
        None if suspended => suspend(facts, &mut plan),
        None => run(facts, &tally, &mut plan),
    }
    plan
}

/// A finished Job waits to be deleted, if it is to be.
fn after<'a>(facts: &Facts, finish: &JobCondition) -> Plan<'a> {
    let mut plan = Plan {
        status: facts.status.clone(),
        ..Plan::default()
    };
    let kept = facts
        .spec
        .ttl_seconds_after_finished
        .and_then(|seconds| u64::try_from(seconds).ok());
    if let (Some(kept), Some(at)) = (kept, &finish.last_transition_time) {
        plan.recheck = left(at.0, Duration::from_secs(kept), facts.now);
        plan.remove = plan.recheck.is_none();
    }
    plan
}

/// The time until `since + limit`; `None` once it has passed.
fn left(since: Timestamp, limit: Duration, now: Timestamp) -> Option<Duration> {
    let passed = Duration::try_from(now.duration_since(since)).unwrap_or(Duration::ZERO);
    limit.checked_sub(passed).filter(|left| !left.is_zero())
}

/// The status without what a decision adds: the counters.
fn observed(facts: &Facts, tally: &Tally) -> JobStatus {
    let count = |pods: usize| i32::try_from(pods).unwrap_or(i32::MAX);
    let some = |count: i32| (count > 0).then_some(count);
    JobStatus {
        active: some(count(facts.live().count())),
        // Upstream always tells these two.
        ready: Some(count(facts.live().filter(|pod| pod.ready).count())),
        terminating: Some(count(facts.pods.iter().filter(|pod| pod.terminating).count())),
        succeeded: some(tally.shown_succeeded()),
        failed: some(tally.counted_failed),
        completed_indexes: tally
            .completed
            .as_ref()
            .filter(|completed| !completed.is_empty())
            .map(indexes::format),
        uncounted_terminated_pods: Some(tally.uncounted()),
        ..facts.status.clone()
    }
}

/// The end that an earlier decision has chosen: it stands.
fn chosen(facts: &Facts) -> Option<Outcome> {
    let of = |kind, complete| {
        facts.condition(kind).map(|condition| Outcome {
            complete,
            reason: condition.reason.clone().unwrap_or_default(),
            message: condition.message.clone().unwrap_or_default(),
        })
    };
    of("FailureTarget", false).or_else(|| of("SuccessCriteriaMet", true))
}

fn choose(facts: &Facts, tally: &Tally, started: Option<&Time>, suspended: bool) -> Option<Outcome> {
    let spec = &facts.spec;
    if let Some(field) = unsupported(facts) {
        let message =
            format!("spec.{field} is not supported by this cluster; remove it and create the Job again");
        return Some(Outcome::failed("NotSupported", message));
    }
    let limit = spec.backoff_limit.unwrap_or(6);
    if tally.failed() > limit || restarted_too_often(facts, limit) {
        return Some(Outcome::failed(
            "BackoffLimitExceeded",
            "Job has reached the specified backoff limit",
        ));
    }
    if !suspended
        && let (Some(limit), Some(started)) = (deadline(facts), started)
        && left(started.0, limit, facts.now).is_none()
    {
        return Some(Outcome::failed(
            "DeadlineExceeded",
            "Job was active longer than specified deadline",
        ));
    }
    let done = match spec.completions {
        Some(completions) => tally.succeeded() >= completions,
        // The pods decide among themselves: one success says that the work is done, the others end by themselves.
        None => tally.succeeded() > 0 && unfinished(facts) == 0,
    };
    done.then(Outcome::completed)
}

/// A field that asks for what this controller cannot do. Ignoring it would run pods that must not run.
fn unsupported(facts: &Facts) -> Option<&'static str> {
    let spec = &facts.spec;
    [
        ("podFailurePolicy", spec.pod_failure_policy.is_some()),
        ("successPolicy", spec.success_policy.is_some()),
        ("backoffLimitPerIndex", spec.backoff_limit_per_index.is_some()),
    ]
    .into_iter()
    .find_map(|(field, is_set)| is_set.then_some(field))
}

/// Where containers are started again in their pod, those starts are what `backoffLimit` limits.
fn restarted_too_often(facts: &Facts, limit: i32) -> bool {
    let policy = facts.spec.template.spec.as_ref();
    if policy.and_then(|spec| spec.restart_policy.as_deref()) != Some("OnFailure") {
        return false;
    }
    let restarts = facts
        .live()
        .fold(0_i32, |sum, pod| sum.saturating_add(pod.restarts));
    restarts > 0 && restarts >= limit
}

fn deadline(facts: &Facts) -> Option<Duration> {
    let seconds = u64::try_from(facts.spec.active_deadline_seconds?).ok()?;
    Some(Duration::from_secs(seconds))
}

/// Pods that may still succeed or fail.
fn unfinished(facts: &Facts) -> usize {
    let waits = |pod: &&PodFacts| matches!(pod.standing, Standing::Live | Standing::Ending);
    facts.pods.iter().filter(waits).count()
}

/// Ends the pods; when none is left and all are counted, the Job is over.
fn end<'a>(facts: &'a Facts, outcome: &Outcome, settled: bool, plan: &mut Plan<'a>) {
    let (target, finish) = outcome.conditions();
    set(
        &mut plan.status,
        facts.now,
        target,
        true,
        &outcome.reason,
        &outcome.message,
    );
    plan.end = facts.live().collect();
    let running = facts
        .pods
        .iter()
        .any(|pod| pod.terminating || matches!(pod.standing, Standing::Live | Standing::Ending));
    if running || !settled {
        return;
    }
    set(
        &mut plan.status,
        facts.now,
        finish,
        true,
        &outcome.reason,
        &outcome.message,
    );
    if outcome.complete {
        plan.status.completion_time = Some(Time(facts.now));
        plan.events
            .push((Severity::Normal, "Completed", "Job completed".to_owned()));
    } else {
        let reason = match outcome.reason.as_str() {
            "BackoffLimitExceeded" => "BackoffLimitExceeded",
            "DeadlineExceeded" => "DeadlineExceeded",
            _ => "NotSupported",
        };
        plan.events
            .push((Severity::Warning, reason, outcome.message.clone()));
    }
    // The time of the condition is that of the next decision.
    plan.recheck = facts
        .spec
        .ttl_seconds_after_finished
        .map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
}

fn suspend<'a>(facts: &'a Facts, plan: &mut Plan<'a>) {
    if set(
        &mut plan.status,
        facts.now,
        "Suspended",
        true,
        "JobSuspended",
        "Job suspended",
    ) {
        plan.events
            .push((Severity::Normal, "Suspended", "Job suspended".to_owned()));
    }
    plan.withdraw = facts.live().collect();
}

fn run<'a>(facts: &'a Facts, tally: &Tally, plan: &mut Plan<'a>) {
    if facts.condition("Suspended").is_some() {
        set(
            &mut plan.status,
            facts.now,
            "Suspended",
            false,
            "JobResumed",
            "Job resumed",
        );
        plan.events
            .push((Severity::Normal, "Resumed", "Job resumed".to_owned()));
    }
    let wanted = wanted(facts, tally);
    let mut live: Vec<&PodFacts> = facts.live().collect();
    if let Some(completed) = &tally.completed {
        (live, plan.withdraw) = useful(live, completed, facts.spec.completions.unwrap_or(0));
    }
    if live.len() > wanted {
        // Those that have got least far go first.
        live.sort_by_key(|pod| (!pod.ready, Reverse(pod.index), pod.created));
        plan.withdraw.extend(live.drain(wanted..));
    }
    let ending = facts.pods.iter().filter(|pod| pod.standing == Standing::Ending);
    let missing = wanted.saturating_sub(live.len() + ending.count()).min(BURST);
    let pause = backoff::remaining(facts);
    if pause.is_none() {
        plan.create = match &tally.completed {
            None => vec![None; missing],
            Some(completed) => free(facts, completed, missing),
        };
    }
    let started = plan.status.start_time.as_ref();
    let expires =
        deadline(facts).and_then(|limit| left(started.map_or(facts.now, |time| time.0), limit, facts.now));
    let pause = pause.filter(|_| missing > 0);
    plan.recheck = [pause, expires].into_iter().flatten().min();
}

/// How many pods should run at the same time.
fn wanted(facts: &Facts, tally: &Tally) -> usize {
    let parallelism = facts.spec.parallelism.unwrap_or(1);
    let wanted = match facts.spec.completions {
        Some(completions) => parallelism.min(completions.saturating_sub(tally.succeeded())),
        None if tally.succeeded() > 0 => return facts.live().count(),
        None => parallelism,
    };
    usize::try_from(wanted).unwrap_or(0)
}

/// Splits `live` into one pod for each index that is wanted, and the others.
fn useful<'a>(
    live: Vec<&'a PodFacts>,
    completed: &BTreeSet<u32>,
    completions: i32,
) -> (Vec<&'a PodFacts>, Vec<&'a PodFacts>) {
    let mut taken = BTreeSet::new();
    live.into_iter().partition(|pod| {
        pod.index.is_some_and(|index| {
            i64::from(index) < i64::from(completions) && !completed.contains(&index) && taken.insert(index)
        })
    })
}

/// The first `count` indexes that are neither completed nor in work.
fn free(facts: &Facts, completed: &BTreeSet<u32>, count: usize) -> Vec<Option<u32>> {
    let busy: BTreeSet<u32> = facts
        .pods
        .iter()
        .filter(|pod| matches!(pod.standing, Standing::Live | Standing::Ending))
        .filter_map(|pod| pod.index)
        .collect();
    let end = u32::try_from(facts.spec.completions.unwrap_or(0)).unwrap_or(0);
    (0..end)
        .filter(|index| !completed.contains(index) && !busy.contains(index))
        .take(count)
        .map(Some)
        .collect()
}

/// Sets a condition; tells whether that changed its status.
fn set(status: &mut JobStatus, now: Timestamp, kind: &str, holds: bool, reason: &str, message: &str) -> bool {
    let value = if holds { "True" } else { "False" };
    let conditions = status.conditions.get_or_insert_default();
    if conditions
        .iter()
        .any(|condition| condition.type_ == kind && condition.status == value)
    {
        return false;
    }
    conditions.retain(|condition| condition.type_ != kind);
    conditions.push(JobCondition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    });
    true
}

#[cfg(test)]
mod tests;
