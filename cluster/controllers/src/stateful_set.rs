//! StatefulSet: keeps pods that have a name, a place in an order and data of their own.
//!
//! Upstream's `pkg/controller/statefulset` is what it follows. Two pods of one ordinal never run at the same time: the
//! name is the same, so the server takes the next one only when the one before is gone, and the node lets a pod go only
//! when its containers have ended.

mod claims;
mod facts;
mod history;
mod names;
mod plan;
mod pod;
mod revisions;
mod status;

use std::sync::Arc;

use cluster_events::{Recorder, Severity, reference};
use informer::object::{controller_of, controller_reference};
use informer::{Cache, Key, Object, Queue, Selection};
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{Selector, SelectorExt};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;

use crate::batch::doubling;
use crate::worker::{Next, Setup, is_conflict, is_not_found};
use facts::{Facts, PodFacts, Revisions};
use history::History;
use plan::New;

/// Revisions that a set keeps beside those in use, if it does not say (upstream default).
const HISTORY_LIMIT: i32 = 10;

struct Context {
    client: Client,
    events: Recorder,
    sets: Cache<StatefulSet>,
    /// Own creations and deletions are recorded in it at once.
    pods: Cache<Pod>,
    claims: Cache<PersistentVolumeClaim>,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("statefulset");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        events: setup.recorder("statefulset-controller"),
        sets: setup.caches.cache_of(Selection::default().packed()),
        pods: setup.caches.cache(),
        claims: setup.caches.cache(),
    });
    let on_set = queue.clone();
    context.sets.on_change(move |change| {
        if let Some(set) = change.latest() {
            on_set.add(Key::of(set.as_ref()));
        }
    });
    let on_pod = queue.clone();
    context.pods.on_change(move |change| {
        for pod in change.states() {
            if let Some(set) = set_of(pod) {
                on_pod.add(Key::new(pod.namespace().unwrap_or_default(), set));
            }
        }
    });
    // A pod may wait until a claim of its ordinal is gone.
    let (on_claim, sets) = (queue.clone(), context.sets.clone());
    context.claims.on_change(move |change| {
        if let (None, Some(claim)) = (&change.new, &change.old)
            && let Some((stem, _)) = names::split(&claim.name_any())
        {
            let namespace = claim.namespace().unwrap_or_default();
            let of_set = |key: &Key| key.namespace == namespace && stem.ends_with(&format!("-{}", key.name));
            sets.keys()
                .into_iter()
                .filter(of_set)
                .for_each(|key| on_claim.add(key));
        }
    });
    let all = context.sets.clone();
    setup.controller("statefulset", &queue, move || all.keys(), &context, reconcile);
}

/// The name of the set that `pod` belongs to, or takes a name from.
fn set_of(pod: &Pod) -> Option<String> {
    match controller_of(pod.meta()) {
        Some(owner) if owner.kind == "StatefulSet" => Some(owner.name.clone()),
        _ => names::split(&pod.name_any()).map(|(set, _)| set.to_owned()),
    }
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    let Some(set) = context.sets.get(&key) else {
        return Ok(Next::Wait);
    };
    let Some(selector) = selector_of(&set) else {
        return Ok(Next::Wait);
    };
    let history = match set.meta().deletion_timestamp {
        Some(_) => None,
        None => {
            context.adopt_pods(&key, &set, &selector).await?;
            Some(History::follow(&context.client, &set, &selector).await?)
        }
    };
    let pods = context.pods.controlled_by(&set.uid().unwrap_or_default());
    let claims = match claims::templates(&set) {
        [] => Vec::new(),
        _ => context
            .claims
            .in_namespace(&key.namespace, |claim| claims::ordinal(&set, claim).is_some()),
    };
    let now = jiff::Timestamp::now();
    let facts = Facts::gather(&set, at(&set, history.as_ref()), &pods, &claims, now);
    let plan = plan::plan(&facts);
    context.report(&key, &set, &plan.status).await?;
    let Some(history) = history else {
        return Ok(Next::Wait);
    };
    for pod in plan.claims {
        // Owners are set before the pod goes that owns its claims from then on.
        context.settle_claims(&key, &set, &facts, pod).await?;
    }
    for pod in plan.label {
        context.label(&key, pod).await?;
    }
    for pod in plan.delete {
        context.delete(&key, &set, pod).await?;
    }
    let create = async |new| context.create(&key, &set, &history, new).await;
    doubling(&plan.create, create).await?;
    let limit = set.spec.revision_history_limit;
    let limit = usize::try_from(limit.unwrap_or(HISTORY_LIMIT)).unwrap_or(usize::MAX);
    let at = facts.pods.values().map(|pod| pod.revision.as_str());
    history.truncate(at, limit).await?;
    Ok(plan.recheck.map_or(Next::Wait, Next::After))
}

/// `None` if nothing or everything is selected: the server accepts no such set.
fn selector_of(set: &StatefulSet) -> Option<Selector> {
    let selector = Selector::try_from(set.spec.selector.clone()).ok()?;
    (!selector.selects_all()).then_some(selector)
}

/// The revisions that `set` is at; one that goes stays where it is.
fn at(set: &StatefulSet, history: Option<&History>) -> Revisions {
    let status = set.status.clone().unwrap_or_default();
    match history {
        Some(history) => Revisions {
            current: history.current.clone(),
            new: history.new.clone(),
            collisions: history.collisions,
        },
        None => Revisions {
            current: status.current_revision.unwrap_or_default(),
            new: status.update_revision.unwrap_or_default(),
            collisions: status.collision_count.unwrap_or(0),
        },
    }
}

/// Makes `set` the controller of an object that has none. `None` if it has changed meanwhile, or is gone.
async fn adopt<K: Object>(api: &Api<K>, set: &StatefulSet, object: &K) -> Result<Option<K>, kube::Error> {
    let mut owners = object.owner_references().to_vec();
    owners.extend(controller_reference(set));
    let patch = json!({ "metadata": {
        "uid": object.meta().uid, "resourceVersion": object.meta().resource_version, "ownerReferences": owners,
    }});
    unless_lost(
        api.patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(patch))
            .await,
    )
}

/// What is gone, or was changed by somebody else, is looked at again when the watch shows it.
fn unless_lost<T>(result: Result<T, kube::Error>) -> Result<Option<T>, kube::Error> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Context {
    fn pods_of(&self, key: &Key) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    fn claims_of(&self, key: &Key) -> Api<PersistentVolumeClaim> {
        Api::namespaced(self.client.clone(), &key.namespace)
    }

    /// Tells, in upstream's words, how something went that was done to a pod or claim of `set`.
    fn tell<T>(&self, set: &StatefulSet, verb: Verb, what: &str, result: Result<T, &kube::Error>) {
        let (done, failed, word) = verb.words();
        let name = set.name_any();
        let (severity, reason, message) = match result {
            Ok(_) => (
                Severity::Normal,
                done,
                format!("{word} {what} in StatefulSet {name} successful"),
            ),
            Err(error) => (
                Severity::Warning,
                failed,
                format!("{word} {what} in StatefulSet {name} failed error: {error}"),
            ),
        };
        self.events.record(reference(set), severity, reason, message);
    }

    /// Takes in the pods that have a name of the set's and no controller: what a set leaves behind that was deleted
    /// alone is the next one's of its name.
    async fn adopt_pods(&self, key: &Key, set: &StatefulSet, selector: &Selector) -> Result<(), kube::Error> {
        let orphan = |pod: &Pod| {
            controller_of(pod.meta()).is_none()
                && pod.meta().deletion_timestamp.is_none()
                && names::ordinal(&pod.name_any(), &key.name).is_some()
                && selector.matches(pod.labels())
        };
        for pod in self.pods.in_namespace(&key.namespace, orphan) {
            if let Some(adopted) = adopt(&self.pods_of(key), set, pod.as_ref()).await? {
                self.pods.record(adopted);
            }
        }
        Ok(())
    }

    async fn report(
        &self,
        key: &Key,
        set: &StatefulSet,
        status: &StatefulSetStatus,
    ) -> Result<(), kube::Error> {
        if set.status.as_ref() == Some(status) {
            return Ok(());
        }
        let api: Api<StatefulSet> = Api::namespaced(self.client.clone(), &key.namespace);
        let changed = StatefulSet {
            status: Some(status.clone()),
            ..set.clone()
        };
        let stored = api
            .replace_status(&key.name, &PostParams::default(), &changed)
            .await?;
        self.sets.record(stored);
        Ok(())
    }

    /// Makes the claims of `pod` that are missing, and gives the others the owners that they should have.
    async fn settle_claims(
        &self,
        key: &Key,
        set: &StatefulSet,
        facts: &Facts,
        pod: &PodFacts,
    ) -> Result<(), kube::Error> {
        let user = claims::User {
            name: &pod.name,
            uid: &pod.uid,
            condemned: !facts.ordinals.contains(&pod.ordinal),
        };
        for wanted in claims::wanted(set, pod.ordinal) {
            let Some(claim) = self.claims.named(&key.namespace, &wanted.name_any()) else {
                if !pod.terminating {
                    self.create_claim(key, set, &pod.name, &wanted).await?;
                }
                continue;
            };
            let Some(owners) = claims::owners(set, &user, &claim) else {
                continue;
            };
            // The version keeps an owner that somebody adds meanwhile.
            let patch = json!({ "metadata": {
                "uid": claim.metadata.uid, "resourceVersion": claim.metadata.resource_version, "ownerReferences": owners,
            }});
            let patched = self
                .claims_of(key)
                .patch(&claim.name_any(), &PatchParams::default(), &Patch::Merge(patch))
                .await?;
            self.claims.record(patched);
        }
        Ok(())
    }

    async fn create_claim(
        &self,
        key: &Key,
        set: &StatefulSet,
        pod: &str,
        claim: &PersistentVolumeClaim,
    ) -> Result<(), kube::Error> {
        let made = self.claims_of(key).create(&PostParams::default(), claim).await;
        if made.as_ref().is_err_and(is_conflict) {
            // It is there already.
            return Ok(());
        }
        let what = format!("Claim {} Pod {pod}", claim.name_any());
        self.tell(set, Verb::Create, &what, made.as_ref());
        self.claims.record(made?);
        Ok(())
    }

    /// Gives `pod` the labels of its ordinal.
    async fn label(&self, key: &Key, pod: &PodFacts) -> Result<(), kube::Error> {
        let labels = serde_json::Map::from_iter(
            pod::identity(&pod.name, pod.ordinal).map(|(key, value)| (key, json!(value))),
        );
        let patch = Patch::Merge(json!({ "metadata": { "uid": pod.uid, "labels": labels } }));
        let patched = self
            .pods_of(key)
            .patch(&pod.name, &PatchParams::default(), &patch)
            .await;
        if let Some(pod) = unless_lost(patched)? {
            self.pods.record(pod);
        }
        Ok(())
    }

    async fn delete(&self, key: &Key, set: &StatefulSet, pod: &PodFacts) -> Result<(), kube::Error> {
        // The uid keeps us from deleting the successor of the pod we chose.
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.clone()),
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        let deleted = self.pods_of(key).delete(&pod.name, &params).await;
        if deleted
            .as_ref()
            .is_err_and(|error| is_not_found(error) || is_conflict(error))
        {
            return Ok(());
        }
        self.tell(set, Verb::Delete, &format!("Pod {}", pod.name), deleted.as_ref());
        if let Some(pod) = deleted?.left() {
            self.pods.record(pod);
        }
        Ok(())
    }

    /// Makes a pod, its claims first.
    async fn create(
        &self,
        key: &Key,
        set: &StatefulSet,
        history: &History,
        new: &New<'_>,
    ) -> Result<(), kube::Error> {
        let name = names::pod(&key.name, new.ordinal);
        for claim in claims::wanted(set, new.ordinal) {
            if self.claims.named(&key.namespace, &claim.name_any()).is_none() {
                self.create_claim(key, set, &name, &claim).await?;
            }
        }
        let template = history.template(new.revision);
        let Some(pod) = template.and_then(|template| pod::desired(set, &template, new.revision, new.ordinal))
        else {
            return Ok(());
        };
        let made = self.pods_of(key).create(&PostParams::default(), &pod).await;
        let taken = made.as_ref().is_err_and(is_conflict);
        // One of ours that has just gone, or is just coming, is no news.
        if !taken || self.pods.named(&key.namespace, &name).is_some() {
            self.tell(set, Verb::Create, &format!("Pod {name}"), made.as_ref());
        }
        match made {
            Ok(pod) => self.pods.record(pod),
            // When that one goes, the watch tells.
            Err(_) if taken => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Create,
    Delete,
}

impl Verb {
    /// The reasons for success and failure, and the word.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Create => ("SuccessfulCreate", "FailedCreate", "create"),
            Self::Delete => ("SuccessfulDelete", "FailedDelete", "delete"),
        }
    }
}
