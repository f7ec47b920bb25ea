//! ClusterDomainClaim: which namespace may map a domain.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

/// Who may map the domain.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "networking.internal.knative.dev",
    version = "v1alpha1",
    kind = "ClusterDomainClaim",
    plural = "clusterdomainclaims",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "The right of one namespace to map a domain. The name of the object is the domain.",
    shortname = "cdc",
    category = "knative-internal",
    category = "networking",
    label("knative.dev/crd-install", "true")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDomainClaimSpec {
    /// The namespace that may map the domain.
    #[serde(default)]
    pub namespace: String,
}
