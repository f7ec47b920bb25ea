//! Fills in what a client left out, as the typed server does on every read of a request body.
//!
//! Clients and apply keys depend on defaults: a half-defaulted Deployment makes `kubectl describe` print blanks, and a
//! port without a protocol has no merge key. Everything here is idempotent.

mod autoscaling;
mod cluster;
mod core;
mod image;
mod network;
mod normalise;
mod pod;
mod quantity;
mod storage;
#[cfg(test)]
mod tests;
mod workload;

use serde_json::Value;

use crate::json::Object;
use crate::kind::Kind;

impl Kind {
    /// Normalises an object (nulls, quantities, write-only fields) and fills in defaults, in place. Objects of the wrong
    /// shape are left as they are: validation against the schema comes first and reports them.
    pub fn default(&self, object: &mut Value) {
        normalise::normalise(self, object);
        if let Some(object) = object.as_object_mut() {
            default_object(self, object);
        }
    }
}

fn default_object(kind: &Kind, object: &mut Object) {
    match (kind.group, kind.version, kind.kind) {
        ("", _, "Pod") => pod::pod(object),
        ("", _, "PodTemplate") => pod::template(object),
        ("", _, "ReplicationController") => workload::replication_controller(object),
        ("", _, "Service") => network::service(object),
        ("", _, "Endpoints") => network::endpoints(object),
        ("", _, "Secret") => core::secret(object),
        ("", _, "Namespace") => core::namespace(object),
        ("", _, "Node") => core::node(object),
        ("", _, "LimitRange") => core::limit_range(object),
        ("", _, "ResourceQuota") => core::resource_quota(object),
        ("", _, "PersistentVolume") => storage::volume(object),
        ("", _, "PersistentVolumeClaim") => storage::claim(object),
        ("apps", _, "Deployment") => workload::deployment(object),
        ("apps", _, "ReplicaSet") => workload::replica_set(object),
        ("apps", _, "StatefulSet") => workload::stateful_set(object),
        ("apps", _, "DaemonSet") => workload::daemon_set(object),
        ("batch", _, "Job") => workload::job(object),
        ("batch", _, "CronJob") => workload::cron_job(object),
        ("autoscaling", "v1", _) => autoscaling::v1(object),
        ("autoscaling", "v2", _) => autoscaling::v2(object),
        ("discovery.k8s.io", _, "EndpointSlice") => network::endpoint_slice(object),
        ("networking.k8s.io", _, "NetworkPolicy") => network::network_policy(object),
        ("networking.k8s.io", _, "IngressClass") => network::ingress_class(object),
        ("rbac.authorization.k8s.io", _, "ClusterRoleBinding" | "RoleBinding") => {
            cluster::role_binding(object)
        }
        ("apiextensions.k8s.io", _, _) => cluster::custom_resource_definition(object),
        ("apiregistration.k8s.io", _, _) => cluster::api_service(object),
        ("admissionregistration.k8s.io", _, kind) => cluster::webhooks(object, kind),
        ("flowcontrol.apiserver.k8s.io", _, kind) => cluster::flow_control(object, kind),
        ("node.k8s.io", _, _) => cluster::runtime_class(object),
        ("scheduling.k8s.io", _, _) => cluster::priority_class(object),
        ("storage.k8s.io", _, "StorageClass") => storage::class(object),
        _ => {}
    }
}
