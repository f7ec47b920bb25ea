//! EventType: a type of events that can be had somewhere.

use kube::CustomResource;
use serde::{Deserialize, Serialize};

use crate::duck::status;
use crate::types::KReference;

/// A type of events, and who sends them.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "eventing.knative.dev",
    version = "v1beta2",
    kind = "EventType",
    plural = "eventtypes",
    namespaced,
    status = "EventTypeStatus",
    schema = "disabled",
    derive = "PartialEq",
    derive = "Default",
    doc = "A type of events that can be had from a broker, a channel or a source.",
    category = "all",
    category = "knative",
    category = "eventing",
    label("knative.dev/crd-install", "true"),
    printcolumn(name = "Type", type_ = "string", json_path = r#".spec.type"#),
    printcolumn(name = "Source", type_ = "string", json_path = r#".spec.source"#),
    printcolumn(name = "Schema", type_ = "string", json_path = r#".spec.schema"#),
    printcolumn(
        name = "Reference Name",
        type_ = "string",
        json_path = r#".spec.reference.name"#
    ),
    printcolumn(
        name = "Reference Kind",
        type_ = "string",
        json_path = r#".spec.reference.kind"#
    ),
    printcolumn(name = "Description", type_ = "string", json_path = r#".spec.description"#),
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
pub struct EventTypeSpec {
    /// Type of the events.
    #[serde(default, rename = "type")]
    pub type_: String,
    /// Source of the events, a URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// URI of the schema of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// The schema itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema_data: Option<String>,
    /// Name of the broker that has them; `reference` says it better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broker: Option<String>,
    /// Who has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<KReference>,
    /// What they are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

status! {
    /// Whether that resource is there.
    EventTypeStatus {
    }
}
