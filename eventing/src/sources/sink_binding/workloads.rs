//! Goes through the workloads of a binding, and binds and unbinds them.

use std::sync::Arc;
use std::time::Duration;

use crds::sources::SinkBinding;
use kube::api::{Api, Patch, PatchParams};
use kube::core::DynamicObject;
use reconciler::error::{chain, is_not_found};
use reconciler::{Error, Key, Next};
use serde_json::{Value, json};

use super::SinkBindings;
use super::kinds;
use super::step::{Known, Obstacle, Step, step};
use crate::backing;
use crate::binding::{Candidate, Injection, Present, bind, bound_by, chosen, present, selects, unbind};
use crate::broker::LOOK_AGAIN;
use crate::shared::{name_of, namespace_of};
use crate::tracker::{Kind, Referrer, TrackError, Tracked};

/// Admission that goes by an older binding may put back what was just changed; it catches up within moments.
const SOON: Duration = Duration::from_secs(1);
/// Names that a message lists.
const LISTED: usize = 5;

/// How it stands with the workloads of a binding; the text of most ends in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing was bound.
    SinkUnknown,
    /// All are bound; with the Jobs that came before the binding, and cannot be.
    Bound {
        too_late: Vec<String>,
    },
    Missing(String),
    /// It has no pods.
    NotPodSpecable(String),
    Untracked(String),
    Excluded(String),
    Taken {
        workload: String,
        by: String,
    },
    Immutable(String),
    Failed(String),
}

/// What came of going through the workloads.
#[derive(Debug)]
pub(super) struct Settled {
    /// Kinds of which workloads may still be bound that should not be.
    pub remaining: Vec<Kind>,
    pub result: Result<(), Error>,
    outcome: Option<Outcome>,
    too_late: Vec<String>,
    /// Somebody undid a change at once.
    undone: bool,
    untracked: bool,
    ready: bool,
}

impl Settled {
    pub(super) fn outcome(&mut self) -> Outcome {
        match self.outcome.take() {
            Some(outcome) => outcome,
            None if !self.ready => Outcome::SinkUnknown,
            None => Outcome::Bound {
                too_late: std::mem::take(&mut self.too_late),
            },
        }
    }

    /// When to look again although no watch fires.
    pub(super) fn next(&self) -> Next {
        if self.undone {
            Next::After(SOON)
        } else if self.untracked {
            Next::After(LOOK_AGAIN)
        } else {
            Next::OnChange
        }
    }

    /// The first obstacle is told; there may be thousands.
    fn tell(&mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }
}

impl SinkBindings {
    /// Binds what `binding` is for, unless `injection` is `None`, and unbinds what it is not for, among the workloads of
    /// `kinds`.
    pub(super) async fn settle(
        &self,
        binding: &Arc<SinkBinding>,
        injection: Option<&Injection>,
        kinds: &[Kind],
        referrer: &Referrer,
    ) -> Settled {
        let mut settled = Settled {
            remaining: Vec::new(),
            result: Ok(()),
            outcome: None,
            too_late: Vec::new(),
            undone: false,
            untracked: false,
            ready: injection.is_some(),
        };
        let namespace = namespace_of(&binding.metadata);
        for kind in kinds {
            match self.shared.tracker.observe_all(kind, namespace, referrer).await {
                Ok(found) => {
                    if *kind == kinds::present(binding) {
                        self.look_for_subject(binding, kind, &found, &mut settled).await;
                    }
                    self.settle_kind(binding, injection, kind, &found, &mut settled)
                        .await;
                }
                // Nothing of it can be bound.
                Err(TrackError::NoSuchKind(_)) if *kind != kinds::present(binding) => {}
                Err(error) => {
                    settled.untracked = true;
                    if !matches!(error, TrackError::NoSuchKind(_)) {
                        settled.remaining.push(kind.clone());
                    }
                    settled.tell(Outcome::Untracked(error.to_string()));
                }
            }
        }
        settled
    }

    /// Tells if the one workload that a binding names is not there, or none.
    async fn look_for_subject(
        &self,
        binding: &SinkBinding,
        kind: &Kind,
        found: &[(Key, Arc<Tracked>)],
        settled: &mut Settled,
    ) {
        let name = &binding.spec.subject.name;
        if name.is_empty() || !settled.ready {
            return;
        }
        match found.iter().find(|(key, _)| key.name == *name) {
            None => {
                let resource = match self.shared.tracker.resource(kind).await {
                    Ok(resource) if resource.group.is_empty() => resource.plural,
                    Ok(resource) => format!("{}.{}", resource.plural, resource.group),
                    Err(_) => kind.kind.clone(),
                };
                settled.tell(Outcome::Missing(format!("{resource} {name:?} not found")));
            }
            Some((_, found)) if found.workload.is_none() => {
                let message = format!("{kind} {name:?} has no containers at spec.template.spec");
                settled.tell(Outcome::NotPodSpecable(message));
            }
            Some(_) => {}
        }
    }

    async fn settle_kind(
        &self,
        binding: &Arc<SinkBinding>,
        injection: Option<&Injection>,
        kind: &Kind,
        found: &[(Key, Arc<Tracked>)],
        settled: &mut Settled,
    ) {
        let namespace = namespace_of(&binding.metadata);
        let all = self.bindings.in_namespace(namespace, |_| true);
        let of_namespace = self.namespaces.named("", namespace);
        let namespace_labels = of_namespace
            .as_ref()
            .and_then(|namespace| namespace.metadata.labels.as_ref());
        let name = name_of(&binding.metadata);
        for (key, tracked) in found {
            let Some(workload) = tracked.workload.as_ref().filter(|_| !tracked.deleting) else {
                continue;
            };
            let candidate = Candidate {
                kind,
                key,
                labels: Some(&workload.labels),
                namespace_labels,
            };
            let owner = chosen(&all, &candidate);
            let owner = owner
                .as_ref()
                .map(|owner| (name_of(&owner.metadata), Injection::of(owner).is_some()));
            let step = step(&Known {
                workload,
                binding: name,
                injection,
                selected: selects(binding, &candidate),
                allowed: candidate.may_be_bound(self.mode, &self.shared.system_namespace),
                chosen: owner,
                immutable: is_immutable(kind),
            });
            let written = match (step, injection) {
                (Step::Leave(obstacle), Some(_)) => {
                    leave(binding, obstacle, key, settled);
                    continue;
                }
                (Step::Bind, Some(injection)) => self.bind(kind, key, name, injection).await,
                (Step::Unbind, _) => {
                    let written = match self.unbind(kind, key, name).await {
                        // It must not keep the binding from going.
                        Err(error) if binding.metadata.deletion_timestamp.is_some() && is_refused(&error) => {
                            let events = &self.shared.events;
                            events.warning(binding.as_ref(), "UnbindFailed", chain(&error));
                            Ok(true)
                        }
                        written => written,
                    };
                    if !matches!(written, Ok(true)) && !settled.remaining.contains(kind) {
                        settled.remaining.push(kind.clone());
                    }
                    written
                }
                _ => continue,
            };
            match written {
                Ok(stays) => settled.undone |= !stays,
                Err(error) => {
                    settled.tell(Outcome::Failed(chain(&error)));
                    if settled.result.is_ok() {
                        settled.result = Err(error);
                    }
                }
            }
        }
    }

    /// Binds a workload; false if that was undone at once.
    async fn bind(&self, kind: &Kind, key: &Key, name: &str, injection: &Injection) -> Result<bool, Error> {
        let wanted = Present::Exactly(injection.clone());
        let stored = self
            .change(kind, key, Some(name), |workload| bind(workload, name, injection))
            .await?;
        Ok(stored.is_none_or(|stored| present(&stored) == Some(wanted)))
    }

    /// Unbinds a workload that is still marked with `name`; false if that was undone at once.
    async fn unbind(&self, kind: &Kind, key: &Key, name: &str) -> Result<bool, Error> {
        let stored = self
            .change(kind, key, None, |workload| {
                if bound_by(workload) == Some(name) {
                    unbind(workload);
                }
            })
            .await?;
        Ok(stored.is_none_or(|stored| bound_by(&stored) != Some(name)))
    }

    /// Writes what `change` makes of a workload, with `mark` as its mark; returns what is stored then, `None` if there
    /// was nothing to change.
    async fn change(
        &self,
        kind: &Kind,
        key: &Key,
        mark: Option<&str>,
        change: impl Fn(&mut Value),
    ) -> Result<Option<Value>, Error> {
        let doing = |verb: &str| format!("{verb} {} {key}", kind.kind);
        let api: Api<DynamicObject> = backing::api(&self.shared, kind, &key.namespace)
            .await
            .map_err(Error::fault)?;
        let read = api.get_opt(&key.name).await;
        let Some(live) = read.map_err(|error| Error::api(doing("read"), error))? else {
            return Ok(None);
        };
        let live = serde_json::to_value(live).map_err(Error::fault)?;
        let mut changed = live.clone();
        change(&mut changed);
        if changed == live {
            return Ok(None);
        }
        let lists = ["initContainers", "containers"].into_iter().filter_map(|list| {
            let list_of_pod = changed.pointer("/spec/template/spec")?.get(list)?;
            Some((list.to_owned(), list_of_pod.clone()))
        });
        let pod: serde_json::Map<String, Value> = lists.collect();
        let patch = json!({
            "metadata": {
                "resourceVersion": live.pointer("/metadata/resourceVersion"),
                "annotations": {crds::annotations::SINK_BINDING: mark},
            },
            "spec": {"template": {"spec": pod}},
        });
        let params = PatchParams {
            field_manager: Some("spindrift-sinkbinding".to_owned()),
            ..PatchParams::default()
        };
        match api.patch(&key.name, &params, &Patch::Merge(patch)).await {
            Ok(stored) => serde_json::to_value(stored).map(Some).map_err(Error::fault),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(error) => Err(Error::api(doing("bind the pods of"), error)),
        }
    }
}

/// Templates of Jobs cannot be changed: they are bound as they are created, or not at all.
fn is_immutable(kind: &Kind) -> bool {
    kind.kind == "Job" && kind.group_version().0 == "batch"
}

/// Whether the API server will say no the next time, too.
fn is_refused(error: &Error) -> bool {
    matches!(error, Error::Api { source: kube::Error::Api(status), .. } if [400, 403, 422].contains(&status.code))
}

fn leave(binding: &SinkBinding, obstacle: Obstacle, key: &Key, settled: &mut Settled) {
    let named = !binding.spec.subject.name.is_empty();
    let workload = key.name.clone();
    match obstacle {
        Obstacle::Taken(by) => settled.tell(Outcome::Taken { workload, by }),
        Obstacle::Excluded if named => settled.tell(Outcome::Excluded(workload)),
        Obstacle::Immutable if named => settled.tell(Outcome::Immutable(workload)),
        Obstacle::Immutable if settled.too_late.len() < LISTED => settled.too_late.push(workload),
        // Among those with its labels, a binding is for the ones that may be bound.
        Obstacle::Excluded | Obstacle::Immutable => {}
    }
}
