//! What all reconcilers of this crate share: caches, configuration, events, the clock.

use std::collections::BTreeMap;

use crds::caching::Image;
use crds::config::{HttpProtocol, Network};
use crds::networking::{HttpOption, Ingress};
use crds::serving::{Configuration, Revision, Route, Service};
use crds::{annotations, autoscaling::PodAutoscaler, labels, names};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service as KubeService};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, Cache, Caches, Clock, ConfigStore, Recorder, Selection};

/// The collaborators of a reconciler.
#[derive(Clone)]
pub(crate) struct Shared {
    pub client: kube::Client,
    pub config: ConfigStore,
    pub events: Recorder,
    pub clock: Clock,
    pub cluster_domain: String,
    pub system_namespace: String,
    pub services: Cache<Service>,
    pub configurations: Cache<Configuration>,
    pub revisions: Cache<Revision>,
    pub routes: Cache<Route>,
    pub deployments: Cache<Deployment>,
    pub pods: Cache<Pod>,
    pub pod_autoscalers: Cache<PodAutoscaler>,
    pub images: Cache<Image>,
    pub ingresses: Cache<Ingress>,
    /// Kubernetes Services that stand in for the hosts of Routes.
    pub placeholders: Cache<KubeService>,
}

impl Shared {
    pub(crate) fn new(caches: &Caches, config: ConfigStore, settings: &crate::Config) -> Self {
        let client = caches.client().clone();
        let shared = Self {
            events: Recorder::new(client.clone(), "controller"),
            config,
            clock: settings.clock.clone(),
            cluster_domain: settings.cluster_domain.clone(),
            system_namespace: settings.system_namespace.clone(),
            services: caches.cache(),
            configurations: caches.cache(),
            revisions: caches.cache(),
            routes: caches.cache(),
            // Only what belongs to revisions: a cluster has many more Deployments, Pods and Services.
            deployments: caches.cache_of(Selection::labelled(labels::REVISION_UID).packed()),
            pods: caches.cache_of(Selection::labelled(labels::REVISION_UID)),
            placeholders: caches.cache_of(Selection::labelled(labels::ROUTE)),
            pod_autoscalers: caches.cache(),
            images: caches.cache(),
            ingresses: caches.cache(),
            client,
        };
        shared.pods.add_label_index(labels::REVISION_UID);
        shared.placeholders.add_label_index(labels::ROUTE);
        shared
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    pub(crate) fn applier(&self, manager: &'static str) -> Applier {
        Applier::new(self.client.clone(), manager)
    }
}

/// String to string, as labels and annotations are.
pub(crate) type Map = BTreeMap<String, String>;

pub(crate) fn labels_of(meta: &ObjectMeta) -> Map {
    meta.labels.clone().unwrap_or_default()
}

pub(crate) fn annotations_of(meta: &ObjectMeta) -> Map {
    meta.annotations.clone().unwrap_or_default()
}

/// The value of a label, if it is set.
pub(crate) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels
        .as_ref()
        .and_then(|labels| labels.get(key))
        .map(String::as_str)
}

/// The value of an annotation, if it is set.
pub(crate) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations
        .as_ref()
        .and_then(|annotations| annotations.get(key))
        .map(String::as_str)
}

/// The value of the first of several spellings of an annotation that is set.
pub(crate) fn first_annotation<'a>(meta: &'a ObjectMeta, keys: &[&'static str]) -> Option<&'a str> {
    let annotations = meta.annotations.as_ref()?;
    crds::annotations::first(annotations, keys).map(|(_, value)| value)
}

/// What becomes of clear-text requests to the hosts of an object with these annotations.
pub(crate) fn http_option(meta: &ObjectMeta, network: &Network) -> HttpOption {
    match first_annotation(meta, annotations::HTTP_PROTOCOL_KEYS) {
        Some(text) if text.eq_ignore_ascii_case("redirected") => HttpOption::Redirected,
        Some(text) if text.eq_ignore_ascii_case("enabled") => HttpOption::Enabled,
        _ if network.http_protocol == HttpProtocol::Redirected => HttpOption::Redirected,
        _ => HttpOption::Enabled,
    }
}

/// The head of the KIngress of an object: what users wrote on that one, and who serves it.
pub(crate) fn ingress_metadata(meta: &ObjectMeta, network: &Network) -> ObjectMeta {
    let class = first_annotation(meta, annotations::INGRESS_CLASS_KEYS).unwrap_or(&network.ingress_class);
    let mut annotations = annotations_of(meta);
    annotations.remove(annotations::KUBECTL_LAST_APPLIED);
    annotations.insert(annotations::INGRESS_CLASS.to_owned(), class.to_owned());
    ObjectMeta {
        name: Some(names::ingress(name_of(meta))),
        namespace: meta.namespace.clone(),
        labels: Some(labels_of(meta)),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    }
}

/// The members of a comma-separated list, sorted, without blanks and repeats.
pub(crate) fn members(list: Option<&str>) -> std::collections::BTreeSet<String> {
    let members = list.unwrap_or_default().split(',').map(str::trim);
    members
        .filter(|member| !member.is_empty())
        .map(str::to_owned)
        .collect()
}

/// A timestamp as annotations carry it: RFC 3339 in UTC, whole seconds.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) fn name_of(meta: &ObjectMeta) -> &str {
    meta.name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace_of(meta: &ObjectMeta) -> &str {
    meta.namespace.as_deref().unwrap_or_default()
}

pub(crate) fn uid_of(meta: &ObjectMeta) -> &str {
    meta.uid.as_deref().unwrap_or_default()
}
