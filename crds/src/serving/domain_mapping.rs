//! DomainMapping: a host of the user's own for a Service.

use std::collections::BTreeMap;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::conditions::{Condition, conditioned};
use crate::types::{Addressable, KReference};

/// Who serves the host, and with which certificate.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "serving.knative.dev",
    version = "v1beta1",
    kind = "DomainMapping",
    plural = "domainmappings",
    namespaced,
    status = "DomainMappingStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A host of the user's own, served by another resource. The name of the object is the host.",
    shortname = "dm",
    category = "all",
    category = "knative",
    category = "serving",
    label("knative.dev/crd-install", "true"),
    printcolumn(name = "URL", type_ = "string", json_path = r#".status.url"#),
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
pub struct DomainMappingSpec {
    /// Who serves the host.
    #[serde(default, rename = "ref")]
    pub reference: KReference,
    /// A certificate that the user brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<SecretTls>,
}

/// Names a secret of type `kubernetes.io/tls` in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretTls {
    /// Name of the secret.
    #[serde(default)]
    pub secret_name: String,
}

/// What has been observed of the claim, the certificate and the ingress.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DomainMappingStatus {
    /// The living conditions, sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Annotations that belong to the status rather than to the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// URL that the outside uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// URL that the target answers at, and where it does inside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Addressable>,
}

conditioned!(DomainMappingStatus);
