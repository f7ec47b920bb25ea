//! Empties namespaces that are being deleted, then lets them go.

use std::sync::Arc;
use std::time::Duration;

use informer::{Cache, Key, Queue};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Client, Resource, ResourceExt};

use crate::worker::{Next, Setup, is_conflict, is_not_found};

/// Wait before looking again whether the content is gone: pods take their grace period.
const RECHECK: Duration = Duration::from_millis(250);
const FINALIZER: &str = "kubernetes";

struct Context {
    client: Client,
    namespaces: Cache<Namespace>,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("namespace");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        namespaces: setup.caches.cache(),
    });
    let on_namespace = queue.clone();
    context.namespaces.on_change(move |change| {
        let going = change
            .new
            .as_ref()
            .filter(|namespace| namespace.meta().deletion_timestamp.is_some());
        if let Some(namespace) = going {
            on_namespace.add(Key::of(namespace.as_ref()));
        }
    });
    let all = context.namespaces.clone();
    setup.controller("namespace", &queue, move || all.keys(), &context, reconcile);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    let Some(namespace) = context.namespaces.get(&key) else {
        return Ok(Next::Wait);
    };
    let finalizers = namespace
        .spec
        .as_ref()
        .and_then(|s| s.finalizers.clone())
        .unwrap_or_default();
    if namespace.meta().deletion_timestamp.is_none() || !finalizers.iter().any(|f| f == FINALIZER) {
        return Ok(Next::Wait);
    }
    if empty(&context.client, &key.name).await? > 0 {
        return Ok(Next::After(RECHECK));
    }
    finalize(&context.client, &namespace, finalizers).await?;
    Ok(Next::Wait)
}

/// Deletes everything in `namespace`; returns how many objects are still there.
async fn empty(client: &Client, namespace: &str) -> Result<usize, kube::Error> {
    // Looked up each time: a CRD may have appeared since the last namespace went.
    let discovery = Discovery::new(client.clone()).run_aggregated().await?;
    let mut left = 0;
    for group in discovery.groups() {
        // Not only the kinds of the version that the group prefers: some are there in other versions alone.
        for (resource, capabilities) in group.resources_by_stability() {
            let deletable = capabilities.supports_operation(verbs::DELETE_COLLECTION)
                && capabilities.supports_operation(verbs::LIST);
            if capabilities.scope != Scope::Namespaced || !deletable {
                continue;
            }
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            let listed = match api.list_metadata(&ListParams::default()).await {
                Ok(listed) => listed,
                // The kind's definition went away between discovery and now.
                Err(error) if is_not_found(&error) => continue,
                Err(error) => return Err(error),
            };
            if listed.items.is_empty() {
                continue;
            }
            // Events outlive nobody: they are gone with this very call.
            left += if resource.kind == "Event" {
                0
            } else {
                listed.items.len()
            };
            if listed
                .items
                .iter()
                .any(|object| object.metadata.deletion_timestamp.is_none())
            {
                api.delete_collection(&DeleteParams::background(), &ListParams::default())
                    .await?;
            }
        }
    }
    Ok(left)
}

async fn finalize(
    client: &Client,
    namespace: &Namespace,
    finalizers: Vec<String>,
) -> Result<(), kube::Error> {
    let remaining: Vec<String> = finalizers.into_iter().filter(|f| f != FINALIZER).collect();
    let mut body = namespace.clone();
    body.spec.get_or_insert_default().finalizers = Some(remaining);
    let api: Api<Namespace> = Api::all(client.clone());
    let replaced: Result<Namespace, _> = api
        .replace_subresource("finalize", &namespace.name_any(), &PostParams::default(), &body)
        .await;
    match replaced {
        Err(error) if !is_not_found(&error) && !is_conflict(&error) => Err(error),
        _ => Ok(()),
    }
}
