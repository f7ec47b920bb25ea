//! What all reconcilers of this crate share: caches, configuration, events, the clock.

use std::sync::Arc;

use crds::config::events::Features;
use crds::eventing::{Broker, EventPolicy, EventType, Trigger};
use crds::flows::{Parallel, Sequence};
use crds::messaging::{Channel, InMemoryChannel, Subscription};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Cache, Caches, Clock, ConfigStore, Recorder, Selection};

use crate::encryption::Encryption;
use crate::resolver::Resolver;
use crate::tracker::Tracker;

/// The collaborators of a reconciler.
#[derive(Clone)]
pub(crate) struct Shared {
    pub client: kube::Client,
    pub config: ConfigStore,
    pub events: Recorder,
    pub clock: Clock,
    pub cluster_domain: String,
    pub system_namespace: String,
    /// Can the data plane keep events in NATS JetStream?
    pub jet_stream: bool,
    /// The certificates of what takes events in.
    pub encryption: Encryption,
    pub tracker: Tracker,
    pub resolver: Resolver,
    pub brokers: Cache<Broker>,
    pub triggers: Cache<Trigger>,
    pub policies: Cache<EventPolicy>,
    pub event_types: Cache<EventType>,
    pub channels: Cache<Channel>,
    pub in_memory_channels: Cache<InMemoryChannel>,
    pub subscriptions: Cache<Subscription>,
    pub sequences: Cache<Sequence>,
    pub parallels: Cache<Parallel>,
    /// The Kubernetes Services of channels.
    pub channel_services: Cache<Service>,
    /// The identities of senders.
    pub identities: Cache<ServiceAccount>,
    /// The ConfigMaps of the system namespace.
    pub config_maps: Cache<ConfigMap>,
    /// The Services of the system namespace.
    pub services: Cache<Service>,
    /// Where they answer.
    pub slices: Cache<EndpointSlice>,
}

impl Shared {
    pub(crate) fn new(caches: &Caches, config: ConfigStore, settings: &crate::Config) -> Self {
        let client = caches.client().clone();
        let system = Selection::within(&settings.system_namespace);
        let tracker = Tracker::new(client.clone());
        Self {
            events: Recorder::new(client.clone(), "eventing-controller"),
            clock: settings.clock.clone(),
            cluster_domain: settings.cluster_domain.clone(),
            system_namespace: settings.system_namespace.clone(),
            jet_stream: settings.jet_stream,
            encryption: Encryption::new(caches, &settings.system_namespace),
            resolver: Resolver::new(
                tracker.clone(),
                config.clone(),
                &settings.cluster_domain,
                &settings.system_namespace,
            ),
            tracker,
            config,
            brokers: caches.cache(),
            triggers: caches.cache(),
            policies: caches.cache(),
            event_types: caches.cache(),
            channels: caches.cache(),
            in_memory_channels: caches.cache(),
            subscriptions: caches.cache(),
            sequences: caches.cache(),
            parallels: caches.cache(),
            channel_services: caches.cache_of(Selection::labelled(crds::labels::CHANNEL_ROLE)),
            identities: caches.cache_of(Selection::labelled(format!("{}=enabled", crds::labels::OIDC))),
            config_maps: caches.cache_of(system.clone()),
            services: caches.cache_of(system.clone()),
            slices: caches.cache_of(system),
            client,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn features(&self) -> Arc<Features> {
        self.config.get()
    }

    pub(crate) fn applier(&self, manager: &'static str) -> Applier {
        Applier::new(self.client.clone(), manager)
    }
}

/// The value of an annotation, if it is set.
pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    let annotations = meta.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

pub(crate) fn name_of(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace_of(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}
