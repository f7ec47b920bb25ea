//! Empties namespaces that are being deleted, then lets them go.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use kube::discovery::{Discovery, Scope, verbs};
use kube::{Api, Client, Resource, ResourceExt};
use tokio::task::JoinSet;

use crate::informer::Informer;
use crate::queue::Queue;
use crate::worker::{self, Next, is_conflict, is_not_found};

/// Wait before looking again whether the content is gone: pods take their grace period.
const RECHECK: Duration = Duration::from_millis(250);
const FINALIZER: &str = "kubernetes";

struct Context {
    client: Client,
    namespaces: Arc<Informer<Namespace>>,
}

pub fn spawn(tasks: &mut JoinSet<()>, client: &Client, namespaces: &Arc<Informer<Namespace>>) {
    let queue: Arc<Queue<String>> = Arc::new(Queue::new());
    let on_namespace = queue.clone();
    namespaces.on_change(move |change| {
        if let Some(namespace) = change.new.filter(|n| n.meta().deletion_timestamp.is_some()) {
            on_namespace.add(namespace.name_any());
        }
    });
    let context = Arc::new(Context {
        client: client.clone(),
        namespaces: namespaces.clone(),
    });
    worker::spawn(tasks, "namespace", &queue, &context, reconcile);
}

async fn reconcile(context: Arc<Context>, name: String) -> Result<Next, kube::Error> {
    let Some(namespace) = context.namespaces.get(&(String::new(), name.clone())) else {
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
    if empty(&context.client, &name).await? > 0 {
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
        for (resource, capabilities) in group.recommended_resources() {
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
