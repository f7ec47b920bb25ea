//! What single kinds need beyond the generic verbs.

use serde_json::{Value, json};

use super::{Call, Registry};
use crate::meta::{as_map, child_mut, metadata_mut};
use crate::resource::Resource;
use crate::status::StatusError;

/// Finalizer under which a definition waits for its instances (upstream name).
pub(crate) const INSTANCES_FINALIZER: &str = "customresourcecleanup.apiextensions.k8s.io";

impl Resource {
    /// Returns whether objects count their changes in `metadata.generation`.
    pub(super) fn has_generation(&self) -> bool {
        if self.custom().is_some() {
            return true;
        }
        matches!(
            (self.group.as_str(), self.plural.as_str()),
            ("", "pods" | "replicationcontrollers")
                | (
                    "apps",
                    "deployments" | "replicasets" | "statefulsets" | "daemonsets"
                )
                | ("batch", "jobs" | "cronjobs")
                | (
                    "networking.k8s.io",
                    "ingresses" | "ingressclasses" | "networkpolicies"
                )
                | ("policy", "poddisruptionbudgets")
                | ("discovery.k8s.io", "endpointslices")
                | ("apiextensions.k8s.io", "customresourcedefinitions")
                | ("admissionregistration.k8s.io", _)
                | ("scheduling.k8s.io", "priorityclasses")
        )
    }
}

impl Registry {
    /// Prepares a new object: status belongs to its subresource, and some kinds start with something set.
    pub(super) fn strategy_create(&self, call: &Call, object: &mut Value) -> Result<(), StatusError> {
        let resource = &call.resource;
        if resource.has_status() {
            as_map(object).remove("status");
        }
        if resource.is("", "namespaces") {
            child_mut(object, "spec").insert("finalizers".into(), json!(["kubernetes"]));
            child_mut(object, "status").insert("phase".into(), "Active".into());
            let name = call.name.clone();
            as_map(metadata_mut(object).entry("labels").or_insert(Value::Null))
                .insert("kubernetes.io/metadata.name".into(), name.into());
        }
        if let crate::resource::Origin::Builtin(kind) = &resource.origin {
            kind.prepare_create(object);
        }
        if resource.is("apiextensions.k8s.io", "customresourcedefinitions") {
            self.prepare_definition(object);
        }
        Ok(())
    }

    /// Keeps a write within what its subresource may change.
    pub(super) fn strategy_update(
        &self,
        call: &Call,
        new: &mut Value,
        old: &Value,
    ) -> Result<(), StatusError> {
        let resource = &call.resource;
        match call.subresource.as_str() {
            "status" => {
                let status = new.get("status").cloned();
                keep_only(new, old, |next| crate::meta::set(as_map(next), "status", status));
            }
            "finalize" => {
                let finalizers = new.pointer("/spec/finalizers").cloned();
                keep_only(new, old, |next| {
                    crate::meta::set(child_mut(next, "spec"), "finalizers", finalizers)
                });
            }
            "ephemeralcontainers" => {
                let containers = new.pointer("/spec/ephemeralContainers").cloned();
                keep_only(new, old, |next| {
                    crate::meta::set(child_mut(next, "spec"), "ephemeralContainers", containers)
                });
            }
            // Their own verbs made the one change that they may make.
            "scale" | "binding" => {}
            _ if resource.has_status() => {
                let status = old.get("status").cloned();
                crate::meta::set(as_map(new), "status", status);
            }
            _ => {}
        }
        if resource.is("", "namespaces") && call.subresource != "finalize" {
            let finalizers = old.pointer("/spec/finalizers").cloned();
            crate::meta::set(child_mut(new, "spec"), "finalizers", finalizers);
        }
        if resource.is("apiextensions.k8s.io", "customresourcedefinitions") && call.subresource.is_empty() {
            self.prepare_definition(new);
        }
        Ok(())
    }

    /// Decides at once what upstream leaves to controllers: accepted names, the `Established` condition, stored versions.
    fn prepare_definition(&self, definition: &mut Value) {
        let now = self.now();
        let storage = definition["spec"]["versions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|version| version["storage"] == true)
            .map(|version| version["name"].clone());
        let finalizers = as_map(definition);
        let metadata = as_map(finalizers.entry("metadata").or_insert(Value::Null));
        if !metadata.contains_key("deletionTimestamp") {
            let finalizers = metadata.entry("finalizers").or_insert_with(|| json!([]));
            if let Some(finalizers) = finalizers.as_array_mut()
                && !finalizers
                    .iter()
                    .any(|finalizer| finalizer == INSTANCES_FINALIZER)
            {
                finalizers.push(INSTANCES_FINALIZER.into());
            }
        }
        let status = child_mut(definition, "status");
        let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
        if let (Some(storage), Some(stored)) = (storage, stored.as_array_mut())
            && !stored.contains(&storage)
        {
            stored.push(storage);
        }
        // A definition is called `<plural>.<group>`, and names are of one group. The others, of all groups, are large.
        let group = format!(".{}", definition["spec"]["group"].as_str().unwrap_or_default());
        let (_, others) = self.store.list(super::definition::PREFIX);
        let others = others.iter().filter(|(key, _)| key.ends_with(&group));
        let others: Vec<Value> = others.map(|(_, other)| other.value()).collect();
        super::names::write_status(definition, &others, &now);
    }
}

/// Goes back to the old object but for one part, and for what every write carries.
fn keep_only(new: &mut Value, old: &Value, part: impl FnOnce(&mut Value)) {
    let sent = std::mem::replace(new, old.clone());
    part(new);
    for key in ["managedFields", "resourceVersion"] {
        let value = sent
            .get("metadata")
            .and_then(|metadata| metadata.get(key))
            .cloned();
        crate::meta::set(metadata_mut(new), key, value);
    }
}

/// Marks a definition whose instances are being removed.
pub(super) fn mark_definition_terminating(definition: &mut Value, now: &str) {
    let status = child_mut(definition, "status");
    let conditions = status.entry("conditions").or_insert_with(|| json!([]));
    if let Some(conditions) = conditions.as_array_mut()
        && !conditions
            .iter()
            .any(|condition| condition["type"] == "Terminating")
    {
        conditions.push(json!({
            "type": "Terminating", "status": "True", "reason": "InstanceDeletionPending",
            "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
            "lastTransitionTime": now,
        }));
    }
}
