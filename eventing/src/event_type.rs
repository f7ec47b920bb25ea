//! EventType: says whether who has the events is there.

use crds::KReference;
use crds::eventing::{EventType, EventTypeStatus};
use k8s_openapi::jiff::Timestamp;
use reconciler::{Applier, ConditionSet, Controller, Error, Key, Next, Queue, Reconcile, report};

use crate::broker::LOOK_AGAIN;
use crate::shared::Shared;
use crate::tracker::{Kind, Referrer, Target, TrackError};

const NAME: &str = "eventtype";
const REFERENCE_EXISTS: &str = "ReferenceExists";
const CONDITIONS: ConditionSet = ConditionSet::new(&[REFERENCE_EXISTS]);

pub(crate) struct EventTypes {
    shared: Shared,
    applier: Applier,
    queue: Queue,
}

pub(crate) fn controller(shared: &Shared) -> Controller<EventTypes> {
    let queue = reconciler::queue("eventing-eventtype");
    let reconciler = EventTypes {
        shared: shared.clone(),
        applier: shared.applier("spindrift-eventtype"),
        queue: queue.clone(),
    };
    Controller::with_queue("eventing-eventtype", queue, reconciler).watches(&shared.event_types)
}

/// What became of looking for who has the events.
enum Referent {
    NotSet,
    Exists,
    Missing(Target),
    Unknown(TrackError),
}

impl Reconcile for EventTypes {
    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        let shared = &self.shared;
        let referrer = Referrer::new(NAME, &self.queue, key);
        shared.tracker.forget(&referrer);
        let Some(event_type) = shared.event_types.get(key) else {
            return Ok(Next::OnChange);
        };
        if event_type.metadata.deletion_timestamp.is_some() {
            return Ok(Next::OnChange);
        }
        let referent = self.referent(&event_type, key, &referrer).await;
        let next = match &referent {
            Referent::Unknown(_) => Next::After(LOOK_AGAIN),
            Referent::NotSet | Referent::Exists | Referent::Missing(_) => Next::OnChange,
        };
        let mut updated = (*event_type).clone();
        updated.status = Some(event_type_status(&event_type, &referent, shared.now()));
        report(
            &shared.events,
            &self.applier,
            &shared.event_types,
            &event_type,
            updated,
            Ok(next),
        )
        .await
    }
}

impl EventTypes {
    async fn referent(&self, event_type: &EventType, key: &Key, referrer: &Referrer) -> Referent {
        let Some(reference) = reference(event_type) else {
            return Referent::NotSet;
        };
        let namespace = reference.namespace.filter(|given| !given.is_empty());
        let target = Target {
            kind: Kind::new(reference.api_version.unwrap_or_default(), reference.kind),
            key: Key::new(namespace.unwrap_or_else(|| key.namespace.clone()), reference.name),
        };
        match self.shared.tracker.observe(&target, referrer).await {
            Ok(Some(_)) => Referent::Exists,
            Ok(None) => Referent::Missing(target),
            Err(error) => Referent::Unknown(error),
        }
    }
}

/// Who has the events; a broker may be named by its name alone.
fn reference(event_type: &EventType) -> Option<KReference> {
    let named = event_type.spec.broker.as_ref().filter(|name| !name.is_empty());
    event_type.spec.reference.clone().or_else(|| {
        named.map(|name| KReference {
            kind: "Broker".to_owned(),
            api_version: Some("eventing.knative.dev/v1".to_owned()),
            name: name.clone(),
            ..KReference::default()
        })
    })
}

fn event_type_status(event_type: &EventType, referent: &Referent, now: Timestamp) -> EventTypeStatus {
    let mut status = event_type.status.clone().unwrap_or_default();
    let before = status.conditions.clone();
    let generation = event_type.metadata.generation;
    CONDITIONS.begin(&mut status, generation, now);
    let mut conditions = CONDITIONS.manage(&mut status, now);
    match referent {
        Referent::Exists => conditions.mark_true(REFERENCE_EXISTS),
        Referent::NotSet => conditions.mark_true_with(REFERENCE_EXISTS, "ReferenceNotSet", ""),
        Referent::Missing(target) => {
            let message = format!("{} {} does not exist", target.kind.kind, target.key);
            conditions.mark_false(REFERENCE_EXISTS, "ResourceDoesNotExist", &message);
        }
        Referent::Unknown(error) => {
            conditions.mark_unknown(REFERENCE_EXISTS, "ReferenceGetFailed", &error.to_string());
        }
    }
    CONDITIONS.finish(&mut status, &before, generation, now);
    status
}
