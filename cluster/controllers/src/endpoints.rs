//! EndpointSlices and Endpoints of Services with a selector.

mod slices;

use std::sync::Arc;

use informer::{Cache, Key, Queue, Selection};
use k8s_openapi::api::core::v1::{Endpoints, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::worker::{Next, Setup, is_conflict, is_not_found};

struct Context {
    client: Client,
    services: Cache<Service>,
    pods: Cache<Pod>,
    slices: Cache<EndpointSlice>,
    endpoints: Cache<Endpoints>,
}

pub fn spawn(setup: &mut Setup) {
    let queue = Queue::new("endpointslice");
    let context = Arc::new(Context {
        client: setup.client.clone(),
        services: setup.caches.cache(),
        pods: setup.caches.cache(),
        slices: setup.caches.cache_of(Selection::labelled(format!(
            "{}={}",
            slices::MANAGED_BY,
            slices::MANAGER
        ))),
        endpoints: setup.caches.cache(),
    });
    let on_service = queue.clone();
    context.services.on_change(move |change| {
        if let Some(service) = change.latest() {
            on_service.add(Key::of(service.as_ref()));
        }
    });
    let (on_pod, services) = (queue.clone(), context.services.clone());
    context.pods.on_change(move |change| {
        let Some(namespace) = change.latest().and_then(|pod| pod.namespace()) else {
            return;
        };
        let touched = services.in_namespace(&namespace, |service| {
            change.states().any(|pod| slices::selects(service, pod))
        });
        for service in touched {
            on_pod.add(Key::of(service.as_ref()));
        }
    });
    let on_slice = queue.clone();
    context.slices.on_change(move |change| {
        if let Some(slice) = change.latest()
            && let Some(service) = slice.labels().get(slices::SERVICE_NAME)
        {
            on_slice.add(Key::new(slice.namespace().unwrap_or_default(), service.clone()));
        }
    });
    let all = context.services.clone();
    setup.controller("endpointslice", &queue, move || all.keys(), &context, reconcile);
}

async fn reconcile(context: Arc<Context>, key: Key) -> Result<Next, kube::Error> {
    // Slices of a Service that is gone are the garbage collector's.
    let Some(service) = context.services.get(&key) else {
        return Ok(Next::Wait);
    };
    if !slices::is_ours(&service) || service.metadata.deletion_timestamp.is_some() {
        return Ok(Next::Wait);
    }
    let mut pods = context
        .pods
        .in_namespace(&key.namespace, |pod| slices::selects(&service, pod));
    pods.sort_by_key(|pod| pod.name_any());
    let wanted = slices::desired(&service, &pods);
    write_slices(&context, &key, &wanted).await?;
    write_endpoints(&context, &key, slices::desired_endpoints(&service, &wanted)).await?;
    Ok(Next::Wait)
}

async fn write_slices(context: &Context, key: &Key, wanted: &[EndpointSlice]) -> Result<(), kube::Error> {
    let api: Api<EndpointSlice> = Api::namespaced(context.client.clone(), &key.namespace);
    for slice in wanted {
        let name = slice.name_any();
        match context.slices.get(&Key::new(&key.namespace, &name)) {
            Some(live) if slices::same(&live, slice) => {}
            Some(_) => context.slices.record(patch_slice(&api, &name, slice).await?),
            None => match api.create(&PostParams::default(), slice).await {
                Err(error) if is_conflict(&error) => {
                    context.slices.record(patch_slice(&api, &name, slice).await?);
                }
                created => context.slices.record(created?),
            },
        }
    }
    let stale = context.slices.in_namespace(&key.namespace, |slice| {
        slice.labels().get(slices::SERVICE_NAME) == Some(&key.name)
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

async fn patch_slice(
    api: &Api<EndpointSlice>,
    name: &str,
    slice: &EndpointSlice,
) -> Result<EndpointSlice, kube::Error> {
    let patch = json!({
        "metadata": { "labels": slice.metadata.labels },
        "endpoints": slice.endpoints,
        "ports": slice.ports,
    });
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
}

async fn write_endpoints(context: &Context, key: &Key, wanted: Endpoints) -> Result<(), kube::Error> {
    let api: Api<Endpoints> = Api::namespaced(context.client.clone(), &key.namespace);
    match context.endpoints.get(key) {
        Some(live)
            if live.subsets.as_deref().unwrap_or_default()
                == wanted.subsets.as_deref().unwrap_or_default() => {}
        Some(_) => {
            let patch = json!({ "subsets": wanted.subsets });
            match api
                .patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
                .await
            {
                Ok(endpoints) => context.endpoints.record(endpoints),
                Err(error) if is_not_found(&error) => {}
                Err(error) => return Err(error),
            }
        }
        None => match api.create(&PostParams::default(), &wanted).await {
            Ok(endpoints) => context.endpoints.record(endpoints),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error),
        },
    }
    Ok(())
}
