//! Where brokers and channels take events in: one Service of the system namespace.

use crds::names;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use reconciler::Cache;

use crate::shared::Shared;

/// Label by which slices name their Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Does the Service that takes events in have a ready endpoint?
pub(crate) fn is_available(slices: &Cache<EndpointSlice>) -> bool {
    slices
        .list()
        .iter()
        .any(|slice| is_of_ingress(slice) && has_ready(slice))
}

/// Whether a slice tells of the Service that takes events in.
pub(crate) fn is_of_ingress(slice: &EndpointSlice) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(SERVICE_NAME))
        .map(String::as_str)
        == Some(names::BROKER_INGRESS_SERVICE)
}

fn has_ready(slice: &EndpointSlice) -> bool {
    slice.endpoints.iter().flatten().any(|endpoint| {
        // Absent means ready.
        let ready = endpoint
            .conditions
            .as_ref()
            .and_then(|conditions| conditions.ready);
        ready.unwrap_or(true) && !endpoint.addresses.is_empty()
    })
}

/// Where a broker takes events.
pub(crate) fn broker_url(shared: &Shared, namespace: &str, name: &str) -> String {
    format!("http://{}/{namespace}/{name}", host(shared))
}

/// The name of the Service in the cluster's DNS.
pub(crate) fn host(shared: &Shared) -> String {
    format!(
        "{}.{}.svc.{}",
        names::BROKER_INGRESS_SERVICE,
        shared.system_namespace,
        shared.cluster_domain
    )
}
