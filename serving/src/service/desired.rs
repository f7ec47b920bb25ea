//! The Configuration and the Route that a Service should have.

use crds::serving::{Configuration, ConfigurationSpec, Route, RouteSpec, Service, TrafficTarget};
use crds::{annotations, labels, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::shared::{Map, annotation, annotations_of, labels_of, members, name_of, uid_of};

/// `live` is the present Configuration: the routes noted on it by other Routes stay.
pub(super) fn configuration(service: &Service, live: Option<&Configuration>) -> Configuration {
    let mut labels = labels_of(&service.metadata);
    labels.insert(labels::SERVICE.to_owned(), name_of(&service.metadata).to_owned());
    labels.insert(
        labels::SERVICE_UID.to_owned(),
        uid_of(&service.metadata).to_owned(),
    );

    let mut annotations = annotations_of(&service.metadata);
    annotations.remove(annotations::KUBECTL_LAST_APPLIED);
    for key in annotations::ROLLOUT_DURATION_KEYS {
        annotations.remove(*key);
    }
    let mut routes = members(live.and_then(|live| annotation(&live.metadata, annotations::ROUTES)));
    routes.insert(name_of(&service.metadata).to_owned());
    let routes: Vec<String> = routes.into_iter().collect();
    annotations.insert(annotations::ROUTES.to_owned(), routes.join(","));

    let spec = ConfigurationSpec {
        template: service.spec.template.clone(),
    };
    Configuration {
        metadata: metadata(service, labels, annotations),
        spec,
        status: None,
    }
}

/// Created with the labeler's finalizer, which saves the labeler a write that would race with the first status.
pub(super) fn route(service: &Service) -> Route {
    let mut labels = labels_of(&service.metadata);
    labels.insert(labels::SERVICE.to_owned(), name_of(&service.metadata).to_owned());
    let mut annotations = annotations_of(&service.metadata);
    annotations.remove(annotations::KUBECTL_LAST_APPLIED);

    let traffic = service
        .spec
        .traffic
        .iter()
        .cloned()
        .map(|target| match target.revision_name.as_deref() {
            None | Some("") => TrafficTarget {
                configuration_name: Some(name_of(&service.metadata).to_owned()),
                revision_name: None,
                ..target
            },
            Some(_) => target,
        });
    let spec = RouteSpec {
        traffic: traffic.collect(),
    };
    let mut metadata = metadata(service, labels, annotations);
    metadata.finalizers = Some(vec![names::ROUTE_FINALIZER.to_owned()]);
    Route {
        metadata,
        spec,
        status: None,
    }
}

fn metadata(service: &Service, labels: Map, annotations: Map) -> ObjectMeta {
    ObjectMeta {
        name: service.metadata.name.clone(),
        namespace: service.metadata.namespace.clone(),
        labels: Some(labels),
        annotations: (!annotations.is_empty()).then_some(annotations),
        ..ObjectMeta::default()
    }
}
