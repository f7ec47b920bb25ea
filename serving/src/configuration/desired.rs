//! The Revision that a Configuration's present generation should have.

use crds::serving::{Configuration, Revision};
use crds::{annotations, labels, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;

use crate::shared::{annotation, label, members, name_of, rfc3339, uid_of};

pub(super) fn revision(configuration: &Configuration, now: Timestamp) -> Revision {
    let generation = configuration.metadata.generation.unwrap_or_default();
    let template = &configuration.spec.template;
    let meta = template.metadata.clone().unwrap_or_default();
    let configured = &configuration.metadata;

    let mut labels = meta.labels.unwrap_or_default();
    let mut set = |key: &str, value: Option<&str>| {
        labels.remove(key);
        if let Some(value) = value {
            labels.insert(key.to_owned(), value.to_owned());
        }
    };
    let routes = members(annotation(configured, annotations::ROUTES));
    set(labels::CONFIGURATION, Some(name_of(configured)));
    set(labels::CONFIGURATION_GENERATION, Some(&generation.to_string()));
    set(labels::CONFIGURATION_UID, Some(uid_of(configured)));
    set(labels::SERVICE, label(configured, labels::SERVICE));
    set(labels::SERVICE_UID, label(configured, labels::SERVICE_UID));
    // A Configuration with routes will have its newest revision routed to: the pods need not wait for the labeler.
    let state = if routes.is_empty() {
        labels::ROUTING_STATE_PENDING
    } else {
        labels::ROUTING_STATE_ACTIVE
    };
    set(labels::ROUTING_STATE, Some(state));

    let mut annotations = meta.annotations.unwrap_or_default();
    if let Some(modifier) = annotation(configured, annotations::LAST_MODIFIER) {
        annotations.insert(annotations::CREATOR.to_owned(), modifier.to_owned());
    }
    if !routes.is_empty() {
        let routes: Vec<String> = routes.into_iter().collect();
        annotations.insert(annotations::ROUTES.to_owned(), routes.join(","));
    }
    annotations.insert(annotations::ROUTING_STATE_MODIFIED.to_owned(), rfc3339(now));

    let chosen = meta.name.filter(|name| !name.is_empty());
    Revision {
        metadata: ObjectMeta {
            name: Some(chosen.unwrap_or_else(|| names::revision(name_of(configured), generation))),
            namespace: configured.namespace.clone(),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}
