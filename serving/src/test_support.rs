//! Builders of objects for the tests of this crate.

use std::sync::Arc;

use crds::conditions::{Condition, ConditionStatus, READY};
use crds::labels;
use crds::serving::{
    Configuration, ConfigurationSpec, ConfigurationStatus, Revision, RevisionSpec, RevisionStatus,
    RevisionTemplateSpec, Route, RouteSpec, Service, ServiceSpec, TrafficTarget,
};
use k8s_openapi::api::core::v1::{Container, ContainerPort, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use reconciler::object::controller_reference;

use crate::shared::Map;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn map<const N: usize>(entries: [(&str, &str); N]) -> Map {
    entries
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

pub(crate) fn meta(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("default".to_owned()),
        uid: Some(format!("uid-{name}")),
        generation: Some(1),
        resource_version: Some("1".to_owned()),
        ..ObjectMeta::default()
    }
}

pub(crate) fn ready(status: ConditionStatus, reason: &str, message: &str) -> Condition {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Condition {
        reason: some(reason),
        message: some(message),
        ..Condition::new(READY, status)
    }
}

pub(crate) fn revision_spec(image: &str) -> RevisionSpec {
    RevisionSpec {
        pod_spec: PodSpec {
            containers: vec![Container {
                name: "user-container".to_owned(),
                image: Some(image.to_owned()),
                ..Container::default()
            }],
            ..PodSpec::default()
        },
        container_concurrency: Some(0),
        timeout_seconds: Some(300),
        ..RevisionSpec::default()
    }
}

pub(crate) fn template(image: &str) -> RevisionTemplateSpec {
    RevisionTemplateSpec {
        metadata: None,
        spec: revision_spec(image),
    }
}

pub(crate) fn latest(percent: i64) -> TrafficTarget {
    TrafficTarget {
        latest_revision: Some(true),
        percent: Some(percent),
        ..TrafficTarget::default()
    }
}

pub(crate) fn to_revision(name: &str, percent: i64) -> TrafficTarget {
    TrafficTarget {
        revision_name: Some(name.to_owned()),
        latest_revision: Some(false),
        percent: Some(percent),
        ..TrafficTarget::default()
    }
}

pub(crate) fn service(name: &str) -> Service {
    Service {
        metadata: meta(name),
        spec: ServiceSpec {
            template: template("example.com/app:1"),
            traffic: vec![latest(100)],
        },
        status: None,
    }
}

pub(crate) fn configuration(name: &str, generation: i64) -> Configuration {
    Configuration {
        metadata: ObjectMeta {
            generation: Some(generation),
            ..meta(name)
        },
        spec: ConfigurationSpec {
            template: template("example.com/app:1"),
        },
        status: None,
    }
}

pub(crate) fn with_ready_configuration(mut configuration: Configuration, latest: &str) -> Configuration {
    configuration.status = Some(ConfigurationStatus {
        observed_generation: configuration.metadata.generation,
        conditions: vec![ready(ConditionStatus::True, "", "")],
        latest_created_revision_name: Some(latest.to_owned()),
        latest_ready_revision_name: Some(latest.to_owned()),
        ..ConfigurationStatus::default()
    });
    configuration
}

pub(crate) fn route(name: &str, traffic: Vec<TrafficTarget>) -> Route {
    Route {
        metadata: meta(name),
        spec: RouteSpec { traffic },
        status: None,
    }
}

/// A revision of `configuration`, of the given generation, with a Ready condition if one is given.
pub(crate) fn revision(
    configuration: &Configuration,
    name: &str,
    generation: i64,
    condition: Option<Condition>,
) -> Arc<Revision> {
    let mut labels = map([
        (
            labels::CONFIGURATION,
            configuration.metadata.name.as_deref().unwrap(),
        ),
        (labels::CONFIGURATION_GENERATION, &generation.to_string()),
        (labels::SERVICE, configuration.metadata.name.as_deref().unwrap()),
        ("team", "blue"),
    ]);
    labels.insert(
        labels::ROUTING_STATE.to_owned(),
        labels::ROUTING_STATE_PENDING.to_owned(),
    );
    Arc::new(Revision {
        metadata: ObjectMeta {
            labels: Some(labels),
            owner_references: controller_reference(configuration).map(|reference| vec![reference]),
            ..meta(name)
        },
        spec: configuration.spec.template.spec.clone(),
        status: condition.map(|condition| RevisionStatus {
            observed_generation: Some(1),
            conditions: vec![condition],
            ..RevisionStatus::default()
        }),
    })
}

pub(crate) fn port(name: &str, number: i32) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number,
        ..ContainerPort::default()
    }
}
