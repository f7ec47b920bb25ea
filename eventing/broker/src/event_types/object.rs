//! EventTypes of what came.

use crds::eventing::{Broker, EventType, EventTypeSpec};
use crds::messaging::InMemoryChannel;
use crds::{KReference, names};
use event::Str;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Resource;

use super::Kind;
use crate::model::{Topic, TopicKind};

/// As upstream describes them.
const DESCRIPTION: &str = "Event Type auto-created by controller";

/// The object that makes a kind of events of a topic known; it dies with the topic's.
pub(super) fn event_type(topic: &Topic, kind: &Kind) -> EventType {
    let (api_version, of) = match topic.kind {
        TopicKind::Broker => (Broker::api_version(&()), Broker::kind(&())),
        TopicKind::Channel => (InMemoryChannel::api_version(&()), InMemoryChannel::kind(&())),
    };
    let (event_type, source) = (kind.event_type.as_str(), kind.source.as_str());
    EventType {
        metadata: ObjectMeta {
            name: Some(names::seen_event_type(
                &topic.name,
                &topic.namespace,
                event_type,
                source,
            )),
            namespace: Some(topic.namespace.clone()),
            owner_references: Some(vec![OwnerReference {
                api_version: api_version.clone().into_owned(),
                kind: of.clone().into_owned(),
                name: topic.name.clone(),
                uid: topic.key.as_str().to_owned(),
                controller: Some(true),
                block_owner_deletion: Some(true),
            }]),
            ..ObjectMeta::default()
        },
        spec: EventTypeSpec {
            type_: event_type.to_owned(),
            source: Some(source.to_owned()),
            schema: kind.schema.as_ref().map(|schema| schema.as_str().to_owned()),
            reference: Some(KReference {
                kind: of.into_owned(),
                api_version: Some(api_version.into_owned()),
                name: topic.name.clone(),
                namespace: Some(topic.namespace.clone()),
                ..KReference::default()
            }),
            description: Some(DESCRIPTION.to_owned()),
            ..EventTypeSpec::default()
        }
        .with_attributes(),
        status: None,
    }
}

/// The UID of the topic's object that such an object belongs to, and the kind that it makes known.
pub(super) fn place(object: &EventType) -> Option<(String, Kind)> {
    let owner = informer::object::controller_of(&object.metadata)?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty()).map(Str::from);
    let kind = Kind {
        event_type: object.spec.type_.clone().into(),
        source: given(&object.spec.source).unwrap_or(Str::from_static("")),
        schema: given(&object.spec.schema),
    };
    Some((owner.uid.clone(), kind))
}

#[cfg(test)]
mod tests {
    use event::Event;

    use super::*;
    use crate::model::Backend;

    #[test]
    fn objects_tell_what_came_and_are_known_again() {
        let topic = |kind| Topic {
            key: event_store::Topic::new("the-uid").unwrap(),
            kind,
            namespace: "ns".into(),
            name: "default".into(),
            backend: Backend::Embedded,
            consumers: Vec::new(),
            access: None,
        };
        let mut event = Event::new("1", "/source", "dev.example");
        for schema in [None, Some("http://schema")] {
            if let Some(schema) = schema {
                event.set_extension("dataschema", schema);
            }
            let kind = Kind::of(&event);
            for (of, name, version) in [
                (TopicKind::Broker, "Broker", "eventing.knative.dev/v1"),
                (TopicKind::Channel, "InMemoryChannel", "messaging.knative.dev/v1"),
            ] {
                let object = event_type(&topic(of), &kind);
                let reference = object.spec.reference.clone().unwrap();
                assert_eq!(
                    (
                        reference.kind.as_str(),
                        reference.api_version.as_deref(),
                        reference.name.as_str()
                    ),
                    (name, Some(version), "default")
                );
                assert_eq!(object.spec.schema.as_deref(), schema);
                assert_eq!(
                    object.metadata.name.as_deref(),
                    // md5 of "dev.example/sourcensdefault"
                    Some("et-default-691e515ff877383c4a4f67bd2b9e7b1d")
                );
                assert_eq!(place(&object), Some(("the-uid".to_owned(), kind.clone())));
            }
        }
    }
}
