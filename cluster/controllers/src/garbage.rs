//! Garbage collection: deletes what its owners left behind, and carries out foreground and orphaning deletion.
//!
//! Metadata watches over every kind feed a graph of owners and dependents (`graph`); each change names the objects to
//! look at again, and a worker carries out what the graph says about one of them. Nothing is polled.

mod graph;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use informer::{Pace, Queue};
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, PartialObjectMeta, Patch, PatchParams, Preconditions,
    PropagationPolicy,
};
use kube::discovery::{Discovery, Scope, verbs};
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;

use crate::worker::{Next, Setup, is_conflict, is_not_found};
use graph::{Action, Graph, Identity, Node, Owner, Uid};

/// After a change of CRDs, wait for the API to serve the new kind before discovery is asked.
const REDISCOVER: Duration = Duration::from_millis(300);
/// While discovery fails, or a definition is stored whose kind is not served yet.
const DISCOVERY_RETRY: Pace = Pace {
    first: Duration::from_millis(10),
    max: Duration::from_secs(30),
};
/// The kind whose changes change the kinds there are.
const DEFINITION: &str = "CustomResourceDefinition";

struct Context {
    client: Client,
    graph: Mutex<Graph>,
    queue: Queue<Uid>,
    /// Asks for the kinds to be looked up again.
    rediscover: Queue<()>,
    /// Every kind that is watched, by `apiVersion/Kind`; owners name their kind that way.
    kinds: Mutex<HashMap<String, (ApiResource, Scope)>>,
    /// Names of the definitions there are, `<plural>.<group>`.
    definitions: Mutex<HashSet<String>>,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("garbagecollector");
    let rediscover = Queue::new("garbagecollector-kinds");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        graph: Mutex::default(),
        queue: queue.clone(),
        rediscover: rediscover.clone(),
        kinds: Mutex::default(),
        definitions: Mutex::default(),
    });
    setup.controller("garbagecollector", &queue, Vec::new, &context, reconcile);
    rediscover.add(());
    setup.spawn(async move {
        let mut watches = BTreeMap::new();
        loop {
            rediscover.next().await;
            match follow_kinds(&context, &mut watches).await {
                Ok(true) => rediscover.forget(&()),
                // The watch of definitions may be ahead of their being served. Without its own watch, a kind's objects
                // would never be missed by what they own.
                Ok(false) => {
                    rediscover.retry((), DISCOVERY_RETRY);
                }
                Err(error) => {
                    tracing::debug!(%error, "Discovery failed and will be retried");
                    rediscover.retry((), DISCOVERY_RETRY);
                }
            }
            rediscover.done(&());
        }
    });
}

/// Starts a watch for each kind that has none, and ends those of kinds that are gone. Returns whether the kinds of all
/// definitions are among them.
async fn follow_kinds(
    context: &Arc<Context>,
    watches: &mut BTreeMap<String, JoinSet<()>>,
) -> Result<bool, kube::Error> {
    let discovery = Discovery::new(context.client.clone()).run_aggregated().await?;
    let mut kinds = HashMap::new();
    for group in discovery.groups() {
        // Not only the kinds of the version that the group prefers: some are there in other versions alone.
        for (resource, capabilities) in group.resources_by_stability() {
            let followed = [verbs::DELETE, verbs::LIST, verbs::WATCH]
                .iter()
                .all(|verb| capabilities.supports_operation(verb))
                // Events own nothing and are owned by nobody, and there are many of them.
                && resource.kind != "Event";
            if followed {
                kinds.insert(
                    kind_key(&resource.api_version, &resource.kind),
                    (resource, capabilities.scope),
                );
            }
        }
    }
    // First of all: what a watch shows is looked at at once, and nothing can be done to a kind that is not known.
    (*context.kinds.lock()).clone_from(&kinds);
    watches.retain(|key, _| kinds.contains_key(key));
    for (key, (resource, _)) in &kinds {
        if !watches.contains_key(key) {
            let (context, resource) = (context.clone(), resource.clone());
            let mut task = JoinSet::new();
            task.spawn(async move { watch(&context, resource).await });
            watches.insert(key.clone(), task);
        }
    }
    let complete = all_served(
        &context.definitions.lock(),
        kinds.values().map(|(resource, _)| resource),
    );
    Ok(complete)
}

fn all_served<'a>(definitions: &HashSet<String>, resources: impl Iterator<Item = &'a ApiResource>) -> bool {
    let served: HashSet<String> = resources
        .map(|resource| format!("{}.{}", resource.plural, resource.group))
        .collect();
    definitions.is_subset(&served)
}

fn kind_key(api_version: &str, kind: &str) -> String {
    format!("{api_version}/{kind}")
}

async fn watch(context: &Context, resource: ApiResource) {
    let api: Api<PartialObjectMeta<DynamicObject>> = Api::all_with(context.client.clone(), &resource);
    let kind = kind_key(&resource.api_version, &resource.kind);
    let mut listed = Vec::new();
    informer::watch::follow_dynamic(api, watcher::Config::default(), &resource.kind, |event| {
        if resource.kind == DEFINITION {
            take_definition(&mut context.definitions.lock(), &event);
            if matches!(event, Event::Apply(_) | Event::Delete(_) | Event::InitDone) {
                context.rediscover.add_after((), REDISCOVER);
            }
        }
        for uid in take_in(&mut context.graph.lock(), &resource, &kind, &mut listed, event) {
            context.queue.add(uid);
        }
    })
    .await;
}

fn take_definition(definitions: &mut HashSet<String>, event: &Event<PartialObjectMeta<DynamicObject>>) {
    match event {
        Event::Init => definitions.clear(),
        Event::Apply(object) | Event::InitApply(object) => definitions.extend(object.metadata.name.clone()),
        Event::Delete(object) => {
            object.metadata.name.as_ref().map(|name| definitions.remove(name));
        }
        Event::InitDone => {}
    }
}

/// Returns the objects to look at. `listed` collects the uids of a list until it is complete.
fn take_in(
    graph: &mut Graph,
    resource: &ApiResource,
    kind: &str,
    listed: &mut Vec<Uid>,
    event: Event<PartialObjectMeta<DynamicObject>>,
) -> Vec<Uid> {
    match event {
        Event::Apply(object) => node(resource, &object).map_or_else(Vec::new, |node| graph.put(node)),
        Event::Delete(object) => {
            let uid = object.metadata.uid;
            uid.map_or_else(Vec::new, |uid| graph.remove(&uid))
        }
        Event::Init => {
            listed.clear();
            Vec::new()
        }
        Event::InitApply(object) => {
            listed.extend(object.metadata.uid.clone());
            node(resource, &object).map_or_else(Vec::new, |node| graph.put(node))
        }
        Event::InitDone => graph.keep_only(kind, &std::mem::take(listed)),
    }
}

fn node(resource: &ApiResource, object: &PartialObjectMeta<DynamicObject>) -> Option<Node> {
    let meta = &object.metadata;
    let has = |name: &str| meta.finalizers.iter().flatten().any(|f| f == name);
    let owners = meta.owner_references.iter().flatten().map(|owner| Owner {
        uid: owner.uid.clone(),
        kind: kind_key(&owner.api_version, &owner.kind),
        name: owner.name.clone(),
        blocks: owner.block_owner_deletion == Some(true),
    });
    Some(Node {
        identity: Identity {
            uid: meta.uid.clone()?,
            kind: kind_key(&resource.api_version, &resource.kind),
            namespace: meta.namespace.clone(),
            name: meta.name.clone()?,
        },
        owners: owners.collect(),
        deleting: meta.deletion_timestamp.is_some(),
        foreground: has(graph::FOREGROUND),
        orphan: has(graph::ORPHAN),
    })
}

async fn reconcile(context: Arc<Context>, uid: Uid) -> Result<Next, kube::Error> {
    let unknown = context.graph.lock().unknown_owners(&uid);
    for (owner, namespace) in unknown {
        match owner_exists(&context, &owner, namespace.as_deref()).await? {
            // Its watch has not shown it yet; it will, and then this object is looked at again.
            Some(true) => return Ok(Next::After(Duration::from_secs(1))),
            Some(false) => context.graph.lock().confirm_absent(&owner.uid),
            // A kind that this API does not serve: nobody can say whether such an owner exists, so nothing is deleted.
            None => return Ok(Next::Wait),
        }
    }
    let Some((identity, action)) = context.graph.lock().next_action(&uid) else {
        return Ok(Next::Wait);
    };
    let Some(api) = api_for(&context, &identity.kind, identity.namespace.as_deref()) else {
        return Ok(Next::Wait);
    };
    carry_out(&context, &api, &identity, action).await?;
    Ok(Next::Wait)
}

async fn carry_out(
    context: &Context,
    api: &Api<DynamicObject>,
    identity: &Identity,
    action: Action,
) -> Result<(), kube::Error> {
    match action {
        Action::Delete { policy } => {
            let params = DeleteParams {
                propagation_policy: policy,
                preconditions: Some(Preconditions {
                    uid: Some(identity.uid.clone()),
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            settled(api.delete(&identity.name, &params).await.map(|_| ()))
        }
        Action::RemoveOwners(gone) => {
            let Some(live) = live(api, identity).await? else {
                return Ok(());
            };
            let owners = live.metadata.owner_references.unwrap_or_default();
            let kept: Vec<_> = owners
                .into_iter()
                .filter(|owner| !gone.contains(&owner.uid))
                .collect();
            let patch = json!({ "metadata": {
                "uid": identity.uid, "resourceVersion": live.metadata.resource_version,
                "ownerReferences": if kept.is_empty() { serde_json::Value::Null } else { json!(kept) },
            }});
            changed(api, identity, patch).await
        }
        Action::DeleteDependents(dependents) => {
            // They answer through their own watches; each is examined as its own object.
            dependents.into_iter().for_each(|uid| context.queue.add(uid));
            Ok(())
        }
        Action::RemoveFinalizer(finalizer) => {
            let Some(live) = live(api, identity).await? else {
                return Ok(());
            };
            let finalizers = live.metadata.finalizers.unwrap_or_default();
            let kept: Vec<_> = finalizers.into_iter().filter(|f| f != finalizer).collect();
            let patch = json!({ "metadata": {
                "uid": identity.uid, "resourceVersion": live.metadata.resource_version, "finalizers": kept,
            }});
            changed(api, identity, patch).await
        }
    }
}

/// The object as it is now, if it is still the same one.
async fn live(
    api: &Api<DynamicObject>,
    identity: &Identity,
) -> Result<Option<PartialObjectMeta<DynamicObject>>, kube::Error> {
    let live = api.get_metadata_opt(&identity.name).await?;
    Ok(live.filter(|object| object.metadata.uid.as_ref() == Some(&identity.uid)))
}

async fn changed(
    api: &Api<DynamicObject>,
    identity: &Identity,
    patch: serde_json::Value,
) -> Result<(), kube::Error> {
    // A conflict is an error here: somebody changed the list between our read and this write, so look again.
    match api
        .patch_metadata(&identity.name, &PatchParams::default(), &Patch::Merge(patch))
        .await
    {
        Err(error) if !is_not_found(&error) => Err(error),
        _ => Ok(()),
    }
}

fn settled(result: Result<(), kube::Error>) -> Result<(), kube::Error> {
    match result {
        Err(error) if !is_not_found(&error) && !is_conflict(&error) => Err(error),
        _ => Ok(()),
    }
}

fn api_for(context: &Context, kind: &str, namespace: Option<&str>) -> Option<Api<DynamicObject>> {
    let (resource, scope) = context.kinds.lock().get(kind).cloned()?;
    Some(match (scope, namespace) {
        (Scope::Namespaced, Some(namespace)) => {
            Api::namespaced_with(context.client.clone(), namespace, &resource)
        }
        (Scope::Namespaced, None) => return None,
        (Scope::Cluster, _) => Api::all_with(context.client.clone(), &resource),
    })
}

/// Whether the owner exists, asked of the API itself; `None` when its kind is not served.
async fn owner_exists(
    context: &Context,
    owner: &Owner,
    namespace: Option<&str>,
) -> Result<Option<bool>, kube::Error> {
    let Some(api) = api_for(context, &owner.kind, namespace) else {
        return Ok(None);
    };
    let live = api.get_metadata_opt(&owner.name).await?;
    Ok(Some(live.is_some_and(|object| {
        object.metadata.uid.as_ref() == Some(&owner.uid)
    })))
}

/// How a dependent is deleted once its owners are gone.
fn policy_of(node: &Node) -> Option<PropagationPolicy> {
    if node.orphan {
        Some(PropagationPolicy::Orphan)
    } else if node.foreground {
        Some(PropagationPolicy::Foreground)
    } else {
        Some(PropagationPolicy::Background)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(name: &str) -> PartialObjectMeta<DynamicObject> {
        let object = json!({"metadata": {"name": name}, "types": null});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn kinds_are_complete_once_those_of_all_definitions_are_served() {
        let resource = |group: &str, kind: &str, plural: &str| {
            let gvk = kube::api::GroupVersionKind::gvk(group, "v1", kind);
            ApiResource::from_gvk_with_plural(&gvk, plural)
        };
        let built_in = resource("", "Service", "services");
        let custom = resource("serving.knative.dev", "Service", "services");
        let mut definitions = HashSet::new();
        assert!(all_served(&definitions, [&built_in].into_iter()));

        take_definition(
            &mut definitions,
            &Event::InitApply(definition("services.serving.knative.dev")),
        );
        assert!(!all_served(&definitions, [&built_in].into_iter()));
        assert!(all_served(&definitions, [&built_in, &custom].into_iter()));

        take_definition(
            &mut definitions,
            &Event::Apply(definition("brokers.eventing.knative.dev")),
        );
        assert!(!all_served(&definitions, [&built_in, &custom].into_iter()));
        take_definition(
            &mut definitions,
            &Event::Delete(definition("brokers.eventing.knative.dev")),
        );
        assert!(all_served(&definitions, [&custom].into_iter()));
        take_definition(&mut definitions, &Event::Init);
        assert!(definitions.is_empty());
    }
}
