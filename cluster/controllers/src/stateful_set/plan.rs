//! What a StatefulSet does next.
//!
//! In this order, as upstream does it: the pods that are wanted come first, lowest ordinal first; then those that are
//! too many go, highest first; then pods of an older revision are replaced, highest first. Unless the set is
//! `Parallel`, each of these waits for the one before: a pod comes when all below it are available, and nothing goes
//! while one that is wanted is not. A pod is only ever replaced by deleting it; its successor comes when it is gone.

use std::ops::Range;
use std::time::Duration;

use k8s_openapi::api::apps::v1::StatefulSetStatus;

use super::facts::{Facts, PodFacts, Standing, Update};
use super::status;

/// Most pods created by one reconcile (upstream: MaxBatchSize).
const BURST: usize = 500;

/// What is to be done, in the order of the fields.
#[derive(Debug, Default)]
pub struct Plan<'a> {
    pub status: StatefulSetStatus,
    /// Pods whose claims are to be made, or to be given to other owners.
    pub claims: Vec<&'a PodFacts>,
    /// Pods that lack the labels of their ordinal.
    pub label: Vec<&'a PodFacts>,
    pub delete: Vec<&'a PodFacts>,
    pub create: Vec<New<'a>>,
    /// When time alone changes the decision.
    pub recheck: Option<Duration>,
}

/// A pod that is to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct New<'a> {
    pub ordinal: u64,
    pub revision: &'a str,
}

/// Whether the steps after this one have their turn.
#[derive(PartialEq)]
enum Turn {
    Ends,
    GoesOn,
}

/// Decides what the set of `facts` does next.
pub fn plan(facts: &Facts) -> Plan<'_> {
    let mut plan = Plan {
        status: status::observe(facts),
        ..Plan::default()
    };
    if facts.going {
        return plan;
    }
    let waits = facts.pods.values().filter_map(|pod| facts.available_in(pod));
    plan.recheck = waits.filter(|wait| !wait.is_zero()).min();
    let stays = |pod: &&PodFacts| pod.standing != Standing::Ended;
    plan.claims = facts
        .pods
        .values()
        .filter(stays)
        .filter(|pod| !pod.claims_fit)
        .collect();
    plan.label = facts
        .pods
        .values()
        .filter(stays)
        .filter(|pod| !pod.labelled)
        .collect();
    if fill(facts, &mut plan) == Turn::GoesOn && shrink(facts, &mut plan) == Turn::GoesOn {
        roll(facts, &mut plan);
    }
    plan
}

/// Makes the pods that are missing, and makes room for those that have ended.
fn fill<'a>(facts: &'a Facts, plan: &mut Plan<'a>) -> Turn {
    for ordinal in facts.ordinals.clone() {
        let available = match facts.pods.get(&ordinal) {
            // What it would find goes.
            None if facts.blocked.contains(&ordinal) => false,
            None => {
                if plan.create.len() == BURST {
                    return Turn::Ends;
                }
                plan.create.push(New {
                    ordinal,
                    revision: revision_for(facts, ordinal),
                });
                false
            }
            Some(pod) if pod.standing == Standing::Ended => {
                if !pod.terminating {
                    plan.delete.push(pod);
                }
                false
            }
            Some(pod) => facts.is_available(pod),
        };
        if !available && !facts.parallel {
            return Turn::Ends;
        }
    }
    Turn::GoesOn
}

/// The revision of a new pod: below the partition the one that its neighbours keep.
fn revision_for(facts: &Facts, ordinal: u64) -> &str {
    match facts.update {
        Update::Rolling { partition, .. } if ordinal < facts.ordinals.start.saturating_add(partition) => {
            &facts.current
        }
        _ => &facts.new,
    }
}

/// Deletes the pods that are too many.
fn shrink<'a>(facts: &'a Facts, plan: &mut Plan<'a>) -> Turn {
    let mut condemned = facts
        .pods
        .values()
        .rev()
        .filter(|pod| !facts.ordinals.contains(&pod.ordinal));
    if facts.parallel {
        plan.delete.extend(condemned.filter(|pod| !pod.terminating));
        return Turn::GoesOn;
    }
    let Some(highest) = condemned.next() else {
        return Turn::GoesOn;
    };
    // What is unavailable itself waits for those below, which it may be needed by; not for what has ended for good.
    let settled = |pod: &PodFacts| pod.standing == Standing::Ended || facts.is_available(pod);
    let goes = settled(highest) || condemned.all(settled);
    if goes && !highest.terminating {
        plan.delete.push(highest);
    }
    Turn::Ends
}

/// Deletes pods of an older revision, as many as may be unavailable.
fn roll<'a>(facts: &'a Facts, plan: &mut Plan<'a>) {
    let Update::Rolling {
        partition,
        max_unavailable,
    } = facts.update
    else {
        return;
    };
    let Range { start, end } = facts.ordinals.clone();
    let available = facts
        .pods
        .range(start..end)
        .filter(|(_, pod)| facts.is_available(pod));
    let mut unavailable = (end - start).saturating_sub(available.count() as u64);
    // Those of the new revision, or on their way to it, that are not available yet: the update waits for them.
    let mut pending = 0;
    for ordinal in (start.saturating_add(partition)..end).rev() {
        if pending >= max_unavailable {
            return;
        }
        let pod = facts.pods.get(&ordinal);
        let old = pod
            .filter(|pod| pod.revision != facts.new && !pod.terminating && pod.standing != Standing::Ended);
        match (old, pod) {
            // Replacing one that is unavailable anyway costs nothing.
            (Some(old), _) if !facts.is_available(old) => {
                plan.delete.push(old);
                pending += 1;
            }
            (Some(old), _) if unavailable < max_unavailable => {
                plan.delete.push(old);
                unavailable += 1;
                pending += 1;
            }
            (None, Some(pod)) if facts.is_available(pod) => {}
            (None, _) => pending += 1,
            // Another pod below may be unavailable anyway.
            (Some(_), _) => {}
        }
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
