//! EventTypes of what sources announce in `status.ceAttributes`: for each, as long as the source says so and names who
//! gets the events.

use std::sync::Arc;

use crds::duck::{CloudEventAttributes, Destination};
use crds::eventing::{EventType, EventTypeSpec};
use crds::sources::{ApiServerSource, GitHubSource, PingSource};
use crds::{KReference, names};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::NamespaceResourceScope;
use reconciler::{Applier, Cache, Controller, Error, Key, Next, Object, Reconcile};

use crate::shared::{Shared, name_of};

/// What is read of a source.
pub(crate) trait Announces: Object<Scope = NamespaceResourceScope> {
    fn sink(&self) -> &Destination;
    fn events(&self) -> &[CloudEventAttributes];
}

macro_rules! announces {
    ($($source:ty),*) => {$(
        impl Announces for $source {
            fn sink(&self) -> &Destination {
                &self.spec.sink
            }

            fn events(&self) -> &[CloudEventAttributes] {
                self.status.as_ref().map_or(&[], |status| &status.ce_attributes)
            }
        }
    )*};
}
announces!(ApiServerSource, GitHubSource, PingSource);

/// Keeps the EventTypes of one kind of sources.
pub(crate) struct Announced<K> {
    shared: Shared,
    sources: Cache<K>,
    applier: Applier,
}

/// `name` is that of the queue.
pub(crate) fn controller<K: Announces>(
    shared: &Shared,
    sources: &Cache<K>,
    name: &'static str,
) -> Controller<Announced<K>> {
    let reconciler = Announced {
        shared: shared.clone(),
        sources: sources.clone(),
        applier: shared.applier("spindrift-source-eventtypes"),
    };
    Controller::with_queue(name, reconciler::queue(name), reconciler)
        .watches(sources)
        .owns::<K, _>(&shared.event_types)
}

impl<K: Announces> Reconcile for Announced<K> {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let Some(source) = self.sources.get(key) else {
            return Ok(Next::OnChange);
        };
        if source.meta().deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let wanted = wanted(source.meta(), source.sink(), source.events());
        let uid = source.meta().uid.as_deref().unwrap_or_default();
        for surplus in self.shared.event_types.controlled_by(uid) {
            let named = |wanted: &EventType| wanted.metadata.name == surplus.metadata.name;
            if !wanted.iter().any(named) {
                self.applier.delete(surplus.as_ref()).await?;
            }
        }
        for event_type in wanted {
            self.apply(&source, event_type).await?;
        }
        Ok(Next::OnChange)
    }
}

impl<K: Announces> Announced<K> {
    async fn apply(&self, source: &Arc<K>, wanted: EventType) -> Result<(), Error> {
        let name = name_of(&wanted.metadata).to_owned();
        match self
            .applier
            .apply(source.as_ref(), &self.shared.event_types, wanted)
            .await
        {
            Ok(_) => Ok(()),
            // The name holds the source's UID: somebody took it on purpose.
            Err(Error::NotOwned { .. }) => {
                tracing::warn!(name, "An EventType of a source belongs to somebody else");
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}

/// None for a source that names its sink by a URL alone: nobody could subscribe there.
fn wanted(source: &ObjectMeta, sink: &Destination, events: &[CloudEventAttributes]) -> Vec<EventType> {
    let Some(sink) = &sink.reference else {
        return Vec::new();
    };
    let reference = KReference {
        namespace: sink.namespace.clone().or_else(|| source.namespace.clone()),
        ..sink.clone()
    };
    let uid = source.uid.as_deref().unwrap_or_default();
    let mut wanted: Vec<EventType> = events
        .iter()
        .map(|event| {
            let (event_type, from) = (
                event.type_.as_deref().unwrap_or_default(),
                event.source.as_deref().unwrap_or_default(),
            );
            EventType {
                metadata: ObjectMeta {
                    name: Some(names::announced_event_type(event_type, from, "", uid)),
                    namespace: source.namespace.clone(),
                    ..ObjectMeta::default()
                },
                spec: EventTypeSpec {
                    type_: event_type.to_owned(),
                    source: (!from.is_empty()).then(|| from.to_owned()),
                    reference: Some(reference.clone()),
                    ..EventTypeSpec::default()
                }
                .with_attributes(),
                status: None,
            }
        })
        .collect();
    wanted.retain(|wanted| !wanted.spec.type_.is_empty());
    wanted.dedup_by(|a, b| a.metadata.name == b.metadata.name);
    wanted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_event_of_a_source_with_a_sink_by_reference_has_a_type() {
        let source: ObjectMeta =
            serde_json::from_value(json!({"name": "tick", "namespace": "ns", "uid": "u"})).unwrap();
        let events: Vec<CloudEventAttributes> = serde_json::from_value(json!([
            {"type": "dev.a", "source": "/s"}, {"type": "dev.a", "source": "/s"}, {"source": "/s"}, {"type": "dev.b"},
        ]))
        .unwrap();
        let by_reference = Destination::of(KReference {
            kind: "Broker".to_owned(),
            name: "default".to_owned(),
            api_version: Some("eventing.knative.dev/v1".to_owned()),
            ..KReference::default()
        });
        assert_eq!(wanted(&source, &Destination::at("http://x"), &events), []);
        let found = wanted(&source, &by_reference, &events);
        let told: Vec<_> = found
            .iter()
            .map(|found| {
                let reference = found.spec.reference.as_ref().unwrap();
                let name = found.metadata.name.as_deref().unwrap();
                (name, found.spec.type_.as_str(), reference.namespace.as_deref())
            })
            .collect();
        assert_eq!(
            told,
            [
                // md5 of "dev.a/su" and of "dev.bu"
                ("776d9ec0e00896ae5417507be479fee8", "dev.a", Some("ns")),
                ("db1bfe5bae2fec0ca791cf3593eefd32", "dev.b", Some("ns")),
            ]
        );
    }
}
