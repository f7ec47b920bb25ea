//! EndpointSlices and Endpoints of Services with a selector.

mod slices;

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinSet;

use crate::informer::{Informer, Key, key_of};
use crate::queue::Queue;
use crate::worker::{self, Next, is_conflict, is_not_found};

struct Context {
    client: Client,
    services: Arc<Informer<Service>>,
    pods: Arc<Informer<Pod>>,
    slices: Arc<Informer<EndpointSlice>>,
    endpoints: Arc<Informer<Endpoints>>,
}

pub fn spawn(
    tasks: &mut JoinSet<()>,
    client: &Client,
    services: &Arc<Informer<Service>>,
    pods: &Arc<Informer<Pod>>,
) {
    let queue: Arc<Queue<Key>> = Arc::new(Queue::new());
    let slices: Arc<Informer<EndpointSlice>> = Informer::new();
    let endpoints: Arc<Informer<Endpoints>> = Informer::new();

    let on_service = queue.clone();
    services.on_change(move |change| {
        if let Some(service) = change.latest() {
            on_service.add(key_of(service.as_ref()));
        }
    });
    let (on_pod, all) = (queue.clone(), services.clone());
    pods.on_change(move |change| {
        let Some(namespace) = change.latest().and_then(|pod| pod.namespace()) else {
            return;
        };
        let touched = all.in_namespace(&namespace, |service| {
            [change.old, change.new]
                .into_iter()
                .flatten()
                .any(|pod| slices::selects(service, pod))
        });
        for service in touched {
            on_pod.add(key_of(service.as_ref()));
        }
    });
    let on_slice = queue.clone();
    slices.on_change(move |change| {
        if let Some(slice) = change.latest()
            && slice
                .labels()
                .get(slices::MANAGED_BY)
                .is_some_and(|by| by == slices::MANAGER)
            && let Some(service) = slice.labels().get(slices::SERVICE_NAME)
        {
            on_slice.add((slice.namespace().unwrap_or_default(), service.clone()));
        }
    });
    let context = Arc::new(Context {
        client: client.clone(),
        services: services.clone(),
        pods: pods.clone(),
        slices: slices.clone(),
        endpoints: endpoints.clone(),
    });
    worker::spawn(tasks, "endpointslice", &queue, &context, reconcile);
    slices.run(tasks, client);
    endpoints.run(tasks, client);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    if !(context.pods.synced() && context.slices.synced() && context.endpoints.synced()) {
        return Ok(Next::After(Duration::from_millis(20)));
    }
    // Slices of a Service that is gone are the garbage collector's.
    let Some(service) = context.services.get(&key) else {
        return Ok(Next::Wait);
    };
    if !slices::is_ours(&service) || service.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    let mut pods = context
        .pods
        .in_namespace(&key.0, |pod| slices::selects(&service, pod));
    pods.sort_by_key(|pod| pod.name_any());
    let wanted = slices::desired(&service, &pods);
    write_slices(&context, &key, &wanted).await?;
    write_endpoints(&context, &key, slices::desired_endpoints(&service, &wanted)).await?;
    Ok(Next::Wait)
}

async fn write_slices(context: &Context, key: &Key, wanted: &[EndpointSlice]) -> Result<(), kube::Error> {
    let api: Api<EndpointSlice> = Api::namespaced(context.client.clone(), &key.0);
    for slice in wanted {
        let name = slice.name_any();
        match context.slices.get(&(key.0.clone(), name.clone())) {
            Some(live) if slices::same(&live, slice) => {}
            Some(_) => patch_slice(&api, &name, slice).await?,
            None => match api.create(&PostParams::default(), slice).await {
                Err(error) if is_conflict(&error) => patch_slice(&api, &name, slice).await?,
                other => other.map(|_| ())?,
            },
        }
    }
    let stale = context.slices.in_namespace(&key.0, |slice| {
        slice.labels().get(slices::SERVICE_NAME) == Some(&key.1)
            && slice
                .labels()
                .get(slices::MANAGED_BY)
                .is_some_and(|by| by == slices::MANAGER)
            && !wanted.iter().any(|w| w.name_any() == slice.name_any())
    });
    for slice in stale {
        match api.delete(&slice.name_any(), &DeleteParams::default()).await {
            Err(error) if !is_not_found(&error) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

async fn patch_slice(api: &Api<EndpointSlice>, name: &str, slice: &EndpointSlice) -> Result<(), kube::Error> {
    let patch = json!({
        "metadata": { "labels": slice.metadata.labels },
        "endpoints": slice.endpoints,
        "ports": slice.ports,
    });
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .map(|_| ())
}

async fn write_endpoints(context: &Context, key: &Key, wanted: Endpoints) -> Result<(), kube::Error> {
    let api: Api<Endpoints> = Api::namespaced(context.client.clone(), &key.0);
    match context.endpoints.get(key) {
        Some(live)
            if live.subsets.as_deref().unwrap_or_default()
                == wanted.subsets.as_deref().unwrap_or_default() => {}
        Some(_) => {
            let patch = json!({ "subsets": wanted.subsets });
            match api
                .patch(&key.1, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                Err(error) if !is_not_found(&error) => return Err(error),
                _ => {}
            }
        }
        None => match api.create(&PostParams::default(), &wanted).await {
            Err(error) if !is_conflict(&error) => return Err(error),
            _ => {}
        },
    }
    Ok(())
}
