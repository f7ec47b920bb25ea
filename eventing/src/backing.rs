//! Channels of whichever kind a template names, made as children of others.

use std::sync::Arc;

use crds::KReference;
use crds::duck::{ChannelTemplate, DeliverySpec};
use kube::Resource;
use kube::api::{Api, DeleteParams, PostParams};
use kube::core::{DynamicObject, ObjectMeta};
use reconciler::error::{chain, is_conflict, is_not_found};
use reconciler::object::controller_reference;
use reconciler::{Error, Key};
use serde_json::{Map, Value, json};

use crate::shared::Shared;
use crate::tracker::{Kind, Referrer, Target, TrackError, Tracked};

/// A channel that was made, or was going to be.
#[derive(Clone, Debug)]
pub(crate) struct Backing {
    pub reference: KReference,
    pub state: State,
}

#[derive(Clone, Debug)]
pub(crate) enum State {
    /// Just made; the tracker wakes its owner when it shows.
    Created,
    Found(Arc<Tracked>),
    /// Why there is none; the sentence ends in a condition.
    Failed {
        reason: String,
        look_again: bool,
    },
}

impl Backing {
    pub(crate) fn found(&self) -> Option<&Tracked> {
        match &self.state {
            State::Found(found) => Some(found),
            State::Created | State::Failed { .. } => None,
        }
    }

    pub(crate) fn looks_again(&self) -> bool {
        matches!(self.state, State::Failed { look_again: true, .. })
    }
}

/// The channel `name` of the kind that `template` names, as a child of `owner`; made if it is missing. One that exists
/// stays as it is, whatever the template says now: events are in it.
pub(crate) async fn ensure<O: Resource<DynamicType = ()>>(
    shared: &Shared,
    owner: &O,
    template: &ChannelTemplate,
    delivery: Option<&DeliverySpec>,
    name: &str,
    referrer: &Referrer,
) -> Backing {
    let namespace = owner.meta().namespace.clone().unwrap_or_default();
    let kind = Kind::new(&template.api_version, &template.kind);
    let target = Target {
        kind: kind.clone(),
        key: Key::new(&namespace, name),
    };
    let reference = KReference {
        kind: template.kind.clone(),
        api_version: Some(template.api_version.clone()),
        name: name.to_owned(),
        namespace: Some(namespace),
        ..KReference::default()
    };
    let state = match shared.tracker.observe(&target, referrer).await {
        Ok(Some(found)) if found.controller.is_some() && found.controller == owner.meta().uid => {
            State::Found(found)
        }
        Ok(Some(_)) => State::Failed {
            reason: format!(
                "There is an existing {} {name:?} that we do not own.",
                template.kind
            ),
            look_again: false,
        },
        Ok(None) => create(shared, owner, &kind, &target.key, spec(template, delivery)).await,
        Err(error) => failed(&error),
    };
    Backing { reference, state }
}

/// Deletes the channels of this kind that `owner` controls and that are not in `wanted`.
pub(crate) async fn prune<O: Resource<DynamicType = ()>>(
    shared: &Shared,
    owner: &O,
    template: &ChannelTemplate,
    wanted: &[String],
) -> Result<(), Error> {
    let kind = Kind::new(&template.api_version, &template.kind);
    let meta = owner.meta();
    let (namespace, uid) = (
        meta.namespace.as_deref().unwrap_or_default(),
        meta.uid.as_deref().unwrap_or_default(),
    );
    // A kind that cannot be followed has no children; why is told elsewhere.
    let Ok(children) = shared.tracker.controlled_by(&kind, namespace, uid).await else {
        return Ok(());
    };
    for key in children.iter().filter(|key| !wanted.contains(&key.name)) {
        let deleted = match api(shared, &kind, namespace).await {
            Ok(api) => api.delete(&key.name, &DeleteParams::background()).await,
            Err(_) => return Ok(()),
        };
        match deleted {
            Ok(_) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(Error::api(format!("delete {} {key}", kind.kind), error)),
        }
    }
    Ok(())
}

/// The client of a kind that is known only at run time.
pub(crate) async fn api(
    shared: &Shared,
    kind: &Kind,
    namespace: &str,
) -> Result<Api<DynamicObject>, TrackError> {
    let resource = shared.tracker.resource(kind).await?;
    Ok(Api::namespaced_with(shared.client.clone(), namespace, &resource))
}

async fn create<O: Resource<DynamicType = ()>>(
    shared: &Shared,
    owner: &O,
    kind: &Kind,
    key: &Key,
    spec: Value,
) -> State {
    let Some(reference) = controller_reference(owner) else {
        return State::Created;
    };
    let (api, resource) = match (
        api(shared, kind, &key.namespace).await,
        shared.tracker.resource(kind).await,
    ) {
        (Ok(api), Ok(resource)) => (api, resource),
        (Err(error), _) | (_, Err(error)) => return failed(&error),
    };
    let mut object = DynamicObject::new(&key.name, &resource).data(json!({ "spec": spec }));
    object.metadata = ObjectMeta {
        namespace: Some(key.namespace.clone()),
        owner_references: Some(vec![reference]),
        ..object.metadata
    };
    match api.create(&PostParams::default(), &object).await {
        Ok(_) => State::Created,
        // The watch has not shown it yet.
        Err(error) if is_conflict(&error) => State::Created,
        Err(error) => State::Failed {
            reason: chain(&Error::api(format!("create {} {key}", kind.kind), error)),
            look_again: true,
        },
    }
}

fn failed(error: &TrackError) -> State {
    State::Failed {
        reason: error.to_string(),
        look_again: true,
    }
}

/// The spec of the template with the owner's delivery, which wins.
fn spec(template: &ChannelTemplate, delivery: Option<&DeliverySpec>) -> Value {
    let mut spec = match template.spec.clone() {
        Some(Value::Object(spec)) => spec,
        _ => Map::new(),
    };
    if let Some(delivery) = delivery.and_then(|delivery| serde_json::to_value(delivery).ok()) {
        spec.insert("delivery".to_owned(), delivery);
    }
    Value::Object(spec)
}
