//! Gradual rollout: a new latest revision gets one percent first, then equal steps until it has all.
//!
//! The whole state is kept as JSON in an annotation of the KIngress, so it survives restarts and is the same as the
//! peers'. Times are nanoseconds since the epoch. The pace follows how long the ingress took for the first step.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::traffic::{Share, Shares, Traffic};

const SECOND: i64 = 1_000_000_000;

/// The rollouts of a Route, sorted by tag and configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Rollout {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configurations: Vec<ConfigurationRollout>,
}

/// How the requests for one Configuration are spread while its newest revision takes over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigurationRollout {
    pub configuration_name: String,
    /// Empty for the untagged host.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tag: String,
    pub percent: i64,
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revisions: Vec<RevisionRollout>,
    #[serde(default)]
    pub step_params: StepParams,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RevisionRollout {
    pub revision_name: String,
    pub percent: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct StepParams {
    #[serde(rename = "starttime", skip_serializing_if = "is_zero")]
    pub start_time: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub next_step_time: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub step_duration: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub step_size: i64,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// The state once every rollout is done.
pub(super) fn goal(traffic: &Traffic) -> Rollout {
    let mut rollout = Rollout::default();
    for entry in &traffic.entries {
        let Some(configuration) = &entry.configuration else {
            continue;
        };
        let mut add = |tag: &str, percent: i64| {
            let known = rollout
                .configurations
                .iter_mut()
                .find(|c| c.tag == tag && c.configuration_name == *configuration);
            match known {
                Some(known) if tag.is_empty() => {
                    known.percent += percent;
                    known
                        .revisions
                        .iter_mut()
                        .for_each(|revision| revision.percent += percent);
                }
                Some(_) => {}
                None => rollout.configurations.push(ConfigurationRollout {
                    configuration_name: configuration.clone(),
                    tag: tag.to_owned(),
                    percent,
                    revisions: vec![RevisionRollout {
                        revision_name: entry.revision.clone(),
                        percent,
                    }],
                    step_params: StepParams::default(),
                }),
            }
        };
        if entry.percent.unwrap_or(0) > 0 {
            add("", entry.percent.unwrap_or(0));
        }
        if let Some(tag) = &entry.tag {
            add(tag, 100);
        }
    }
    rollout
        .configurations
        .sort_by(|a, b| (&a.tag, &a.configuration_name).cmp(&(&b.tag, &b.configuration_name)));
    rollout
}

impl Rollout {
    /// Reads stored state; what does not add up is forgotten.
    pub(super) fn parse(annotation: Option<&str>) -> Self {
        let parsed: Option<Self> = annotation.and_then(|json| serde_json::from_str(json).ok());
        parsed
            .filter(|rollout| rollout.configurations.iter().all(ConfigurationRollout::is_valid))
            .unwrap_or_default()
    }

    pub(super) fn to_json(&self) -> String {
        // Strings and numbers only.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Moves from the stored state towards this goal, one step at most.
    pub(super) fn step(self, stored: &Self, now: i64) -> Self {
        let configurations = self.configurations.into_iter().map(|goal| {
            let before = stored.configurations.iter().find(|before| {
                before.tag == goal.tag && before.configuration_name == goal.configuration_name
            });
            match before {
                Some(before) => step(goal, before, now),
                None => goal,
            }
        });
        Self {
            configurations: configurations.collect(),
        }
    }

    /// The ingress serves the state: rollouts that have just begun learn how fast they may go.
    pub(super) fn observe_ready(&mut self, now: i64, duration: Duration) {
        for configuration in &mut self.configurations {
            let params = &configuration.step_params;
            if configuration.is_in_progress() && params.start_time > 0 && params.step_duration == 0 {
                configuration.step_params = pace(configuration, now, duration);
            }
        }
    }

    pub(super) fn is_done(&self) -> bool {
        !self
            .configurations
            .iter()
            .any(ConfigurationRollout::is_in_progress)
    }

    /// When the next step is due; `None` while nothing is rolled out, or its pace is not known yet.
    pub(super) fn next_step(&self) -> Option<i64> {
        let times = self
            .configurations
            .iter()
            .map(|configuration| configuration.step_params.next_step_time);
        times.filter(|time| *time > 0).min()
    }

    pub(super) fn revisions(&self) -> impl Iterator<Item = &str> {
        self.configurations
            .iter()
            .flat_map(|c| &c.revisions)
            .map(|revision| revision.revision_name.as_str())
    }

    /// What each entry is split into. Entries of one Configuration share its revisions, the oldest going first.
    pub(super) fn shares(&self, traffic: &Traffic) -> Shares {
        let mut shares = traffic.shares();
        for rollout in self
            .configurations
            .iter()
            .filter(|rollout| rollout.tag.is_empty())
        {
            let mut left = rollout
                .revisions
                .iter()
                .map(|r| (r.revision_name.clone(), r.percent))
                .collect::<Vec<_>>();
            for (entry, split) in traffic.entries.iter().zip(&mut shares) {
                let percent = entry.percent.unwrap_or(0);
                if entry.configuration.as_ref() == Some(&rollout.configuration_name) && percent > 0 {
                    *split = deal(&mut left, percent);
                }
            }
        }
        shares
    }

    /// The shares of a tagged host.
    pub(super) fn tag_shares(&self, tag: &str) -> Option<Vec<Share>> {
        let rollout = self.configurations.iter().find(|rollout| rollout.tag == tag)?;
        let share = |r: &RevisionRollout| Share {
            revision: r.revision_name.clone(),
            percent: r.percent,
        };
        Some(rollout.revisions.iter().map(share).collect())
    }
}

fn deal(left: &mut [(String, i64)], mut percent: i64) -> Vec<Share> {
    let mut dealt = Vec::new();
    for (revision, available) in left.iter_mut() {
        let part = percent.min(*available);
        if part > 0 {
            *available -= part;
            percent -= part;
            dealt.push(Share {
                revision: revision.clone(),
                percent: part,
            });
        }
    }
    dealt
}

impl ConfigurationRollout {
    fn is_in_progress(&self) -> bool {
        self.revisions.len() > 1
    }

    fn is_valid(&self) -> bool {
        let sum: i64 = self
            .revisions
            .iter()
            .map(|revision| revision.percent)
            .fold(0, i64::saturating_add);
        let in_range = self
            .revisions
            .iter()
            .all(|revision| (0..=100).contains(&revision.percent));
        in_range
            && sum == self.percent
            && (0..=100).contains(&self.percent)
            && (0..=self.percent).contains(&self.step_params.step_size)
            && self.step_params.step_duration >= 0
            && self.step_params.next_step_time >= 0
    }
}

fn step(goal: ConfigurationRollout, before: &ConfigurationRollout, now: i64) -> ConfigurationRollout {
    let Some(newest) = goal.revisions.first().cloned() else {
        return goal;
    };
    let mut revisions = adjusted(before.revisions.clone(), goal.percent);
    let mut params = before.step_params.clone();
    if revisions.is_empty() || goal.percent <= 1 {
        return goal;
    }
    if revisions
        .last()
        .is_some_and(|last| last.revision_name == newest.revision_name)
    {
        if params.next_step_time > 0 && now >= params.next_step_time {
            advance(&mut revisions, params.step_size);
            params.next_step_time = now.saturating_add(params.step_duration);
        }
    } else {
        // The youngest of the older ones gives up one percent: that is the whole risk of a bad revision.
        if let Some(giver) = revisions.iter_mut().rev().find(|revision| revision.percent > 0) {
            giver.percent -= 1;
        }
        revisions.retain(|revision| revision.percent > 0 && revision.revision_name != newest.revision_name);
        let kept: i64 = revisions.iter().map(|revision| revision.percent).sum();
        revisions.push(RevisionRollout {
            percent: goal.percent - kept,
            ..newest
        });
        params = StepParams {
            start_time: now,
            ..StepParams::default()
        };
    }
    revisions.retain(|revision| revision.percent > 0);
    if revisions.len() <= 1 {
        return goal;
    }
    // The spec may ask for less than one step by now; a larger one would not be taken for ours when it is read again.
    params.step_size = params.step_size.min(goal.percent);
    ConfigurationRollout {
        revisions,
        step_params: params,
        ..goal
    }
}

/// The spec's percentage changed: more goes to the newest, less is taken from the oldest.
fn adjusted(mut revisions: Vec<RevisionRollout>, percent: i64) -> Vec<RevisionRollout> {
    let sum: i64 = revisions.iter().map(|revision| revision.percent).sum();
    if percent > sum {
        if let Some(newest) = revisions.last_mut() {
            newest.percent += percent - sum;
        }
    } else {
        let mut surplus = sum - percent;
        for revision in &mut revisions {
            let part = surplus.min(revision.percent);
            revision.percent -= part;
            surplus -= part;
        }
        revisions.retain(|revision| revision.percent > 0);
    }
    revisions
}

/// Moves one step to the newest revision, from the youngest of the older ones first.
fn advance(revisions: &mut [RevisionRollout], step_size: i64) {
    let Some((newest, older)) = revisions.split_last_mut() else {
        return;
    };
    let mut wanted = step_size;
    for revision in older.iter_mut().rev() {
        let part = wanted.min(revision.percent);
        revision.percent -= part;
        newest.percent += part;
        wanted -= part;
    }
}

/// How big and how long the steps are. The time from the first percent to now is what a change takes at least.
fn pace(rollout: &ConfigurationRollout, now: i64, duration: Duration) -> StepParams {
    let start = rollout.step_params.start_time;
    let to_move = (rollout.percent - 1).max(1) as f64;
    let min_step = ((now.saturating_sub(start)) as f64 / SECOND as f64)
        .ceil()
        .max(1.0);
    let remaining = (duration.as_secs_f64() - min_step).max(1.0);
    let steps = to_move.min((remaining / min_step).max(1.0));
    let step_duration = (remaining / steps * SECOND as f64) as i64;
    StepParams {
        start_time: start,
        next_step_time: now.saturating_add(step_duration),
        step_duration,
        step_size: (to_move / steps).round().max(1.0) as i64,
    }
}
