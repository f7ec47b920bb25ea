//! Keeps the ControllerRevisions of a StatefulSet.
//!
//! They are read from the server each time a set is looked at, rather than watched: there are few, nothing but their
//! set asks for them, and a watch would cost every cluster that has no set at all.

use std::collections::BTreeSet;

use informer::object::{controller_of, is_controlled_by};
use k8s_openapi::api::apps::v1::{ControllerRevision, StatefulSet};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Selector;
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use super::adopt;
use super::revisions::{self, Newest};
use crate::worker::{is_conflict, is_not_found};

/// Names that are tried for a new revision before it is given up for now.
const NAMES_TRIED: i32 = 16;

/// The revisions of a set, oldest first, and which of them it is at.
pub struct History {
    api: Api<ControllerRevision>,
    all: Vec<ControllerRevision>,
    pub current: String,
    pub new: String,
    /// How often the name of a revision was taken.
    pub collisions: i32,
}

impl History {
    /// Reads the revisions, and makes the present template the newest of them.
    pub async fn follow(
        client: &Client,
        set: &StatefulSet,
        selector: &Selector,
    ) -> Result<Self, kube::Error> {
        let api: Api<ControllerRevision> =
            Api::namespaced(client.clone(), &set.namespace().unwrap_or_default());
        let all = owned(&api, set, selector).await?;
        let status = set.status.as_ref();
        let mut history = Self {
            api,
            all,
            current: String::new(),
            new: String::new(),
            collisions: status.and_then(|status| status.collision_count).unwrap_or(0),
        };
        history.new = history.newest(set).await?.unwrap_or_default();
        let current = status.and_then(|status| status.current_revision.as_ref());
        history.current = current
            .filter(|name| history.all.iter().any(|known| known.name_any() == **name))
            .unwrap_or(&history.new)
            .clone();
        Ok(history)
    }

    /// The template that `revision` keeps.
    pub fn template(&self, revision: &str) -> Option<PodTemplateSpec> {
        let kept = self.all.iter().find(|known| known.name_any() == revision)?;
        revisions::template_of(kept)
    }

    /// Deletes the oldest revisions beyond the `limit` of those that neither the set nor a pod, by `at`, is at.
    pub async fn truncate(&self, at: impl Iterator<Item = &str>, limit: usize) -> Result<(), kube::Error> {
        let mut in_use: BTreeSet<&str> = at.collect();
        in_use.extend([self.current.as_str(), self.new.as_str()]);
        for revision in revisions::surplus(&self.all, &in_use, limit) {
            let params = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: revision.uid(),
                    resource_version: None,
                }),
                ..DeleteParams::background()
            };
            match self.api.delete(&revision.name_any(), &params).await {
                Err(error) if !is_not_found(&error) && !is_conflict(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// The name of the revision of the present template, which is made if there is none. `None` for a set that is not
    /// stored.
    async fn newest(&mut self, set: &StatefulSet) -> Result<Option<String>, kube::Error> {
        let number = match revisions::newest(&self.all, &set.spec.template) {
            Newest::Keep(revision) => return Ok(Some(revision.name_any())),
            Newest::Renumber(revision, number) => {
                let name = revision.name_any();
                let patch = json!({
                    "metadata": { "uid": revision.metadata.uid, "resourceVersion": revision.metadata.resource_version },
                    "revision": number,
                });
                let patched = self
                    .api
                    .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
                    .await?;
                self.all.retain(|known| known.name_any() != name);
                self.all.push(patched);
                return Ok(Some(name));
            }
            Newest::Create(number) => number,
        };
        let mut failure = None;
        for _ in 0..NAMES_TRIED {
            let Some(wanted) = revisions::desired(set, number, self.collisions) else {
                return Ok(None);
            };
            match self.api.create(&PostParams::default(), &wanted).await {
                Ok(made) => {
                    let name = made.name_any();
                    self.all.push(made);
                    return Ok(Some(name));
                }
                // The name of another template, or of another owner's revision.
                Err(error) if is_conflict(&error) => {
                    self.collisions = self.collisions.saturating_add(1);
                    failure = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        failure.map_or(Ok(None), Err)
    }
}

/// The revisions of `set`, sorted. Those that have lost their controller become its own again.
async fn owned(
    api: &Api<ControllerRevision>,
    set: &StatefulSet,
    selector: &Selector,
) -> Result<Vec<ControllerRevision>, kube::Error> {
    let listed = api.list(&ListParams::default().labels_from(selector)).await?;
    let (uid, mut all) = (set.uid().unwrap_or_default(), Vec::new());
    for revision in listed {
        if is_controlled_by(revision.meta(), &uid) {
            all.push(revision);
        } else if controller_of(revision.meta()).is_none() && revision.meta().deletion_timestamp.is_none() {
            all.extend(adopt(api, set, &revision).await?);
        }
    }
    revisions::sort(&mut all);
    Ok(all)
}
