//! Which revisions of a Configuration are to go.

use std::sync::Arc;
use std::time::Duration;

use crds::config::Gc;
use crds::serving::{Configuration, Revision};
use crds::{annotations, labels};
use k8s_openapi::jiff::Timestamp;

use crate::shared::{annotation, label, name_of};

#[derive(Debug, Default)]
pub(super) struct Selected {
    /// Oldest first.
    pub delete: Vec<Arc<Revision>>,
    /// When the next revision grows too old, if nothing else changes before.
    pub look_again: Option<Duration>,
}

/// Mirrors the rules of Knative's collector: age deletes down to the minimum, the maximum deletes whatever the age.
pub(super) fn select(
    configuration: &Configuration,
    revisions: &[Arc<Revision>],
    gc: &Gc,
    now: Timestamp,
) -> Selected {
    let ages = (gc.retain_since_create_time, gc.retain_since_last_active_time);
    if gc.max_non_active_revisions.is_none() && ages == (None, None) {
        return Selected::default();
    }
    let min = gc.min_non_active_revisions;
    let mut idle: Vec<_> = revisions
        .iter()
        .filter(|revision| !is_active(configuration, revision))
        .cloned()
        .collect();
    if revisions.len() <= min || idle.len() <= min {
        return Selected::default();
    }
    idle.sort_by_key(|revision| (last_active(revision), name_of(&revision.metadata).to_owned()));

    let mut selected = Selected::default();
    let mut left = idle.len();
    let mut young = Vec::new();
    for revision in idle {
        match stale_in(&revision, gc, now) {
            Some(Duration::ZERO) if left > min => {
                left -= 1;
                selected.delete.push(revision);
            }
            stale => {
                if let Some(stale) = stale.filter(|stale| !stale.is_zero()) {
                    selected.look_again = Some(
                        selected
                            .look_again
                            .map_or(stale, |known: Duration| known.min(stale)),
                    );
                }
                young.push(revision);
            }
        }
    }
    if let Some(max) = gc.max_non_active_revisions {
        let surplus = young.len().saturating_sub(max);
        selected.delete.extend(young.into_iter().take(surplus));
    }
    if left <= min {
        selected.look_again = None;
    }
    selected
}

fn is_active(configuration: &Configuration, revision: &Revision) -> bool {
    let latest_ready = configuration
        .status
        .as_ref()
        .and_then(|s| s.latest_ready_revision_name.as_deref());
    latest_ready == Some(name_of(&revision.metadata))
        || annotation(&revision.metadata, annotations::NO_GC)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
        || label(&revision.metadata, labels::ROUTING_STATE) != Some(labels::ROUTING_STATE_RESERVE)
}

/// When a route last pointed at the revision, or its creation if that is not noted.
fn last_active(revision: &Revision) -> Timestamp {
    annotation(&revision.metadata, annotations::ROUTING_STATE_MODIFIED)
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| created(revision))
}

fn created(revision: &Revision) -> Timestamp {
    revision
        .metadata
        .creation_timestamp
        .as_ref()
        .map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// How long until the ages in use are over; zero if they are. `None` if age does not collect.
fn stale_in(revision: &Revision, gc: &Gc, now: Timestamp) -> Option<Duration> {
    let left = |since: Timestamp, limit: Duration| {
        let age = Duration::try_from(now.duration_since(since)).unwrap_or_default();
        limit.saturating_sub(age)
    };
    let limits = [
        gc.retain_since_create_time
            .map(|limit| left(created(revision), limit)),
        gc.retain_since_last_active_time
            .map(|limit| left(last_active(revision), limit)),
    ];
    limits.into_iter().flatten().max()
}
