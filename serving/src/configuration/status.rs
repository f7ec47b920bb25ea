//! The status of a Configuration from its revisions.

use std::cmp::Reverse;
use std::sync::Arc;

use crds::conditions::{Condition, ConditionedStatus, READY};
use crds::labels;
use crds::serving::{Configuration, ConfigurationStatus, Revision};
use k8s_openapi::jiff::Timestamp;
use reconciler::ConditionSet;

use crate::shared::{label, name_of};

const CONDITIONS: ConditionSet = ConditionSet::new(&[]);

/// What one look found.
#[derive(Debug)]
pub(super) struct Observed {
    /// Every revision of the Configuration.
    pub revisions: Vec<Arc<Revision>>,
    pub created: Created,
}

/// The revision of the present generation.
#[derive(Debug)]
pub(super) enum Created {
    /// Not created yet, and no fault of the user's.
    Pending,
    /// Cannot be created; the text says why.
    Refused(String),
    Revision(Arc<Revision>),
}

pub(super) fn configuration_status(
    configuration: &Configuration,
    observed: &Observed,
    now: Timestamp,
) -> ConfigurationStatus {
    let mut status = configuration.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    CONDITIONS.begin(&mut status, configuration.metadata.generation, now);
    match &observed.created {
        Created::Pending => {}
        Created::Refused(why) => {
            let message = format!("Revision creation failed with message: {why}.");
            CONDITIONS
                .manage(&mut status, now)
                .mark_false(READY, "RevisionFailed", &message);
        }
        Created::Revision(created) => take_revision(configuration, &mut status, created, observed, now),
    }
    CONDITIONS.finish(&mut status, &before, configuration.metadata.generation, now);
    status
}

fn take_revision(
    configuration: &Configuration,
    status: &mut ConfigurationStatus,
    created: &Arc<Revision>,
    observed: &Observed,
    now: Timestamp,
) {
    let name = name_of(&created.metadata);
    status.latest_created_revision_name = Some(name.to_owned());
    let latest_ready = latest_ready(configuration, status, created, observed);
    let found = latest_ready.is_some();
    if let Some(revision) = latest_ready {
        status.latest_ready_revision_name = Some(name_of(&revision.metadata).to_owned());
    }
    let latest_is_there = status.latest_ready_revision_name.as_deref().is_none_or(|ready| {
        ready == name || observed.revisions.iter().any(|r| name_of(&r.metadata) == ready)
    });

    let condition = created.status.as_ref().and_then(|status| status.condition(READY));
    let mut conditions = CONDITIONS.manage(status, now);
    if is_ready(created) {
        conditions.mark_true(READY);
    } else if condition.is_some_and(Condition::is_false) {
        let message = condition
            .and_then(|ready| ready.message.clone())
            .unwrap_or_default();
        let message = format!("Revision {name:?} failed with message: {message}.");
        conditions.mark_false(READY, "RevisionFailed", &message);
    } else if !latest_is_there && !found {
        let deleted = status.latest_ready_revision_name.clone().unwrap_or_default();
        let message = format!("Revision {deleted:?} was deleted.");
        CONDITIONS
            .manage(status, now)
            .mark_false(READY, "RevisionDeleted", &message);
    } else {
        conditions.mark_unknown(READY, "", "");
    }
}

/// The newest ready revision between the present latest ready one and the current generation. A revision with a
/// name of the user's choice comes first whatever its generation: reusing an old name is a rollback.
fn latest_ready<'a>(
    configuration: &Configuration,
    status: &ConfigurationStatus,
    created: &'a Arc<Revision>,
    observed: &'a Observed,
) -> Option<&'a Arc<Revision>> {
    let named = configuration
        .spec
        .template
        .metadata
        .as_ref()
        .is_some_and(|meta| meta.name.is_some());
    if named && is_ready(created) {
        return Some(created);
    }
    let present = status.latest_ready_revision_name.as_deref();
    let oldest = observed
        .revisions
        .iter()
        .find(|revision| Some(name_of(&revision.metadata)) == present)
        .map_or(0, |revision| generation(revision));
    let newest = configuration.metadata.generation.unwrap_or_default();
    let mut candidates: Vec<&Arc<Revision>> = observed
        .revisions
        .iter()
        .filter(|revision| (oldest..=newest).contains(&generation(revision)) && is_ready(revision))
        .collect();
    candidates.sort_by_key(|revision| Reverse(generation(revision)));
    candidates.first().copied()
}

fn generation(revision: &Revision) -> i64 {
    let generation = label(&revision.metadata, labels::CONFIGURATION_GENERATION);
    generation
        .and_then(|generation| generation.parse().ok())
        .unwrap_or(0)
}

fn is_ready(revision: &Revision) -> bool {
    revision
        .status
        .as_ref()
        .is_some_and(|status| status.is_ready(revision.metadata.generation))
}
