//! ServerlessService: decides whether the activator stands in front of a revision.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::conditions::{Condition, conditioned};

use super::ProtocolType;

/// Who stands behind the public Service.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "networking.internal.knative.dev",
    version = "v1alpha1",
    kind = "ServerlessService",
    plural = "serverlessservices",
    namespaced,
    status = "ServerlessServiceStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Two Services for one revision: a private one with its pods, a public one with its pods or with activators.",
    shortname = "sks",
    category = "knative-internal",
    category = "networking",
    label("knative.dev/crd-install", "true"),
    printcolumn(name = "Mode", type_ = "string", json_path = r#".spec.mode"#),
    printcolumn(name = "Activators", type_ = "integer", json_path = r#".spec.numActivators"#),
    printcolumn(name = "ServiceName", type_ = "string", json_path = r#".status.serviceName"#),
    printcolumn(
        name = "PrivateServiceName",
        type_ = "string",
        json_path = r#".status.privateServiceName"#
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Ready')].reason"#
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ServerlessServiceSpec {
    /// Pods or activators?
    #[serde(default)]
    pub mode: ServerlessServiceMode,
    /// What carries the pods, normally the revision's Deployment.
    #[serde(default)]
    pub object_ref: ObjectReference,
    /// Protocol of the application.
    #[serde(default)]
    pub protocol_type: ProtocolType,
    /// Activators to use in proxy mode; 0 or absent is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_activators: Option<i32>,
}

/// Who stands behind the public Service of a ServerlessService.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ServerlessServiceMode {
    /// Activators.
    Proxy,
    /// The pods themselves; also what an unknown text is read as.
    #[default]
    #[serde(other)]
    Serve,
}

/// The two Services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerlessServiceStatus {
    /// The living conditions, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Annotations that belong to the status rather than to the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The public Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_name: Option<String>,
    /// The private Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_service_name: Option<String>,
}

conditioned!(ServerlessServiceStatus);
