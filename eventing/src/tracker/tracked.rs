//! What is kept of an object that others refer to.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crds::annotations::SINK_BINDING;
use crds::conditions::{Condition, READY};
use kube::core::DynamicObject;
use reconciler::object::controller_of;
use serde_json::Value;

use crate::binding::{self, Present};

/// What references read of an object.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tracked {
    pub uid: String,
    pub generation: i64,
    /// Is it being deleted?
    pub deleting: bool,
    /// Its whole status, null if it has none.
    pub status: Value,
    /// UID of its controlling owner, if it has one.
    pub controller: Option<String>,
    /// Of a channel: who is subscribed, `spec.subscribers`.
    pub subscribers: Value,
    /// Of something that has pods by a template: what bindings read of it.
    pub workload: Option<Workload>,
    /// Differs if what a ConfigMap holds does; who wants to know more reads it.
    contents: u64,
}

/// What bindings read of a workload.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Workload {
    pub labels: BTreeMap<String, String>,
    /// The binding that it is marked with.
    pub bound_by: Option<String>,
    /// What its containers know.
    pub present: Present,
}

impl Workload {
    fn of(object: &DynamicObject) -> Option<Self> {
        let present = binding::present(&object.data)?;
        let annotations = object.metadata.annotations.as_ref();
        Some(Self {
            labels: object.metadata.labels.clone().unwrap_or_default(),
            bound_by: annotations.and_then(|all| all.get(SINK_BINDING).cloned()),
            present,
        })
    }
}

impl Tracked {
    pub(super) fn of(object: &mut DynamicObject) -> Self {
        let workload = Workload::of(object);
        let meta = &object.metadata;
        let mut hasher = DefaultHasher::new();
        if let Some(contents) = object.data.get("data") {
            contents.hash(&mut hasher);
        }
        let controller = controller_of(meta).map(|owner| owner.uid.clone());
        Self {
            controller,
            workload,
            subscribers: object
                .data
                .pointer_mut("/spec/subscribers")
                .map(Value::take)
                .unwrap_or_default(),
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            contents: hasher.finish(),
            status: object.data.get_mut("status").map(Value::take).unwrap_or_default(),
        }
    }

    /// The generation that the status speaks of.
    pub(crate) fn observed_generation(&self) -> i64 {
        self.status
            .get("observedGeneration")
            .and_then(Value::as_i64)
            .unwrap_or_default()
    }

    /// The condition `Ready`.
    pub(crate) fn ready(&self) -> Option<Condition> {
        let conditions = self.status.get("conditions")?.as_array()?;
        let ready = conditions
            .iter()
            .find(|condition| condition.get("type").and_then(Value::as_str) == Some(READY))?;
        serde_json::from_value(ready.clone()).ok()
    }
}
