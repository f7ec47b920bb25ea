//! The living condition set: one happy condition derived from dependents, plus conditions that only inform.
//!
//! Mirrors the rules of Knative's condition manager, on which clients rely: see the tests for the table.

use crds::conditions::{Condition, ConditionStatus, ConditionedStatus, READY, Severity};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

/// The dependents of `Ready` for one kind. Every other condition of the kind is information only.
#[derive(Clone, Copy, Debug)]
pub struct ConditionSet {
    dependents: &'static [&'static str],
}

impl ConditionSet {
    pub const fn new(dependents: &'static [&'static str]) -> Self {
        Self { dependents }
    }

    /// Changes the conditions of `status`. `now` is the transition time of everything that changes.
    pub fn manage<'a>(&self, status: &'a mut impl ConditionedStatus, now: Timestamp) -> Conditions<'a> {
        Conditions {
            set: *self,
            now: to_second(now),
            conditions: status.conditions_mut(),
        }
    }

    /// What every reconcile starts with: missing conditions appear, and `Ready` falls back to Unknown while a new
    /// generation has not been looked at, so that a condition nobody touches does not look current.
    pub fn begin(&self, status: &mut impl ConditionedStatus, generation: Option<i64>, now: Timestamp) {
        let observed = status.observed_generation() == generation.unwrap_or_default();
        let mut conditions = self.manage(status, now);
        conditions.initialize();
        if !observed {
            conditions.mark_unknown(
                READY,
                "NewObservedGenFailure",
                "unsuccessfully observed a new generation",
            );
        }
    }

    /// What every reconcile ends with, failed or not: the generation counts as observed, and only conditions that
    /// differ from `before` carry a new transition time, one for all.
    pub fn finish(
        &self,
        status: &mut impl ConditionedStatus,
        before: &[Condition],
        generation: Option<i64>,
        now: Timestamp,
    ) {
        status.set_observed_generation(generation.unwrap_or_default());
        let now = Time(to_second(now));
        for condition in status.conditions_mut() {
            let same = before.iter().find(|old| same_but_time(old, condition));
            condition.last_transition_time = Some(
                same.and_then(|old| old.last_transition_time.clone())
                    .unwrap_or_else(|| now.clone()),
            );
        }
    }
}

/// The conditions of one status while they are being changed.
#[derive(Debug)]
pub struct Conditions<'a> {
    set: ConditionSet,
    now: Timestamp,
    conditions: &'a mut Vec<Condition>,
}

impl Conditions<'_> {
    pub fn get(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    pub fn status(&self, type_: &str) -> ConditionStatus {
        self.get(type_)
            .map(|condition| condition.status)
            .unwrap_or_default()
    }

    /// Adds what is missing: `Unknown`, or `True` for dependents if `Ready` already is.
    pub fn initialize(&mut self) {
        if self.get(READY).is_none() {
            self.store(READY, ConditionStatus::Unknown, None, None);
        }
        let status = match self.status(READY) {
            ConditionStatus::True => ConditionStatus::True,
            _ => ConditionStatus::Unknown,
        };
        for dependent in self.set.dependents {
            if self.get(dependent).is_none() {
                self.store(dependent, status, None, None);
            }
        }
    }

    pub fn mark_true(&mut self, type_: &str) {
        self.store(type_, ConditionStatus::True, None, None);
        self.derive_ready(type_);
    }

    /// `True` that needs an explanation, for example a certificate that is not wanted.
    pub fn mark_true_with(&mut self, type_: &str, reason: &str, message: &str) {
        self.store(type_, ConditionStatus::True, some(reason), some(message));
        self.derive_ready(type_);
    }

    pub fn mark_unknown(&mut self, type_: &str, reason: &str, message: &str) {
        self.store(type_, ConditionStatus::Unknown, some(reason), some(message));
        if !self.set.dependents.contains(&type_) {
            return;
        }
        match self.newest(ConditionStatus::False) {
            Some(failed) => self.copy_to_ready(failed),
            None => self.store(READY, ConditionStatus::Unknown, some(reason), some(message)),
        }
    }

    pub fn mark_false(&mut self, type_: &str, reason: &str, message: &str) {
        self.store(type_, ConditionStatus::False, some(reason), some(message));
        if self.set.dependents.contains(&type_) {
            self.store(READY, ConditionStatus::False, some(reason), some(message));
        }
    }

    /// Copies status, reason and message of a condition of another object onto `type_`.
    pub fn copy(&mut self, type_: &str, from: &Condition) {
        let (reason, message) = (
            from.reason.clone().unwrap_or_default(),
            from.message.clone().unwrap_or_default(),
        );
        match from.status {
            ConditionStatus::True if reason.is_empty() && message.is_empty() => self.mark_true(type_),
            ConditionStatus::True => self.mark_true_with(type_, &reason, &message),
            ConditionStatus::False => self.mark_false(type_, &reason, &message),
            ConditionStatus::Unknown => self.mark_unknown(type_, &reason, &message),
        }
    }

    /// Removes a condition that only informs; dependents stay.
    pub fn clear(&mut self, type_: &str) {
        if type_ != READY && !self.set.dependents.contains(&type_) {
            self.conditions.retain(|condition| condition.type_ != type_);
        }
    }

    fn derive_ready(&mut self, changed: &str) {
        if self.set.dependents.is_empty() {
            return;
        }
        let unhappy = self
            .newest(ConditionStatus::False)
            .or_else(|| self.newest(ConditionStatus::Unknown));
        let uninitialized = self
            .set
            .dependents
            .iter()
            .any(|dependent| self.get(dependent).is_none());
        match unhappy {
            Some(unhappy) => self.copy_to_ready(unhappy),
            None if uninitialized => self.store(READY, ConditionStatus::Unknown, None, None),
            None if changed == READY => {}
            None if self.set.dependents.contains(&changed) || self.status(READY) != ConditionStatus::True => {
                self.store(READY, ConditionStatus::True, None, None);
            }
            None => {}
        }
    }

    /// The dependent of this status that changed last.
    fn newest(&self, status: ConditionStatus) -> Option<Condition> {
        let time = |condition: &Condition| condition.last_transition_time.as_ref().map(|time| time.0);
        let mut found: Option<&Condition> = None;
        for dependent in self.set.dependents {
            let Some(condition) = self.get(dependent).filter(|condition| condition.status == status) else {
                continue;
            };
            if found.is_none_or(|found| time(condition) > time(found)) {
                found = Some(condition);
            }
        }
        found.cloned()
    }

    fn copy_to_ready(&mut self, from: Condition) {
        self.store(
            READY,
            from.status,
            from.reason.as_deref(),
            from.message.as_deref(),
        );
    }

    fn store(&mut self, type_: &str, status: ConditionStatus, reason: Option<&str>, message: Option<&str>) {
        let deciding = type_ == READY || self.set.dependents.contains(&type_);
        let mut new = Condition {
            type_: type_.to_owned(),
            status,
            severity: if deciding { Severity::Error } else { Severity::Info },
            last_transition_time: Some(Time(self.now)),
            reason: reason.map(str::to_owned),
            message: message.map(str::to_owned),
        };
        match self
            .conditions
            .iter_mut()
            .find(|condition| condition.type_ == type_)
        {
            Some(old) => {
                if same_but_time(old, &new) {
                    new.last_transition_time = old.last_transition_time.take().or(new.last_transition_time);
                }
                *old = new;
            }
            None => {
                self.conditions.push(new);
                self.conditions.sort_by(|a, b| a.type_.cmp(&b.type_));
            }
        }
    }
}

fn same_but_time(a: &Condition, b: &Condition) -> bool {
    a.type_ == b.type_
        && a.status == b.status
        && a.severity == b.severity
        && a.reason == b.reason
        && a.message == b.message
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Conditions carry whole seconds.
fn to_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests;
