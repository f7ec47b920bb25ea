//! ResolutionRequest: a question to a resolver.

pub mod v1alpha1;

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use super::param::Param;
use super::status::{RefSource, RunStatus};
use crate::duck::status;

/// What the resolver is told. Which resolver it is says the label `resolution.tekton.dev/type`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "resolution.tekton.dev",
    version = "v1beta1",
    kind = "ResolutionRequest",
    plural = "resolutionrequests",
    namespaced,
    status = "ResolutionRequestStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A question to a resolver.",
    category = "tekton",
    category = "tekton-pipelines",
    label("app.kubernetes.io/part-of", "tekton-pipelines"),
    printcolumn(
        name = "OwnerKind",
        type_ = "string",
        json_path = r#".metadata.ownerReferences[0].kind"#
    ),
    printcolumn(
        name = "Owner",
        type_ = "string",
        json_path = r#".metadata.ownerReferences[0].name"#
    ),
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Succeeded')].status"#
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Succeeded')].reason"#
    ),
    printcolumn(
        name = "StartTime",
        type_ = "string",
        json_path = r#".metadata.creationTimestamp"#
    ),
    printcolumn(
        name = "EndTime",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=='Succeeded')].lastTransitionTime"#
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ResolutionRequestSpec {
    /// What the resolver is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<Param>,
    /// An address, for resolvers that take one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

status! {
    /// What the resolver found.
    ResolutionRequestStatus {
        /// What was found, in base64.
        #[serde(default)]
        pub data: String,
        /// Where it was found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub ref_source: Option<RefSource>,
    }
}

impl RunStatus for ResolutionRequestStatus {}
