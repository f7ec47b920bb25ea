//! Rules that objects of built-in kinds must keep, with upstream's wording: clients and people read these sentences.
//!
//! Objects have been decoded against their schema and defaulted before. An empty text and an absent one are the same, as
//! they are to the typed server. An update is checked like a new object, and then for what may not change.

mod config;
mod container;
mod environment;
mod extension;
mod job;
mod metadata;
mod names;
mod network;
mod other;
mod path;
mod pod;
mod probe;
mod rbac;
mod resources;
mod rule;
mod service;
mod storage;
#[cfg(test)]
mod tests;
mod volume;
mod workload;

use cluster_machinery::FieldError;
use serde_json::Value;

pub use metadata::{NameRule, validate_metadata};

use crate::kind::Kind;
use metadata::name_rule;
use rule::Errors;

impl Kind {
    /// Returns how objects of this kind may be named.
    pub fn name_rule(&self) -> NameRule {
        name_rule(self)
    }

    /// Checks a new object: its metadata (names, labels, annotations, owners) and everything else.
    pub fn validate_create(&self, object: &Value) -> Vec<FieldError> {
        let mut errors = validate_metadata(object, self.name_rule());
        match (self.group, self.kind) {
            ("", "Pod") => pod::create(&mut errors, object),
            _ => self.validate_spec(&mut errors, object),
        }
        errors
    }

    /// Checks a changed object against the rules and against what it was before.
    ///
    /// `subresource` is empty for the object itself. Subresources have rules of their own, so that only metadata is
    /// checked for them here.
    pub fn validate_update(&self, new: &Value, old: &Value, subresource: &str) -> Vec<FieldError> {
        let mut errors = validate_metadata(new, self.name_rule());
        if !subresource.is_empty() {
            return errors;
        }
        // An object on its way out must be able to lose its finalizers whatever state it is in.
        let deleting = old.pointer("/metadata/deletionTimestamp").is_some();
        if deleting && new.get("spec") == old.get("spec") && new.get("data") == old.get("data") {
            return errors;
        }
        match (self.group, self.kind) {
            ("", "Pod") => pod::update(&mut errors, new, old),
            _ => {
                self.validate_spec(&mut errors, new);
                self.validate_change(&mut errors, new, old);
            }
        }
        errors
    }

    fn validate_spec(&self, errors: &mut Errors, object: &Value) {
        match (self.group, self.kind) {
            ("", "PodTemplate") => {
                let template = object.get("template").unwrap_or(&Value::Null);
                pod::template(errors, template, &path::Path::new("template"));
            }
            ("", "ReplicationController") => workload::replication_controller(errors, object),
            ("", "Service") => service::service(errors, object),
            ("", "Endpoints") => network::endpoints(errors, object),
            ("", "ConfigMap") => config::config_map(errors, object),
            ("", "Secret") => config::secret(errors, object),
            ("", "Event") => other::event(errors, object),
            ("", "ResourceQuota") => other::resource_quota(errors, object),
            ("", "LimitRange") => other::limit_range(errors, object),
            ("", "PersistentVolume") => storage::volume(errors, object),
            ("", "PersistentVolumeClaim") => storage::claim(errors, object),
            ("apps", "Deployment") => workload::deployment(errors, object),
            ("apps", "ReplicaSet") => workload::replica_set(errors, object),
            ("apps", "StatefulSet") => workload::stateful_set(errors, object),
            ("apps", "DaemonSet") => workload::daemon_set(errors, object),
            ("batch", "Job") => job::job(errors, object),
            ("batch", "CronJob") => job::cron_job(errors, object),
            ("autoscaling", _) => other::autoscaler(errors, object),
            ("policy", _) => other::disruption_budget(errors, object),
            ("coordination.k8s.io", _) => other::lease(errors, object),
            ("discovery.k8s.io", _) => network::endpoint_slice(errors, object),
            ("networking.k8s.io", "Ingress") => network::ingress(errors, object),
            ("networking.k8s.io", "IngressClass") => network::ingress_class(errors, object),
            ("networking.k8s.io", "NetworkPolicy") => network::network_policy(errors, object),
            ("rbac.authorization.k8s.io", "ClusterRole" | "Role") => {
                rbac::role(errors, object, self.namespaced())
            }
            ("rbac.authorization.k8s.io", _) => rbac::binding(errors, object, self.namespaced()),
            ("apiextensions.k8s.io", _) => extension::definition(errors, object),
            ("admissionregistration.k8s.io", _) => extension::webhooks(errors, object),
            ("scheduling.k8s.io", _) => other::priority_class(errors, object),
            ("node.k8s.io", _) => other::runtime_class(errors, object),
            ("storage.k8s.io", "StorageClass") => storage::class(errors, object),
            _ => {}
        }
    }

    fn validate_change(&self, errors: &mut Errors, new: &Value, old: &Value) {
        match (self.group, self.kind) {
            ("", "Service") => service::update(errors, new, old),
            ("", "ConfigMap") => config::update_config_map(errors, new, old),
            ("", "Secret") => config::update_secret(errors, new, old),
            ("", "PersistentVolume") => storage::update_volume(errors, new, old),
            ("", "PersistentVolumeClaim") => storage::update_claim(errors, new, old),
            ("apps", "Deployment" | "ReplicaSet" | "DaemonSet") => {
                workload::update_selector(errors, new, old)
            }
            ("apps", "StatefulSet") => workload::update_stateful_set(errors, new, old),
            ("apps", "ControllerRevision") => other::update_revision(errors, new, old),
            ("batch", "Job") => job::update_job(errors, new, old),
            ("discovery.k8s.io", _) => network::update_endpoint_slice(errors, new, old),
            ("networking.k8s.io", "IngressClass") => network::update_ingress_class(errors, new, old),
            ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding") => {
                rbac::update_binding(errors, new, old);
            }
            ("apiextensions.k8s.io", _) => extension::update_definition(errors, new, old),
            ("scheduling.k8s.io", _) => other::update_priority_class(errors, new, old),
            ("node.k8s.io", _) => other::update_runtime_class(errors, new, old),
            ("storage.k8s.io", "StorageClass") => storage::update_class(errors, new, old),
            _ => {}
        }
    }
}
