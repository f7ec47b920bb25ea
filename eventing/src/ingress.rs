//! Where events are taken in: Services of the system namespace, one for brokers and channels, one for job
//! sinks, one for RequestReplies.

use crds::names;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use reconciler::{Cache, Key, Object};

use crate::addresses::{Addresses, SECURE_PORT, Secure};
use crate::encryption::Receiver;
use crate::shared::{Shared, name_of};

/// Label by which slices name their Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Does the Service that takes events of brokers and channels in have a ready endpoint?
pub(crate) fn is_available(slices: &Cache<EndpointSlice>) -> bool {
    is_served(slices, names::BROKER_INGRESS_SERVICE)
}

/// Does `service` have a ready endpoint?
pub(crate) fn is_served(slices: &Cache<EndpointSlice>, service: &str) -> bool {
    slices
        .list()
        .iter()
        .any(|slice| is_of(slice, service) && has_ready(slice))
}

/// Whether a slice tells of the Service of brokers and channels.
pub(crate) fn is_of_ingress(slice: &EndpointSlice) -> bool {
    is_of(slice, names::BROKER_INGRESS_SERVICE)
}

/// Whether a slice tells of `service`.
pub(crate) fn is_of(slice: &EndpointSlice, service: &str) -> bool {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get(SERVICE_NAME))
        .map(String::as_str)
        == Some(service)
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

/// Wakes all of `objects` when the Service by which they are reached changes.
pub(crate) fn reached_by<K: Object>(
    service: &'static str,
    objects: &Cache<K>,
) -> impl Fn(&Service) -> Vec<Key> + Send + Sync + 'static {
    let objects = objects.clone();
    move |changed| match name_of(&changed.metadata) == service {
        true => objects.keys(),
        false => Vec::new(),
    }
}

/// Whether senders can come to this Service over TLS.
fn has_secure_port(service: &Service) -> bool {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    ports.map(|port| port.port).any(|port| port == SECURE_PORT)
}

/// Where a broker takes events.
pub(crate) fn broker(shared: &Shared, at: (&str, &str), audience: Option<String>) -> Addresses {
    by_path(
        shared,
        Receiver::Brokers,
        names::BROKER_INGRESS_SERVICE,
        at,
        audience,
    )
}

/// Where a job sink takes events.
pub(crate) fn job_sink(shared: &Shared, at: (&str, &str), audience: Option<String>) -> Addresses {
    by_path(shared, Receiver::JobSinks, names::JOB_SINK_SERVICE, at, audience)
}

/// Where a RequestReply takes requests.
pub(crate) fn request_reply(shared: &Shared, at: (&str, &str), audience: Option<String>) -> Addresses {
    by_path(
        shared,
        Receiver::RequestReplies,
        names::REQUEST_REPLY_SERVICE,
        at,
        audience,
    )
}

/// Where a channel takes events: it has a host of its own, but over TLS, for which there is one certificate for all.
pub(crate) fn channel(shared: &Shared, at: (&str, &str), audience: Option<String>) -> Addresses {
    let (namespace, name) = at;
    let http = format!(
        "http://{}.{namespace}.svc.{}",
        names::channel_service(name),
        shared.cluster_domain
    );
    let service = names::CHANNEL_DISPATCHER_SERVICE;
    let https = format!("https://{}/{namespace}/{name}", host_of(shared, service));
    addresses(shared, Receiver::Brokers, http, (service, https), audience)
}

fn by_path(
    shared: &Shared,
    receiver: Receiver,
    service: &'static str,
    (namespace, name): (&str, &str),
    audience: Option<String>,
) -> Addresses {
    let rest = format!("://{}/{namespace}/{name}", host_of(shared, service));
    let secure = (service, format!("https{rest}"));
    addresses(shared, receiver, format!("http{rest}"), secure, audience)
}

fn addresses(
    shared: &Shared,
    receiver: Receiver,
    http: String,
    (service, url): (&'static str, String),
    audience: Option<String>,
) -> Addresses {
    let mode = shared.features().transport_encryption;
    let found = shared.services.named(&shared.system_namespace, service);
    let secure = Secure {
        url,
        service,
        has_port: found.is_some_and(|found| has_secure_port(&found)),
        certificate: shared.encryption.certificate(receiver),
    };
    Addresses::new(mode, http, secure, audience)
}

/// The name of the Service of brokers and channels in the cluster's DNS.
pub(crate) fn host(shared: &Shared) -> String {
    host_of(shared, names::BROKER_INGRESS_SERVICE)
}

fn host_of(shared: &Shared, service: &str) -> String {
    format!(
        "{service}.{}.svc.{}",
        shared.system_namespace, shared.cluster_domain
    )
}
