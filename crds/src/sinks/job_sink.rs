//! JobSink: a Job for each event.

use k8s_openapi::api::batch::v1::Job;
use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::{PolicyReference, status};
use crate::types::Addressable;

/// The Job that is made for each event.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "sinks.knative.dev",
    version = "v1alpha1",
    kind = "JobSink",
    plural = "jobsinks",
    namespaced,
    status = "JobSinkStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "Makes a Job for each event.",
    category = "all",
    category = "knative",
    category = "eventing",
    category = "sink",
    label("knative.dev/crd-install", "true"),
    label("duck.knative.dev/addressable", "true"),
    printcolumn(name = "URL", type_ = "string", json_path = r#".status.address.url"#),
    printcolumn(name = "Age", type_ = "date", json_path = r#".metadata.creationTimestamp"#),
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
pub struct JobSinkSpec {
    /// The Job, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Job>,
}

status! {
    /// What has been observed of it.
    JobSinkStatus {
        /// Where events are sent to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub address: Option<Addressable>,
        /// All addresses, if there are several.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub addresses: Vec<Addressable>,
        /// How its Jobs are found.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub job: Option<JobSinkJobStatus>,
        /// The policies that say who may send events.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        pub policies: Vec<PolicyReference>,
    }
}

/// How the Jobs of a sink are found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSinkJobStatus {
    /// Label selector.
    #[serde(default)]
    pub selector: String,
}
