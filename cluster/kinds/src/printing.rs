//! The tables that `kubectl get` prints: columns and cells of each kind, computed by the server.
//!
//! Texts are those of upstream's printers (`pkg/printers/internalversion`), since people and scripts read them.

mod age;
mod autoscaling;
mod cluster;
mod columns;
mod event;
mod flow;
mod network;
mod node;
mod pod;
mod storage;
#[cfg(test)]
mod tests;
mod text;
mod workload;

use jiff::Timestamp;
use serde_json::Value;

pub use age::{age_since, human_duration};
pub use columns::Column;

use crate::json::text;
use crate::kind::Kind;
use age::created;

impl Kind {
    /// Returns the columns of the kind's table; those of priority 1 are shown by `-o wide` only.
    pub fn columns(&self) -> &'static [Column] {
        columns::columns(self.group, self.kind)
    }

    /// Returns the cells of one object, one for each column. Ages are as of `now`.
    pub fn row(&self, object: &Value, now: Timestamp) -> Vec<Value> {
        match (self.group, self.kind) {
            ("", "Pod") => pod::pod(object, now),
            ("", "PodTemplate") => workload::pod_template(object),
            ("", "Service") => network::service(object, now),
            ("", "Endpoints") => network::endpoints(object, now),
            ("", "Node") => node::node(object, now),
            ("" | "events.k8s.io", "Event") => event::event(object, now),
            ("", "Namespace") => cluster::namespace(object, now),
            ("", "Secret") => cluster::secret(object, now),
            ("", "ConfigMap") => cluster::config_map(object, now),
            ("", "ServiceAccount") => cluster::service_account(object, now),
            ("", "ResourceQuota") => cluster::resource_quota(object, now),
            ("", "PersistentVolume") => storage::volume(object, now),
            ("", "PersistentVolumeClaim") => storage::claim(object, now),
            ("", "ReplicationController") | ("apps", "ReplicaSet") => workload::replicas(object, now),
            ("apps", "Deployment") => workload::deployment(object, now),
            ("apps", "StatefulSet") => workload::stateful_set(object, now),
            ("apps", "DaemonSet") => workload::daemon_set(object, now),
            ("apps", "ControllerRevision") => workload::controller_revision(object, now),
            ("batch", "Job") => workload::job(object, now),
            ("batch", "CronJob") => workload::cron_job(object, now),
            ("autoscaling", _) => autoscaling::autoscaler(object, now),
            ("policy", _) => workload::disruption_budget(object, now),
            ("discovery.k8s.io", _) => network::endpoint_slice(object, now),
            ("networking.k8s.io", "Ingress") => network::ingress(object, now),
            ("networking.k8s.io", "IngressClass") => network::ingress_class(object, now),
            ("networking.k8s.io", "NetworkPolicy") => network::network_policy(object, now),
            ("coordination.k8s.io", _) => cluster::lease(object, now),
            ("rbac.authorization.k8s.io", "ClusterRoleBinding" | "RoleBinding") => {
                cluster::role_binding(object, now)
            }
            ("apiregistration.k8s.io", _) => cluster::api_service(object, now),
            ("admissionregistration.k8s.io", _) => cluster::webhooks(object, now),
            ("scheduling.k8s.io", _) => cluster::priority_class(object, now),
            ("flowcontrol.apiserver.k8s.io", "FlowSchema") => flow::schema(object, now),
            ("flowcontrol.apiserver.k8s.io", _) => flow::priority_level(object, now),
            ("node.k8s.io", _) => cluster::runtime_class(object, now),
            ("storage.k8s.io", _) => storage::class(object, now),
            _ => vec![
                text(object, &["metadata", "name"]).into(),
                text(object, &["metadata", "creationTimestamp"]).into(),
            ],
        }
    }
}

/// Starts a row with the object's name.
fn name(object: &Value) -> Value {
    text(object, &["metadata", "name"]).into()
}

/// The cell of the age column.
fn age(object: &Value, now: Timestamp) -> Value {
    created(object, now).into()
}
