//! From the targets of a Route to revisions.

use std::collections::BTreeMap;
use std::sync::Arc;

use crds::conditions::{ConditionStatus, ConditionedStatus};
use crds::labels;
use crds::networking::ProtocolType;
use crds::serving::{Configuration, Revision, Route, TrafficTarget};

use crate::revision::protocol;
use crate::shared::{label, name_of};

/// One entry of the spec with the revision it means now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub tag: Option<String>,
    /// The Configuration whose newest ready revision is meant; `None` for a revision by name.
    pub configuration: Option<String>,
    pub revision: String,
    /// As in the spec; absent means 0.
    pub percent: Option<i64>,
    pub latest: bool,
}

/// Everything a Route sends requests to.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub entries: Vec<Entry>,
}

/// Why traffic cannot be assigned now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unassigned {
    pub status: ConditionStatus,
    pub reason: &'static str,
    pub message: String,
}

/// Looks up what targets name.
pub(super) trait Lookup {
    fn configuration(&self, name: &str) -> Option<Arc<Configuration>>;
    fn revision(&self, name: &str) -> Option<Arc<Revision>>;
}

/// Resolves every target.
///
/// # Errors
/// The first thing that will not get better by waiting, or else the first that may.
pub(super) fn resolve(route: &Route, lookup: &impl Lookup) -> Result<Traffic, Unassigned> {
    let mut traffic = Traffic::default();
    let mut problem: Option<Unassigned> = None;
    for target in &route.spec.traffic {
        match entry(route, target, lookup) {
            Ok(entry) => traffic.entries.push(entry),
            Err(found) => {
                let worse = found.status == ConditionStatus::False
                    && problem
                        .as_ref()
                        .is_some_and(|known| known.status != ConditionStatus::False);
                if problem.is_none() || worse {
                    problem = Some(found);
                }
            }
        }
    }
    problem.map_or(Ok(traffic), Err)
}

fn entry(route: &Route, target: &TrafficTarget, lookup: &impl Lookup) -> Result<Entry, Unassigned> {
    let given = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let (configuration, revision) = match (given(&target.configuration_name), given(&target.revision_name)) {
        (Some(name), _) => {
            let revision = latest_ready(&name, lookup)?;
            (Some(name), revision)
        }
        (None, Some(name)) => (None, named(route, &name, lookup)?),
        (None, None) => {
            return Err(Unassigned {
                status: ConditionStatus::False,
                reason: "RevisionMissing",
                message: "A traffic target names neither a Configuration nor a Revision.".to_owned(),
            });
        }
    };
    Ok(Entry {
        tag: given(&target.tag),
        latest: configuration.is_some(),
        configuration,
        revision: name_of(&revision.metadata).to_owned(),
        percent: target.percent,
    })
}

fn latest_ready(name: &str, lookup: &impl Lookup) -> Result<Arc<Revision>, Unassigned> {
    let missing = |status, reason, message| Unassigned {
        status,
        reason,
        message,
    };
    let Some(configuration) = lookup.configuration(name) else {
        let message = format!("Configuration {name:?} referenced in traffic not found.");
        return Err(missing(ConditionStatus::False, "ConfigurationMissing", message));
    };
    let status = configuration.status.as_ref();
    let Some(ready) = status.and_then(|status| status.latest_ready_revision_name.clone()) else {
        return Err(
            if status.is_some_and(|status| status.is_failed(configuration.metadata.generation)) {
                let message = format!("Configuration {name:?} does not have any ready Revision.");
                missing(ConditionStatus::False, "RevisionMissing", message)
            } else {
                let message = format!("Configuration {name:?} is waiting for a Revision to become ready.");
                missing(ConditionStatus::Unknown, "RevisionMissing", message)
            },
        );
    };
    lookup.revision(&ready).ok_or_else(|| {
        let message = format!("Revision {ready:?} referenced in traffic not found.");
        missing(ConditionStatus::False, "RevisionMissing", message)
    })
}

fn named(route: &Route, name: &str, lookup: &impl Lookup) -> Result<Arc<Revision>, Unassigned> {
    let missing = |status, reason, message| Unassigned {
        status,
        reason,
        message,
    };
    let Some(revision) = lookup.revision(name) else {
        let message = format!("Revision {name:?} referenced in traffic not found.");
        return Err(missing(ConditionStatus::False, "RevisionMissing", message));
    };
    // A Route of a Service must not lead requests to what another Service runs.
    if let Some(service) = label(&route.metadata, labels::SERVICE) {
        let message = match label(&revision.metadata, labels::SERVICE) {
            Some(owner) if owner == service => None,
            Some(owner) => Some(format!(
                "Revision {name:?} belongs to Service {owner:?}, not Service {service:?}."
            )),
            None => Some(format!(
                "Revision {name:?} does not belong to Service {service:?}."
            )),
        };
        if let Some(message) = message {
            return Err(missing(ConditionStatus::False, "RevisionNotOwned", message));
        }
    }
    let generation = revision.metadata.generation;
    let status = revision.status.as_ref();
    if status.is_some_and(|status| status.is_ready(generation)) {
        Ok(revision)
    } else if status.is_some_and(|status| status.is_failed(generation)) {
        let message = format!("Revision {name:?} failed to become ready.");
        Err(missing(ConditionStatus::False, "RevisionMissing", message))
    } else {
        let message = format!("Revision {name:?} is not yet ready.");
        Err(missing(ConditionStatus::Unknown, "RevisionMissing", message))
    }
}

/// A revision's share of a host's requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub revision: String,
    pub percent: i64,
}

/// What each entry is split into, in the order of the spec: usually its one revision, several during a rollout.
pub(super) type Shares = Vec<Vec<Share>>;

impl Traffic {
    /// The shares when nothing is rolled out gradually.
    pub(super) fn shares(&self) -> Shares {
        let share = |entry: &Entry| Share {
            revision: entry.revision.clone(),
            percent: entry.percent.unwrap_or(0),
        };
        self.entries.iter().map(|entry| vec![share(entry)]).collect()
    }
}

/// Shares of the untagged host: all entries together, one share per revision, nothing for 0 percent.
pub(super) fn merged(shares: &[Vec<Share>]) -> Vec<Share> {
    let mut merged: Vec<Share> = Vec::new();
    for share in shares.iter().flatten().filter(|share| share.percent > 0) {
        match merged.iter_mut().find(|known| known.revision == share.revision) {
            Some(known) => known.percent += share.percent,
            None => merged.push(share.clone()),
        }
    }
    merged
}

/// The protocols of the revisions that `names` lists; unknown ones speak HTTP/1.1.
pub(super) fn protocols<'a>(
    names: impl Iterator<Item = &'a str>,
    lookup: &impl Lookup,
) -> BTreeMap<String, ProtocolType> {
    names
        .filter_map(|name| Some((name.to_owned(), protocol(&*lookup.revision(name)?))))
        .collect()
}
