//! Counting the pods of a Job that have ended.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::UncountedTerminatedPods;

use super::facts::{Facts, PodFacts, Standing};
use super::indexes;

/// Most pods that wait to be counted (upstream: MaxUncountedPods): it bounds the status.
const UNCOUNTED: usize = 500;

/// What a Job may count at this moment.
#[derive(Debug, Default)]
pub struct Tally<'a> {
    counted_succeeded: i32,
    pub counted_failed: i32,
    uncounted_succeeded: Vec<String>,
    uncounted_failed: Vec<String>,
    /// Indexes that are completed; `None` in a Job without indexes. They are a set, so that success needs no list.
    pub completed: Option<BTreeSet<u32>>,
    /// Pods to let go once this tally is stored.
    pub release: Vec<&'a PodFacts>,
}

impl<'a> Tally<'a> {
    /// Takes what has been let go into the counters and names what has ended since.
    pub fn of(facts: &'a Facts) -> Self {
        let status = &facts.status;
        let waiting = |uid: &String| facts.pod(uid).is_some_and(|pod| pod.tracked);
        let stored = status.uncounted_terminated_pods.clone().unwrap_or_default();
        let settle = |uids: Option<Vec<String>>| -> (Vec<String>, Vec<String>) {
            uids.unwrap_or_default().into_iter().partition(waiting)
        };
        let (uncounted_succeeded, succeeded) = settle(stored.succeeded);
        let (uncounted_failed, failed) = settle(stored.failed);
        let end = u32::try_from(facts.spec.completions.unwrap_or(0)).unwrap_or(0);
        let mut tally = Self {
            counted_succeeded: status.succeeded.unwrap_or(0).saturating_add(number(&succeeded)),
            counted_failed: status.failed.unwrap_or(0).saturating_add(number(&failed)),
            uncounted_succeeded,
            uncounted_failed,
            completed: facts
                .is_indexed()
                .then(|| indexes::parse(status.completed_indexes.as_deref().unwrap_or_default(), end)),
            release: Vec::new(),
        };
        for pod in facts.pods.iter().filter(|pod| pod.tracked) {
            tally.take(pod, end);
        }
        tally
    }

    fn take(&mut self, pod: &'a PodFacts, end: u32) {
        let room = self.uncounted_succeeded.len() + self.uncounted_failed.len() < UNCOUNTED;
        if pod.standing == Standing::Succeeded
            && let Some(completed) = &mut self.completed
        {
            completed.extend(pod.index.filter(|index| *index < end));
            self.release.push(pod);
            return;
        }
        let named = self.uncounted_succeeded.contains(&pod.uid) || self.uncounted_failed.contains(&pod.uid);
        match pod.standing {
            // Named once, a pod stays what it was named, whatever it shows later.
            _ if named => {}
            Standing::Succeeded if room => self.uncounted_succeeded.push(pod.uid.clone()),
            Standing::Failed if room => self.uncounted_failed.push(pod.uid.clone()),
            _ => return,
        }
        self.release.push(pod);
    }

    /// Pods, or indexes, that have succeeded, counted or not.
    pub fn succeeded(&self) -> i32 {
        match &self.completed {
            Some(completed) => i32::try_from(completed.len()).unwrap_or(i32::MAX),
            None => self
                .counted_succeeded
                .saturating_add(number(&self.uncounted_succeeded)),
        }
    }

    /// Pods that have failed, counted or not.
    pub fn failed(&self) -> i32 {
        self.counted_failed.saturating_add(number(&self.uncounted_failed))
    }

    /// The value of `status.succeeded`.
    pub fn shown_succeeded(&self) -> i32 {
        match &self.completed {
            Some(_) => self.succeeded(),
            None => self.counted_succeeded,
        }
    }

    /// Whether every pod that has ended is in the counters.
    pub fn is_settled(&self) -> bool {
        self.release.is_empty() && self.uncounted_succeeded.is_empty() && self.uncounted_failed.is_empty()
    }

    /// The value of `status.uncountedTerminatedPods`.
    pub fn uncounted(&self) -> UncountedTerminatedPods {
        let some = |uids: &Vec<String>| (!uids.is_empty()).then(|| uids.clone());
        UncountedTerminatedPods {
            succeeded: some(&self.uncounted_succeeded),
            failed: some(&self.uncounted_failed),
        }
    }
}

fn number(uids: &[String]) -> i32 {
    i32::try_from(uids.len()).unwrap_or(i32::MAX)
}
